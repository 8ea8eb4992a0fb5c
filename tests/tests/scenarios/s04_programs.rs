//! Programs by name: each in a domain of its own, and gone when it ends.

use tests::{Guest, bytes};

#[test]
fn a_program_runs_by_its_name_with_its_arguments() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run_for_status("lines a 2"), ("a 0 a\na 1 a\n".to_owned(), 0));
}

#[test]
fn a_program_that_is_called_wrongly_says_so() {
    let Some(mut guest) = Guest::boot() else { return };
    for line in ["bytes", "bytes many", "lines a"] {
        let name = line.split(' ').next().unwrap_or_default();
        let (output, status) = guest.run_for_status(line);
        assert!(status != 0 && output.starts_with(&format!("{name}: ")), "{line}: {status} {output}");
    }
}

#[test]
fn memory_comes_back_when_programs_end() {
    let Some(mut guest) = Guest::boot() else { return };
    // The first one may make the servers grow once.
    guest.run("lines a 1");
    let before = guest.run("free");
    for _ in 0..20 {
        guest.run("lines a 1");
    }
    assert_eq!(guest.run("free"), before);
}

#[test]
fn a_program_of_300_mib_of_zeros_runs_and_its_memory_comes_back() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("lines a 1");
    let before = guest.run("free");
    for _ in 0..2 {
        assert_eq!(guest.run_for_status("bigbss"), ("300 MiB\n".to_owned(), 0));
    }
    assert_eq!(guest.run("free"), before);
}

#[test]
fn processes_are_gone_when_programs_end() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("lines a 1");
    assert!(!guest.run("ps").contains("lines"));
}

#[test]
fn a_fault_ends_its_domain_with_a_report_and_nobody_else() {
    let Some(mut guest) = Guest::boot() else { return };
    let before = guest.run("free");
    for _ in 0..2 {
        let (output, status) = guest.run_for_status("crash");
        assert_ne!(status, 0);
        assert!(output.contains("[fault crash]"), "{output}");
        let frame = output.lines().find(|it| it.starts_with("  at 0x")).expect("no backtrace");
        assert!(frame.contains(" in crash") && frame.contains(".rs:"), "{frame}");
    }
    assert_eq!(guest.run("echo fine"), "fine\n");
    assert_eq!(guest.run("free"), before);
}

#[test]
fn fp_registers_of_threads_are_kept_apart() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("fp -t 3");
    assert!(status == 0 && output.matches("was kept").count() == 4, "{output}");
}

#[test]
fn fp_registers_of_two_programs_are_kept_apart_and_begin_as_zero() {
    let Some(mut guest) = Guest::boot() else { return };
    // The second time the unit still holds what the first programs left.
    for _ in 0..2 {
        let (output, status) = guest.run_for_status("fp 8");
        assert_eq!(status, 0, "{output}");
        for number in [1, 2] {
            let rounds = output.lines().filter(|it| it.starts_with(&format!("fp: pattern {number}, round ")));
            assert_eq!(rounds.count(), 8, "{output}");
            assert!(output.contains(&format!("fp: pattern {number} was kept\n")), "{output}");
        }
        let order: Vec<_> = output.lines().filter_map(|it| it.split(',').next()).collect();
        assert!(
            order.windows(2).filter(|two| two[0] != two[1]).count() > 8,
            "not at the same time: {output}"
        );
    }
}

#[test]
fn a_program_that_ends_leaves_unread_input_to_the_shell() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("bytes 3\rab\recho next\r");
    assert!(guest.prompt().contains(&bytes::expected(b"ab\n")));
    assert_eq!(guest.after_echo(), "next\n");
}

#[test]
fn a_server_of_the_system_is_not_started_by_its_name() {
    let Some(mut guest) = Guest::boot() else { return };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "names" {
            // The shell has a command of this name.
            continue;
        }
        let (output, status) = guest.run_for_status(&name);
        assert!(output.starts_with(&format!("{name}: a server of the system, which ")), "{output}");
        assert_eq!(status, 1, "{name}");
    }
}

#[test]
fn bench_without_counters_says_how_to_open_them() {
    let Some(mut guest) = Guest::boot() else { return };
    let (output, status) = guest.run_for_status("bench");
    assert!(output.starts_with("bench: ") && output.contains("--append pmu=user"), "{output}");
    assert_eq!((output.lines().count(), status), (1, 1), "{output}");
}

#[test]
fn bench_names_no_instructions_where_none_are_counted() {
    let Some(mut guest) = Guest::boot_with(|it| tests::Machine { append: "pmu=user".into(), ..it }) else {
        return;
    };
    let (output, status) = guest.run_for_status("bench");
    assert!(output.contains("bench boot_to_prompt ") && output.contains(" ns\n"), "{output}");
    assert!(output.contains("bench rpc_round_trip ") && !output.contains("instructions"), "{output}");
    assert_eq!(status, 0, "{output}");
}
