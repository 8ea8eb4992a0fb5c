//! Programs that try to take from others what is theirs.

use tests::Guest;

#[test]
fn rogue_cannot_make_itself_immortal() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("hello");
    let before = guest.run("free");
    guest.send("rogue stay\r");
    let said = guest.expect("rogue: names: ");
    assert!(said.contains("rogue: dispatcher: ") && !said.contains("done"), "{said}");
    guest.send("\x03");
    guest.prompt();
    assert_eq!(guest.run("echo $?"), "130\n");
    assert!(!guest.run("ps").contains("rogue"));
    assert_eq!(guest.run("free"), before);
}

#[test]
fn rogue_keeps_no_memory_beyond_its_end() {
    let Some(mut guest) = Guest::boot() else { return };
    // The servers grow once.
    for _ in 0..2 {
        guest.run("rogue loop 64");
    }
    let before = guest.run("free");
    for _ in 0..3 {
        assert_eq!(guest.run_for_status("rogue loop 64"), ("rogue: tied 64 MiB\n".to_owned(), 0));
        assert_eq!(guest.run("free"), before);
    }
}

#[test]
fn rogue_can_end_neither_the_shell_nor_others() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("rogue processes");
    let ps = guest.run("ps");
    let number = |line: &str| line.split_whitespace().next().unwrap().parse::<u32>().unwrap();
    let others: Vec<u32> =
        ps.lines().filter(|it| it.ends_with(" rogue") || it.ends_with(" sh")).map(number).collect();
    for pid in [others[0], others[1], *others.last().unwrap()] {
        let output = guest.run(&format!("rogue kill {pid}"));
        assert_eq!(output, "rogue: kill: this process was started by somebody else\n", "{pid}");
    }
    let output = guest.run("rogue kill 64");
    assert_eq!(output, "rogue: kill: this process cannot be ended\n");
    let after = guest.run("ps");
    assert_eq!(after.lines().count(), ps.lines().count());
}

/// Runs `rogue`, which asks for something until it is refused, and expects that reason; then others are served.
fn is_refused(line: &str, most: u32, reason: &str) {
    let Some(mut guest) = Guest::boot() else { return };
    for _ in 0..2 {
        let (output, status) = guest.run_for_status(line);
        let output = output
            .strip_prefix(&format!("{}\n", line.replace("rogue channels", "rogue: channels to")))
            .unwrap_or(&output);
        let (first, rest) = output.split_once('\n').unwrap_or_default();
        let count: u32 = first.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(u32::MAX);
        assert!(first.ends_with(reason) && count <= most && status == 0, "{line}: {status} {output}");
        assert_eq!(rest, "others 0 others\nothers 1 others\n", "{line}");
    }
    assert_eq!(guest.run("lines a 1"), "a 0 a\n");
}

#[test]
fn rogue_gets_no_more_than_a_few_channels_of_a_server() {
    let reason = ": this program has as many channels to the service, or names, as it may";
    for name in ["console", "spawn", "mem", "system"] {
        is_refused(&format!("rogue channels {name}"), 16, reason);
    }
}

#[test]
fn rogue_gets_no_more_than_a_few_names() {
    let reason = ": this program has as many channels to the service, or names, as it may";
    is_refused("rogue names", 16, reason);
    is_refused("rogue await", 32, reason);
}

#[test]
fn rogue_cannot_take_the_names_of_the_systems_parts() {
    let Some(mut guest) = Guest::boot() else { return };
    let reserved = "a name that ends in '.' and a number is for parts of the system";
    for name in ["mem.1", "spawn.1", "console.0", "mem.accounts.2", "mine.0"] {
        assert_eq!(guest.run(&format!("rogue squat {name}")), format!("rogue: {name}: {reserved}\n"));
    }
    for name in ["mem", "mem.accounts", "spawn", "spawn.0", "names", "names.attach", "system"] {
        let said = format!("rogue: {name}: a service of this name exists already\n");
        assert_eq!(guest.run(&format!("rogue squat {name}")), said);
    }
    assert_eq!(guest.run("rogue squat mine"), "rogue: mine: done\n");
    assert_eq!(guest.run("lines a 1"), "a 0 a\n");
}

#[test]
fn rogue_waits_and_watches_no_more_than_others_can_bear() {
    is_refused("rogue watch", 4, "too many reads wait on this console session");
    is_refused("rogue wait", 256, ": this program waits for too many ends of processes");
}

#[test]
fn rogue_leaves_room_for_other_processes() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("rogue processes");
    let reason = "100 processes: this program and those that it started have as many processes as they may\n";
    assert!(output.ends_with(reason), "{output}");
    assert_eq!(guest.run_for_status("lines a 1 b 1").1, 0);
    assert_eq!(guest.run("sh -c 'sh -c \"lines c 1\"'"), "c 0 c\n");
}

#[test]
fn rogue_feeds_servers_that_have_no_memory() {
    let Some(mut guest) = Guest::boot_with(|machine| tests::Machine { memory: 256, ..machine }) else {
        return;
    };
    let (output, status) = guest.run_for_status("rogue feed");
    assert!(status == 0 && output.contains("rogue: 40 of 40 refused"), "{status} {output}");
    assert_eq!(guest.run("lines a 1"), "a 0 a\n");
}
