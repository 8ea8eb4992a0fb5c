//! Programs and services on several cores, and the channels between them.

use tests::{Guest, Machine};

/// Cores of the machine, unless a scenario says otherwise.
const CORES: u32 = 4;
/// How often a state that takes a moment to come is looked at: monitors say goodbye to each other after a program has ended.
const LOOKS: u32 = 50;

fn boot() -> Option<Guest> {
    let mut guest = Guest::boot_with(|machine| Machine { cores: CORES, ..machine })?;
    // Whoever grows at the first use has grown: channels of the shell to all cores, and of all cores to the console.
    for core in 0..CORES {
        assert_eq!(guest.run(&format!("oncore {core} test_channels find nobody")).lines().count(), 2);
    }
    guest.run("ps; free; cores");
    Some(guest)
}

/// The cells of a table, without its headings, and without lines of programs that print meanwhile.
fn cells(table: &str) -> Vec<Vec<String>> {
    let mut lines = table.lines().map(|it| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let is_heading = |it: &Vec<String>| matches!(it[0].as_str(), "PID" | "CORE" | "NAME" | "KIND");
    let columns = lines.find(is_heading).unwrap_or_else(|| panic!("no table: {table}")).len();
    lines.filter(|it| it.len() == columns).collect()
}

/// What all cores keep: memory, services, channels (without what went over them), capabilities and domains, processes.
fn books(guest: &mut Guest) -> Vec<String> {
    let tables: [(&str, &[usize]); 5] = [
        ("free", &[0, 1, 2, 3]),
        ("names", &[0, 1, 2, 3]),
        ("channels", &[0, 1, 2, 3, 4]),
        ("cores", &[0, 1, 5, 6]),
        ("ps", &[0, 1, 3, 4]),
    ];
    let mut all = Vec::new();
    for (command, columns) in tables {
        for line in cells(&guest.run(command)) {
            let kept: Vec<&str> = columns.iter().map(|&column| line[column].as_str()).collect();
            all.push(format!("{command}: {}", kept.join(" ")));
        }
    }
    all
}

/// Looks until `look` sees what is expected, in this order.
fn comes_to<T: PartialEq + std::fmt::Debug>(
    guest: &mut Guest,
    expected: &[T],
    look: impl Fn(&mut Guest) -> Vec<T>,
) {
    let mut seen = look(guest);
    for _ in 1..LOOKS {
        if seen == expected {
            return;
        }
        seen = look(guest);
    }
    let missing: Vec<&T> = expected.iter().filter(|it| !seen.contains(it)).collect();
    let beyond: Vec<&T> = seen.iter().filter(|it| !expected.contains(it)).collect();
    assert!(seen == expected, "missing: {missing:#?}\nunexpected: {beyond:#?}");
}

/// Does some work, which leaves all as it was before. The first times somebody may grow, for more at a time than ever before.
fn leaves_nothing(guest: &mut Guest, work: impl Fn(&mut Guest)) {
    const ROUNDS: u32 = 4;
    work(guest);
    for _ in 1..ROUNDS {
        let before = settled(guest);
        work(guest);
        if (0..LOOKS).any(|_| books(guest) == before) {
            return;
        }
    }
    let before = settled(guest);
    work(guest);
    comes_to(guest, &before, books);
}

/// The books once they do not change any more.
fn settled(guest: &mut Guest) -> Vec<String> {
    let mut last = books(guest);
    for _ in 0..LOOKS {
        let now = books(guest);
        if now == last {
            break;
        }
        last = now;
    }
    last
}

/// Starts a program in the background: its number.
fn background(guest: &mut Guest, line: &str) -> u32 {
    let output = guest.run(&format!("{line} &"));
    let number = output.lines().find_map(|it| it.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    number.unwrap_or_else(|| panic!("{line}: {output}"))
}

/// The numbers of processes of this name.
fn processes(guest: &mut Guest, name: &str) -> Vec<u32> {
    let all = cells(&guest.run("ps"));
    all.iter().filter(|it| it[4] == name).map(|it| it[0].parse().unwrap()).collect()
}

#[test]
fn oncore_runs_programs_on_each_core_and_tells_how_they_ended() {
    let Some(mut guest) = boot() else { return };
    for core in 0..CORES {
        let on = |line: &str| format!("oncore {core} {line}");
        assert_eq!(guest.run_for_status(&on("hello")), ("hello\n".to_owned(), 0));
        assert_eq!(guest.run_for_status(&on("lines a 2")), ("a 0 a\na 1 a\n".to_owned(), 0));
        let (output, status) = guest.run_for_status(&on("sh -c 'exit 7'"));
        assert_eq!((output.as_str(), status), ("oncore: sh: exit code 7\n", 7));
        let (output, status) = guest.run_for_status(&on("fault null"));
        assert!(output.starts_with("[fault fault] ") && status == 139, "{output}");
        assert!(output.ends_with("\noncore: fault: exit code 139\n"), "{output}");
        let (output, status) = guest.run_for_status(&on("no-such"));
        assert_eq!((output.as_str(), status), ("oncore: no-such: command not found\n", 127));
    }
    for (line, said) in [
        ("oncore 9 hello", "oncore: core 9: the machine has no core of this number\n"),
        ("oncore 1 mem", "oncore: mem: a server of the system, which init starts\n"),
    ] {
        assert_eq!(guest.run_for_status(line), (said.to_owned(), 1), "{line}");
    }
}

#[test]
fn a_program_runs_where_it_was_started_and_starts_others_elsewhere() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        // A shell on core 1 has a program on core 2 list the processes.
        let output = guest.run("oncore 1 sh -c 'oncore 2 sh -c ps; ps'");
        let shells: Vec<_> = cells(&output).into_iter().filter(|it| it.last().unwrap() == "sh").collect();
        let cores: Vec<_> = shells.iter().map(|it| it[1].as_str()).collect();
        assert_eq!(cores, ["0", "1", "2", "0", "1"], "{output}");
        for shell in &shells {
            assert_eq!((shell[0].parse::<u32>().unwrap() % 16).to_string(), shell[1], "{output}");
        }
    });
}

