//! The border between typed calls and the machine.

use abi::packet::Packet;
use abi::{CapAddr, Error, Syscall};

/// Registers `x0` to `x7` after a system call; `x0` was no error.
pub type Answer = [u64; 8];

/// Registers `x0` to `x6` of a system call.
pub type Arguments = [u64; 7];

/// The raw system calls that return to their caller.
pub trait Syscalls {
    /// Any call without a packet: `x0` to `x6` as given.
    ///
    /// # Errors
    /// What the kernel says in `x0`.
    fn call(&self, number: Syscall, arguments: Arguments) -> Result<Answer, Error>;

    /// [`Syscall::Send`]: a packet, and a capability if `capability` is not [`CapAddr::NULL`].
    ///
    /// # Errors
    /// `Full`, `PeerGone`, `NoLandingSlot`, and those of a bad capability.
    fn send(&self, endpoint: CapAddr, capability: CapAddr, packet: &Packet) -> Result<(), Error>;

    /// [`Syscall::Exit`].
    fn exit(&self, code: u64) -> !;
}

/// Repeats a call that the kernel does in steps, until its `x1` says that it is done.
pub(crate) fn repeat(number: Syscall, arguments: Arguments) -> Result<(), Error> {
    while crate::native().call(number, arguments)?[1] != 0 {}
    Ok(())
}

/// Ends the domain with `code`.
pub fn exit(code: u64) -> ! {
    crate::native().exit(code)
}

/// Most bytes that one `DebugPrint` takes.
const DEBUG_CHUNK: usize = 48;

/// Appends `bytes` to the kernel's log.
pub fn debug_print(bytes: &[u8]) {
    for chunk in bytes.chunks(DEBUG_CHUNK) {
        let mut arguments = [0; 7];
        arguments[0] = chunk.len() as u64;
        for (index, &byte) in chunk.iter().enumerate() {
            arguments[1 + index / 8] |= u64::from(byte) << (index % 8 * 8);
        }
        // The only error is a bad length, which `chunks` excludes.
        let _ = crate::native().call(Syscall::DebugPrint, arguments);
    }
}
