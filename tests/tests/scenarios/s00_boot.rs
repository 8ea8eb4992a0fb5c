//! From QEMU's start to the prompt, and out again.

use tests::{Guest, Machine};
use xtask::session::Outcome;

/// Words on the kernel's command line that make it panic once it is up, and what it then says.
const PANICS: [(&str, &str); 3] = [
    ("panic=test", "asked for by the command line"),
    ("panic=fault", "data abort"),
    ("panic=stack", "stack overflow"),
];

#[test]
fn the_first_line_names_version_board_and_machine() {
    let Some(guest) = Guest::boot() else { return };
    let log = guest.log();
    let banner = log.lines().next().unwrap_or_default();
    assert!(banner.starts_with("barreldish 0.1.0 ("), "{banner}");
    let (_, machine) = banner.split_once(") on ").expect(banner);
    assert!(machine.ends_with(", 1 core, 1024 MiB"), "{banner}");
}

#[test]
fn memory_is_what_the_machine_has() {
    let Some(guest) = Guest::boot_with(|machine| Machine { memory: 256, ..machine }) else { return };
    assert!(guest.log().lines().next().unwrap_or_default().ends_with(", 256 MiB"));
}

#[test]
fn a_kernel_that_is_entered_at_el2_boots_like_one_at_el1() {
    let Some(mut guest) = Guest::boot_with(|machine| Machine { el2: true, ..machine }) else { return };
    assert_eq!(guest.run("echo there").trim(), "there");
}

#[test]
fn every_line_ends_with_a_new_prompt() {
    let Some(mut guest) = Guest::boot() else { return };
    for line in ["", "   ", "echo", "no-such-command"] {
        guest.run(line);
    }
    assert!(guest.log().ends_with("\nbd:/$ "));
}

#[test]
fn the_code_of_shutdown_is_the_exit_status() {
    for code in [0, 1, 42, 255] {
        let Some(guest) = Guest::boot() else { return };
        assert_eq!(u32::from(guest.shutdown(code)), code);
    }
}

#[test]
fn shutdown_without_a_code_is_success() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("shutdown\r");
    assert_eq!(guest.end(), Outcome::Exit(0));
}

#[test]
fn a_wrong_code_shuts_nothing_down() {
    let Some(mut guest) = Guest::boot() else { return };
    for line in ["shutdown now", "shutdown -1", "shutdown 1 2"] {
        let (output, status) = guest.run_for_status(line);
        assert!(output.starts_with("shutdown: ") && status != 0, "{line}: {status} {output}");
    }
}

#[test]
fn reboot_comes_back_to_a_prompt() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("reboot\r");
    guest.expect("barreldish 0.1.0 (");
    guest.prompt();
    assert_eq!(guest.run("echo back"), "back\n");
}

#[test]
fn the_system_boots_when_time_counts_instructions() {
    let Some(mut guest) = Guest::boot_with(|machine| Machine { icount: true, ..machine }) else { return };
    assert_eq!(guest.run("echo here"), "here\n");
}

#[test]
fn a_kernel_panic_is_symbolised_and_fails() {
    for (option, message) in PANICS {
        let panic = |machine| Machine { append: option.to_owned(), ..machine };
        let Some(mut guest) = Guest::start(panic) else { return };
        let outcome = guest.end();
        assert!(matches!(&outcome, Outcome::Panicked(it) if it.contains(message)), "{option}: {outcome:?}");
        assert_eq!(outcome.status().unwrap_err().status(), 101);
        let log = guest.log();
        let is_ours =
            |line: &str| line.starts_with("  at 0x") && line.contains("kernel::boot_main::boot_main (");
        assert!(log.lines().any(is_ours), "{option}: boot_main is not in the backtrace");
        assert!(log.contains("[barreldish: end of panic]"));
    }
}

#[test]
fn an_exception_in_the_kernel_shows_its_registers() {
    let fault = |machine| Machine { append: "panic=fault".to_owned(), ..machine };
    let Some(mut guest) = Guest::start(fault) else { return };
    guest.end();
    for register in ["esr", "far", "elr", "x00", "x30"] {
        let start = format!("  {register} 0x");
        assert!(guest.log().lines().any(|it| it.starts_with(&start)), "no {register}");
    }
}
