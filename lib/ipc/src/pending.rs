//! A client's requests that wait for their answers: a table found by sequence number in constant time.
//!
//! The low bits of a sequence number are an index into the table, the rest counts how often the slot
//! was used, so that a late answer to a request that was given up matches nothing.

use crate::error::{CallError, DecodeError};
use crate::message::{Assembled, MAX_REQUESTS};
use crate::wire::{Decode, Words, copy_words, decode_bytes};
use abi::CapAddr;
use abi::packet::{Header, Packet};
use alloc::vec::Vec;
use core::task::Waker;

const INDEX_BITS: u32 = MAX_REQUESTS.ilog2();
const INDEX_MASK: u32 = MAX_REQUESTS as u32 - 1;
const NONE: u32 = u32::MAX;

/// Who waits for an answer.
pub(crate) enum Waiter<T> {
    Nobody,
    Thread(T),
    Task(Waker),
}

/// `Copy`, so that setting it costs no look at what it was.
#[derive(Clone, Copy)]
enum Phase {
    /// Free; the next free slot.
    Free(u32),
    Waiting,
    /// The answer is in the slot.
    Answered,
    /// The answer came in many packets: it is in `long`.
    AnsweredLong,
    Failed(CallError),
}

struct Slot<T> {
    sequence: u32,
    phase: Phase,
    waiter: Waiter<T>,
    header: Header,
    words: Words,
    capability: Option<CapAddr>,
    long: Option<Assembled>,
}

/// The table. After [`Pending::fail_next`] began, every request fails with the same error.
pub(crate) struct Pending<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    dead: Option<CallError>,
}

/// What [`Pending::take`] found instead of an answer in one packet.
pub(crate) enum Taken {
    /// Nothing yet; wait again.
    NotYet,
    /// To be decoded outside of the lock.
    Long(Assembled),
    Failed(CallError),
}

/// What a request was doing when it was given up.
pub(crate) enum GivenUp<T> {
    /// The server has not answered yet. The waiter is to be dropped outside of the lock.
    Waiting(Waiter<T>),
    /// The answer was there, with this capability, which is to be deleted.
    Answered(Option<CapAddr>),
    /// It had failed.
    Nothing,
}

impl<T: Copy> Pending<T> {
    pub(crate) const fn new() -> Pending<T> {
        Pending { slots: Vec::new(), free: NONE, dead: None }
    }

    /// Why no more requests are taken, if so.
    pub(crate) fn dead(&self) -> Option<CallError> {
        self.dead
    }

    /// A new request: its sequence number.
    #[inline(always)]
    pub(crate) fn begin(&mut self, waiter: Waiter<T>) -> Result<u32, CallError> {
        if let Some(error) = self.dead {
            return Err(error);
        }
        if self.free == NONE {
            self.grow()?;
        }
        let slot = self.slots.get_mut(self.free as usize).ok_or(CallError::TooManyRequests)?;
        if let Phase::Free(next) = slot.phase {
            self.free = next;
        }
        slot.phase = Phase::Waiting;
        slot.waiter = waiter;
        Ok(slot.sequence)
    }

    #[cold]
    fn grow(&mut self) -> Result<(), CallError> {
        let index = self.slots.len();
        if index == MAX_REQUESTS {
            return Err(CallError::TooManyRequests);
        }
        self.slots.try_reserve(1).map_err(|_| CallError::OutOfMemory)?;
        self.slots.push(Slot {
            sequence: index as u32,
            phase: Phase::Free(NONE),
            waiter: Waiter::Nobody,
            header: Header(0),
            words: [0; 7],
            capability: None,
            long: None,
        });
        self.free = index as u32;
        Ok(())
    }

