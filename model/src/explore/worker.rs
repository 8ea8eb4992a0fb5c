//! Takes steps, and sorts out what is new.

use std::sync::{Mutex, PoisonError};

use super::frontier::Block;
use super::hash::hash;
use super::table::NO_PARENT;
use super::{Found, Search};
use crate::story::inspect;
use crate::system::{System, Violation};

/// States that are looked up together, so that the memory is waited for once.
const BATCH: usize = 128;

/// One thread's part in a level.
pub(super) struct Worker<'a, S: System> {
    search: &'a Search<'a, S>,
    actions: Vec<S::Action>,
    encoded: Vec<u8>,
    batch: Batch,
    transitions: u64,
    /// The block that is being filled.
    out: Block,
    full: Vec<Block>,
}

/// Where steps led, before it is known whether that is new.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    states: Vec<Reached>,
}

struct Reached {
    hash: u64,
    parent: u64,
    /// Where it ends in the bytes.
    end: usize,
}

impl<'a, S: System> Worker<'a, S> {
    pub(super) fn new(search: &'a Search<'a, S>) -> Self {
        Self {
            search,
            actions: vec![],
            encoded: vec![],
            batch: Batch::default(),
            transitions: 0,
            out: search.block(),
            full: vec![],
        }
    }

    /// Expands blocks until there are none; returns what is new.
    pub(super) fn run(mut self, queue: &Mutex<std::vec::IntoIter<Block>>) -> Vec<Block> {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(block) = next() {
            for state in block.iter() {
                if self.search.stopped.get().is_some() {
                    break;
                }
                self.expand(state);
                if self.batch.states.len() >= BATCH {
                    self.settle();
                }
            }
            self.search.give_back(block);
        }
        self.settle();
        self.finish()
    }

    fn finish(mut self) -> Vec<Block> {
        self.search.transitions.fetch_add(self.transitions, std::sync::atomic::Ordering::Relaxed);
        if self.out.is_empty() {
            self.search.give_back(self.out);
        } else {
            self.full.push(self.out);
        }
        self.full
    }

    /// Checks a state and takes all steps from it.
    fn expand(&mut self, bytes: &[u8]) {
        let Search { system, options, .. } = *self.search;
        let state = system.decode(bytes);
        if let Err(violation) = inspect(system, &state, options.reduce, &mut self.actions) {
            return self.report(bytes, None, violation);
        }
        let parent = if self.search.traced { hash(bytes, options.seed) } else { NO_PARENT };
        for at in 0..self.actions.len() {
            self.transitions += 1;
            match system.step(&state, self.actions[at]) {
                Ok(next) => self.reach(&next, parent),
                Err(violation) => self.report(bytes, Some(at), violation),
            }
        }
    }

    fn reach(&mut self, state: &S::State, parent: u64) {
        let Search { system, options, .. } = *self.search;
        self.encoded.clear();
        system.encode(state, options.canonical, &mut self.encoded);
        self.batch.bytes.extend_from_slice(&self.encoded);
        let (hash, end) = (hash(&self.encoded, options.seed), self.batch.bytes.len());
        self.batch.states.push(Reached { hash, parent, end });
    }

    fn report(&self, bytes: &[u8], action: Option<usize>, violation: Violation) {
        let state = hash(bytes, self.search.options.seed);
        self.search.report(Found { state, action, violation });
    }

    /// Keeps the states of the batch that are new.
    fn settle(&mut self) {
        let table = self.search.table.read().unwrap_or_else(PoisonError::into_inner);
        table.touch(self.batch.states.iter().map(|it| it.hash));
        let (mut start, mut fresh) = (0, 0);
        for reached in &self.batch.states {
            if table.insert(reached.hash, reached.parent) {
                fresh += 1;
                let bytes = &self.batch.bytes[start..reached.end];
                if !self.out.fits(bytes) {
                    self.full.push(std::mem::replace(&mut self.out, self.search.block()));
                }
                self.out.push(bytes);
            }
            start = reached.end;
        }
        drop(table);
        self.batch.bytes.clear();
        self.batch.states.clear();
        self.search.count(fresh);
    }
}
