//! Memory has an end: for one program at a time, never for all.

use tests::Guest;

/// The number before the first `word` of a text.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    let number = before.split_whitespace().last().and_then(|it| it.parse().ok());
    number.unwrap_or_else(|| panic!("no number before {word:?} in {text:?}"))
}

/// KiB on the account and at most, as `hog` says.
fn account(output: &str) -> (u64, u64) {
    let line = output.lines().find(|it| it.contains("account")).unwrap_or_else(|| panic!("{output}"));
    (number_before(line, " of "), number_before(line, " KiB: "))
}

/// The last figure of the sum that `free` prints.
fn free_kib(output: &str) -> u64 {
    let figure = output.lines().last().and_then(|sum| sum.split_whitespace().last()?.parse().ok());
    figure.unwrap_or_else(|| panic!("{output}"))
}

/// All memory is taken by one program, and more programs are run beside it, two of which want all too.
fn a_feast(guest: &mut Guest) {
    // An inner shell, while `hog` sits at its limit.
    guest.send("hog sh\r");
    assert!(guest.after_echo().contains("not enough free memory"), "{}", guest.log());
    for _ in 0..5 {
        assert_eq!(guest.run_for_status("lines a 2"), ("a 0 a\na 1 a\n".to_owned(), 0));
        assert!(guest.run("ps").contains(" hog\n"));
    }
    assert!(free_kib(&guest.run("free")) < 16 << 10, "it has all but the reserve");
    // These get what is for the small.
    let (output, status) = guest.run_for_status("hog hog");
    assert!(status == 0 && output.matches("not enough free memory").count() == 2, "{output}");
    assert_eq!(guest.run("echo fine"), "fine\n");
    guest.send("exit\r");
    guest.prompt();
}

#[test]
fn a_program_that_takes_all_memory_leaves_others_what_they_need() {
    let Some(mut guest) = Guest::boot_with(|machine| tests::Machine { memory: 256, ..machine }) else {
        return;
    };
    // The servers grow once for so many allocations and processes.
    a_feast(&mut guest);
    let before = guest.run("free");
    a_feast(&mut guest);
    assert_eq!(guest.run("free"), before);
}

#[test]
fn a_program_with_a_limit_gets_no_more() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("hog true");
    let before = guest.run("free");
    for kib in [2000, 4096, 100_000] {
        let (output, status) = guest.run_for_status(&format!("limit {kib} hog"));
        assert!(output.contains("the memory quota of this domain is used up") && status == 0, "{output}");
        let (used, limit) = account(&output);
        assert_eq!(limit, kib, "{output}");
        assert!((kib - 256..=kib).contains(&used), "{output}");
    }
    assert_eq!(guest.run("free"), before);
}

#[test]
fn a_limit_holds_for_what_a_program_starts_too() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("limit 4096 sh -c 'hog; limit 3000 hog; limit 100000 hog'");
    let limits: Vec<u64> =
        output.lines().filter(|it| it.contains("account")).map(|it| account(it).1).collect();
    assert_eq!(limits, [4096, 3000, 4096], "{output}");
}

#[test]
fn a_limit_that_is_too_small_for_the_program_is_said() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("limit 100 hog");
    assert_eq!((output.as_str(), status), ("hog: the program needs more memory than its limit\n", 1));
    assert_eq!(guest.run_for_status("hello").1, 0);
}

#[test]
fn a_program_that_takes_many_pages_one_by_one_leaves_the_memory_server_alive() {
    let Some(mut guest) = Guest::boot() else { return };
    let before = free_kib(&guest.run("free"));
    // More than the first root CNode has slots for, here and there.
    let (output, status) = guest.run_for_status("hog -p 70000");
    assert!(status == 0 && number_before(&output, " KiB") >= 280_000, "{output}");
    let grown = before - free_kib(&guest.run("free"));
    assert!(grown < 32 << 10, "the memory server keeps {grown} KiB");
    assert_eq!(guest.run("echo fine"), "fine\n");
}

