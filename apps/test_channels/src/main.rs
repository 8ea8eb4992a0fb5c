//! `test_channels WHAT`: what the name service tells of services and their channels, as clients and servers come and go.
//!
//! - `connect COUNT [SERVICE]`: connects so often to the system service, asks it something, and closes.
//! - `count`: a service of its own, and a client of it in another domain: each sees what it should.
//! - `deaf`: a service in another domain that answers nobody, and then ends.
//! - `serve`: the service of `count` until it is ended; tells of clients that go.
//! - `ask COUNT`: waits until there is that service, and asks it so often.
//! - `hold`: asks it what it answers never, and tells why that ended.
//! - `find NAME`: connects to a service of this name.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use barreldish::interfaces::{ChannelInfo, NamesError, SYSTEM, SystemClient};
use barreldish::process::Processes;
use barreldish::{
    Caller, LmpPort, Reply, args, block_on, connect, connect_when_there, interface, println, run, serve,
};

/// What `count` serves.
#[interface]
pub trait Echo {
    /// The same bytes.
    fn echo(&self, bytes: &[u8]) -> Result<Vec<u8>, NamesError>;

    /// Never answered.
    #[deferred]
    fn hold(&self) -> Result<(), NamesError>;
}

type Held = Reply<Result<(), NamesError>>;

#[derive(Default)]
struct Back(RefCell<Vec<Held>>);

impl Echo for Back {
    fn echo(&self, _: &Caller, bytes: Vec<u8>) -> Result<Vec<u8>, NamesError> {
        Ok(bytes)
    }

    fn hold(&self, _: &Caller, reply: Held) {
        self.0.borrow_mut().push(reply);
    }

    fn client_gone(&self, _: &Caller) {
        self.0.borrow_mut().retain(Reply::is_wanted);
    }
}

/// The service of `count`.
const ECHO: &str = "test.echo";
/// The service of `deaf`.
const DEAF: &str = "test.deaf";
/// Calls of the client of `count`, and bytes that each carries.
const CALLS: u64 = 10;
const BYTES: u64 = 1000;

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[barreldish::main]
fn main() -> Result<(), String> {
    match args().get(1..).unwrap_or_default() {
        ["connect", count] => connections(count.parse().map_err(text)?, SYSTEM),
        ["connect", count, service] => connections(count.parse().map_err(text)?, service),
        ["count"] => count(),
        ["count-client"] => count_client(),
        ["deaf"] => deaf(),
        ["deaf-server"] => deaf_server(),
        ["serve"] => serve_always(),
        ["ask", count] => ask(count.parse().map_err(text)?),
        ["hold"] => hold(),
        ["find", name] => connect::<EchoClient<LmpPort>>(name).map(drop).map_err(text),
        _ => Err("expected connect COUNT [SERVICE], count, deaf, serve, ask COUNT, hold or find NAME".into()),
    }
}

fn check(what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: that is not so")) }
}

fn connections(count: u32, service: &str) -> Result<(), String> {
    for _ in 0..count {
        connect::<SystemClient<LmpPort>>(service).map_err(text)?.info().map_err(text)?;
    }
    println!("test_channels: {count} connections");
    Ok(())
}

fn serve_always() -> Result<(), String> {
    serve(ECHO, EchoServer::new(Back::default())).map_err(text)?;
    println!("test_channels: serving");
    run()
}

/// The service, when it is there.
fn echo() -> Result<EchoClient<LmpPort>, String> {
    block_on(connect_when_there(ECHO)).map_err(text)
}

fn ask(count: u64) -> Result<(), String> {
    let echo = echo()?;
    for number in 0..count {
        let bytes = alloc::vec![number as u8; (number * 37 % BYTES) as usize];
        check("what comes back is what went", echo.echo(&bytes).map_err(text)? == bytes)?;
    }
    println!("test_channels: {count} answers");
    Ok(())
}

fn hold() -> Result<(), String> {
    let echo = echo()?;
    check("it answers", echo.echo(&[1]).is_ok())?;
    println!("test_channels: holding");
    match echo.hold() {
        Ok(()) => Err("it was answered".into()),
        Err(error) => {
            println!("test_channels: {error}");
            Ok(())
        }
    }
}

/// The channels of the service `name`.
fn channels(name: &str) -> Result<Vec<ChannelInfo>, NamesError> {
    match rt::names::names() {
        Ok(names) => names.channels(name),
        Err(_) => Err(NamesError::NotFound),
    }
}

fn count() -> Result<(), String> {
    serve(ECHO, EchoServer::new(Back::default())).map_err(text)?;
    check("a new service has no channels", channels(ECHO) == Ok([].into()))?;
    let client =
        Processes::connect().and_then(|it| it.spawn("test_channels", &["count-client"])).map_err(text)?;
    let ended = client.wait().map_err(text)?;
    check("the client saw what it should", ended.code() == 0)?;
    check("a client that has ended has no channel", channels(ECHO) == Ok([].into()))?;
    println!("test_channels: counted");
    Ok(())
}

fn count_client() -> Result<(), String> {
    let echo = connect::<EchoClient<LmpPort>>(ECHO).map_err(text)?;
    let bytes = alloc::vec![7; BYTES as usize];
    for _ in 0..CALLS {
        check("what comes back is what went", echo.echo(&bytes).as_ref() == Ok(&bytes))?;
    }
    let channels = channels(ECHO).map_err(text)?;
    let [it] = channels[..] else { return Err(format!("{} channels", channels.len())) };
    check("every message counts once", [it.received, it.sent] == [CALLS; 2])?;
    let least = CALLS * BYTES;
    let counted = |bytes: u64| (least..least + CALLS * 32).contains(&bytes);
    check("all bytes count", counted(it.received_bytes) && counted(it.sent_bytes))?;
    check("nothing waits", it.in_flight == 0)
}

fn deaf() -> Result<(), String> {
    let names = rt::names::names().map_err(text)?;
    let server =
        Processes::connect().and_then(|it| it.spawn("test_channels", &["deaf-server"])).map_err(text)?;
    names.wait_for(DEAF).map_err(text)?;
    let owner = names.list().map_err(text)?.into_iter().find(|it| it.name == DEAF).map(|it| it.owner);
    check("the list tells who offers a service", owner == Some(server.pid()))?;
    check("a service that hears nobody is silent", channels(DEAF) == Err(NamesError::Silent))?;
    server.kill().map_err(text)?;
    server.wait().map_err(text)?;
    check("its name ends with it", channels(DEAF) == Err(NamesError::NotFound))?;
    serve(DEAF, EchoServer::new(Back::default())).map_err(text)?;
    println!("test_channels: deaf");
    Ok(())
}

/// Offers a service, and computes without end.
fn deaf_server() -> Result<(), String> {
    serve(DEAF, EchoServer::new(Back::default())).map_err(text)?;
    block_on(barreldish::time::sleep(core::time::Duration::ZERO));
    loop {
        core::hint::spin_loop();
    }
}
