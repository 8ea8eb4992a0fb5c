//! All ways in which something can go, one after the other: each run makes the choices of the one before, but for the last
//! one that can still be made otherwise.

use std::cell::RefCell;

#[derive(Default)]
struct Path {
    /// What was chosen, of how many.
    made: Vec<(u8, u8)>,
    /// How many of them this run has made.
    at: usize,
}

thread_local! {
    static PATH: RefCell<Path> = RefCell::default();
}

/// One of `count` ways: 0 is that nothing particular happens.
pub(crate) fn choose(count: usize) -> usize {
    PATH.with_borrow_mut(|path| {
        if path.at == path.made.len() {
            path.made.push((0, count as u8));
        }
        let (choice, of) = path.made[path.at];
        assert_eq!(usize::from(of), count, "a run depends on nothing but its choices");
        path.at += 1;
        usize::from(choice)
    })
}

/// Calls `run` for all ways. How many there were.
pub(crate) fn all(mut run: impl FnMut()) -> usize {
    PATH.set(Path::default());
    for number in 1.. {
        run();
        let more = PATH.with_borrow_mut(|path| {
            path.at = 0;
            while let Some((choice, of)) = path.made.pop() {
                if choice + 1 < of {
                    path.made.push((choice + 1, of));
                    return true;
                }
            }
            false
        });
        if !more {
            return number;
        }
    }
    unreachable!("there are finitely many")
}