#[test]
fn the_accounts_of_parts_of_the_system_are_theirs_alone() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("hog -a");
    assert!(status == 0 && output.contains("the service refused the connection"), "{output}");
}

/// Runs a part of `test_memory`, all of whose lines must say that it is so, and which leaves memory as it was.
fn promise(guest: &mut Guest, what: &str) {
    let before = guest.run("free");
    let (output, status) = guest.run_for_status(&format!("test_memory {what}"));
    assert!(status == 0 && output.lines().any(|line| line.ends_with(": ok")), "{what}: {output}");
    assert_eq!(guest.run("free"), before, "{what}");
}

#[test]
fn memory_comes_with_its_use_and_goes_with_its_end() {
    let Some(mut guest) = Guest::boot() else { return };
    for what in ["paging", "churn 3000", "threads", "deep 7000"] {
        promise(&mut guest, what);
    }
}

#[test]
fn a_page_that_is_kept_does_not_keep_all_that_it_was_allocated_with() {
    let Some(mut guest) = Guest::boot() else { return };
    for _ in 0..2 {
        promise(&mut guest, "trims");
    }
}

#[test]
fn mappings_that_must_not_be_are_refused() {
    let Some(mut guest) = Guest::boot() else { return };
    promise(&mut guest, "refusals");
}

#[test]
fn a_thread_that_runs_over_its_stack_ends_alone() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("test_memory overflow");
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("thread 1 (deep)] ran over its stack of 128 KiB"), "{output}");
    assert!(output.contains("new threads start: ok"), "{output}");
}

#[test]
fn a_main_stack_without_end_and_forbidden_accesses_end_the_program_with_a_report() {
    let Some(mut guest) = Guest::boot() else { return };
    for (what, words) in [
        ("deep 9000", "write to an unmapped address"),
        ("readonly", "write to a protected address"),
        ("execute", "jump to a protected address"),
    ] {
        let (output, status) = guest.run_for_status(&format!("test_memory {what}"));
        assert!(status == 139 && output.contains(&format!("[fault test_memory] {words}")), "{output}");
    }
    assert_eq!(guest.run("echo fine"), "fine\n");
}

#[test]
fn a_memory_test_of_four_fifths_of_what_is_free_passes_and_leaves_it_free() {
    let Some(mut guest) = Guest::boot_with(|machine| tests::Machine { memory: 256, ..machine }) else {
        return;
    };
    let before = guest.run("free");
    let kib = free_kib(&before) * 4 / 5;
    let (output, status) = guest.run_for_status(&format!("run_memtest {kib}K"));
    assert!(status == 0 && output.contains("bytes: written in"), "{output}");
    assert_eq!(guest.run("free"), before);
    let (output, status) = guest.run_for_status("run_memtest 8G");
    assert_eq!((output.as_str(), status), ("run_memtest: 8G: not enough memory\n", 1));
}

#[test]
fn programs_that_take_memory_say_what_they_expect() {
    let Some(mut guest) = Guest::boot() else { return };
    for (line, said) in [
        (
            "run_memtest 0",
            "run_memtest: expected a number with K, M or G behind it or without, from 1, not `0`\n",
        ),
        ("run_memtest 99999999999999999999", "run_memtest: 99999999999999999999: too large\n"),
        ("run_memtest", "run_memtest: expected BYTES: a number with K, M or G behind it or without\n"),
        ("hog -p x", "hog: -p x: expected a number of pages\n"),
        ("hog -z", "hog: expected COMMAND and its words or nothing, -a, or -p COUNT\n"),
        ("test_memory deep x", "test_memory: expected a number for KIB, not `x`\n"),
    ] {
        let (output, status) = guest.run_for_status(line);
        assert!(output == said && status != 0, "{line}: {status} {output}");
    }
    let (output, status) = guest.run_for_status("run_memtest 99999G");
    assert_eq!((output.as_str(), status), ("run_memtest: 99999G: not enough memory\n", 1));
}
