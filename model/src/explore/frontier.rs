//! States that wait to be expanded, packed into blocks.

/// Bytes of a block: small against what a level takes, large against the lock that hands it out.
const BLOCK: usize = 32 << 10;
/// Bytes of a length.
const LENGTH: usize = size_of::<u16>();

/// Encoded states, each behind its length.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
}

impl Block {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(BLOCK) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What it takes of the memory.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether a state still fits. A block that is empty takes every state.
    pub(super) fn fits(&self, state: &[u8]) -> bool {
        self.is_empty() || self.bytes.len() + LENGTH + state.len() <= BLOCK
    }

    /// Adds a state of at most 65,535 bytes.
    pub(super) fn push(&mut self, state: &[u8]) {
        let length = u16::try_from(state.len()).expect("an encoded state has at most 65,535 bytes");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(state);
    }

    /// Its states, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let (state, behind) = behind.split_at(u16::from_le_bytes(*length).into());
            rest = behind;
            Some(state)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_out_as_they_went_in() {
        let states: [&[u8]; 4] = [&[], &[7], &[1; 300], &[2; 65_535]];
        let mut block = Block::new();
        states.iter().for_each(|it| block.push(it));
        assert!(block.iter().eq(states));
        assert!(!block.fits(&[]));
        block.clear();
        assert!(block.is_empty() && block.fits(states[3]));
        assert_eq!(block.iter().count(), 0);
    }
}
