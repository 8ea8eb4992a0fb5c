//! The service "system": log, facts, power.

use alloc::string::String;
use alloc::vec::Vec;

use abi::layout::KERNEL;
use interfaces::{LogPart, System, SystemError, SystemInfo};
use ipc::Caller;
use sys::{Cap, Kernel, Syscall, Syscalls};

/// Bytes of the log in one answer.
const LOG_PART: usize = 16 * 1024;

/// The core's own capability, which only this domain holds (K5).
const CORE: Cap<Kernel> = Cap::new(KERNEL);

/// Switches the machine off, or starts it anew. Comes back only when refused.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn power_off(restart: bool, status: u8) -> sys::Result<()> {
    CORE.power_off(restart, status)
}

/// Lets a driver have the console: the kernel's log goes there no longer.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn release_console() -> sys::Result<()> {
    sys::native().call(Syscall::ConsoleRelease, [KERNEL.0, 0, 0, 0, 0, 0, 0]).map(drop)
}

/// The kernel's log from `position` on.
pub(crate) fn log_from(mut position: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(log) = CORE.read_log(position)
        && log.length != 0
    {
        bytes.extend_from_slice(&log.bytes[..log.length]);
        position = log.next;
    }
    bytes
}

/// Where the kernel's log ends now.
pub(crate) fn log_end() -> u64 {
    let mut position = 0;
    while let Ok(log) = CORE.read_log(position)
        && log.length != 0
    {
        position = log.next;
    }
    position
}

/// What is served.
pub(crate) struct Machine(pub(crate) SystemInfo);

/// The build's version, as `0.1.0 (abcdef0)`.
pub(crate) fn version() -> String {
    let commit = option_env!("BARRELDISH_COMMIT").unwrap_or("unknown");
    alloc::format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
}

impl System for Machine {
    fn log(&self, _: &Caller, position: u64) -> Result<LogPart, SystemError> {
        let mut part = LogPart { next: position, bytes: Vec::new() };
        while part.bytes.len() < LOG_PART {
            let log = CORE.read_log(part.next).map_err(|_| SystemError::NotAllowed)?;
            part.next = log.next;
            if log.length == 0 {
                break;
            }
            part.bytes.extend_from_slice(&log.bytes[..log.length]);
        }
        Ok(part)
    }

    fn info(&self, _: &Caller) -> Result<SystemInfo, SystemError> {
        Ok(self.0.clone())
    }

    fn power_off(&self, _: &Caller, status: u8) -> Result<(), SystemError> {
        power_off(false, status).map_err(|_| SystemError::NotSupported)
    }

    fn restart(&self, _: &Caller) -> Result<(), SystemError> {
        power_off(true, 0).map_err(|_| SystemError::NotSupported)
    }
}
