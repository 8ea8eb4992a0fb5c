//! Several cores: each with a kernel, a memory server, a name service and a spawn service of its own.

use tests::{Guest, Machine};

fn boot(cores: u32, append: &str) -> Option<Guest> {
    Guest::boot_with(|machine| Machine { cores, append: append.to_owned(), ..machine })
}

/// The states in what `cores` prints, by core.
fn states(guest: &mut Guest) -> Vec<String> {
    let output = guest.run("cores");
    let state = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    output.lines().skip(1).map(state).collect()
}

#[test]
fn all_cores_run_and_know_each_others_services() {
    for cores in [2, 4, 8] {
        let Some(mut guest) = boot(cores, "") else { return };
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
}

#[test]
fn with_little_memory_fewer_cores_run_and_the_rest_is_told() {
    let Some(mut guest) = Guest::boot_with(|machine| Machine { cores: 4, memory: 128, ..machine }) else {
        return;
    };
    let states = states(&mut guest);
    assert!(states[0] == "up" && states[3] == "off", "{states:?}");
    let (output, status) = guest.run_for_status("cores up 3");
    assert!(output.contains("too little memory") && status == 1, "{output}");
    assert_eq!(guest.run("hello"), "hello\n");
}
