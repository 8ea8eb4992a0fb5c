//! Random clients, typing and UART: nothing lost, nothing mixed, every request answered once.

mod desk;

use console::{ClientId, Error, MAX_WRITE, Mode, Read};
use desk::Desk;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const CLIENTS: ClientId = 4;

#[derive(Clone, Debug)]
enum Step {
    Open(ClientId, bool),
    SetMode(ClientId, bool),
    Foreground(ClientId),
    Read(ClientId, usize),
    /// A piece of output: how many letters, and whether a newline follows.
    Write(ClientId, usize, bool),
    Gone(ClientId),
    /// So many characters, then Enter or not.
    Type(usize, bool),
    Transmit(usize),
    Timer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS;
    let step = prop_oneof![
        2 => (client.clone(), any::<bool>()).prop_map(|(c, raw)| Step::Open(c, raw)),
        1 => (client.clone(), any::<bool>()).prop_map(|(c, raw)| Step::SetMode(c, raw)),
        1 => client.clone().prop_map(Step::Foreground),
        5 => (client.clone(), 1..50usize).prop_map(|(c, max)| Step::Read(c, max)),
        5 => (client.clone(), size(), any::<bool>()).prop_map(|(c, n, end)| Step::Write(c, n, end)),
        1 => client.prop_map(Step::Gone),
        5 => (size(), any::<bool>()).prop_map(|(n, enter)| Step::Type(n, enter)),
        5 => size().prop_map(Step::Transmit),
        1 => Just(Step::Timer),
    ];
    prop::collection::vec(step, 0..120)
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..30usize, 1 => 0..MAX_WRITE]
}

#[derive(Default)]
struct World {
    desk: Desk,
    next_token: u64,
    /// Requests not answered yet, by client.
    reads: BTreeMap<ClientId, Vec<u64>>,
    writes: BTreeMap<ClientId, Vec<u64>>,
    open: BTreeSet<ClientId>,
    typed: Vec<u8>,
    delivered: Vec<u8>,
    /// What each client wrote, newlines left out.
    wrote: BTreeMap<ClientId, usize>,
}

impl World {
    fn apply(&mut self, step: &Step) {
        let mode = |raw| if raw { Mode::Raw } else { Mode::Line };
        match *step {
            Step::Open(client, raw) => {
                let opened = self.desk.console.open(client, mode(raw));
                assert_eq!(opened.is_ok(), self.open.insert(client));
            }
            Step::SetMode(client, raw) => {
                let set = self.desk.console.set_mode(client, mode(raw));
                assert_eq!(set.is_ok(), self.open.contains(&client));
            }
            Step::Foreground(client) => {
                let set = self.desk.console.set_foreground(client);
                assert_eq!(set.is_ok(), self.open.contains(&client));
            }
            Step::Read(client, max) => self.read(client, max),
            Step::Write(client, letters, newline) => self.write(client, letters, newline),
            Step::Gone(client) => {
                self.desk.console.client_gone(client);
                self.open.remove(&client);
                self.reads.remove(&client);
                self.writes.remove(&client);
            }
            Step::Type(count, enter) => self.type_some(count, enter),
            Step::Transmit(count) => self.desk.transmit(count),
            Step::Timer if self.desk.timer => self.desk.expire_timer(),
            Step::Timer => {}
        }
        self.desk.run();
        self.check_answers();
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn read(&mut self, client: ClientId, max: usize) {
        let token = self.token();
        match self.desk.console.read(client, token, max) {
            Ok(()) => self.reads.entry(client).or_default().push(token),
            Err(Error::NoSession) => assert!(!self.open.contains(&client)),
            Err(error) => assert_eq!(error, Error::TooManyReads),
        }
    }

    /// Each client writes its own letter.
    fn write(&mut self, client: ClientId, letters: usize, newline: bool) {
        let token = self.token();
        let mut text = vec![b'A' + client as u8; letters];
        text.extend(newline.then_some(b'\n'));
        match self.desk.console.write(client, token, &text) {
            Ok(()) => {
                self.writes.entry(client).or_default().push(token);
                *self.wrote.entry(client).or_default() += letters;
            }
            Err(Error::NoSession) => assert!(!self.open.contains(&client)),
            Err(error) => assert_eq!(error, Error::TooManyWrites),
        }
    }

    fn type_some(&mut self, count: usize, enter: bool) {
        let at = self.typed.len();
        let mut text: Vec<u8> = (at..at + count).map(|i| b'a' + (i % 26) as u8).collect();
        text.extend(enter.then_some(b'\n'));
        let taken = self.desk.type_bytes(&text);
        assert!(taken == text.len() || self.desk.paused);
        self.typed.extend(&text[..taken]);
    }

    /// Answers come in the order of asking, each once, and only to the living.
    fn check_answers(&mut self) {
        for (client, token, read) in self.desk.replies.drain(..) {
            assert_eq!(self.reads.get_mut(&client).expect("a reader").remove(0), token);
            let Read::Data(data) = read else { panic!("nobody typed end of file") };
            assert!(!data.is_empty());
            self.delivered.extend(data);
        }
        for (client, token) in self.desk.written.drain(..) {
            assert_eq!(self.writes.get_mut(&client).expect("a writer").remove(0), token);
        }
        assert!(self.typed.starts_with(&self.delivered), "input out of order");
    }

    /// The UART runs freely, and one last session reads everything.
    fn finish(&mut self) {
        self.desk.stuck = false;
        self.desk.run();
        self.check_answers();
        for client in 0..CLIENTS {
            self.apply(&Step::Gone(client));
        }
        self.apply(&Step::Open(0, true));
        while self.delivered.len() < self.typed.len() {
            let before = self.delivered.len();
            self.apply(&Step::Read(0, 5000));
            assert!(self.delivered.len() > before, "input lost");
        }
        self.apply(&Step::Gone(0));
        assert!(self.writes.values().all(Vec::is_empty) && self.reads.values().all(Vec::is_empty));
    }

    /// A line shows letters of one client, or what was typed at it (small letters), and in the end all of
    /// it is there.
    fn check_screen(&self) {
        let text = String::from_utf8(self.desk.screen.clone()).unwrap();
        let mut shown = BTreeMap::<ClientId, usize>::new();
        for line in text.split("\r\n") {
            assert!(!line.contains(['\r', '\n']));
            let writers: BTreeSet<u8> = line.bytes().filter(u8::is_ascii_uppercase).collect();
            assert!(writers.len() <= 1, "mixed line {line:?}");
            for byte in line.bytes().filter(u8::is_ascii_uppercase) {
                *shown.entry(u32::from(byte - b'A')).or_default() += 1;
            }
        }
        let wrote: BTreeMap<_, _> =
            self.wrote.iter().filter(|(_, n)| **n > 0).map(|(c, n)| (*c, *n)).collect();
        assert_eq!(shown, wrote);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_mixed_or_answered_twice(steps in steps()) {
        let mut world = World { desk: Desk { stuck: true, ..Desk::default() }, ..World::default() };
        for step in &steps {
            world.apply(step);
        }
        world.finish();
        world.check_screen();
    }

    /// With a UART that takes everything, no write stays unanswered for longer than the timer.
    #[test]
    fn nobody_waits_for_ever(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.apply(step);
        }
        for _ in 0..2 * CLIENTS * 200 {
            if !world.desk.timer {
                break;
            }
            world.apply(&Step::Timer);
        }
        prop_assert!(!world.desk.timer);
        prop_assert!(world.writes.values().all(Vec::is_empty));
    }
}