    #[inline(always)]
    fn waiting(&mut self, sequence: u32) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut((sequence & INDEX_MASK) as usize)?;
        let matches = slot.sequence == sequence && matches!(slot.phase, Phase::Waiting);
        matches.then_some(slot)
    }

    /// The answer in one packet. `None`: nobody waits for it.
    #[inline(always)]
    pub(crate) fn answer(&mut self, packet: &Packet, capability: Option<CapAddr>) -> Option<Waiter<T>> {
        let header = Header(packet.header);
        let slot = self.waiting(header.sequence())?;
        slot.header = header;
        copy_words(&mut slot.words, &packet.words);
        slot.capability = capability;
        slot.phase = Phase::Answered;
        Some(core::mem::replace(&mut slot.waiter, Waiter::Nobody))
    }

    /// The answer in many packets. `Err`: nobody waits for it.
    pub(crate) fn answer_long(&mut self, message: Assembled) -> Result<Waiter<T>, Assembled> {
        match self.waiting(message.header.sequence()) {
            Some(slot) => {
                slot.phase = Phase::AnsweredLong;
                slot.long = Some(message);
                Ok(core::mem::replace(&mut slot.waiter, Waiter::Nobody))
            }
            None => Err(message),
        }
    }

    /// The request fails.
    pub(crate) fn fail(&mut self, sequence: u32, error: CallError) -> Option<Waiter<T>> {
        let slot = self.waiting(sequence)?;
        slot.phase = Phase::Failed(error);
        Some(core::mem::replace(&mut slot.waiter, Waiter::Nobody))
    }

    /// Lets some waiting request fail, and all later ones. `None`: none is left. `from` is where to look on;
    /// it starts at 0.
    pub(crate) fn fail_next(&mut self, error: CallError, from: &mut usize) -> Option<Waiter<T>> {
        let error = *self.dead.get_or_insert(error);
        while let Some(slot) = self.slots.get_mut(*from) {
            *from += 1;
            if matches!(slot.phase, Phase::Waiting) {
                slot.phase = Phase::Failed(error);
                return Some(core::mem::replace(&mut slot.waiter, Waiter::Nobody));
            }
        }
        None
    }

    /// Takes the answer, its payload to `words`, and frees the slot, if the answer is there.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        sequence: u32,
        words: &mut Words,
    ) -> Result<(Header, Option<CapAddr>), Taken> {
        let index = sequence & INDEX_MASK;
        let Some(slot) = self.slots.get_mut(index as usize) else { return Err(Taken::NotYet) };
        match slot.phase {
            Phase::Answered => {}
            Phase::Waiting | Phase::Free(_) => return Err(Taken::NotYet),
            Phase::AnsweredLong | Phase::Failed(_) => return Err(self.take_rare(index)),
        }
        slot.phase = Phase::Free(self.free);
        slot.sequence = slot.sequence.wrapping_add(1 << INDEX_BITS);
        self.free = index;
        copy_words(words, &slot.words);
        Ok((slot.header, slot.capability))
    }

    #[cold]
    fn take_rare(&mut self, index: u32) -> Taken {
        match self.release(index) {
            (_, Some(message)) => Taken::Long(message),
            (Phase::Failed(error), None) => Taken::Failed(error),
            _ => Taken::NotYet,
        }
    }

    fn release(&mut self, index: u32) -> (Phase, Option<Assembled>) {
        let slot = &mut self.slots[index as usize];
        slot.sequence = slot.sequence.wrapping_add(1 << INDEX_BITS);
        let next = core::mem::replace(&mut self.free, index);
        let phase = core::mem::replace(&mut slot.phase, Phase::Free(next));
        (phase, slot.long.take())
    }

    /// Somebody else waits for the answer from now on (the same task with another waker). The former
    /// waiter is returned to be dropped outside of the lock, since that may run any code.
    pub(crate) fn wait_as(&mut self, sequence: u32, waker: &Waker) -> Option<Waiter<T>> {
        let slot = self.waiting(sequence)?;
        match &slot.waiter {
            Waiter::Task(present) if present.will_wake(waker) => None,
            _ => Some(core::mem::replace(&mut slot.waiter, Waiter::Task(waker.clone()))),
        }
    }

    /// The answer is not wanted any more.
    pub(crate) fn give_up(&mut self, sequence: u32) -> GivenUp<T> {
        let index = sequence & INDEX_MASK;
        let Some(slot) = self.slots.get_mut(index as usize) else { return GivenUp::Nothing };
        if slot.sequence != sequence || matches!(slot.phase, Phase::Free(_)) {
            return GivenUp::Nothing;
        }
        let capability = slot.capability;
        let waiter = core::mem::replace(&mut slot.waiter, Waiter::Nobody);
        match self.release(index) {
            (_, Some(message)) => GivenUp::Answered(message.capability),
            (Phase::Waiting, None) => GivenUp::Waiting(waiter),
            (Phase::Answered, None) => GivenUp::Answered(capability),
            _ => GivenUp::Nothing,
        }
    }
}

/// Decodes an answer of many packets, outside of the lock. `Err`: why not, and its capability, which is to be deleted.
pub(crate) fn decode_long<R: Decode>(message: Assembled) -> Result<R, (DecodeError, Option<CapAddr>)> {
    decode_bytes(&message.bytes, message.capability).map_err(|error| (error, message.capability))
}
