//! The builder in a domain with a runtime: it looks into frames through windows of its own address space.

use abi::{ErrorKind, Rights};
use rt::RtError;
use sys::{Cap, Frame};

use crate::host::{Host, System};

/// The kernel below, and the runtime's address space to look into frames.
pub fn runtime() -> impl Host {
    System(view)
}

fn view(frame: Cap<Frame>, bytes: u64, f: &mut dyn FnMut(&mut [u8])) -> sys::Result<()> {
    let window =
        rt::vspace::map(frame, 0, bytes, Rights::READ.or(Rights::WRITE)).map_err(|error| match error {
            RtError::Kernel(error) => error,
            // No addresses, page tables or slots to be had.
            _ => ErrorKind::Nothing.into(),
        })?;
    // SAFETY: the window shows `bytes` bytes of plain memory, writable, until it is dropped below, and nobody else has
    // the frame (`Host::view`).
    f(unsafe { core::slice::from_raw_parts_mut(window.pointer(), bytes as usize) });
    Ok(())
}
