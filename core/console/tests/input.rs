//! Who gets what is typed, and that nothing of it is lost.

mod desk;

use console::{Error, INPUT_CAPACITY, LINE_CAPACITY, MAX_READS, MAX_SESSIONS, Mode, Read};
use desk::Desk;

fn answer(client: u32, token: u64, text: &str) -> (u32, u64, String) {
    (client, token, text.to_string())
}

#[test]
fn a_read_waits_for_a_line_and_gets_what_the_editing_left() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.read(1, 10, 100);
    desk.type_text("helo\x7flo");
    assert_eq!(desk.answers(), []);
    desk.type_text("\r");
    assert_eq!(desk.answers(), [answer(1, 10, "hello\n")]);
    assert_eq!(desk.shown(), "helo\x08 \x08lo\r\n");
}

#[test]
fn a_read_gets_one_line_and_a_short_read_leaves_the_rest() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.type_text("abcdef\rgh\r");
    for token in 0..3 {
        desk.read(1, token, 4);
    }
    assert_eq!(desk.answers(), [answer(1, 0, "abcd"), answer(1, 1, "ef\n"), answer(1, 2, "gh\n")]);
}

#[test]
fn reads_of_several_threads_are_answered_in_the_order_of_asking() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Raw);
    for token in [7, 3, 9] {
        desk.read(1, token, 2);
    }
    desk.type_text("abcd");
    desk.type_text("e");
    assert_eq!(desk.answers(), [answer(1, 7, "ab"), answer(1, 3, "cd"), answer(1, 9, "e")]);
}

#[test]
fn end_of_file_is_answered_once_and_a_begun_line_is_delivered_by_it() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.read(1, 1, 100);
    desk.read(1, 2, 100);
    desk.type_text("ab\x04\x04");
    assert_eq!(desk.answers(), [answer(1, 1, "ab"), answer(1, 2, "^D")]);
}

#[test]
fn a_raw_read_gets_bytes_untouched_and_ends_at_enter() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Raw);
    desk.type_text("cat\rfor the child\r\x03\x04");
    desk.read(1, 1, 100);
    assert_eq!(desk.answers(), [answer(1, 1, "cat\r")]);
    desk.open(2, Mode::Line);
    desk.read(2, 2, 100);
    assert_eq!(desk.answers(), [answer(2, 2, "for the child\n")]);
    desk.gone(2);
    desk.read(1, 3, 100);
    assert_eq!(desk.answers(), [answer(1, 3, "\x03\x04")]);
    assert_eq!(desk.shown(), "for the child\r\n");
}

#[test]
fn the_session_opened_last_reads_first_and_the_earlier_one_after_its_end() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Raw);
    desk.read(1, 1, 100);
    desk.open(2, Mode::Raw);
    desk.type_text("a");
    desk.read(1, 2, 100);
    desk.read(2, 1, 100);
    desk.type_text("b");
    desk.read(2, 2, 100);
    desk.gone(2);
    desk.type_text("c");
    assert_eq!(desk.answers(), [answer(1, 1, "a"), answer(2, 1, "b"), answer(1, 2, "c")]);
    desk.open(3, Mode::Raw);
    desk.console.set_foreground(1).unwrap();
    desk.read(3, 1, 100);
    desk.read(1, 3, 100);
    desk.type_text("d");
    assert_eq!(desk.answers(), [answer(1, 3, "d")]);
}

#[test]
fn a_half_typed_line_goes_to_the_next_reader() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.open(2, Mode::Line);
    desk.read(2, 1, 100);
    desk.type_text("abc\x7f");
    desk.gone(2);
    desk.shown();
    desk.read(1, 2, 100);
    assert_eq!(desk.shown(), "ab");
    desk.type_text("x\r");
    assert_eq!(desk.answers(), [answer(1, 2, "abx\n")]);
}

#[test]
fn a_half_typed_line_is_shown_again_to_a_client_that_comes_back() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.read(1, 1, 100);
    desk.type_text("abc");
    desk.gone(1);
    desk.open(1, Mode::Line);
    desk.read(1, 1, 100);
    assert_eq!(desk.shown(), "abc\r\nabc");
}

#[test]
fn a_change_to_raw_hands_over_what_was_being_edited() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.read(1, 1, 100);
    desk.type_text("abc");
    desk.console.set_mode(1, Mode::Raw).unwrap();
    desk.run();
    assert_eq!(desk.answers(), [answer(1, 1, "abc")]);
}

#[test]
fn ctrl_c_reaches_a_line_session_that_reads_and_one_that_does_not() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.type_text("next\rjunk\x03");
    assert_eq!(desk.interrupts, [1]);
    desk.read(1, 1, 100);
    desk.read(1, 2, 100);
    desk.type_text("more junk\x03ok\r");
    assert_eq!(desk.interrupts, [1, 1]);
    assert_eq!(desk.answers(), [answer(1, 1, "next\n"), answer(1, 2, "ok\n")]);
    assert_eq!(desk.shown(), "^C\r\nnext\r\nmore junk^C\r\nok\r\n");
}

