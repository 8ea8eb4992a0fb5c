//! `rogue WHAT...`: tries to take from others what is theirs, with nothing but what every program has. Says how far it came.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use abi::cap::L2_CNODE_SIZE;
use abi::domain::FIRST_PROGRAM;
use abi::layout::{NAMES_OWN, SELF_DISPATCHER};
use barreldish::interfaces::{
    CONSOLE, ConsoleClient, ConsoleMode, MAX_CONSOLE_WRITE, NamesError, SPAWN, SpawnClient,
};
use barreldish::process::Processes;
use barreldish::{LmpPort, args, block_on, connect, println};
use ipc::Capability;
use rt::slots;
use sys::{Cap, Dispatcher, EndPoint, L2CNode, Ram, Rights, Slot};

/// Bytes of a dispatcher whose endpoints nobody ever listens to: 992 of them.
const DISPATCHER_BYTES: u64 = 32 * 1024;
const EVENTS: u64 = 900;
/// Requests and processes, as many as no server may allow.
const REQUESTS: u64 = 5000;
const PROCESSES: u64 = 250;

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[barreldish::main]
fn main() -> Result<(), String> {
    let number = |word: &str| word.parse::<u64>().map_err(text);
    match args().get(1..).unwrap_or_default() {
        ["stay"] => stay(),
        ["loop", mib] => keep_for_ever(number(mib)?),
        ["kill", pid] => kill(number(pid)?),
        ["channels", name] => channels(name),
        ["names"] => names(),
        ["squat", name] => squat(name),
        ["watch"] => watch(),
        ["wait"] => wait(),
        ["await"] => await_names(),
        ["rest"] => rest(),
        ["processes"] => processes(),
        ["feed"] => feed(),
        _ => Err("expected stay, loop MIB, kill PID, channels NAME, names, squat NAME, watch, wait, await, processes, rest or feed".into()),
    }
}

/// Takes away what others need to end it, then computes for ever.
fn stay() -> Result<(), String> {
    println!("rogue: dispatcher: {}", outcome(Cap::<Dispatcher>::new(SELF_DISPATCHER).revoke()));
    println!("rogue: names: {}", outcome(Cap::<EndPoint>::new(NAMES_OWN).revoke()));
    loop {
        core::hint::spin_loop();
    }
}

fn outcome<E: ToString>(result: Result<(), E>) -> String {
    result.map_or_else(text, |()| "done".into())
}

fn ram(bytes: u64) -> Result<Cap<Ram>, String> {
    rt::memory::allocate(bytes, 4096).map(Cap::new).map_err(text)
}

/// Memory with a CNode in it that holds itself: nobody outside holds it any more when we are gone, and it never ends.
fn knot(ram: Cap<Ram>) -> Result<(), String> {
    let slot = slots::allocate().map_err(text)?;
    ram.retype::<L2CNode>(0, L2_CNODE_SIZE, 1, slot).map_err(text)?;
    let node = Cap::<L2CNode>::new(slot);
    node.copy_to(Slot::of_l2(node, 5), Rights::ALL).map_err(text)
}

fn keep_for_ever(mib: u64) -> Result<(), String> {
    knot(ram(mib << 20)?)?;
    // Many small ones too, each an allocation of its own.
    for _ in 0..200 {
        knot(ram(L2_CNODE_SIZE)?)?;
    }
    println!("rogue: tied {mib} MiB");
    Ok(())
}

fn kill(pid: u64) -> Result<(), String> {
    let result = Processes::connect().map_err(text)?.kill(pid);
    println!("rogue: kill: {}", outcome(result));
    Ok(())
}

/// Endpoints of dispatchers that never run, to send to.
struct Ends {
    dispatcher: Cap<Dispatcher>,
    next: u64,
}

impl Ends {
    fn new() -> Result<Ends, String> {
        let slot = slots::allocate().map_err(text)?;
        let ram = Cap::<Ram>::new(rt::memory::allocate(DISPATCHER_BYTES, DISPATCHER_BYTES).map_err(text)?);
        ram.retype::<Dispatcher>(0, DISPATCHER_BYTES, 1, slot).map_err(text)?;
        Ok(Ends { dispatcher: Cap::new(slot), next: 0 })
    }

    fn next(&mut self) -> Result<Capability, String> {
        let (own, copy) = (slots::allocate().map_err(text)?, slots::allocate().map_err(text)?);
        self.dispatcher.make_endpoint(self.next, own).map_err(text)?;
        self.next += 1;
        Cap::<EndPoint>::new(own).copy_to(copy, Rights::WRITE).map_err(text)?;
        Ok(Capability::give(copy))
    }
}

