//! Commands of the shell.

use tests::Guest;

/// What `help` must list: the commands that a user is promised.
const COMMANDS: [&str; 15] = [
    "help", "hello", "echo", "clear", "ps", "cores", "free", "names", "channels", "caps", "dmesg", "uptime",
    "time", "shutdown", "reboot",
];

#[test]
fn help_lists_every_command_with_a_line() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("help");
    assert_eq!(status, 0);
    for command in COMMANDS {
        let line = output.lines().find(|it| it.split_whitespace().next() == Some(command));
        assert!(line.is_some_and(|it| it.split_whitespace().count() > 1), "{command}: {line:?}");
    }
}

#[test]
fn commands_that_only_show_something_succeed() {
    let Some(mut guest) = Guest::boot() else { return };
    for command in ["hello", "ps", "cores", "free", "names", "channels", "caps", "dmesg", "uptime"] {
        let (output, status) = guest.run_for_status(command);
        assert!(status == 0 && !output.trim().is_empty(), "{command}: {status} {output:?}");
    }
}

#[test]
fn clear_leaves_a_prompt() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run_for_status("clear").1, 0);
}

#[test]
fn ps_shows_the_servers_and_the_shell() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("ps");
    let mut lines = output.lines().map(|it| it.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["PID", "CORE", "STATE", "MEM", "NAME"]);
    let processes: Vec<_> = lines.collect();
    for process in &processes {
        assert!(process[0].parse::<u32>().is_ok() && process[1] == "0", "{process:?}");
    }
    for name in ["init", "mem", "names", "serial", "spawn"] {
        assert!(processes.iter().any(|it| it.last() == Some(&name)), "no {name} in\n{output}");
    }
    let mut ids: Vec<_> = processes.iter().map(|it| it[0]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), processes.len(), "process ids are not unique:\n{output}");
}

#[test]
fn free_adds_up() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("free");
    let mut lines = output.lines().map(|it| it.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["CORE", "TOTAL", "USED", "FREE"]);
    let figures: Vec<[u64; 3]> =
        lines.map(|it| [1, 2, 3].map(|column| it[column].parse().unwrap())).collect();
    let (sum, cores) = figures.split_last().expect("a line a core, and a sum");
    assert_eq!(cores.len(), 1);
    for [total, used, free] in &figures {
        assert_eq!(*total, used + free, "{output}");
    }
    assert_eq!(*sum, cores[0]);
    assert!((512 << 10..=1024 << 10).contains(&sum[0]), "{output}");
}

#[test]
fn cores_shows_a_line_a_core() {
    let Some(mut guest) = Guest::boot() else { return };
    let look = |guest: &mut Guest| {
        let output = guest.run("cores");
        let mut lines = output.lines().map(|it| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(lines.next().unwrap()[..2], ["CORE", "STATE"]);
        let lines: Vec<_> = lines.collect();
        for (number, line) in lines.iter().enumerate() {
            assert_eq!((line.len(), &line[0]), (7, &number.to_string()), "{output}");
        }
        assert_eq!(lines[0][1], "up", "{output}");
        lines[0][2..5].iter().map(|it| it.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let before = look(&mut guest);
    guest.run("hello");
    let after = look(&mut guest);
    assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");
}

#[test]
fn cores_up_says_what_it_cannot_do() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(
        guest.run_for_status("cores up 0"),
        ("cores: core 0: this core is up already\n".to_owned(), 1)
    );
    let (output, status) = guest.run_for_status("cores up 99");
    assert_eq!((output.as_str(), status), ("cores: core 99: the machine has no core of this number\n", 1));
}

#[test]
fn uptime_grows() {
    let Some(mut guest) = Guest::boot() else { return };
    let numbers = |output: String| {
        let digits = |it: char| !it.is_ascii_digit() && it != '.';
        output.split(digits).find_map(|it| it.parse::<f64>().ok()).unwrap_or_else(|| panic!("{output:?}"))
    };
    let before = numbers(guest.run("uptime"));
    guest.run("lines word 500");
    assert!(numbers(guest.run("uptime")) >= before);
}

#[test]
fn time_runs_its_command_and_keeps_its_status() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("time echo hello");
    assert!(output.starts_with("hello\n") && output.lines().count() > 1 && status == 0, "{status} {output}");
    assert_eq!(guest.run_for_status("time nothing").1, 127);
}

#[test]
fn dmesg_shows_how_the_kernel_started() {
    let Some(mut guest) = Guest::boot() else { return };
    assert!(guest.run("dmesg").contains("barreldish 0.1.0 ("));
}
