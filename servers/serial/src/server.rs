//! The server over the desk: the UART's interrupt, requests, and answers when they are due.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;

use abi::{PAGE_SIZE, Rights};
use console::LINE_PATIENCE_MS;
use domain::servers::serial::{EXTRA_CLOCK, INTERRUPT, REGISTERS};
use interfaces::{CONSOLE, Console, ConsoleError, ConsoleMode, ConsoleServer};
use ipc::{Caller, Reply};
use pl011::{ConfigError, Mmio, Uart};
use rt::vspace::Mapped;
use rt::{Irq, RtError};
use sys::{Cap, DevFrame};

use crate::desk::{Desk, Order, Requests};

/// Rate of the line.
pub const BAUD: u32 = 115_200;
/// Bytes that are taken from the UART at a time.
const CHUNK: usize = 256;

/// Why the server cannot start.
#[derive(Debug)]
pub enum StartError {
    /// The runtime failed.
    Runtime(RtError),
    /// The UART cannot work at [`BAUD`].
    Uart(ConfigError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Runtime(error) => error.fmt(f),
            StartError::Uart(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

impl From<RtError> for StartError {
    fn from(error: RtError) -> StartError {
        StartError::Runtime(error)
    }
}

/// Serves the console for ever.
///
/// # Errors
/// [`StartError`]; afterwards nothing can fail.
pub fn serve() -> Result<core::convert::Infallible, StartError> {
    rt::console::use_log();
    let clock = rt::start::info().ok_or(RtError::NotAvailable)?.extra[EXTRA_CLOCK];
    let registers = Cap::<DevFrame>::new(REGISTERS);
    let window = rt::vspace::map(registers, 0, PAGE_SIZE, Rights::READ.or(Rights::WRITE))?;
    let base = NonNull::new(window.pointer().cast::<u32>()).ok_or(RtError::NoAddress)?;
    // SAFETY: the builder gave the registers of a PL011 to this server alone; they stay mapped as long as `Line`,
    // which holds the window too.
    let registers = unsafe { Mmio::new(base) };
    let irq = Irq::bind(Cap::new(INTERRUPT))?;
    let uart = Uart::init(registers, clock as u32, BAUD).map_err(StartError::Uart)?;
    let line = Line { desk: Desk::default(), uart, _window: window };
    let terminal = Terminal(Rc::new(RefCell::new(line)));
    let interrupted = terminal.clone();
    rt::spawn(async move {
        loop {
            interrupted.with(Line::on_interrupt);
            if irq.acknowledge().is_err() {
                return;
            }
            irq.wait().await;
        }
    });
    rt::names::serve(CONSOLE, ConsoleServer::new(terminal))?;
    rt::run()
}

/// Requests over channels.
struct Channels;

impl Requests for Channels {
    type Write = Reply<Result<(), ConsoleError>>;
    type Read = Reply<Result<Vec<u8>, ConsoleError>>;
    type Interrupt = Reply<Result<u64, ConsoleError>>;

    fn is_wanted(read: &Self::Read) -> bool {
        read.is_wanted()
    }

    fn is_watched(interrupt: &Self::Interrupt) -> bool {
        interrupt.is_wanted()
    }
}

/// The desk and its UART.
struct Line {
    desk: Desk<Channels>,
    uart: Uart<Mmio>,
    /// Where the UART's registers are seen.
    _window: Mapped,
}

impl Line {
    /// The UART has something to say; also looked at before its first interrupt.
    fn on_interrupt(&mut self) {
        self.uart.on_interrupt();
        self.receive();
    }

    fn line_timer_expired(&mut self) {
        self.desk.line_timer_expired();
    }

    /// Takes what was typed, as far as there is room for it.
    fn receive(&mut self) {
        let mut buffer = [0; CHUNK];
        loop {
            let room = self.desk.input_room().min(CHUNK);
            let count = self.uart.receive(&mut buffer[..room]);
            self.desk.received(&buffer[..count]);
            if count < CHUNK {
                return;
            }
        }
    }

    /// Sends what is to be sent, as far as the UART takes it; its interrupt announces room for more.
    fn transmit(&mut self) {
        loop {
            let output = self.desk.output();
            let (wanted, sent) = (output.len(), self.uart.transmit(output));
            if wanted == 0 {
                return;
            }
            self.desk.sent(sent);
            if sent < wanted {
                return;
            }
        }
    }

    /// Does what is due, until nothing is; whether the line timer is to be started.
    fn settle(&mut self) -> bool {
        let mut timer = false;
        loop {
            self.transmit();
            let Some(order) = self.desk.next_order() else { return timer };
            match order {
                Order::Written(reply) => answer(reply, &Ok(())),
                Order::Input(reply, bytes) => answer(reply, &Ok(bytes)),
                Order::Interrupted(reply, domain) => answer(reply, &Ok(domain)),
                Order::PauseInput => self.uart.pause_receive(),
                Order::ResumeInput => {
                    self.uart.resume_receive();
                    self.receive();
                }
                Order::StartLineTimer => timer = true,
            }
        }
    }
}

/// Answers; whoever gave up needs none.
fn answer<T: ipc::Encode>(reply: Reply<T>, result: &T) {
    let _ = reply.send(result);
}

/// What every client sees.
#[derive(Clone)]
struct Terminal(Rc<RefCell<Line>>);

impl Terminal {
    /// Lets something happen to the line, and does what follows from it.
    fn with<R>(&self, event: impl FnOnce(&mut Line) -> R) -> R {
        let mut line = self.0.borrow_mut();
        let result = event(&mut line);
        if line.settle() {
            self.start_line_timer();
        }
        result
    }

    fn start_line_timer(&self) {
        let terminal = self.clone();
        rt::spawn(async move {
            rt::time::sleep(Duration::from_millis(LINE_PATIENCE_MS.into())).await;
            terminal.with(Line::line_timer_expired);
        });
    }
}

impl Console for Terminal {
    fn write(&self, caller: &Caller, bytes: Vec<u8>, reply: Reply<Result<(), ConsoleError>>) {
        let done = self.with(|line| line.desk.write(caller.channel, caller.domain, bytes, reply));
        if let Err((reply, result)) = done {
            answer(reply, &result);
        }
    }

    fn read(&self, caller: &Caller, max: u32, reply: Reply<Result<Vec<u8>, ConsoleError>>) {
        let kept = self.with(|line| line.desk.read(caller.channel, caller.domain, max, reply));
        if let Err((reply, error)) = kept {
            answer(reply, &Err(error));
        }
    }

    fn set_mode(&self, caller: &Caller, mode: ConsoleMode) -> Result<(), ConsoleError> {
        self.with(|line| line.desk.set_mode(caller.channel, caller.domain, mode))
    }

    fn foreground(&self, caller: &Caller, domain: Option<u64>) -> Result<(), ConsoleError> {
        self.with(|line| line.desk.foreground(caller.channel, caller.domain, domain))
    }

    fn interrupted(&self, caller: &Caller, reply: Reply<Result<u64, ConsoleError>>) {
        let kept = self.with(|line| line.desk.watch(caller.domain, reply));
        if let Err((reply, error)) = kept {
            answer(reply, &Err(error));
        }
    }

    fn client_gone(&self, caller: &Caller) {
        self.with(|line| line.desk.gone(caller.channel));
    }
}
