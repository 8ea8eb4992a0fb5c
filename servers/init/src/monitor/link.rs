//! The ring to the monitor of another core, and its bell.
//!
//! Bit k of a core's doorbell is for what core k's monitor has sent. So nobody has to tell anybody its bit.

use core::cell::RefCell;

use abi::Rights;
use abi::layout::KERNEL;
use abi::packet::Packet;
use channel::{Line, Receiver, SendError, Sender, Side, open};
use rt::{Notify, RtError, slots};
use sys::{Cap, Doorbell, Frame, Kernel};

/// Bytes of the frame that two monitors share: rings of 62 lines.
pub(crate) const FRAME_BYTES: u64 = 8192;

/// This monitor's end.
pub(crate) struct Link {
    ends: RefCell<Ends>,
    bell: Notify,
    theirs: Cap<Doorbell>,
}

struct Ends {
    sender: Sender<'static>,
    receiver: Receiver<'static>,
    /// The second line of a message, for which there was no room. It goes before all else.
    second: Option<Packet>,
}

impl Link {
    /// The end of core `own` in a frame that it shares with core `other` alone, from its begin, when all of it is zero.
    ///
    /// # Errors
    /// Those of the runtime and of the kernel.
    pub(crate) fn new(own: u32, other: u32, frame: Cap<Frame>) -> Result<Link, RtError> {
        let window = rt::vspace::map(frame, 0, FRAME_BYTES, Rights::READ.or(Rights::WRITE))?;
        let start = window.pointer().cast::<Line>();
        core::mem::forget(window);
        // SAFETY: the window shows that many bytes of memory, page-aligned, for ever since it was forgotten. Lines are atomics, of
        // which any bits are values, whoever writes them (K6).
        let lines = unsafe { core::slice::from_raw_parts(start, FRAME_BYTES as usize / channel::LINE_SIZE) };
        let side = if own < other { Side::First } else { Side::Second };
        let Ok((sender, receiver)) = open(lines, side) else { return Err(RtError::NotAvailable) };
        let kernel = Cap::<Kernel>::new(KERNEL);
        let bell = Notify::new()?;
        kernel.export(bell.capability(), Some(other))?;
        let theirs = slots::allocate()?;
        kernel.make_doorbell(other, own, theirs).inspect_err(|_| slots::release(theirs))?;
        let ends = RefCell::new(Ends { sender, receiver, second: None });
        Ok(Link { ends, bell, theirs: Cap::new(theirs) })
    }

    /// Sends the lines of a message. `false`: there is no room now, and nothing was sent; when there is, [`Link::wait`] ends.
    pub(crate) fn send(&self, first: &Packet, second: Option<&Packet>) -> bool {
        let ends = &mut *self.ends.borrow_mut();
        if !ends.flush() || ends.sender.send(first).is_err() {
            return false;
        }
        ends.second = second.copied();
        ends.flush();
        true
    }

    /// Whether a message could be sent now. If not, it is worth trying again when [`Link::wait`] has ended.
    pub(crate) fn has_room(&self) -> bool {
        self.ends.borrow_mut().flush()
    }

    /// The next line.
    pub(crate) fn receive(&self) -> Option<Packet> {
        self.ends.borrow_mut().receiver.receive()
    }

    /// Rings the other monitor, if it sleeps and there is something for it.
    pub(crate) fn wake(&self) {
        let ends = &mut *self.ends.borrow_mut();
        let (sent, taken) = (ends.sender.must_wake(), ends.receiver.must_wake());
        if sent || taken {
            // Only without the capability this fails.
            let _ = self.theirs.ring();
        }
    }

    /// Waits until there is something to receive, or room, if `wants_room`.
    pub(crate) async fn wait(&self, wants_room: bool) {
        let sleeps = {
            let ends = &mut *self.ends.borrow_mut();
            let empty = ends.receiver.announce_sleep();
            let full = !wants_room && ends.second.is_none() || ends.sender.wait_for_room();
            empty && full
        };
        self.wake();
        if sleeps {
            self.bell.wait().await;
        }
    }
}

impl Ends {
    /// Sends what is left of the last message. `false`: there is no room for that.
    fn flush(&mut self) -> bool {
        if let Some(second) = self.second {
            match self.sender.send(&second) {
                Ok(()) => self.second = None,
                Err(SendError::Full | SendError::Misbehaved) => return false,
            }
        }
        true
    }
}
