//! The shell's language and its line editor.

use tests::Guest;

#[test]
fn words_and_quotes() {
    let Some(mut guest) = Guest::boot() else { return };
    for (line, output) in [
        ("echo", "\n"),
        ("echo hello", "hello\n"),
        ("echo   a    b  ", "a b\n"),
        ("echo 'a   b'", "a   b\n"),
        ("echo \"a   b\"", "a   b\n"),
        ("echo a'b c'd", "ab cd\n"),
        ("echo 'it is \"quoted\"'", "it is \"quoted\"\n"),
        ("echo \"it's\"", "it's\n"),
        ("echo a\\ b", "a b\n"),
        ("echo '$?' \\$?", "$? $?\n"),
        ("echo 'a;b&&c||d'", "a;b&&c||d\n"),
        ("echo ''", "\n"),
    ] {
        assert_eq!(guest.run(line), output, "{line}");
    }
}

#[test]
fn lists_run_by_the_status_before() {
    let Some(mut guest) = Guest::boot() else { return };
    let unknown = "nothing: command not found\n";
    for (line, output) in [
        ("echo a; echo b", "a\nb\n"),
        ("echo a ;echo b;", "a\nb\n"),
        ("echo a && echo b", "a\nb\n"),
        ("echo a || echo b", "a\n"),
        ("nothing && echo b", unknown),
        ("nothing || echo b", &format!("{unknown}b\n")),
        ("nothing; echo $?", &format!("{unknown}127\n")),
        ("nothing && echo a || echo b", &format!("{unknown}b\n")),
        ("echo a && nothing || echo $?", &format!("a\n{unknown}127\n")),
    ] {
        assert_eq!(guest.run(line), output, "{line}");
    }
}

#[test]
fn the_status_is_that_of_the_last_command() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run_for_status("echo fine"), ("fine\n".to_owned(), 0));
    assert_eq!(guest.run_for_status("nothing").1, 127);
    assert_eq!(guest.run("echo $? $?"), "0 0\n");
}

#[test]
fn an_unknown_command_is_named() {
    let Some(mut guest) = Guest::boot() else { return };
    let unknown = guest.run_for_status("no-such-command a b");
    assert_eq!(unknown, ("no-such-command: command not found\n".to_owned(), 127));
}

#[test]
fn a_line_that_makes_no_sense_is_an_error_and_runs_nothing() {
    let Some(mut guest) = Guest::boot() else { return };
    for line in ["echo ran; echo 'open", "echo ran && && echo b", "&& echo ran", "echo \"open", "|| echo ran"]
    {
        let (output, status) = guest.run_for_status(line);
        assert!(status != 0 && !output.is_empty() && !output.starts_with("ran"), "{line}: {status} {output}");
    }
}

#[test]
fn lines_are_edited() {
    let Some(mut guest) = Guest::boot() else { return };
    let (left, home, end) = ("\x1b[D", "\x1b[H", "\x1b[F");
    for (typed, output) in [
        (format!("echo ac{left}b"), "abc\n"),
        (format!("cho x{home}e{end}y"), "xy\n"),
        ("cho x\x01e\x05y".to_owned(), "xy\n"),
        ("echo lost\x15echo kept".to_owned(), "kept\n"),
        (format!("echo kept lost{}\x0b", left.repeat(5)), "kept\n"),
        ("echo kept lost\x17".to_owned(), "kept\n"),
        ("echo kepx\x7ft".to_owned(), "kept\n"),
        ("echo before clear\x0c".to_owned(), "before clear\n"),
    ] {
        assert_eq!(guest.run(&typed), output, "{typed:?}");
    }
}

#[test]
fn ctrl_c_drops_the_line() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("echo dropped\x03");
    guest.prompt();
    assert_eq!(guest.run("echo kept"), "kept\n");
}

#[test]
fn arrows_bring_earlier_lines_back() {
    let Some(mut guest) = Guest::boot() else { return };
    let (up, down) = ("\x1b[A", "\x1b[B");
    guest.run("echo one");
    guest.run("echo two");
    assert_eq!(guest.run(up), "two\n");
    assert_eq!(guest.run("echo three"), "three\n");
    assert_eq!(guest.run(&format!("{up}{up}{up}{up}")), "one\n");
    assert_eq!(guest.run(&format!("{up}{up}{down} more")), "one more\n");
}

#[test]
fn tab_completes_a_command() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run("ech\tx"), "x\n");
}

#[test]
fn tab_completes_a_program() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run("lin\ta 1"), "a 0 a\n");
}

#[test]
fn a_shell_in_the_shell_can_be_left_and_the_outer_one_goes_on() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run_for_status("sh -c 'echo inner; exit 3'"), ("inner\n".to_owned(), 3));
    assert_eq!(guest.run("sh"), "");
    assert_eq!(guest.run("echo $SHLVL"), "2\n");
    assert_eq!(guest.run("exit 4"), "");
    assert_eq!(guest.run("echo $? $SHLVL"), "4 1\n");
    let (output, status) = guest.run_for_status("exit");
    assert!(output.starts_with("exit: ") && status != 0, "{status} {output}");
}

#[test]
fn a_line_of_100_kb_is_a_line() {
    let Some(mut guest) = Guest::boot() else { return };
    let word = "x".repeat(100_000);
    let output = guest.run(&format!("echo {word}"));
    assert!(output == format!("{word}\n"), "{} bytes instead of {}", output.len(), word.len());
}

#[test]
fn a_line_without_end_is_an_error_and_the_shell_goes_on() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run(&"x".repeat(200_000));
    assert!(output.contains("too long"), "{output}");
    assert_eq!(guest.run("echo fine"), "fine\n");
}

#[test]
fn lines_typed_ahead_run_in_order() {
    let Some(mut guest) = Guest::boot() else { return };
    let lines: String = (0..50).map(|number| format!("echo {number}\r")).collect();
    guest.send(lines);
    for number in 0..50 {
        assert_eq!(guest.after_echo(), format!("{number}\n"));
    }
}
