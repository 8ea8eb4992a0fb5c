//! Waiting for the memory service, wherever that is asked.

use crate::{Domain, Section};

/// Waits until unparked, and takes in only what is for `leaf`: everything else is put off, and no other thread runs. In a
/// critical section. The token that it takes may have been meant for a wait around this one, whose thread its caller
/// therefore unparks.
pub fn wait_as_leaf<D: Domain>(leaf: &D::Leaf) {
    loop {
        D::take_ready(leaf);
        if D::take_token() {
            break;
        }
        wait_with_room::<D>(|| D::wait(leaf));
    }
    D::restore_ready();
}

/// Waits by `wait`; the packet that it hands over is put off. If there is no room for another one, it lets time pass, and
/// packets go to their rings.
pub fn wait_with_room<D: Domain>(wait: impl FnOnce() -> Option<D::Packet>) {
    if D::put_off(|queue| queue.is_full()) {
        D::yield_to_others();
    } else if let Some(packet) = wait() {
        D::put_off(|queue| queue.push(packet));
        D::note_work();
        D::state(Section::want);
    }
}