/// Asks for one thing after the other until that is refused, then looks whether others are served.
fn until_refused(
    what: &str,
    mut ask: impl FnMut(u64, Capability) -> Result<(), NamesError>,
) -> Result<(), String> {
    let (mut ends, all) = (Ends::new()?, Processes::connect().map_err(text)?);
    for count in 0..EVENTS {
        if let Err(error) = ask(count, ends.next()?) {
            println!("rogue: {count} {what}: {error}");
            return meanwhile(&all);
        }
    }
    Err(format!("{EVENTS} {what}, and no end of it"))
}

/// Another program starts, prints and ends as ever.
fn meanwhile(all: &Processes) -> Result<(), String> {
    let status = all.spawn("lines", &["others", "2"]).and_then(|it| it.wait()).map_err(text)?;
    if status.code() == 0 { Ok(()) } else { Err(format!("another program {status}")) }
}

fn channels(name: &str) -> Result<(), String> {
    // For its own words it needs one itself.
    println!("rogue: channels to {name}");
    let names = rt::names::names().map_err(text)?;
    until_refused("channels", |_, end| names.connect(name, end).map(drop))
}

fn names() -> Result<(), String> {
    let names = rt::names::names().map_err(text)?;
    until_refused("names", |number, end| names.register(&format!("rogue-{number}"), end).map(drop))
}

/// Takes a name that others trust.
fn squat(name: &str) -> Result<(), String> {
    let names = rt::names::names().map_err(text)?;
    let result = names.register(name, Ends::new()?.next()?);
    println!("rogue: {name}: {}", outcome(result.map(drop)));
    Ok(())
}

/// Requests that are answered only when something happens, until one is answered with a refusal. `settle` asks for
/// something that is answered at once: what was refused has been said by then.
fn hang<E: ToString>(
    what: &str,
    mut ask: impl FnMut() -> Pin<Box<dyn Future<Output = Result<(), E>>>>,
    settle: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let (mut waiting, all) = (Vec::new(), Processes::connect().map_err(text)?);
    for count in 0..REQUESTS {
        let mut request = ask();
        for _ in 0..2 {
            let answer = block_on(poll_fn(|context| Poll::Ready(request.as_mut().poll(context))));
            if let Poll::Ready(Err(error)) = answer {
                println!("rogue: {count} {what}: {}", error.to_string());
                drop(waiting);
                return meanwhile(&all);
            }
            settle()?;
        }
        waiting.push(request);
    }
    Err(format!("{REQUESTS} {what}, and no end of it"))
}

fn watch() -> Result<(), String> {
    let console = Rc::new(connect::<ConsoleClient<LmpPort>>(CONSOLE).map_err(text)?);
    let ask = || {
        let console = console.clone();
        Box::pin(async move { console.interrupted_async().await.map(drop) }) as Pin<Box<_>>
    };
    hang("watches", ask, || console.set_mode(ConsoleMode::Line).map_err(text))
}

fn wait() -> Result<(), String> {
    let spawn = Rc::new(connect::<SpawnClient<LmpPort>>(SPAWN).map_err(text)?);
    let ask = || {
        let spawn = spawn.clone();
        // The shell: it ends last.
        Box::pin(async move { spawn.wait_async(FIRST_PROGRAM).await.map(drop) }) as Pin<Box<_>>
    };
    hang("waits", ask, || spawn.programs().map(drop).map_err(text))
}

fn await_names() -> Result<(), String> {
    let names = rt::names::names().map_err(text)?;
    let ask = || {
        let names = names.clone();
        Box::pin(async move { names.wait_for_async("nobody").await }) as Pin<Box<_>>
    };
    hang("waits", ask, || names.list().map(drop).map_err(text))
}

/// Processes without end, which start more of them, and stay when it is gone.
fn processes() -> Result<(), String> {
    let all = Processes::connect().map_err(text)?;
    for count in 0..PROCESSES {
        if let Err(error) = all.spawn("rogue", &["rest"]) {
            println!("rogue: {count} processes: {error}");
            return Ok(());
        }
    }
    Err(format!("{PROCESSES} processes, and no end of it"))
}

fn rest() -> Result<(), String> {
    loop {
        block_on(barreldish::time::sleep(Duration::from_secs(3600)));
    }
}

/// Takes all memory, then makes requests as long as they may be, one after the other.
fn feed() -> Result<(), String> {
    let long: String = vec!["x"; 100 << 10].concat();
    let console = connect::<ConsoleClient<LmpPort>>(CONSOLE).map_err(text)?;
    let all = Processes::connect().map_err(text)?;
    println!("rogue: hungry");
    let mine = rt::memory::allocate(1 << 20, 4096).map_err(text)?;
    let mut bytes = 64 << 20;
    while bytes >= 4096 {
        if rt::memory::allocate(bytes, 4096).is_err() {
            bytes /= 2;
        }
    }
    // What asking takes.
    slots::discard(mine);
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(all.spawn("lines", &[&long]).is_err());
        refused += u32::from(console.write(&long.as_bytes()[..MAX_CONSOLE_WRITE + 8]).is_err());
    }
    println!("rogue: {refused} of 40 refused");
    Ok(())
}