#[test]
fn a_limit_goes_along_to_other_cores() {
    let Some(mut guest) = boot() else { return };
    let output = guest.run("limit 4096 oncore 2 sh -c 'oncore 3 hog; limit 9000 oncore 1 hog'");
    assert_eq!(output.matches(" of 4096 KiB: ").count(), 2, "{output}");
}

#[test]
fn ctrl_c_ends_a_program_on_another_core_and_the_line() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        for line in ["oncore 2 spin; echo next", "oncore 3 bytes 9", "oncore 1 sh -c 'oncore 2 spin'"] {
            guest.send(format!("{line}\r"));
            guest.expect("\n");
            guest.send("\x03");
            assert!(!guest.prompt().contains("next"), "{line}");
            assert_eq!(guest.run("echo $?"), "130\n", "{line}");
            for pid in processes(guest, "spin") {
                // What a shell that was ended had started goes on.
                guest.run(&format!("kill {pid}"));
            }
        }
    });
}

#[test]
fn ctrl_c_ends_a_program_on_another_core_that_prints_for_ever() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        guest.send("oncore 2 lines word 4000000000\r");
        guest.expect("word 100 word");
        guest.send("\x03");
        guest.prompt();
        assert_eq!(guest.run("echo $?"), "130\n");
        assert_eq!(guest.run("oncore 2 lines a 1"), "a 0 a\n");
    });
}

#[test]
fn used_memory_is_the_same_after_the_very_first_programs() {
    let Some(mut guest) = Guest::boot_with(|machine| Machine { cores: CORES, ..machine }) else { return };
    let before = guest.run("free");
    for line in
        ["hello", "ps", "oncore 1 hello", "oncore 2 sh -c 'oncore 3 hello'", "names", "channels", "cores"]
    {
        guest.run(line);
        let mut after = guest.run("free");
        for _ in 1..LOOKS {
            if after == before {
                break;
            }
            after = guest.run("free");
        }
        assert_eq!(after, before, "{line}");
    }
}

