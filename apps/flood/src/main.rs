//! `flood [PACKETS]`: writes to the console over a channel of its own as fast as it can, and never takes an answer from
//! it. It may lose that channel; nobody else should notice. Then says how far it came.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::{String, ToString};

use abi::ErrorKind;
use abi::layout::{FRAME_SIZE, SELF_DISPATCHER};
use abi::packet::{FLAG_BYTES, Header, PACKET_SIZE, Packet};
use barreldish::interfaces::{CONSOLE, ConsoleClient};
use barreldish::{ExitCode, LmpPort, args, eprintln, println};
use ipc::{Capability, KIND_CALL, KIND_HELLO, Stub};
use sys::{Cap, Dispatcher, EndPoint, Rights};

/// Packets that are sent at most, if nothing else is said.
const PACKETS: u64 = 100_000;
/// An event index that the runtime does not reach in a program with so few channels.
const EVENT: u64 = 200;
/// Packets of the ring that is never emptied; it lies at the end of the dispatcher frame.
const RING_PACKETS: u64 = 2;
/// `Console::write` is the interface's first method.
const WRITE: u8 = 0;
const TEXT: &[u8] = b"flood\n";

/// What became of the packets.
#[derive(Default)]
struct Tally {
    taken: u64,
    full: u64,
    closed: bool,
}

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    let packets = match arguments.get(1..).unwrap_or_default() {
        [] => PACKETS,
        [count] if count.parse::<u64>().is_ok() => count.parse().unwrap_or(PACKETS),
        _ => {
            eprintln!("flood: expected PACKETS or nothing");
            return ExitCode::USAGE;
        }
    };
    match connect() {
        Ok(console) => {
            let tally = flood(console, packets);
            let end = if tally.closed { ", then the channel was closed" } else { "" };
            println!("flood: {} packets taken, {} times full{end}", tally.taken, tally.full);
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("flood: {what}");
            ExitCode::FAILURE
        }
    }
}

/// The console's end of a channel of which nobody will ever empty this end.
fn connect() -> Result<Cap<EndPoint>, String> {
    let text = |error: sys::Error| error.to_string();
    let slot = rt::slots::allocate().map_err(|error| error.to_string())?;
    let own = Cap::<EndPoint>::new(slot);
    Cap::<Dispatcher>::new(SELF_DISPATCHER).make_endpoint(EVENT, slot).map_err(text)?;
    own.configure(FRAME_SIZE - (RING_PACKETS + 1) * PACKET_SIZE, RING_PACKETS, None).map_err(text)?;
    let copy = rt::slots::allocate().map_err(|error| error.to_string())?;
    own.copy_to(copy, Rights::WRITE).map_err(text)?;
    let names = rt::names::names().map_err(|error| error.to_string())?;
    let peer = names.connect(CONSOLE, Capability::give(copy)).map_err(|error| error.to_string())?;
    Ok(Cap::new(peer.address()))
}

fn hello() -> Packet {
    let mut packet = Packet { header: Header::new(KIND_HELLO, 0, 8, 0, 0).0, ..Packet::default() };
    packet.words[0] = <ConsoleClient<LmpPort> as Stub<LmpPort>>::INTERFACE;
    packet
}

/// A request to write [`TEXT`]: a count of four bytes, then the bytes.
fn write(sequence: u32) -> Packet {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&(TEXT.len() as u32).to_le_bytes());
    bytes[4..4 + TEXT.len()].copy_from_slice(TEXT);
    let header = Header::new(KIND_CALL, WRITE, 4 + TEXT.len() as u8, FLAG_BYTES, sequence);
    let mut packet = Packet { header: header.0, ..Packet::default() };
    for (word, chunk) in packet.words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    packet
}

fn flood(console: Cap<EndPoint>, packets: u64) -> Tally {
    let mut tally = Tally::default();
    let mut next = hello();
    for _ in 0..packets {
        match console.send(&next, None) {
            Ok(()) => {
                tally.taken += 1;
                next = write(tally.taken as u32);
            }
            Err(error) if error.kind == ErrorKind::Full => tally.full += 1,
            Err(_) => {
                tally.closed = true;
                break;
            }
        }
    }
    tally
}
