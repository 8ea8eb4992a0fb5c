//! Cutting a unit while a request waits.

use capops::{CoreId, CoreSet, Home, HomeEvent, Key, Request, ToCore, ToHome};

/// One page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Page(u64);

impl Key for Page {
    fn contains(&self, other: &Self) -> bool {
        self == other
    }
    fn is_above(&self, at: u64) -> bool {
        self.0 >= at
    }
}

const AT: u64 = 4;

fn receive(from: u8, message: ToHome<Page>) -> HomeEvent<Page> {
    HomeEvent::Receive { from: CoreId(from), message }
}

fn revoke(page: u64) -> Request<Page> {
    Request::Revoke { top: Page(page) }
}

#[test]
fn a_core_may_ask_about_the_lower_part_while_another_core_has_not_cut_yet() {
    let both = CoreSet::first(2);
    let mut lower = Home::<Page, 2> { live: true, sharers: both, ..Home::new(both) };
    lower.step(HomeEvent::Cut { at: AT }).expect("it is idle");
    // Asked before the core hears of the cut.
    lower.step(receive(0, ToHome::Request(revoke(5)))).expect("its first");
    lower.step(receive(0, ToHome::Surveyed { spanned: false })).expect("the answer");
    let effects = lower.step(receive(1, ToHome::Surveyed { spanned: false })).expect("the answer");
    assert!(effects.splits && effects.sends[0] == Some((both, ToCore::Cut { at: AT })));
    let mut upper = lower.split();

    let cut = ToHome::IsCut { lower_empty: false, upper_empty: false };
    assert!(!lower.step(receive(0, cut)).expect("the answer").parts);
    upper.upper_is_cut(&mut lower, CoreId(0), false);
    assert_eq!((lower.waiting[0], upper.waiting[0]), (None, Some(revoke(5))));

    // The core's request about page 5 is one about the upper unit now, so it may ask about the lower.
    lower.step(receive(0, ToHome::Request(revoke(1)))).expect("its first about this part");
    assert!(lower.step(receive(1, cut)).expect("the answer").parts);
    upper.upper_is_cut(&mut lower, CoreId(1), false);
    assert_eq!(lower.part(&mut upper), [false, false]);
    assert_eq!((lower.waiting[0], upper.waiting[0]), (Some(revoke(1)), Some(revoke(5))));
}
