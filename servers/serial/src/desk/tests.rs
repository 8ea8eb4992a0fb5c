use std::cell::Cell;
use std::rc::Rc;

use super::*;

struct Numbers;

/// A request to be told of Ctrl-C that nobody waits for any more.
const GIVEN_UP: u32 = 99;

/// A read that can be given up.
#[derive(Clone)]
struct Wanted(u32, Rc<Cell<bool>>);

impl Requests for Numbers {
    type Write = u32;
    type Read = Wanted;
    type Interrupt = u32;
    fn is_wanted(read: &Wanted) -> bool {
        read.1.get()
    }
    fn is_watched(number: &u32) -> bool {
        *number != GIVEN_UP
    }
}

fn read(number: u32) -> Wanted {
    Wanted(number, Rc::new(Cell::new(true)))
}

fn desk() -> Desk<Numbers> {
    Desk::default()
}

/// Sends everything that is to be sent; what it was.
fn screen(desk: &mut Desk<Numbers>) -> String {
    let mut out = Vec::new();
    while !desk.output().is_empty() {
        let count = desk.output().len().min(100);
        out.extend_from_slice(&desk.output()[..count]);
        desk.sent(count);
    }
    String::from_utf8(out).unwrap()
}

fn orders(desk: &mut Desk<Numbers>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(order) = desk.next_order() {
        all.push(match order {
            Order::Written(number) => format!("written {number}"),
            Order::Input(Wanted(number, _), bytes) => {
                format!("input {number} {}", String::from_utf8(bytes).unwrap())
            }
            Order::Interrupted(number, domain) => format!("interrupted {number} {domain}"),
            Order::PauseInput => "pause".into(),
            Order::ResumeInput => "resume".into(),
            Order::StartLineTimer => "timer".into(),
        });
    }
    all
}

#[test]
fn a_write_of_any_legal_length_comes_out_whole_and_is_answered_once() {
    let mut desk = desk();
    let text: String = (0..6000).map(|n| format!("line {n}\n")).collect();
    assert!(text.len() > 10 * MAX_WRITE && text.len() < MAX_CONSOLE_WRITE);
    assert!(desk.write(7, 70, text.clone().into_bytes(), 1).is_ok());
    assert_eq!(orders(&mut desk), Vec::<String>::new(), "it is longer than all buffers");
    assert_eq!(screen(&mut desk), text.replace('\n', "\r\n"));
    assert_eq!(orders(&mut desk), ["written 1"]);
}

#[test]
fn writes_of_a_session_come_out_in_order_and_are_answered_in_order() {
    let mut desk = desk();
    for number in 0..10 {
        assert!(desk.write(7, 70, vec![b'0' + number as u8; 5000], number).is_ok());
    }
    let out = screen(&mut desk);
    assert_eq!(out.len(), 50_000);
    assert!(out.as_bytes().is_sorted());
    let answers: Vec<String> = (0..10).map(|number| format!("written {number}")).collect();
    assert_eq!(orders(&mut desk), answers);
}

#[test]
fn what_cannot_be_written_is_answered_at_once() {
    let mut desk = desk();
    assert_eq!(desk.write(7, 70, vec![], 1), Err((1, Ok(()))));
    assert_eq!(
        desk.write(7, 70, vec![b'x'; MAX_CONSOLE_WRITE + 1], 2),
        Err((2, Err(ConsoleError::WriteTooLong)))
    );
    // The first job is in the console's hands, the others wait.
    while desk.sessions[&7].jobs.len() < MAX_JOBS {
        assert_eq!(desk.write(7, 70, vec![b'x'; MAX_CONSOLE_WRITE], 3), Ok(()));
    }
    assert_eq!(desk.write(7, 70, vec![b'x'], 4), Err((4, Err(ConsoleError::TooManyWrites))));
    assert_eq!(desk.write(8, 80, vec![b'y'], 5), Ok(()), "others are not concerned");
}

#[test]
fn a_read_that_was_given_up_takes_no_input() {
    let mut desk = desk();
    let given_up = read(1);
    assert!(desk.read(7, 70, 10, given_up.clone()).is_ok());
    given_up.1.set(false);
    desk.received(b"hi\r");
    assert_eq!(orders(&mut desk), Vec::<String>::new());
    assert!(desk.read(7, 70, 2, read(2)).is_ok());
    assert!(desk.read(7, 70, 10, read(3)).is_ok());
    assert_eq!(orders(&mut desk), ["input 2 hi", "input 3 \n"]);
}

#[test]
fn ctrl_c_tells_who_watches_which_domain_is_in_front() {
    let mut desk = desk();
    desk.set_mode(1, 10, ConsoleMode::Raw).unwrap();
    assert_eq!(desk.watch(10, 1), Ok(()));
    assert!(desk.write(2, 20, b"program\n".to_vec(), 1).is_ok());
    desk.received(b"abc\x03");
    let told = orders(&mut desk);
    assert!(told.contains(&"interrupted 1 20".to_owned()), "{told:?}");
    desk.received(b"\x03");
    assert_eq!(orders(&mut desk), Vec::<String>::new(), "nobody watches any more");
}

