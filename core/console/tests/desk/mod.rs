#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
//! A console with a terminal and clients around it that write down what happens.

use console::{ClientId, Console, Effect, Read, Token};

#[derive(Default)]
pub struct Desk {
    pub console: Console,
    /// Every byte that went to the UART.
    pub screen: Vec<u8>,
    /// Answers to reads, in order.
    pub replies: Vec<(ClientId, Token, Read)>,
    /// Answers to writes, in order.
    pub written: Vec<(ClientId, Token)>,
    pub interrupts: Vec<ClientId>,
    pub paused: bool,
    pub timer: bool,
    /// The UART takes nothing while set.
    pub stuck: bool,
}

impl Desk {
    pub fn run(&mut self) {
        loop {
            while let Some(effect) = self.console.next_effect() {
                self.perform(effect);
            }
            let ready = self.console.output().len();
            if self.stuck || ready == 0 {
                return;
            }
            self.transmit(ready);
        }
    }

    /// The UART takes at most `count` bytes.
    pub fn transmit(&mut self, count: usize) {
        let count = count.min(self.console.output().len());
        self.screen.extend_from_slice(&self.console.output()[..count]);
        self.console.sent(count);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { client, token, read } => self.replies.push((client, token, read)),
            Effect::WriteDone { client, token } => self.written.push((client, token)),
            Effect::Interrupt { client } => self.interrupts.push(client),
            Effect::PauseInput => {
                assert!(!self.paused, "paused twice");
                self.paused = true;
            }
            Effect::ResumeInput => {
                assert!(self.paused, "resumed while running");
                self.paused = false;
            }
            Effect::StartLineTimer => {
                assert!(!self.timer, "two timers");
                self.timer = true;
            }
        }
    }

    pub fn open(&mut self, client: ClientId, mode: console::Mode) {
        self.console.open(client, mode).unwrap();
        self.run();
    }

    pub fn read(&mut self, client: ClientId, token: Token, max: usize) {
        self.console.read(client, token, max).unwrap();
        self.run();
    }

    pub fn write(&mut self, client: ClientId, token: Token, text: &str) {
        self.console.write(client, token, text.as_bytes()).unwrap();
        self.run();
    }

    pub fn gone(&mut self, client: ClientId) {
        self.console.client_gone(client);
        self.run();
    }

    /// Types what fits; returns how much that was.
    pub fn type_bytes(&mut self, bytes: &[u8]) -> usize {
        let count = self.console.received(bytes);
        self.run();
        count
    }

    pub fn type_text(&mut self, text: &str) {
        assert_eq!(self.type_bytes(text.as_bytes()), text.len());
    }

    pub fn expire_timer(&mut self) {
        assert!(self.timer, "no timer runs");
        self.timer = false;
        self.console.line_timer_expired();
        self.run();
    }

    /// What the screen shows since the last call.
    pub fn shown(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.screen)).unwrap()
    }

    /// Answers to reads since the last call, as text; `^D` is end of file.
    pub fn answers(&mut self) -> Vec<(ClientId, Token, String)> {
        let text = |read| match read {
            Read::Data(data) => String::from_utf8(data).unwrap(),
            Read::Eof => "^D".to_string(),
        };
        self.replies.drain(..).map(|(client, token, read)| (client, token, text(read))).collect()
    }
}