#[test]
fn programs_in_the_background_run_until_they_are_killed_from_any_core() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        let pids: Vec<u32> = ["spin", "oncore 1 spin", "oncore 2 spin", "limit 4096 oncore 3 spin"]
            .map(|it| background(guest, it))
            .into();
        assert_eq!(pids.iter().map(|pid| pid % 16).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(processes(guest, "spin"), pids);
        let [first, second, third, fourth] = pids[..] else { panic!("{pids:?}") };
        // Only who has started them, however far away that is.
        let (output, status) = guest.run_for_status(&format!("oncore 2 sh -c 'kill {second}'"));
        assert!(
            output.starts_with(&format!("kill: {second}: this process was started by somebody else\n")),
            "{output}"
        );
        assert_eq!(status, 1);
        assert_eq!(guest.run_for_status(&format!("kill {second} {first} {fourth}")), (String::new(), 0));
        comes_to(guest, &[third], |guest| processes(guest, "spin"));
        assert_eq!(guest.run_for_status(&format!("kill {third}")), (String::new(), 0));
        for (pid, why) in [
            (second, "no such process"),
            (999, "no such process"),
            (80, "this process cannot be ended"),
            (34, "this process cannot be ended"),
            (256, "this is the shell itself; `exit` ends it"),
        ] {
            assert_eq!(guest.run_for_status(&format!("kill {pid}")), (format!("kill: {pid}: {why}\n"), 1));
        }
    });
}

#[test]
fn what_cannot_run_in_the_background_is_refused_in_words() {
    let Some(mut guest) = boot() else { return };
    for (line, said) in [
        ("echo a &", "echo: a command of the shell cannot run in the background\n"),
        ("no-such &", "no-such: command not found\n"),
        ("oncore 2 no-such &", "oncore: no-such: command not found\n"),
        ("hello && hello &", "sh: running a list in the background (&) is not supported yet (at byte 16)\n"),
    ] {
        let (output, status) = guest.run_for_status(line);
        assert!(output == said && status != 0, "{line}: {status} {output}");
    }
}

#[test]
fn ps_and_free_show_all_cores() {
    let Some(mut guest) = boot() else { return };
    let ps = guest.run("ps");
    let all = cells(&ps);
    for core in 0..CORES {
        for (name, part) in [("init", 1), ("mem", 2), ("names", 3), ("spawn", 5)] {
            let pid = (core + part * 16).to_string();
            assert!(all.iter().any(|it| it[0] == pid && it[1] == core.to_string() && it[4] == name), "{ps}");
        }
    }
    let order: Vec<(u32, u32)> =
        all.iter().map(|it| (it[1].parse().unwrap(), it[0].parse().unwrap())).collect();
    assert!(order.is_sorted(), "{ps}");
    let free = guest.run("free");
    let lines = cells(&free);
    let names: Vec<&str> = lines.iter().map(|it| it[0].as_str()).collect();
    assert_eq!(names, ["0", "1", "2", "3", "sum"], "{free}");
    for column in 1..4 {
        let figures: Vec<u64> = lines.iter().map(|it| it[column].parse().unwrap()).collect();
        let (sum, cores) = figures.split_last().unwrap();
        assert_eq!(*sum, cores.iter().sum::<u64>(), "{free}");
    }
}

#[test]
fn a_service_has_clients_on_all_cores() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        let server = background(guest, "oncore 1 test_channels serve");
        for core in 0..CORES {
            let (output, status) = guest.run_for_status(&format!("oncore {core} test_channels ask 300"));
            assert!(status == 0 && output.ends_with("test_channels: 300 answers\n"), "{output}");
        }
        let names = guest.run("names");
        let line =
            cells(&names).into_iter().find(|it| it[0] == "test.echo").unwrap_or_else(|| panic!("{names}"));
        assert_eq!(line[1..3], ["1".to_owned(), server.to_string()], "{names}");
        guest.run(&format!("kill {server}"));
    });
}

#[test]
fn each_end_of_a_channel_between_cores_learns_of_the_others_end() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        let begin = guest.log().len();
        let server = background(guest, "oncore 1 test_channels serve");
        let clients: Vec<u32> =
            (0..CORES).map(|core| background(guest, &format!("oncore {core} test_channels hold"))).collect();
        let of_service = |guest: &mut Guest| -> Vec<String> {
            let all = cells(&guest.run("channels"));
            let mut own: Vec<_> = all.into_iter().filter(|it| it[4] == "test.echo" && it[9] == "1").collect();
            own.sort_by_key(|it| it[2].parse::<u32>().unwrap());
            own.into_iter().map(|it| format!("{} {}", it[0], it[2])).collect()
        };
        let mut expected: Vec<u32> = clients.clone();
        expected.sort_unstable();
        let line = |pid: &u32| format!("{} {pid}", if pid % 16 == 1 { "lmp" } else { "routed" });
        comes_to(guest, &expected.iter().map(line).collect::<Vec<_>>(), of_service);
        // A client ends: the server's end of its channel goes.
        guest.run(&format!("kill {}", clients[2]));
        expected.retain(|&pid| pid != clients[2]);
        comes_to(guest, &expected.iter().map(line).collect::<Vec<_>>(), of_service);
        // The server ends: so do the clients' calls.
        guest.run(&format!("kill {server}"));
        comes_to(guest, &[], |guest| processes(guest, "test_channels"));
        let told =
            guest.log()[begin..].matches("test_channels: the other end of the channel is gone\n").count();
        assert_eq!(told, 3, "{}", guest.log());
    });
}

