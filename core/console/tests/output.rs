//! Whose line it is, and that nobody waits for ever.

mod desk;

use console::{Error, MAX_SESSIONS, MAX_WRITE, MAX_WRITES, Mode, SESSION_OUTPUT};
use desk::Desk;

fn two() -> Desk {
    let mut desk = Desk::default();
    desk.open(1, Mode::Line);
    desk.open(2, Mode::Line);
    desk
}

#[test]
fn output_goes_out_at_once_with_carriage_returns() {
    let mut desk = two();
    desk.write(1, 1, "one\ntwo");
    assert_eq!(desk.shown(), "one\r\ntwo");
    assert_eq!(desk.written, [(1, 1)]);
    desk.write(1, 2, "");
    assert_eq!(desk.written, [(1, 1), (1, 2)]);
}

#[test]
fn another_session_waits_for_the_end_of_the_line() {
    let mut desk = two();
    desk.write(1, 1, "half");
    desk.write(2, 1, "other\n");
    assert_eq!(desk.shown(), "half");
    assert_eq!(desk.written, [(1, 1), (2, 1)], "a small write is answered while it is held");
    desk.write(1, 2, " whole\nnext");
    assert_eq!(desk.shown(), " whole\r\nother\r\nnext");
}

#[test]
fn an_owner_that_ends_leaves_a_fresh_line_and_its_last_words() {
    let mut desk = two();
    desk.write(1, 1, "half");
    desk.write(2, 1, "last words");
    desk.gone(2);
    assert_eq!(desk.shown(), "half");
    desk.gone(1);
    assert_eq!(desk.shown(), "\r\nlast words\r\n");
}

#[test]
fn output_at_a_prompt_begins_on_a_fresh_line() {
    let mut desk = two();
    desk.write(1, 1, "bd:/$ ");
    desk.read(1, 2, 100);
    desk.type_text("l");
    desk.write(2, 1, "done\n");
    desk.type_text("s\r");
    assert_eq!(desk.shown(), "bd:/$ l\r\ndone\r\ns\r\n");
    assert_eq!(desk.answers(), [(1, 2, "ls\n".to_string())]);
}

#[test]
fn an_owner_that_reads_and_still_prints_is_not_at_its_prompt() {
    let mut desk = two();
    desk.read(1, 1, 100);
    desk.stuck = true;
    let long = "x".repeat(MAX_WRITE);
    desk.write(1, 2, &long);
    desk.write(1, 3, "tail");
    desk.write(2, 1, "other\n");
    desk.stuck = false;
    desk.run();
    assert_eq!(desk.shown(), long + "tail\r\nother\r\n");
}

#[test]
fn echo_waits_for_the_line_of_another_like_any_output() {
    let mut desk = two();
    desk.write(2, 1, "busy");
    desk.read(1, 1, 100);
    desk.type_text("ab\r");
    assert_eq!(desk.shown(), "busy");
    assert_eq!(desk.answers(), [(1, 1, "ab\n".to_string())]);
    desk.write(2, 2, ".\n");
    assert_eq!(desk.shown(), ".\r\nab\r\n");
}

#[test]
fn an_owner_that_stops_in_the_middle_is_cut_off_by_the_timer() {
    let mut desk = two();
    desk.write(1, 1, "thinking");
    desk.write(2, 1, "other\n");
    desk.expire_timer();
    assert_eq!(desk.shown(), "thinking\r\nother\r\n");
    desk.write(1, 2, "...\n");
    assert_eq!(desk.shown(), "...\r\n");
    assert!(!desk.timer);
}

#[test]
fn a_timer_that_outlived_its_line_cuts_nobody_off() {
    let mut desk = two();
    desk.write(1, 1, "a");
    desk.write(2, 1, "b");
    desk.write(1, 2, "\n");
    desk.write(1, 3, "c\n");
    desk.expire_timer();
    assert_eq!(desk.shown(), "a\r\nb", "the second line has its own time");
    desk.expire_timer();
    assert_eq!(desk.shown(), "\r\nc\r\n");
}

