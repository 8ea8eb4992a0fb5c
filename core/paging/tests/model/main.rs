//! Every way in which faults, upcalls and packets can come between the steps of a domain's threads, up to a number of
//! upcalls and packets, over the shipped protocol.

mod explore;
mod seeded;
mod world;

use paging::Unbacked;
use world::Stack::{AtTheEdge, Far, ForACall};
use world::Step::*;
use world::{Report, Scenario, check, unmended};

/// Checks that no run of a scenario ends with a report.
fn passes(name: &str, scenario: Scenario) {
    check(name, scenario, None);
}

const USUAL: Scenario = Scenario::USUAL;

#[test]
fn two_threads_fault_on_one_page() {
    let threads =
        &[(Far, &[Touch(0), Touch(2)] as &[_]), (Far, &[Touch(0), Touch(2)]), (Far, &[Touch(2), Touch(0)])];
    passes("two_threads_fault_on_one_page", Scenario { threads, upcalls: 3, ..USUAL });
}

#[test]
fn faults_come_while_another_thread_asks_the_memory_service() {
    let threads =
        &[(ForACall, &[Allocate, Touch(1)] as &[_]), (ForACall, &[Touch(1), Allocate]), (Far, &[Touch(1)])];
    passes("faults_while_another_asks", Scenario { threads, ..USUAL });
}

#[test]
fn a_section_after_any_fault_has_what_it_needs() {
    let threads = &[(Far, &[Touch(0), Section(&[2, 6])] as &[_]), (Far, &[Touch(1), Section(&[3, 7])])];
    passes("a_section_after_any_fault", Scenario { threads, ..USUAL });
}

#[test]
fn sections_on_stacks_that_end_there_have_what_they_need() {
    for stack in [ForACall, AtTheEdge] {
        let threads = &[
            (Far, &[Touch(0), Section(&[2, 6])] as &[_]),
            (Far, &[Section(&[1, 7]), Yield, Section(&[3, 4])]),
        ];
        passes("sections_on_short_stacks", Scenario { threads, stacks: Some(stack), ..USUAL });
    }
}

#[test]
fn faults_come_while_the_stock_is_filled_up() {
    // The stock is empty, and the stack ends where the memory service is asked.
    for stack in [Far, ForACall, AtTheEdge] {
        let threads = &[(Far, &[Reserve, Section(&[0, 2])] as &[_]), (Far, &[Reserve, Touch(0)])];
        passes(
            "faults_during_a_refill",
            Scenario { threads, stacks: Some(stack), slots: 5, prepared: false, ..USUAL },
        );
    }
}

#[test]
fn filling_the_stock_up_takes_from_it() {
    // The tables are complete by then, and two of them go before the frame that is missing is there.
    let threads = &[(Far, &[Section(&[0]), Section(&[1])] as &[_]), (Far, &[Section(&[4])])];
    passes("filling_takes_from_the_stock", Scenario { threads, frames_use: &[2, 34], ..USUAL });
}

#[test]
fn memory_is_used_before_the_memory_service_is_connected() {
    let threads = &[(AtTheEdge, &[Touch(0), Allocate] as &[_]), (ForACall, &[Allocate, Touch(2)])];
    passes("before_the_memory_service", Scenario { threads, slots: 6, prepared: false, ..USUAL });
}

#[test]
fn slots_run_short_while_the_stock_is_filled_up() {
    for slots in 4..12 {
        let threads =
            &[(ForACall, &[Touch(0), Touch(1), Section(&[2, 3])] as &[_]), (Far, &[Touch(4), Allocate])];
        passes("slots_run_short", Scenario { threads, slots, upcalls: 1, ..USUAL });
    }
}

#[test]
fn a_thread_that_gives_way_with_a_fault_leaves_enough_to_the_next() {
    let threads = &[
        (AtTheEdge, &[Yield, Yield] as &[_]),
        (Far, &[Touch(0), Section(&[1, 2])]),
        (AtTheEdge, &[Yield, Section(&[3, 4])]),
    ];
    passes("giving_way_with_a_fault", Scenario { threads, ..USUAL });
}

#[test]
fn what_is_put_off_reaches_whom_it_is_for_in_order() {
    let threads = &[
        (Far, &[Touch(0)] as &[_]),
        (Far, &[Call, Allocate, Call]),
        (Far, &[Allocate, ComputeUntilServed(1)]),
    ];
    let scenario = Scenario { threads, requests: 2, ..USUAL };
    passes("what_is_put_off", scenario);
    passes("what_is_put_off_with_memory", Scenario { answers_allocate: true, requests: 1, ..scenario });
}

#[test]
fn a_request_put_off_in_a_fault_reaches_the_main_thread() {
    let threads =
        &[(Far, &[] as &[_]), (Far, &[Touch(0), Touch(1), ComputeUntilServed(2)]), (Far, &[Touch(2), Yield])];
    passes("a_request_put_off_in_a_fault", Scenario { threads, requests: 2, ..USUAL });
}

#[test]
fn the_heap_is_trimmed_after_the_section() {
    let threads = &[(Far, &[Free, Touch(0)] as &[_]), (Far, &[Touch(0), Free])];
    passes("the_heap_is_trimmed", Scenario { threads, upcalls: 3, ..USUAL });
}

#[test]
fn a_fault_with_upcalls_disabled_is_a_report() {
    let threads = &[(Far, &[TouchDisabled(0)] as &[_]), (Far, &[])];
    check("disabled", Scenario { threads, ..USUAL }, Some(Report::Disabled));
}

#[test]
fn an_access_to_nothing_is_a_report() {
    let threads = &[(Far, &[TouchNothing] as &[_]), (Far, &[])];
    check("nothing", Scenario { threads, ..USUAL }, unmended(Unbacked::Nothing, 0));
}

#[test]
fn a_section_that_uses_more_than_there_is_ends_in_a_report() {
    // The stock has three frames, and cannot be filled up where they are used.
    let threads = &[(Far, &[Section(&[0, 1, 2, 3])] as &[_]), (Far, &[])];
    check("too_much_in_a_section", Scenario { threads, ..USUAL }, unmended(Unbacked::OutOfMemory, 1));
}

#[test]
fn without_memory_a_fault_is_a_report() {
    // What the stock is filled with is all that there is: 3 frames and 6 tables.
    let threads = &[(Far, &[Touch(0), Touch(1), Touch(2), Touch(3)] as &[_]), (Far, &[])];
    check("no_memory", Scenario { threads, frames: 9, ..USUAL }, unmended(Unbacked::OutOfMemory, 0));
}
