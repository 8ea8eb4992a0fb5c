//! What a domain prints: kept until a line is whole, so that the output of two domains never mixes within a line.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::local::local;
use crate::{dispatch, report};

/// Bytes of a line without an end that are kept at most.
const LONGEST: usize = 4096;

local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::new());
}

/// Where lines go.
pub trait Sink {
    /// Takes bytes of the domain's output, in order. Must not print.
    fn write(&self, bytes: &[u8]);
}

local! {
    static SINK: RefCell<Option<alloc::rc::Rc<dyn Sink>>> = RefCell::new(None);
}

/// Sends output to `sink` from now on. Until then it goes to the kernel's log.
pub fn set_sink(sink: alloc::rc::Rc<dyn Sink>) {
    drop(SINK.with(|place| place.replace(Some(sink))));
}

/// Whether output has a place to go to besides the kernel's log.
pub fn has_sink() -> bool {
    SINK.with(|place| place.borrow().is_some())
}

/// Prints: whole lines go out, the rest is kept until its line ends, or is [`flush`]ed.
pub fn write(bytes: &[u8]) {
    let out = LINE.with(|line| split(&mut line.borrow_mut(), bytes));
    send(&out);
}

/// Sends what is kept of a line.
pub fn flush() {
    send(&LINE.with(|line| line.take()));
}

/// Appends to `line`, and takes out what is to be sent now.
fn split(line: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    line.extend_from_slice(bytes);
    let end = if line.len() > LONGEST {
        line.len()
    } else {
        line.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1)
    };
    if end == line.len() {
        return core::mem::take(line);
    }
    line.drain(..end).collect()
}

fn send(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match SINK.with(|place| place.borrow().clone()) {
        Some(sink) => sink.write(bytes),
        None => sys::debug_print(bytes),
    }
}

/// Prints a report when nothing can be relied on: to the console if the thread can still wait for it.
pub(crate) fn last_words(bytes: &[u8]) {
    debug_assert!(report::reporting());
    let sink = SINK.with(|place| place.try_borrow().ok().and_then(|sink| sink.clone()));
    match sink {
        Some(sink) if !dispatch::in_handler() => {
            let kept = LINE.with(|line| line.try_borrow_mut().map(|mut line| core::mem::take(&mut *line)));
            if let Ok(kept) = kept
                && !kept.is_empty()
            {
                sink.write(&kept);
            }
            sink.write(bytes);
        }
        _ => sys::debug_print(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_go_out_and_the_rest_is_kept() {
        let mut line = Vec::new();
        assert_eq!(split(&mut line, b"one"), b"");
        assert_eq!(split(&mut line, b" two\nthree\nfo"), b"one two\nthree\n");
        assert_eq!(split(&mut line, b"ur\n"), b"four\n");
        assert!(line.is_empty());
    }

    #[test]
    fn a_line_without_end_goes_out_when_it_is_long() {
        let mut line = Vec::new();
        assert_eq!(split(&mut line, &[b'x'; LONGEST]), b"");
        assert_eq!(split(&mut line, b"y").len(), LONGEST + 1);
        assert!(line.is_empty());
    }
}