#[test]
fn a_client_waits_on_one_core_for_a_service_that_comes_on_another() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        let begin = guest.log().len();
        for waits in [0, 1, 3] {
            background(guest, &format!("oncore {waits} test_channels ask 5"));
        }
        assert_eq!(processes(guest, "test_channels").len(), 3);
        let server = background(guest, "oncore 2 test_channels serve");
        comes_to(guest, &[server], |guest| processes(guest, "test_channels"));
        assert_eq!(guest.log()[begin..].matches("test_channels: 5 answers\n").count(), 3);
        guest.run(&format!("kill {server}"));
        // One that waits in vain can be ended.
        let waiting = background(guest, "oncore 3 test_channels ask 1");
        guest.run(&format!("kill {waiting}"));
    });
}

#[test]
fn a_name_that_nobody_has_is_not_found_from_any_core() {
    let Some(mut guest) = boot() else { return };
    for core in 0..CORES {
        let (output, status) = guest.run_for_status(&format!("oncore {core} test_channels find nobody"));
        let said = "test_channels: no service has that name\noncore: test_channels: exit code 1\n";
        assert_eq!((output.as_str(), status), (said, 1), "core {core}");
    }
}

#[test]
fn a_thousand_connections_to_other_cores_leave_nothing() {
    let Some(mut guest) = boot() else { return };
    // To a service there, to that of a third core, and to the first core's.
    let lines = [
        "test_channels connect 300 system.2",
        "oncore 1 test_channels connect 300 system.3",
        "oncore 3 test_channels connect 400 system.0",
    ];
    leaves_nothing(&mut guest, |guest| {
        for line in lines {
            let (output, status) = guest.run_for_status(line);
            assert!(status == 0 && output.ends_with(" connections\n"), "{line}: {output}");
        }
    });
}

#[test]
fn clients_that_end_while_they_are_connected_take_nothing_from_others() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        for _ in 0..10 {
            let connect =
                |core| format!("oncore {core} test_channels connect 1000000 system.{}", (core + 1) % CORES);
            let clients: Vec<String> =
                (0..CORES).map(|core| background(guest, &connect(core)).to_string()).collect();
            assert_eq!(guest.run_for_status(&format!("kill {}", clients.join(" "))), (String::new(), 0));
        }
        for core in 0..CORES {
            let to_all: Vec<String> =
                (0..CORES).map(|to| format!("oncore {core} test_channels connect 1 system.{to}")).collect();
            let output = guest.run(&to_all.join("; "));
            assert_eq!(output, "test_channels: 1 connections\n".repeat(CORES as usize));
        }
    });
}

#[test]
fn a_hundred_programs_on_other_cores_leave_nothing() {
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        for number in 0..100 {
            let core = number % CORES;
            assert_eq!(guest.run(&format!("oncore {core} lines a 1")), "a 0 a\n");
        }
    });
}

#[test]
fn sixteen_programs_on_four_cores_print_whole_lines_in_order() {
    const LINES: u32 = 50;
    let Some(mut guest) = boot() else { return };
    leaves_nothing(&mut guest, |guest| {
        let words: Vec<String> = (0..16).map(|number| format!("word{number}")).collect();
        let starts: Vec<String> = (0u32..)
            .zip(&words)
            .map(|(number, word)| format!("oncore {} lines {word} {LINES} &", number % CORES))
            .collect();
        let begin = guest.log().len();
        guest.run(&starts.join(" "));
        comes_to(guest, &[], |guest| processes(guest, "lines"));
        let log = guest.log();
        for word in &words {
            let of_word: Vec<&str> =
                log[begin..].lines().filter(|it| it.starts_with(&format!("{word} "))).collect();
            let expected: Vec<String> = (0..LINES).map(|number| format!("{word} {number} {word}")).collect();
            assert_eq!(of_word, expected);
        }
    });
}
