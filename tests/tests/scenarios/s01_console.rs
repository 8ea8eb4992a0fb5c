//! The console server: nothing typed is lost, nothing printed is mixed.

use tests::{Guest, bytes};

#[test]
fn a_paste_of_64_kib_arrives_whole() {
    let Some(mut guest) = Guest::boot() else { return };
    let text = bytes::text(64 << 10);
    guest.send(format!("bytes {}\r", text.len()));
    guest.send(&text);
    let output = guest.prompt();
    assert!(output.contains(&bytes::expected(&text)), "the last lines: {}", tail(&output));
}

#[test]
fn a_line_of_100_kb_arrives_whole() {
    let Some(mut guest) = Guest::boot() else { return };
    let mut line = vec![b'x'; 100_000];
    line.push(b'\n');
    guest.send(format!("bytes {}\r", line.len()));
    guest.send(&line);
    let output = guest.prompt();
    assert!(output.contains(&bytes::expected(&line)), "the last lines: {}", tail(&output));
}

#[test]
fn input_is_kept_until_somebody_reads() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("bytes 5\rabcd\recho one\recho two\r");
    assert!(guest.prompt().contains(&bytes::expected(b"abcd\n")));
    assert_eq!(guest.after_echo(), "one\n");
    assert_eq!(guest.after_echo(), "two\n");
}

#[test]
fn a_programs_input_is_edited_by_line() {
    let Some(mut guest) = Guest::boot() else { return };
    // Backspace, Ctrl-W and Ctrl-U, in what becomes "abc\n", "one\n" and "new\n".
    for (typed, line) in [("abx\x7fc\r", "abc\n"), ("one two\x17\x7f\r", "one\n"), ("old\x15new\r", "new\n")]
    {
        guest.send(format!("bytes 4\r{typed}"));
        let output = guest.prompt();
        assert!(output.contains(&bytes::expected(line.as_bytes())), "{typed:?}: {output}");
    }
}

#[test]
fn a_programs_input_is_echoed_once() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.send("bytes 8\r");
    guest.expect("bytes 8");
    guest.send("unicorn\r");
    assert_eq!(guest.prompt().matches("unicorn").count(), 1);
}

#[test]
fn lines_of_two_domains_are_never_mixed() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("lines left 200 right 200");
    for word in ["left", "right"] {
        let expected: Vec<String> = (0..200).map(|number| format!("{word} {number} {word}")).collect();
        let of_word: Vec<&str> = output.lines().filter(|it| it.starts_with(word)).collect();
        assert_eq!(of_word, expected, "{output}");
    }
    let in_turns = output.lines().position(|it| it.starts_with("right")) < Some(200);
    assert!(in_turns && output.lines().count() == 400, "{output}");
}

#[test]
fn much_output_comes_whole_and_in_order() {
    let Some(mut guest) = Guest::boot() else { return };
    let output = guest.run("lines word 2000");
    let expected: String = (0..2000).map(|number| format!("word {number} word\n")).collect();
    assert!(output == expected, "the last lines: {}", tail(&output));
}

fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(300).map_or(0, |(at, _)| at);
    &text[start..]
}
