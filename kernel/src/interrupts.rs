//! Which notification each interrupt of the core signals.

use crate::dispatcher::DispatcherRef;

/// Interrupt numbers that can be bound: shared peripheral interrupts (GICv3 architecture, IHI 0069, 2.2.1).
pub const FIRST_BINDABLE: u64 = 32;
/// One past the last.
pub const END_BINDABLE: u64 = 1020;

/// Interrupt number to notification: `dispatcher | event index`, 0 where nobody listens. Dispatchers are page aligned
/// and have fewer than 4,096 events, so both fit one word.
pub struct InterruptTable {
    bindings: [u64; END_BINDABLE as usize],
}

impl Default for InterruptTable {
    fn default() -> InterruptTable {
        InterruptTable::new()
    }
}

impl InterruptTable {
    /// Nobody listens to anything.
    pub const fn new() -> InterruptTable {
        InterruptTable { bindings: [0; END_BINDABLE as usize] }
    }

    /// Who listens to an interrupt.
    pub fn listener(&self, interrupt: u32) -> Option<(DispatcherRef, u32)> {
        let word = *self.bindings.get(interrupt as usize)?;
        Some((DispatcherRef::at(word & !0xfff)?, (word & 0xfff) as u32))
    }

    /// Lets `(d, index)` listen. `interrupt` is in the bindable range.
    pub fn bind(&mut self, interrupt: u32, d: DispatcherRef, index: u32) {
        self.bindings[interrupt as usize] = d.base() | u64::from(index);
    }

    /// Nobody listens any more.
    pub fn unbind(&mut self, interrupt: u32) {
        if let Some(word) = self.bindings.get_mut(interrupt as usize) {
            *word = 0;
        }
    }
}
