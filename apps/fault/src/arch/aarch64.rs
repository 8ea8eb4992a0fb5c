//! `udf`, which is undefined for good.

use core::arch::asm;

/// Does not return: the exception ends the program.
pub(crate) fn undefined_instruction() {
    // SAFETY: changes nothing; the exception does not return here.
    unsafe { asm!("udf #0") };
}
