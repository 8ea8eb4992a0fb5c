//! Which calls are made: at random, but such that the program can go on.

use abi::layout::{SELF_DISPATCHER, START_FRAME};
use abi::{CapAddr, Syscall};

/// A source of senseless calls.
pub(crate) struct Nonsense {
    state: u64,
}

impl Nonsense {
    /// The same calls for the same seed.
    pub(crate) const fn new(seed: u64) -> Nonsense {
        Nonsense { state: seed | 1 << 63 }
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next call.
    pub(crate) fn choose(&mut self) -> (u64, [u64; 7]) {
        let number = match self.below(8) {
            0 => self.next() | 1 << 20,
            1 => Syscall::COUNT + self.below(200),
            _ => self.below(Syscall::COUNT),
        };
        let arguments = core::array::from_fn(|_| self.argument());
        match Syscall::from_number(number) {
            Some(call) => self.tame(call, arguments),
            None => (number, arguments),
        }
    }

    fn argument(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => 0,
            2 => 1 << self.below(64),
            3 => self.below(512) * 4096,
            4 => self.below(64),
            _ => self.capability(),
        }
    }

    /// A forged address, an empty slot, or a capability that this program can do without.
    fn capability(&mut self) -> u64 {
        match self.below(4) {
            0 => self.forged(),
            1 => CapAddr::new(0, 128 + self.below(128)).0,
            2 => START_FRAME.0,
            _ => SELF_DISPATCHER.0,
        }
    }

    /// Beyond the root CNode, or through an empty slot of it.
    fn forged(&mut self) -> u64 {
        if self.below(2) == 0 {
            self.next() | 1 << 40
        } else {
            CapAddr::new(40 + self.below(20), self.below(256)).0
        }
    }

    /// Leaves out what would end or stall this program, which is its right: calls that do not return to their caller,
    /// what takes its own capabilities away, and what prints noise into the log.
    fn tame(&mut self, call: Syscall, mut x: [u64; 7]) -> (u64, [u64; 7]) {
        match call {
            Syscall::SendWait | Syscall::Wait | Syscall::Yield | Syscall::Resume | Syscall::Exit => {
                return (Syscall::Null as u64, x);
            }
            Syscall::DispatcherStop
            | Syscall::SliceRequest
            | Syscall::EndpointConfigure
            | Syscall::EndpointLanding
            | Syscall::CSpaceResize => x[0] = self.forged(),
            Syscall::CapDelete | Syscall::CapRevoke => (x[0], x[1]) = (0, self.forged()),
            Syscall::DebugPrint => x[0] |= 64,
            _ => {}
        }
        (call as u64, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_calls() {
        let calls = |seed| {
            let mut nonsense = Nonsense::new(seed);
            core::array::from_fn::<_, 100, _>(|_| nonsense.choose())
        };
        assert_eq!(calls(7), calls(7));
        assert_ne!(calls(7), calls(8));
    }

    #[test]
    fn every_call_that_returns_is_made_and_none_that_does_not() {
        let mut nonsense = Nonsense::new(1);
        let mut made = [0; Syscall::COUNT as usize];
        for _ in 0..10_000 {
            let (number, x) = nonsense.choose();
            if let Some(count) = made.get_mut(number as usize) {
                *count += 1;
            }
            assert!(number != Syscall::DispatcherStop as u64 || x[0] != SELF_DISPATCHER.0);
        }
        for (number, count) in made.iter().enumerate() {
            let leaves = matches!(number, 2..=6);
            assert_eq!(*count == 0, leaves, "system call {number}");
        }
    }
}
