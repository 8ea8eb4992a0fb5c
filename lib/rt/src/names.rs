//! Services.
use crate::error::RtError;
pub(crate) fn ask_memory(_bytes: u64, _align: u64) -> Result<abi::CapAddr, RtError> {
    Err(RtError::NotAvailable)
}
