//! Programs that misbehave: each hurts itself alone.

use tests::Guest;

/// Runs `lines` one after the other; afterwards memory, processes and the shell are what they were before.
fn harms_nobody(lines: &[&str], mut check: impl FnMut(&str, &str, u32)) {
    let Some(mut guest) = Guest::boot() else { return };
    // The first program may make the servers grow once.
    guest.run("hello");
    let (memory, before) = (guest.run("free"), guest.run("ps"));
    let processes = names(&before);
    for line in lines {
        let (output, status) = guest.run_for_status(line);
        check(line, &output, status);
        assert_eq!(guest.run("echo fine"), "fine\n", "after {line}");
    }
    let (now, after) = (guest.run("free"), guest.run("ps"));
    assert_eq!(now, memory, "{before}{after}");
    assert_eq!(names(&after), processes);
}

/// The names of all processes in what `ps` printed.
fn names(ps: &str) -> Vec<String> {
    ps.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

#[test]
fn every_kind_of_fault_is_reported_and_ends_its_program() {
    let kinds = ["null", "text", "data", "kernel", "stack", "undefined"].map(|kind| format!("fault {kind}"));
    harms_nobody(&kinds.each_ref().map(String::as_str), |line, output, status| {
        let reported = output.starts_with("[fault fault] ") && output.contains("pc 0x");
        assert!(reported && status == 139, "{line}: {status} {output}");
    });
}

#[test]
fn a_program_that_floods_the_console_loses_its_own_channel_at_most() {
    // The last one leaves more answers behind than the console's server has room for without growing.
    harms_nobody(&["flood", "flood", "flood 400000"], |_, _, _| {});
}

#[test]
fn system_calls_at_random_hurt_only_their_caller() {
    // What the calls leave of the program decides what it can still say, and how it ends.
    harms_nobody(&["badcalls 1", "badcalls 3", "badcalls 7 20000"], |_, _, _| {});
}

#[test]
fn ctrl_c_ends_a_program_that_computes_for_ever_and_the_line_with_it() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("hello");
    let before = guest.run("free");
    for line in ["spin", "spin; echo next", "spin || echo next"] {
        guest.send(format!("{line}\r"));
        guest.expect("\n");
        guest.send("\x03");
        assert!(!guest.prompt().contains("next"), "{line}");
        assert_eq!(guest.run("echo $?"), "130\n", "{line}");
    }
    assert!(!guest.run("ps").contains("spin"));
    assert_eq!(guest.run("free"), before);
}

#[test]
fn ctrl_c_ends_a_program_that_prints_for_ever() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("lines word 4000000000\r");
    guest.expect("word 100 word");
    guest.send("\x03");
    guest.prompt();
    assert_eq!(guest.run("echo $?"), "130\n");
    assert_eq!(guest.run("echo fine"), "fine\n");
}

#[test]
fn ctrl_c_at_a_program_that_reads_leaves_the_next_line_to_the_shell() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("bytes 100\r");
    guest.expect("\n");
    guest.send("half\x03");
    guest.prompt();
    assert_eq!(guest.run("echo $?"), "130\n");
    assert_eq!(guest.run("echo fine"), "fine\n");
}

#[test]
fn ctrl_c_in_an_inner_shell_ends_its_program_only() {
    let Some(mut guest) = Guest::boot() else { return };
    let outer = guest.run("echo $SHLVL");
    guest.run("sh");
    guest.run("sh");
    let inner = guest.run("echo $SHLVL");
    assert_ne!(inner, outer);
    for line in ["spin", "bytes 9"] {
        guest.send(format!("{line}\r"));
        guest.expect("\n");
        guest.send("\x03");
        guest.prompt();
        assert_eq!(guest.run("echo $? $SHLVL"), format!("130 {inner}"), "{line}");
    }
    // The outer one is still told when it is its turn.
    guest.run("exit 7");
    guest.run("exit 8");
    assert_eq!(guest.run("echo $? $SHLVL"), format!("8 {outer}"));
    guest.send("spin\r");
    guest.expect("\n");
    guest.send("\x03");
    guest.prompt();
    assert_eq!(guest.run("echo $? $SHLVL"), format!("130 {outer}"));
}