#[test]
fn an_owner_cut_off_for_a_session_that_vanished_can_go_on() {
    let mut desk = two();
    desk.write(1, 1, "a");
    desk.stuck = true;
    desk.write(2, 1, "b\n");
    desk.console.sent(0);
    desk.stuck = false;
    desk.expire_timer();
    desk.write(1, 2, "c");
    desk.write(1, 3, "d\n");
    assert_eq!(desk.shown(), "a\r\nb\r\ncd\r\n");
}

#[test]
fn sessions_take_turns_line_by_line() {
    let mut desk = two();
    desk.open(3, Mode::Line);
    desk.write(3, 1, "hold");
    desk.write(1, 1, "1a\n1b\n1c\n");
    desk.write(2, 1, "2a\n2b\n");
    desk.write(3, 2, "\n");
    assert_eq!(desk.shown(), "hold\r\n1a\r\n2a\r\n1b\r\n2b\r\n1c\r\n");
}

#[test]
fn the_last_words_of_a_session_come_before_what_others_say_to_its_end() {
    let mut desk = two();
    desk.open(3, Mode::Line);
    desk.stuck = true;
    desk.write(3, 1, &"f".repeat(MAX_WRITE));
    desk.write(3, 2, "\n");
    desk.write(2, 1, "2a\n2b\n2c\n");
    desk.gone(2);
    desk.write(1, 1, "bd:/$ ");
    desk.read(1, 2, 100);
    desk.stuck = false;
    desk.run();
    assert!(desk.shown().ends_with("f\r\n2a\r\n2b\r\n2c\r\nbd:/$ "));
}

#[test]
fn a_held_writer_is_answered_only_when_there_is_room() {
    let mut desk = two();
    desk.write(1, 1, "half");
    let page = "x".repeat(MAX_WRITE - 1) + "\n";
    assert_eq!(page.len(), SESSION_OUTPUT);
    for token in 0..=MAX_WRITES as u64 {
        desk.write(2, token, &page);
    }
    assert_eq!(desk.written, [(1, 1), (2, 0)]);
    assert_eq!(desk.console.write(2, 99, b"more"), Err(Error::TooManyWrites));
    let long = "x".repeat(MAX_WRITE + 1);
    assert_eq!(desk.console.write(2, 99, long.as_bytes()), Err(Error::WriteTooLong));
    desk.write(1, 2, "\n");
    let tokens: Vec<u64> = desk.written.iter().filter(|done| done.0 == 2).map(|done| done.1).collect();
    assert_eq!(tokens, (0..=MAX_WRITES as u64).collect::<Vec<_>>());
}

#[test]
fn a_stuck_uart_holds_writers_and_loses_nothing() {
    let mut desk = two();
    desk.stuck = true;
    let line = "y".repeat(99) + "\n";
    let mut count = 0;
    while desk.console.write(1, count, line.as_bytes()).is_ok() {
        desk.run();
        count += 1;
    }
    assert!(desk.written.len() < count as usize);
    desk.stuck = false;
    desk.run();
    assert_eq!(desk.written.len(), count as usize);
    assert_eq!(desk.shown(), (line[..99].to_string() + "\r\n").repeat(count as usize));
}

#[test]
fn a_client_id_may_return_before_its_last_words_are_out() {
    let mut desk = two();
    desk.write(1, 1, "half");
    desk.write(2, 1, "old");
    desk.gone(2);
    assert_eq!(desk.console.write(2, 2, b"x"), Err(Error::NoSession));
    desk.open(2, Mode::Raw);
    desk.write(2, 3, "new\n");
    desk.write(1, 2, "\n");
    assert_eq!(desk.shown(), "half\r\nold\r\nnew\r\n");
    assert_eq!(desk.written, [(1, 1), (2, 1), (2, 3), (1, 2)]);
}

#[test]
fn sessions_that_ended_make_room_for_others() {
    let mut desk = Desk::default();
    for client in 0..3 * MAX_SESSIONS as u32 {
        desk.open(client, Mode::Line);
        desk.write(client, 1, "bye");
        desk.gone(client);
    }
    assert_eq!(desk.shown(), "bye\r\n".repeat(3 * MAX_SESSIONS));
}
