//! Services and channels, as `names` and `channels` show them.

use tests::Guest;

/// The cells of a table, without its headings.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|it| it.split_whitespace().collect()).collect()
}

/// What of `channels` does not change as messages go over them: kind, number, client, server, service.
fn who(table: &str) -> Vec<Vec<&str>> {
    cells(table).into_iter().map(|it| it[..5].to_vec()).collect()
}

#[test]
fn names_shows_each_service_with_its_owner_and_clients() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("names");
    assert!(output.starts_with("NAME"), "{output}");
    let owners = cells(&output);
    let owner = |name: &str| {
        let line = owners.iter().find(|it| it[0] == name);
        line.unwrap_or_else(|| panic!("no {name} in\n{output}"))[1..3].to_vec()
    };
    for (name, pid) in [
        ("system.0", "16"),
        ("mem.0", "32"),
        ("mem.accounts.0", "32"),
        ("names", "48"),
        ("names.attach", "48"),
        ("console", "64"),
        ("spawn.0", "80"),
    ] {
        assert_eq!(owner(name), ["0", pid], "{name}");
    }
    assert!(owners.iter().all(|it| it[3].parse::<u32>().is_ok()), "{output}");
    assert!(owners.is_sorted(), "{output}");
}

#[test]
fn channels_shows_who_talks_to_whom_and_how_much() {
    let Some(mut guest) = Guest::boot() else { return };
    let written = |guest: &mut Guest| {
        let output = guest.run("channels");
        let all = cells(&output);
        let shell = all.iter().find(|it| it[2] == "256" && it[4] == "console");
        let line = shell.unwrap_or_else(|| panic!("no channel of the shell to the console in\n{output}"));
        assert_eq!((line[0], line[3]), ("lmp", "64"), "{output}");
        line[6].parse::<u64>().unwrap()
    };
    let before = written(&mut guest);
    guest.run("echo something to print");
    assert!(written(&mut guest) > before);
}

#[test]
fn a_thousand_connections_leave_no_channel() {
    let Some(mut guest) = Guest::boot() else { return };
    // The shell connects to what it needs, once.
    guest.run("hello; cores; names");
    let (channels, names, memory) = (guest.run("channels"), guest.run("names"), guest.run("free"));
    let (output, status) = guest.run_for_status("test_channels connect 1000");
    assert_eq!((output.as_str(), status), ("test_channels: 1000 connections\n", 0));
    assert_eq!(who(&guest.run("channels")), who(&channels));
    assert_eq!((guest.run("names"), guest.run("free")), (names, memory));
}

#[test]
fn a_service_counts_what_its_clients_send() {
    let Some(mut guest) = Guest::boot() else { return };
    assert_eq!(guest.run_for_status("test_channels count"), ("test_channels: counted\n".to_owned(), 0));
}

#[test]
fn a_deaf_service_keeps_nobody_and_ends_with_its_domain() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("hello");
    let names = guest.run("names");
    assert_eq!(guest.run_for_status("test_channels deaf"), ("test_channels: deaf\n".to_owned(), 0));
    assert_eq!(guest.run("names"), names);
}
