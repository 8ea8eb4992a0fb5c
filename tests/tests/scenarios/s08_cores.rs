//! Several cores: each with a kernel, a memory server, a name service and a spawn service of its own.

use tests::{Guest, Machine};

fn boot(cores: u32, append: &str) -> Option<Guest> {
    Guest::boot_with(|machine| Machine { cores, append: append.to_owned(), ..machine })
}

/// The states in what `cores` prints, by core.
fn states(guest: &mut Guest) -> Vec<String> {
    let output = guest.run("cores");
    let state = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    // Programs may print meanwhile.
    output.lines().skip_while(|it| !it.starts_with("CORE STATE")).skip(1).map(state).collect()
}

#[test]
fn all_cores_run_and_know_each_others_services() {
    for cores in [1, 2, 4, 8, 16] {
        let Some(mut guest) = boot(cores, "") else { return };
        let plural = if cores == 1 { "" } else { "s" };
        let banner = format!(", {cores} core{plural}, 1024 MiB");
        assert!(guest.log().lines().next().unwrap_or_default().ends_with(&banner), "{banner}");
        assert_eq!(states(&mut guest), vec!["up"; cores as usize]);
        let names = guest.run("names");
        for core in 0..cores {
            for service in ["mem", "mem.accounts", "spawn", "system"] {
                assert!(names.contains(&format!("{service}.{core} ")), "{service}.{core} in\n{names}");
            }
        }
        // The other monitors have a channel to the console, by way of this core's.
        let channels = guest.run("channels");
        assert_eq!(channels.lines().filter(|it| it.starts_with("routed")).count(), cores as usize - 1);
        let last = cores - 1;
        assert_eq!(guest.run(&format!("oncore {last} sh -c 'oncore 0 hello'")), "hello\n");
        let free = guest.run("free");
        let names: Vec<&str> = free.lines().filter_map(|it| it.split_whitespace().next()).collect();
        assert_eq!((names.len() as u32, names.last()), (cores + 2, Some(&"sum")), "{free}");
        assert_eq!(guest.shutdown(0), 0);
    }
}

#[test]
fn a_core_is_started_when_it_is_asked_for() {
    let Some(mut guest) = boot(4, "cores=1") else { return };
    assert_eq!(states(&mut guest), ["up", "off", "off", "off"]);
    assert_eq!(guest.run_for_status("cores up 2"), (String::new(), 0));
    assert_eq!(states(&mut guest), ["up", "off", "up", "off"]);
    for (core, why) in
        [("2", "this core is up already"), ("0", "this core is up already"), ("9", "no core of this")]
    {
        let (output, status) = guest.run_for_status(&format!("cores up {core}"));
        assert!(output.contains(why) && status == 1, "{core}: {output}");
    }
    assert_eq!(states(&mut guest), ["up", "off", "up", "off"]);
    assert_eq!(guest.run("oncore 2 hello"), "hello\n");
    let off = "oncore: core 3: it is off; `cores up 3` starts it\n";
    assert_eq!(guest.run_for_status("oncore 3 hello"), (off.to_owned(), 1));
    // From another core than the first.
    assert_eq!(guest.run("oncore 2 sh -c 'cores up 3; oncore 3 hello'"), "hello\n");
    assert_eq!(states(&mut guest), ["up", "off", "up", "up"]);
}

#[test]
fn a_core_is_started_once_however_many_ask() {
    let Some(mut guest) = boot(2, "cores=1") else { return };
    guest.run("sh -c 'cores up 1' & sh -c 'cores up 1' & cores up 1");
    // By now it is up, or another shell waits for that.
    while guest.run("ps").matches(" sh\n").count() > 1 {}
    assert_eq!(states(&mut guest), ["up", "up"]);
    let log = guest.log();
    let refused = |it: &&str| {
        *it == "cores: core 1: this core is being started" || *it == "cores: core 1: this core is up already"
    };
    assert_eq!(log.lines().filter(refused).count(), 2);
}

#[test]
fn with_little_memory_fewer_cores_run_and_the_rest_is_told() {
    for (cores, memory) in [(4, 128), (16, 256)] {
        let Some(mut guest) = Guest::boot_with(|machine| Machine { cores, memory, ..machine }) else {
            return;
        };
        let told = guest.log();
        let line = told.lines().find(|it| it.starts_with("init: core")).unwrap_or_else(|| panic!("{told}"));
        let last = cores - 1;
        assert!(
            line.ends_with(&format!("{last}: too little memory: give the machine more (--memory)")),
            "{line}"
        );
        let states = states(&mut guest);
        let up = states.iter().filter(|it| *it == "up").count();
        assert!(up < cores as usize && states[..up].iter().all(|it| it == "up"), "{states:?}");
        assert!(states[up..].iter().all(|it| it == "off"), "{states:?}");
        let (output, status) = guest.run_for_status(&format!("cores up {last}"));
        assert!(output.contains("too little memory") && status == 1, "{output}");
        for core in 0..up {
            assert_eq!(guest.run(&format!("oncore {core} hello")), "hello\n");
        }
    }
}