#[test]
fn ctrl_c_typed_before_a_change_to_line_mode_counts_and_what_follows_is_kept() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Raw);
    desk.type_text("next\rjunk\x03more\r");
    assert_eq!(desk.interrupts, []);
    desk.console.set_mode(1, Mode::Line).unwrap();
    desk.run();
    assert_eq!(desk.interrupts, [1]);
    desk.console.set_mode(1, Mode::Raw).unwrap();
    desk.read(1, 1, 100);
    desk.read(1, 2, 100);
    assert_eq!(desk.answers(), [answer(1, 1, "next\r"), answer(1, 2, "more\r")]);
}

#[test]
fn ctrl_c_stays_input_while_the_session_in_front_is_raw() {
    let mut desk = Desk::default();
    desk.open(1, Mode::Raw);
    desk.open(2, Mode::Raw);
    desk.type_text("a\x03b");
    desk.console.set_mode(1, Mode::Line).unwrap();
    desk.read(2, 1, 100);
    assert_eq!(desk.interrupts, []);
    assert_eq!(desk.answers(), [answer(2, 1, "a\x03b")]);
}

#[test]
fn a_line_of_100_kb_arrives_whole_in_pieces() {
    let mut desk = Desk::default();
    let text: Vec<u8> = (0..100_000u32).map(|i| b'a' + (i % 26) as u8).chain([b'\r']).collect();
    desk.open(1, Mode::Line);
    let (mut typed, mut seen) = (0, Vec::new());
    for token in 0.. {
        while typed < text.len() && !desk.paused {
            typed += desk.type_bytes(&text[typed..text.len().min(typed + 100)]);
        }
        desk.read(1, token, 10_000);
        let Some((_, _, Read::Data(data))) = desk.replies.pop() else { panic!("no data") };
        assert!(data.len() <= LINE_CAPACITY);
        seen.extend(data);
        if seen.last() == Some(&b'\n') {
            break;
        }
    }
    assert_eq!(&seen[..100_000], &text[..100_000]);
    assert_eq!(desk.screen, [&text[..100_000], b"\r\n"].concat());
}

#[test]
fn a_paste_that_nobody_reads_holds_the_sender_and_nothing_is_lost() {
    let mut desk = Desk::default();
    let text: Vec<u8> = (0..65_536u32).map(|i| (i % 253) as u8).collect();
    let mut typed = desk.type_bytes(&text);
    assert_eq!(typed, INPUT_CAPACITY);
    assert!(desk.paused);
    desk.open(1, Mode::Raw);
    let mut seen = Vec::new();
    for token in 0.. {
        desk.read(1, token, 1000);
        if let Some((_, _, Read::Data(data))) = desk.replies.pop() {
            seen.extend(data);
        }
        if !desk.paused {
            typed += desk.type_bytes(&text[typed..]);
        }
        if seen.len() == text.len() {
            break;
        }
    }
    assert_eq!(seen, text);
}

#[test]
fn a_paste_at_a_slow_terminal_is_held_by_its_own_echo() {
    let mut desk = Desk { stuck: true, ..Desk::default() };
    desk.open(1, Mode::Line);
    let line = [b"x".repeat(80), b"\r".to_vec()].concat();
    let mut typed = 0;
    for _ in 0..1000 {
        if desk.paused || desk.console.read(1, 0, 100).is_err() {
            break;
        }
        typed += desk.type_bytes(&line);
        desk.replies.clear();
    }
    let bound = INPUT_CAPACITY + console::DEVICE_OUTPUT + 2 * console::SESSION_OUTPUT;
    assert!(typed < bound, "{typed} bytes swallowed");
}

#[test]
fn bounds_are_kept_and_a_refusal_changes_nothing() {
    let mut desk = Desk::default();
    assert_eq!(desk.console.read(1, 0, 1), Err(Error::NoSession));
    assert_eq!(desk.console.set_mode(1, Mode::Raw), Err(Error::NoSession));
    assert_eq!(desk.console.set_foreground(1), Err(Error::NoSession));
    for client in 0..MAX_SESSIONS as u32 {
        desk.open(client, Mode::Raw);
    }
    assert_eq!(desk.console.open(5, Mode::Raw), Err(Error::AlreadyOpen));
    assert_eq!(desk.console.open(9999, Mode::Raw), Err(Error::TooManySessions));
    assert_eq!(desk.console.read(1, 0, 0), Err(Error::EmptyRead));
    for token in 0..MAX_READS as u64 {
        desk.read(1, token, 1);
    }
    assert_eq!(desk.console.read(1, 99, 1), Err(Error::TooManyReads));
    desk.gone(5);
    desk.gone(5);
    desk.open(9999, Mode::Raw);
    desk.type_text("x");
    assert_eq!(desk.answers(), [answer(1, 0, "x")]);
}
