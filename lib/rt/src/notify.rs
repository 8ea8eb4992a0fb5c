//! Doorbells: what interrupts and other domains ring, and what a task or the thread waits for.

use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use abi::layout::SELF_DISPATCHER;
use abi::{CapAddr, Rights};
use sys::{Cap, Dispatcher, IrqSource};

use crate::error::RtError;
use crate::events::{self, Event};
use crate::{critical, executor, slots};

/// The state of a doorbell that the event loop sees.
pub(crate) struct Bell {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let waker = critical::section(|| {
            self.rung.set(true);
            self.waiting.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(&self) -> bool {
        critical::section(|| self.rung.replace(false))
    }
}

// SAFETY: its cells are looked at in critical sections alone.
unsafe impl Send for Bell {}
// SAFETY: as above.
unsafe impl Sync for Bell {}

/// A doorbell of this domain. Rings that come before anybody waits are one ring. One task waits at a time.
pub struct Notify {
    event: u32,
    capability: Cap<sys::Notify>,
    bell: Arc<Bell>,
}

impl Notify {
    /// Makes a doorbell at a free event index.
    ///
    /// # Errors
    /// `NoEvent`, `OutOfMemory`, and those of the kernel.
    pub fn new() -> Result<Notify, RtError> {
        let slot = slots::allocate()?;
        let event = events::allocate().inspect_err(|_| slots::release(slot))?;
        if let Err(error) = Cap::<Dispatcher>::new(SELF_DISPATCHER).make_notify(event.into(), slot) {
            events::set(event, Event::Free);
            slots::release(slot);
            return Err(error.into());
        }
        let bell = Arc::new(Bell { rung: Cell::new(false), waiting: RefCell::new(None) });
        events::set(event, Event::Bell(bell.clone()));
        Ok(Notify { event, capability: Cap::new(slot), bell })
    }

    /// The capability, to bind interrupts to and to copy.
    pub fn capability(&self) -> Cap<sys::Notify> {
        self.capability
    }

    /// A copy with which it can only be rung, to be given away. The caller owns the slot.
    ///
    /// # Errors
    /// `OutOfMemory`, and those of the kernel.
    pub fn signal_copy(&self) -> Result<CapAddr, RtError> {
        let slot = slots::allocate()?;
        if let Err(error) = self.capability.copy_to(slot, Rights::WRITE) {
            slots::release(slot);
            return Err(error.into());
        }
        Ok(slot)
    }

    /// Waits for a ring.
    pub async fn wait(&self) {
        poll_fn(|context| {
            let waker = context.waker().clone();
            let (rung, former) = critical::section(|| {
                if self.bell.take() { (true, None) } else { (false, self.bell.waiting.replace(Some(waker))) }
            });
            drop(former);
            if rung { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits for a ring, parking the thread.
    pub fn wait_blocking(&self) {
        executor::block_on(self.wait());
    }

    /// Whether it was rung since the last look.
    pub fn take(&self) -> bool {
        self.bell.take()
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        // Others may hold copies: they go too, so that the index can be used again.
        let _ = self.capability.revoke();
        slots::discard(self.capability.address());
        events::set(self.event, Event::Free);
    }
}

/// An interrupt that rings a doorbell of this domain.
pub struct Irq {
    source: Cap<IrqSource>,
    notify: Notify,
}

impl Irq {
    /// Binds the interrupt of `source`.
    ///
    /// # Errors
    /// Those of [`Notify::new`], and `BadInterrupt`.
    pub fn bind(source: Cap<IrqSource>) -> Result<Irq, RtError> {
        let notify = Notify::new()?;
        source.bind(notify.capability())?;
        Ok(Irq { source, notify })
    }

    /// Waits for the interrupt. It stays masked until [`Irq::acknowledge`].
    pub async fn wait(&self) {
        self.notify.wait().await;
    }

    /// Lets the interrupt come again.
    ///
    /// # Errors
    /// Those of the kernel, when the source is gone.
    pub fn acknowledge(&self) -> Result<(), RtError> {
        Ok(self.source.ack()?)
    }
}
