//! Answers, and replies that a server stores and answers later.

use crate::error::CallError;
use crate::message::{Body, KIND_ERROR, KIND_REPLY};
use crate::wire::{ByteSink, Capability, Encode, WordSink, fits};
use abi::CapAddr;
use alloc::sync::Arc;
use core::marker::PhantomData;

/// An encoded answer, for the code that `#[interface]` makes.
pub struct Answer {
    pub(crate) kind: u8,
    pub(crate) body: Body,
    pub(crate) capability: Option<Capability>,
    /// The capability of a request that could not be served: to be deleted.
    pub(crate) unwanted: Option<CapAddr>,
}

impl Answer {
    /// The answer that carries `result`.
    #[inline(always)]
    pub fn of<R: Encode>(result: &R) -> Answer {
        const { assert!(R::CAPABILITIES <= 1, "a message carries one capability at most") };
        let (body, capability) = if const { fits::<R>() } {
            let mut words = [0; 7];
            let mut sink = WordSink::new(&mut words);
            result.encode(&mut sink);
            let capability = sink.into_capability();
            (Body::Words { words, length: const { (R::WORDS * 8) as u8 } }, capability)
        } else {
            let (bytes, capability) = ByteSink::collect(result);
            let Some(bytes) = bytes else {
                let given = capability.filter(|it| it.is_given()).map(Capability::address);
                return Answer::error(CallError::OutOfMemory, given);
            };
            (Body::Bytes(bytes), capability)
        };
        Answer { kind: KIND_REPLY, body, capability, unwanted: None }
    }

    /// The answer to a request that failed below the interface. `unwanted` is the capability that came with
    /// the request.
    #[cold]
    pub fn error(error: CallError, unwanted: Option<CapAddr>) -> Answer {
        Answer { kind: KIND_ERROR, body: Body::word(error as u64), capability: None, unwanted }
    }
}

/// What a [`Reply`] needs of its channel, whatever the port.
pub(crate) trait Answering {
    /// Sends the answer; hands it back if nobody wants it any more.
    fn answer(&self, method: u8, sequence: u32, answer: Answer) -> Result<(), Answer>;
    /// Whether the client still waits.
    fn is_wanted(&self, sequence: u32) -> bool;
    /// Deletes the capabilities of an answer that is not sent.
    fn drop_answer(&self, answer: Answer);
}

/// The client does not want the answer any more: it gave the request up, or is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotWanted;

/// A request that waits for its answer. Dropped without one, it fails with [`CallError::Unanswered`].
#[must_use = "a reply that is dropped fails the request"]
pub struct Reply<R> {
    channel: Option<Arc<dyn Answering>>,
    sequence: u32,
    method: u8,
    result: PhantomData<fn(R)>,
}

impl<R: Encode> Reply<R> {
    /// Answers.
    ///
    /// # Errors
    /// [`NotWanted`]: nothing was sent, and the result is the server's again, with the capability in it.
    pub fn send(mut self, result: &R) -> Result<(), NotWanted> {
        match self.channel.take() {
            // Asked first, so that a result that nobody wants is not encoded.
            Some(channel) if channel.is_wanted(self.sequence) => {
                let answer = Answer::of(result);
                channel.answer(self.method, self.sequence, answer).map_err(|_| NotWanted)
            }
            _ => Err(NotWanted),
        }
    }
}

impl<R> Reply<R> {
    pub(crate) fn new(channel: Arc<dyn Answering>, sequence: u32, method: u8) -> Reply<R> {
        Reply { channel: Some(channel), sequence, method, result: PhantomData }
    }

    /// Fails the request below the interface; prefer an error of the interface.
    pub fn fail(mut self, error: CallError) {
        self.finish(error);
    }

    /// Whether the client still waits. Ask before taking what cannot be put back.
    pub fn is_wanted(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| channel.is_wanted(self.sequence))
    }

    fn finish(&mut self, error: CallError) {
        if let Some(channel) = self.channel.take()
            && let Err(answer) = channel.answer(self.method, self.sequence, Answer::error(error, None))
        {
            channel.drop_answer(answer);
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        self.finish(CallError::Unanswered);
    }
}
