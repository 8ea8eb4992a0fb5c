//! The long runs: `cargo xtask test --soak`.

use tests::{Guest, bytes};

#[test]
#[ignore = "long: cargo xtask test --soak"]
fn a_thousand_programs_leave_nothing_behind() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("lines a 1");
    let before = guest.run("free");
    for _ in 0..1000 {
        assert_eq!(guest.run("lines a 1"), "a 0 a\n");
    }
    assert_eq!(guest.run("free"), before);
}

#[test]
#[ignore = "long: cargo xtask test --soak"]
fn pastes_of_4_mib_arrive_whole() {
    let Some(mut guest) = Guest::boot() else { return };
    let text = bytes::text(64 << 10);
    for _ in 0..64 {
        guest.send(format!("bytes {}\r", text.len()));
        guest.send(&text);
        assert!(guest.prompt().contains(&bytes::expected(&text)));
    }
}
