//! A small model of the kernel, for tests of user space on the host: one for each thread.
//!
//! It knows which slots hold what, hands out memory by retype, knows when a Unit is empty, keeps the rings of endpoints in a
//! dispatcher frame, and notes what was sent. It can refuse any call. It does not know revocation of descendants, rights
//! of mappings or time.

mod frame;
mod kernel;
mod units;

use std::cell::RefCell;

use abi::packet::Packet;
use abi::{CapAddr, Error, Syscall};

pub use kernel::{Capability, Fake, Sent};

use crate::syscalls::{Answer, Arguments, Syscalls};

std::thread_local! {
    static FAKE: RefCell<Fake> = RefCell::new(Fake::new());
}

/// Works on this thread's model. Not to be nested, and no system call may be made inside.
pub fn with<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with(|fake| f(&mut fake.borrow_mut()))
}

/// Forgets all that happened on this thread.
pub fn reset() {
    with(|fake| *fake = Fake::new());
}

/// Calls this thread's model.
struct Model;

/// This thread's model of a kernel.
#[inline]
pub const fn native() -> &'static impl Syscalls {
    &Model
}

impl Syscalls for Model {
    fn call(&self, number: Syscall, arguments: Arguments) -> Result<Answer, Error> {
        with(|fake| fake.call(number, arguments))
    }
    fn send(&self, endpoint: CapAddr, capability: CapAddr, packet: &Packet) -> Result<(), Error> {
        with(|fake| fake.send(endpoint, capability, packet))
    }
    fn exit(&self, code: u64) -> ! {
        panic!("the domain ended with exit code {code}")
    }
}