#[test]
fn ctrl_c_is_told_to_the_innermost_of_those_who_watch() {
    let mut desk = desk();
    desk.set_mode(1, 10, ConsoleMode::Line).unwrap();
    for watcher in [1, 2, GIVEN_UP] {
        assert_eq!(desk.watch(10, watcher), Ok(()));
    }
    desk.received(b"\x03");
    assert_eq!(orders(&mut desk), ["interrupted 2 10"]);
    desk.received(b"\x03");
    assert_eq!(orders(&mut desk), ["interrupted 1 10"]);
}

#[test]
fn ctrl_c_that_comes_before_the_question_is_told_until_a_shell_is_back_at_its_prompt() {
    let mut desk = desk();
    desk.set_mode(1, 10, ConsoleMode::Line).unwrap();
    desk.received(b"\x03");
    assert_eq!(desk.watch(10, 1), Ok(()));
    assert_eq!(orders(&mut desk), ["interrupted 1 10"]);
    assert_eq!(desk.watch(10, 2), Ok(()));
    assert_eq!(orders(&mut desk), Vec::<String>::new(), "it is told once");
    desk.received(b"\x03\x03");
    desk.set_mode(1, 10, ConsoleMode::Raw).unwrap();
    assert_eq!(orders(&mut desk), ["interrupted 2 10"]);
    assert_eq!(desk.watch(10, 3), Ok(()));
    assert_eq!(orders(&mut desk), Vec::<String>::new(), "what is older than the prompt is forgotten");
}

#[test]
fn ctrl_c_reaches_a_domain_in_front_that_has_not_said_anything_yet() {
    let mut desk = desk();
    desk.set_mode(1, 10, ConsoleMode::Raw).unwrap();
    assert_eq!(desk.watch(10, 1), Ok(()));
    desk.foreground(1, 10, Some(20)).unwrap();
    desk.received(b"ahead\x03more");
    assert_eq!(orders(&mut desk), ["interrupted 1 20"]);
    desk.foreground(1, 10, None).unwrap();
    assert!(desk.read(1, 10, 100, read(2)).is_ok());
    assert_eq!(orders(&mut desk), ["input 2 aheadmore"]);
}

#[test]
fn the_domain_in_front_reads_and_the_shell_again_after_it() {
    let mut desk = desk();
    desk.set_mode(1, 10, ConsoleMode::Raw).unwrap();
    assert!(desk.read(1, 10, 9, read(1)).is_ok());
    assert!(desk.read(2, 20, 9, read(2)).is_ok());
    assert!(desk.read(3, 30, 9, read(3)).is_ok());
    desk.foreground(1, 10, Some(20)).unwrap();
    desk.received(b"x\r");
    assert_eq!(orders(&mut desk), ["input 2 x\n"]);
    desk.gone(2);
    desk.gone(3);
    desk.received(b"y\r");
    assert_eq!(orders(&mut desk), ["input 1 y\r"]);
}

#[test]
fn a_channel_that_ends_leaves_nothing_behind() {
    let mut desk = desk();
    for channel in 0..1000 {
        let wanted = read(1);
        assert!(desk.write(channel, 70, vec![b'x'; 5000], 1).is_ok());
        assert!(desk.read(channel, 70, 10, wanted.clone()).is_ok());
        wanted.1.set(false);
        desk.gone(channel);
        screen(&mut desk);
    }
    assert!(desk.sessions.is_empty() && desk.channels.is_empty() && desk.reads.is_empty());
}

#[test]
fn input_is_held_when_nobody_reads_and_nothing_is_lost() {
    let mut desk = desk();
    let mut typed = 0;
    while desk.input_room() > 0 {
        desk.received(b"x");
        typed += 1;
    }
    assert_eq!(orders(&mut desk), ["pause"]);
    desk.set_mode(1, 10, ConsoleMode::Raw).unwrap();
    assert!(desk.read(1, 10, u32::MAX, read(1)).is_ok());
    let got = orders(&mut desk);
    assert!(got.contains(&"resume".to_owned()));
    assert!(got.contains(&format!("input 1 {}", "x".repeat(typed))));
}

#[test]
fn one_domain_watches_so_often_and_others_go_on() {
    let mut desk = desk();
    for watcher in 0..MAX_OWN_WATCHERS as u32 {
        assert_eq!(desk.watch(20, watcher), Ok(()));
    }
    assert_eq!(desk.watch(20, 9), Err((9, ConsoleError::TooManyReads)));
    assert_eq!(desk.watch(10, 9), Ok(()));
}
