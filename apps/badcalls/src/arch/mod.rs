//! A system call of any number, right or wrong.

#[cfg(target_os = "none")]
mod aarch64;
#[cfg(target_os = "none")]
pub(crate) use aarch64::raw_call;

/// There is no kernel below on the host: everything is unknown.
#[cfg(not(target_os = "none"))]
pub(crate) fn raw_call(_: u64, _: [u64; 7]) -> u64 {
    abi::Error::from(abi::ErrorKind::UnknownSyscall).to_word()
}
