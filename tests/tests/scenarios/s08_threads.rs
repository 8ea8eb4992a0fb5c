//! Threads of one program: what they share, how they end, and that nothing of them is left.

use std::collections::BTreeSet;

use tests::Guest;

/// Lines that each thread of `test_threads` prints.
const LINES: u32 = 15;
/// What `test_sync` tries, in order.
const CHECKS: [&str; 19] = [
    "mutex",
    "condvar",
    "condvar timeout",
    "rwlock",
    "semaphore",
    "once",
    "once lock",
    "lazy lock",
    "barrier",
    "mpsc",
    "mpsc bounded",
    "mpsc timeout",
    "mpsc disconnection",
    "sleep",
    "thread locals",
    "priorities",
    "urgent spinner",
    "many short threads",
    "fault",
];

/// Runs `test_threads`; all lines are there, each once and whole.
fn run_threads(guest: &mut Guest, count: u32) {
    let (output, status) = guest.run_for_status(&format!("test_threads {count}"));
    assert_eq!(status, 0, "{output}");
    let mut lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.pop(), Some(format!("{count} threads have ended").as_str()));
    assert_eq!(lines.len(), (count * LINES) as usize);
    let found: BTreeSet<&str> = lines.into_iter().collect();
    for thread in 0..count {
        for line in 1..=LINES {
            let wanted = format!("thread {thread}: line {line} of {LINES}");
            assert!(found.contains(wanted.as_str()), "missing: {wanted}");
        }
    }
}

#[test]
fn every_primitive_works_between_threads_and_a_fault_ends_one_alone() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("lines a 1");
    let before = guest.run("free");
    let (output, status) = guest.run_for_status("test_sync");
    assert_eq!(status, 0, "{output}");
    let fine: Vec<&str> = output.lines().filter_map(|line| line.strip_suffix(": ok")).collect();
    assert_eq!(fine, CHECKS, "{output}");
    assert!(output.contains("(deep)] ran over its stack of 64 KiB"), "{output}");
    assert_eq!(guest.run("free"), before);
}

#[test]
fn the_lines_of_50_threads_are_all_there_and_none_are_mixed() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("lines a 1");
    let before = guest.run("free");
    run_threads(&mut guest, 50);
    assert_eq!(guest.run("free"), before);
}

#[test]
fn a_thousand_threads_fit_into_1_gib() {
    let Some(mut guest) = Guest::boot_with(|machine| tests::Machine { memory: 1024, ..machine }) else {
        return;
    };
    guest.run("lines a 1");
    let before = guest.run("free");
    run_threads(&mut guest, 1000);
    assert_eq!(guest.run("free"), before);
}
