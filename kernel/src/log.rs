//! The kernel log: a ring of bytes that keeps the latest, and says to readers what they missed.
//!
//! Positions count bytes since boot and only grow. Until user space owns the console, what is written also goes there.

use core::fmt::Write;

/// Bytes that a core's log keeps.
pub const LOG_SIZE: usize = 16 * 1024;

/// Where a log is mirrored to; it is told what is appended, in order.
pub type Mirror = fn(&[u8]);

/// A log over a ring of bytes.
pub struct Log {
    ring: &'static mut [u8],
    /// Bytes written since boot; the next one goes to `end % ring.len()`.
    end: u64,
    mirror: Option<Mirror>,
}

impl Log {
    /// An empty log in `ring`, which is not empty and need not be zeroed.
    pub fn new(ring: &'static mut [u8], mirror: Option<Mirror>) -> Self {
        Self { ring, end: 0, mirror }
    }

    /// From now on nothing is mirrored: the console is somebody else's.
    pub fn stop_mirror(&mut self) {
        self.mirror = None;
    }

    /// Position after the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Position of the oldest byte that is still there.
    pub fn start(&self) -> u64 {
        self.end.saturating_sub(self.ring.len() as u64)
    }

    /// Bytes from `position` on, as many as lie in one piece, and the position after them. Nothing new: no bytes. What
    /// is gone is skipped: then the position after them is more than their number beyond `position`. A position from
    /// the future counts as the end.
    pub fn read_at(&self, position: u64) -> (u64, &[u8]) {
        let position = position.clamp(self.start(), self.end);
        let from = (position % self.ring.len() as u64) as usize;
        let size = (self.end - position).min((self.ring.len() - from) as u64);
        (position + size, &self.ring[from..from + size as usize])
    }

    /// Appends bytes; they need not be text.
    pub fn append(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let place = (self.end % self.ring.len() as u64) as usize;
            self.ring[place] = byte;
            self.end += 1;
        }
        if let Some(mirror) = self.mirror {
            mirror(bytes);
        }
    }
}

/// Never fails.
impl Write for Log {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.append(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;
    use std::cell::RefCell;
    use std::vec;
    use std::vec::Vec;

    fn log(size: usize, mirror: Option<Mirror>) -> Log {
        Log::new(Box::leak(vec![0xff; size].into_boxed_slice()), mirror)
    }

    fn collect(log: &Log, mut position: u64) -> (u64, Vec<u8>) {
        let mut all = Vec::new();
        loop {
            let (next, bytes) = log.read_at(position);
            if bytes.is_empty() {
                return (next, all);
            }
            all.extend_from_slice(bytes);
            position = next;
        }
    }

    #[test]
    fn a_reader_catches_up_where_it_left_off() {
        let mut log = log(16, None);
        assert_eq!(collect(&log, 0), (0, vec![]));
        write!(log, "hello ").unwrap();
        let (position, first) = collect(&log, 0);
        write!(log, "world").unwrap();
        let (end, second) = collect(&log, position);
        assert_eq!((first.as_slice(), second.as_slice(), end), (&b"hello "[..], &b"world"[..], 11));
    }

    #[test]
    fn the_oldest_bytes_give_way_and_a_late_reader_can_tell() {
        let mut log = log(8, None);
        write!(log, "0123456789abc").unwrap();
        assert_eq!((log.start(), log.end()), (5, 13));
        let (next, bytes) = collect(&log, 2);
        assert_eq!((next, bytes.as_slice()), (13, &b"56789abc"[..]));
        assert!(next - 2 > bytes.len() as u64);
        assert_eq!(log.read_at(99), (13, &b""[..]));
    }

    #[test]
    fn the_mirror_gets_everything_until_it_is_stopped() {
        std::thread_local! { static SEEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) }; }
        let mut log = log(4, Some(|bytes| SEEN.with_borrow_mut(|seen| seen.extend_from_slice(bytes))));
        write!(log, "before").unwrap();
        log.stop_mirror();
        write!(log, "after").unwrap();
        assert_eq!(log.end(), 11);
        SEEN.with_borrow(|seen| assert_eq!(seen, b"before"));
    }
}
