//! Stacks that grow, and one that grows too far.

use alloc::format;
use alloc::string::ToString;

use barreldish::thread;

use crate::{Outcome, check};

/// Bytes of each call's frame, and more.
const FRAME: usize = 1024;

/// Goes down by at least `bytes`, and comes back.
#[inline(never)]
fn descend(bytes: usize) -> usize {
    let mut room = [0u8; FRAME];
    core::hint::black_box(&mut room);
    if bytes <= FRAME {
        return usize::from(room[0]);
    }
    descend(bytes - FRAME) + usize::from(room[FRAME - 1])
}

/// The main stack holds so many KiB.
pub(crate) fn deep(kib: usize) -> Outcome {
    check(&format!("the main stack holds {kib} KiB"), descend(kib * 1024) == 0)
}

/// A thread that never stops descending, beside one that goes on.
pub(crate) fn overflow() -> Outcome {
    let start = |bytes| thread::Builder::new().name("deep").stack_size(bytes).spawn(|| descend(usize::MAX));
    let lost = start(128 * 1024).map_err(|error| error.to_string())?;
    let fine = thread::spawn(|| descend(200 * 1024));
    check("the thread that ran over its stack has ended", lost.join() == Err(thread::JoinError::Faulted))?;
    check("another used all of its own", fine.join() == Ok(0))?;
    let again = thread::spawn(|| 7);
    check("new threads start", again.join() == Ok(7))
}
