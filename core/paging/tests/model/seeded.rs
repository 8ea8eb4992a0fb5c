//! That the model finds what it is there for: each mistake by a check that names what it does, or because the domain ends.

use crate::world::Stack::{AtTheEdge, Far, ForACall};
use crate::world::Step::*;
use crate::world::{Scenario, Seeded, check};

const USUAL: Scenario = Scenario::USUAL;

fn seed(mistake: Seeded, scenario: Scenario) {
    check("seeded", Scenario { seeded: Some(mistake), ..scenario }, None);
}

#[test]
#[should_panic(expected = "a section begins with too little in stock")]
fn a_threshold_that_is_one_too_low() {
    let threads = &[(Far, &[Touch(0), Section(&[2, 6])] as &[_])];
    seed(Seeded::ThresholdTooLow, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "an upcall in a section is forgotten")]
fn an_upcall_that_drops_what_was_wanted() {
    let threads = &[(Far, &[Section(&[0, 2])] as &[_]), (Far, &[Touch(1)])];
    seed(Seeded::WantDropped, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "a section begins with too little in stock")]
fn a_switch_whose_stack_is_not_probed() {
    let threads = &[(AtTheEdge, &[Touch(0), Yield] as &[_]), (Far, &[Section(&[2, 3])])];
    seed(Seeded::NoProbeBeforeSwitch, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "the domain ended otherwise")]
fn a_fault_that_gives_way() {
    let threads = &[(Far, &[Touch(0), Touch(1)] as &[_]), (Far, &[Touch(1), Touch(0)])];
    seed(Seeded::GivingWay, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "the domain ended otherwise")]
fn a_refill_on_a_stack_that_is_not_backed() {
    let threads = &[(ForACall, &[Reserve] as &[_])];
    seed(Seeded::NoProbe, Scenario { threads, prepared: false, ..USUAL });
}

#[test]
#[should_panic(expected = "the domain ended otherwise")]
fn a_refill_out_of_what_it_fills() {
    let threads = &[(Far, &[Touch(0), Touch(2)] as &[_])];
    seed(Seeded::FillingFromStock, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "what was put off does not reach the main thread")]
fn work_that_nobody_is_told_of() {
    let threads = &[(Far, &[] as &[_]), (Far, &[Allocate, ComputeUntilServed(2)])];
    seed(Seeded::NoNudge, Scenario { threads, requests: 1, ..USUAL });
}

#[test]
#[should_panic(expected = "the heap was not trimmed")]
fn a_trim_that_is_dropped() {
    let threads = &[(Far, &[Free] as &[_])];
    seed(Seeded::TrimDropped, Scenario { threads, ..USUAL });
}

#[test]
#[should_panic(expected = "every section has ended")]
fn a_fault_that_ends_the_section_around_it() {
    let threads = &[(Far, &[Section(&[0, 1])] as &[_]), (Far, &[Touch(2)])];
    seed(Seeded::DepthLost, Scenario { threads, ..USUAL });
}
