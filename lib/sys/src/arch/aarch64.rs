//! `svc #0`, with the registers of [`abi::syscall`].

use core::arch::asm;

use abi::packet::Packet;
use abi::{CapAddr, Error, Syscall};

use crate::syscalls::{Answer, Arguments, Syscalls};

/// The kernel under this program.
struct Svc;

/// The kernel under this program.
#[inline(always)]
pub const fn native() -> &'static impl Syscalls {
    &Svc
}

impl Syscalls for Svc {
    #[inline]
    fn call(&self, number: Syscall, arguments: Arguments) -> Result<Answer, Error> {
        let [mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6] = arguments;
        let x7: u64;
        // SAFETY: the kernel writes x0 to x18 only, all of which are named. What a call does to memory (unmapping,
        // say) is a matter of the capability invoked; whoever owns a mapping must not take it from under references.
        unsafe {
            asm!(
                "svc #0",
                inlateout("x8") number as u64 => _,
                inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2, inlateout("x3") x3,
                inlateout("x4") x4, inlateout("x5") x5, inlateout("x6") x6, lateout("x7") x7,
                lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _, lateout("x13") _,
                lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _, lateout("x18") _,
                options(nostack),
            );
        }
        match Error::from_word(x0) {
            None => Ok([x0, x1, x2, x3, x4, x5, x6, x7]),
            Some(error) => Err(error),
        }
    }

    #[inline]
    fn send(&self, endpoint: CapAddr, capability: CapAddr, packet: &Packet) -> Result<(), Error> {
        let result: u64;
        let [w0, w1, w2, w3, w4, w5, w6] = packet.words;
        // SAFETY: as in `call`; the packet's registers are kept by the kernel.
        unsafe {
            asm!(
                "svc #0",
                inlateout("x8") Syscall::Send as u64 => _,
                inlateout("x0") endpoint.0 => result,
                inlateout("x2") capability.0 => _,
                in("x20") packet.header, in("x21") w0, in("x22") w1, in("x23") w2,
                in("x24") w3, in("x25") w4, in("x26") w5, in("x27") w6,
                lateout("x1") _, lateout("x3") _, lateout("x4") _, lateout("x5") _, lateout("x6") _,
                lateout("x7") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
                lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
                lateout("x18") _,
                options(nostack),
            );
        }
        match Error::from_word(result) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn exit(&self, code: u64) -> ! {
        // SAFETY: the kernel ends this dispatcher; nothing of it runs again.
        unsafe { asm!("svc #0", in("x8") Syscall::Exit as u64, in("x0") code, options(noreturn, nostack)) }
    }
}
