//! The registers themselves: loading and storing all of them, and what to put in.

use alloc::format;
use alloc::string::String;

use abi::frame::FpContext;

/// FPCR: rounding mode, which any pattern may choose.
const ROUNDING: u64 = 22;
/// FPSR: the five flags that stay until they are cleared.
const FLAGS: u64 = 0x1f;

/// Contents for all registers, different in each, in each round and for each `number`.
pub(crate) fn pattern(number: u64, round: u64) -> FpContext {
    let mut registers = FpContext::default();
    for (index, register) in registers.q.iter_mut().enumerate() {
        let low = number << 48 | round << 16 | (index as u64 + 1);
        *register = [low, !low];
    }
    registers.fpcr = ((number + round) % 4) << ROUNDING;
    registers.fpsr = (number * 7 + round) & FLAGS;
    registers
}

/// The first register that is not as expected.
pub(crate) fn difference(expected: &FpContext, found: &FpContext) -> Option<String> {
    for (index, (expected, found)) in expected.q.iter().zip(&found.q).enumerate() {
        if expected != found {
            return Some(format!("q{index} is {found:x?}, not {expected:x?},"));
        }
    }
    for (name, expected, found) in [("FPCR", expected.fpcr, found.fpcr), ("FPSR", expected.fpsr, found.fpsr)]
    {
        if expected != found {
            return Some(format!("{name} is {found:#x}, not {expected:#x},"));
        }
    }
    None
}

/// Puts `registers` into the processor.
#[cfg(target_os = "none")]
pub(crate) fn load(registers: &FpContext) {
    // SAFETY: reads 528 bytes of `registers`. Programs are compiled without FP, so the compiler keeps nothing in these
    // registers.
    unsafe {
        core::arch::asm!(
            abi::fp_registers!("ldp"),
            "ldr {control}, [{at}, #512]",
            "ldr {status}, [{at}, #520]",
            "msr fpcr, {control}",
            "msr fpsr, {status}",
            at = in(reg) registers,
            control = out(reg) _,
            status = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// What the processor holds.
#[cfg(target_os = "none")]
pub(crate) fn store() -> FpContext {
    let mut registers = FpContext::default();
    // SAFETY: writes the 528 bytes of `registers`.
    unsafe {
        core::arch::asm!(
            abi::fp_registers!("stp"),
            "mrs {control}, fpcr",
            "mrs {status}, fpsr",
            "str {control}, [{at}, #512]",
            "str {status}, [{at}, #520]",
            at = in(reg) &raw mut registers,
            control = out(reg) _,
            status = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
    registers
}

/// On a host these registers belong to the compiler.
#[cfg(not(target_os = "none"))]
pub(crate) fn load(_: &FpContext) {}

/// As [`load`].
#[cfg(not(target_os = "none"))]
pub(crate) fn store() -> FpContext {
    FpContext::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_differs_from_every_other_and_from_those_of_other_patterns() {
        let mut seen = std::collections::HashSet::from([[0, 0]]);
        for (number, round) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            assert!(pattern(number, round).q.into_iter().all(|register| seen.insert(register)));
        }
        assert_ne!(pattern(1, 0).fpcr, pattern(2, 0).fpcr);
        assert_ne!(pattern(1, 0).fpsr, pattern(2, 0).fpsr);
    }

    #[test]
    fn the_register_that_changed_is_named() {
        let expected = pattern(1, 0);
        assert_eq!(difference(&expected, &expected), None);
        let mut found = expected;
        found.q[7][1] = 0;
        assert!(difference(&expected, &found).is_some_and(|text| text.starts_with("q7 is ")));
        found = expected;
        found.fpsr = 0;
        assert!(difference(&expected, &found).is_some_and(|text| text.starts_with("FPSR is ")));
    }
}
