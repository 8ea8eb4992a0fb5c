//! `test_channels WHAT`: what the name service tells of services and their channels, as clients and servers come and go.
//!
//! - `connect COUNT`: connects so often to a service, asks it something, and closes.
//! - `count`: a service of its own, and a client of it in another domain: each sees what it should.
//! - `deaf`: a service in another domain that answers nobody, and then ends.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use barreldish::interfaces::{ChannelInfo, NamesError, SYSTEM, SystemClient};
use barreldish::process::Processes;
use barreldish::{Caller, LmpPort, args, block_on, connect, interface, println, serve};

/// What `count` serves.
#[interface]
pub trait Echo {
    /// The same bytes.
    fn echo(&self, bytes: &[u8]) -> Result<alloc::vec::Vec<u8>, NamesError>;
}

struct Back;

impl Echo for Back {
    fn echo(&self, _: &Caller, bytes: alloc::vec::Vec<u8>) -> Result<alloc::vec::Vec<u8>, NamesError> {
        Ok(bytes)
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
        ["connect", count] => connections(count.parse().map_err(text)?),
        ["count"] => count(),
        ["count-client"] => count_client(),
        ["deaf"] => deaf(),
        ["deaf-server"] => deaf_server(),
        _ => Err("expected connect COUNT, count or deaf".into()),
    }
}

fn check(what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: that is not so")) }
}

fn connections(count: u32) -> Result<(), String> {
    for _ in 0..count {
        connect::<SystemClient<LmpPort>>(SYSTEM).map_err(text)?.info().map_err(text)?;
    }
    println!("test_channels: {count} connections");
    Ok(())
}

/// The channels of the service `name`.
fn channels(name: &str) -> Result<alloc::vec::Vec<ChannelInfo>, NamesError> {
    match rt::names::names() {
        Ok(names) => names.channels(name),
        Err(_) => Err(NamesError::NotFound),
    }
}

fn count() -> Result<(), String> {
    serve(ECHO, EchoServer::new(Back)).map_err(text)?;
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
    serve(DEAF, EchoServer::new(Back)).map_err(text)?;
    println!("test_channels: deaf");
    Ok(())
}

/// Offers a service, and computes without end.
fn deaf_server() -> Result<(), String> {
    serve(DEAF, EchoServer::new(Back)).map_err(text)?;
    block_on(barreldish::time::sleep(core::time::Duration::ZERO));
    loop {
        core::hint::spin_loop();
    }
}
