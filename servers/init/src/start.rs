//! The order in which everything starts, and what happens when it ends.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell as Slot;
use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Poll, Waker};
use core::time::Duration;

use abi::Rights;
use abi::domain::Role;
use abi::frame::Cause;
use domain::servers::{MEMORY_ACCOUNTS, NAMES, ROOT_NAMES, mem, serial, spawn};
use interfaces::{
    AccountsClient, CONSOLE, ConsoleClient, NamesClient, SPAWN, SYSTEM, SpawnClient, SpawnError, SystemInfo,
    SystemServer, instance_name,
};
use ipc::Capability;
use rt::{LmpPort, RtError, slots};
use sys::{Any, Cap, Frame};

use crate::boot::{Boot, BootError};
use crate::bootstrap::Bootstrap;
use crate::cores::{CoreError, Cores};
use crate::monitor::{Held, Monitor, well_known};
use crate::parts::{Naming, Needs, Part, PartError, Site, Source, start};
use crate::shares::divide;
use crate::system::{Machine, log_end, log_from, power_off, release_console, version};

/// The program that a person talks to.
const SHELL: &str = "sh";
/// Clock of a PL011 that nobody says otherwise of, in Hz: what Arm's reference boards and QEMU give it.
const UART_CLOCK: u64 = 24_000_000;
/// How long the last words have to leave the UART.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// The core that boots.
pub(crate) const FIRST_CORE: u32 = 0;
/// Option of the kernel's command line: how many cores run from the start. All, unless it says otherwise.
const BOOT_CORES: &str = "cores";
/// Exit status of the machine when the system fails.
const FAILURE: u8 = 1;

/// Why the system cannot run (any longer).
#[derive(Debug)]
pub enum InitError {
    /// The machine lacks something.
    Boot(BootError),
    /// A server cannot be started.
    Part(&'static str, PartError),
    /// A service of a server that was started cannot be reached, or offered.
    Service(&'static str, RtError),
    /// The shell cannot be started or watched.
    Shell(SpawnError),
    /// A server that the system cannot do without has ended.
    Ended(&'static str, sys::DispatcherInfo),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::Boot(error) => error.fmt(f),
            InitError::Part(name, error) => write!(f, "cannot start {name}: {error}"),
            InitError::Service(name, error) => write!(f, "service {name}: {error}"),
            InitError::Shell(error) => write!(f, "{SHELL}: {error}"),
            InitError::Ended(name, info) => {
                write!(f, "{name} has ended: ")?;
                how(f, info)
            }
        }
    }
}

/// How a server ended, in words.
fn how(f: &mut fmt::Formatter<'_>, info: &sys::DispatcherInfo) -> fmt::Result {
    if info.cause == Cause::Exited as u8 {
        write!(f, "exit code {}", info.code as u32 as i32)
    } else if info.cause == Cause::Faulted as u8 {
        write!(f, "fault at {:#x}, pc {:#x}, syndrome {:#x}", info.code, info.pc, info.esr)
    } else {
        f.write_str("it was stopped")
    }
}

/// Starts the system and waits for its end: the exit status of the machine.
pub fn run() -> u8 {
    rt::memory::live_on_own();
    rt::console::use_log();
    let mut console = None;
    match system(&mut console) {
        Ok(status) => status,
        Err(error) => {
            report(&error, console);
            FAILURE
        }
    }
}

/// Switches the machine off.
pub fn switch_off(status: u8) {
    // Only without the Kernel capability this comes back.
    let _ = power_off(false, status);
}

/// Says why the system ends: in the kernel's log, and on the console if that is not the kernel's any more.
fn report(error: &InitError, console: Option<Console>) {
    let line = alloc::format!("init: {error}\n");
    barreldish::print!("{line}");
    // Servers that the console depends on say why they end in the log, which nobody has seen since the console has a driver.
    if let Some(console) = console
        && console.client.write(&unseen(console.log)).is_ok()
    {
        rt::block_on(rt::time::sleep(LAST_WORDS));
    }
}

/// The console once it has a driver.
struct Console {
    client: ConsoleClient<LmpPort>,
    /// Where the kernel's log ended then: what comes later is seen by nobody.
    log: u64,
}

/// The end of the kernel's log, from `position` on.
fn unseen(position: u64) -> Vec<u8> {
    /// Bytes of it at most: what a report takes.
    const MOST: usize = 2048;
    let mut log = log_from(position);
    log.drain(..log.len().saturating_sub(MOST));
    log
}

/// Starts everything. `console` is set as soon as there is one.
fn system(console: &mut Option<Console>) -> Result<u8, InitError> {
    let mut boot = Boot::read().map_err(InitError::Boot)?;
    let modules = boot.map_modules().map_err(InitError::Boot)?;
    let site = Site::new(modules).map_err(|error| InitError::Part("the servers", error.into()))?;
    let monitor = Monitor::new(boot.info().core);
    let bootstrap =
        Bootstrap::serve_own(monitor.clone()).map_err(|error| InitError::Service(NAMES, error))?;
    let watch = Watch::new();
    match boot.monitor_frame() {
        None => first_core(&mut boot, site, &bootstrap, &watch, &monitor, console),
        Some(frame) => other_core(&boot, site, &bootstrap, &watch, &monitor, frame, console),
    }
}

/// The core that boots: everything, the other cores, and the shell, until that ends.
fn first_core(
    boot: &mut Boot,
    site: Site<'_>,
    bootstrap: &Bootstrap,
    watch: &Watch,
    monitor: &Monitor,
    console: &mut Option<Console>,
) -> Result<u8, InitError> {
    let shares =
        divide(boot.roots().collect(), boot.info().cores).map_err(|error| named("mem")(error.into()))?;
    let memory_part = watch.part(start_memory(boot, &shares.own, site, bootstrap)?);
    let memory: AccountsClient<LmpPort> = watch.connect(MEMORY_ACCOUNTS)?;
    let names_part = watch.part(start_names(boot, site, bootstrap, &memory)?);
    bootstrap.set_names(watch.connect::<NamesClient<LmpPort>>(NAMES)?);
    serve_names_to_others(bootstrap, monitor);

    let stage = Stage { site, bootstrap, memory: &memory };
    let serial_part = watch.part(stage.serial(boot)?);
    *console = Some(Console { client: watch.connect(CONSOLE)?, log: log_end() });
    release_console().map_err(|error| InitError::Service(CONSOLE, error.into()))?;
    let parts = [(Role::Mem, memory_part), (Role::Names, names_part), (Role::Serial, serial_part)];
    watch.part(stage.spawn(boot, &parts)?);
    let cores = Cores::new(monitor.clone(), boot.info().cores, shares.others);
    serve_system(boot, Some(cores.clone()))?;
    let spawn: SpawnClient<LmpPort> = watch.connect(SPAWN)?;
    let absent = watch.until(start_others(&cores, boot.option(BOOT_CORES)))?;
    if let (Some(text), Some(console)) = (absence(&absent), &*console) {
        // Whoever looks finds it in the log too.
        let _ = watch.until(console.client.write_async(text.as_bytes()))?;
    }
    let status = watch.until(async {
        let shell = spawn.spawn_async(SHELL, &[], &[], 0).await?;
        spawn.wait_async(shell).await
    })?;
    Ok(status.map_err(InitError::Shell)?.code() as u8)
}

/// A core that another has started: what every core has, until the machine is switched off.
fn other_core(
    boot: &Boot,
    site: Site<'_>,
    bootstrap: &Bootstrap,
    watch: &Watch,
    monitor: &Monitor,
    frame: Cap<Frame>,
    console: &mut Option<Console>,
) -> Result<u8, InitError> {
    monitor.link(FIRST_CORE, frame).map_err(|error| InitError::Service("monitor", error))?;
    let roots: Vec<_> = boot.roots().collect();
    let memory_part = watch.part(start_memory(boot, &roots, site, bootstrap)?);
    let memory: AccountsClient<LmpPort> = watch.connect(MEMORY_ACCOUNTS)?;
    let names_part = watch.part(start_names(boot, site, bootstrap, &memory)?);
    bootstrap.set_names(watch.connect::<NamesClient<LmpPort>>(NAMES)?);
    *console = Some(Console { client: watch.connect(CONSOLE)?, log: log_end() });
    let stage = Stage { site, bootstrap, memory: &memory };
    watch.part(stage.spawn(boot, &[(Role::Mem, memory_part), (Role::Names, names_part)])?);
    watch.connect::<SpawnClient<LmpPort>>(SPAWN)?;
    serve_system(boot, None)?;
    monitor.say_ready(FIRST_CORE);
    watch.until(core::future::pending())
}

/// Starts the other cores, all at once; one that does not start is told about, and the rest go on.
async fn start_others(cores: &Cores, wanted: Option<u32>) -> Vec<(u32, CoreError)> {
    let count = wanted.unwrap_or(u32::MAX).clamp(1, cores.count());
    let started = rt::join_all((1..count).map(|core| Box::pin(cores.start(core))).collect()).await;
    let mut absent = Vec::new();
    for (core, result) in (1..count).zip(started) {
        if let Err(error) = result {
            barreldish::println!("init: core {core}: {error}");
            absent.push((core, error));
        }
    }
    absent
}

/// Which cores did not start, and why not: a line each reason. None if all did.
fn absence(absent: &[(u32, CoreError)]) -> Option<String> {
    let mut text = String::new();
    for group in absent.chunk_by(|one, next| one.1 == next.1) {
        let cores: Vec<String> = group.iter().map(|(core, _)| core.to_string()).collect();
        let core = if group.len() == 1 { "core" } else { "cores" };
        let (cores, error) = (cores.join(", "), group[0].1);
        text += &alloc::format!("init: {core} {cores}: {error}\n");
    }
    (!text.is_empty()).then_some(text)
}

/// Name services of other cores become clients of this core's.
fn serve_names_to_others(bootstrap: &Bootstrap, monitor: &Monitor) {
    let (bootstrap, answers) = (bootstrap.clone(), monitor.clone());
    monitor.offer(well_known::NAMES, move |domain, endpoint| {
        let Some(way_in) = bootstrap.service(ROOT_NAMES) else {
            return slots::discard(endpoint.0);
        };
        let answers = answers.clone();
        rt::spawn(async move {
            if let Ok(peer) = way_in.accept_async(domain, Capability::give(endpoint.0)).await {
                answers.answer(Held(peer.address()));
            }
        });
    });
}

fn serve_system(boot: &Boot, cores: Option<Cores>) -> Result<(), InitError> {
    let machine = SystemServer::new(Machine::new(facts(boot), cores));
    let name = instance_name(SYSTEM, boot.info().core);
    rt::names::serve(&name, machine).map_err(|error| InitError::Service(SYSTEM, error))
}

fn starting(name: &str) {
    barreldish::println!("init: starting {name}");
}

fn named(name: &'static str) -> impl FnOnce(PartError) -> InitError {
    move |error| InitError::Part(name, error)
}

/// The memory server gets these roots, and nobody else keeps one.
fn start_memory(
    boot: &Boot,
    roots: &[Cap<sys::Ram>],
    site: Site<'_>,
    bootstrap: &Bootstrap,
) -> Result<Part, InitError> {
    let given =
        |(number, root): (usize, &Cap<sys::Ram>)| (root.cast::<Any>(), mem::root(number as u64), Rights::ALL);
    let roots: Vec<_> = roots.iter().enumerate().map(given).collect();
    let mut extra = [0; 8];
    extra[mem::EXTRA_ROOTS] = roots.len() as u64;
    extra[mem::EXTRA_CORE] = boot.info().core.into();
    let needs = Needs { name: "mem", domain: Role::Mem.on(boot.info().core), extra, capabilities: &roots };
    starting(needs.name);
    let part = start(site, &needs, Source::Own, Naming::Bootstrap(bootstrap)).map_err(named(needs.name))?;
    for &(root, ..) in &roots {
        root.delete().map_err(|error| named(needs.name)(error.into()))?;
    }
    Ok(part)
}

fn start_names(
    boot: &Boot,
    site: Site<'_>,
    bootstrap: &Bootstrap,
    memory: &AccountsClient<LmpPort>,
) -> Result<Part, InitError> {
    let domain = Role::Names.on(boot.info().core);
    let needs = Needs { name: "names", domain, extra: [0; 8], capabilities: &[] };
    starting(needs.name);
    start(site, &needs, Source::Server(memory), Naming::Bootstrap(bootstrap)).map_err(named(needs.name))
}

/// What all later servers are made with.
struct Stage<'a> {
    site: Site<'a>,
    bootstrap: &'a Bootstrap,
    memory: &'a AccountsClient<LmpPort>,
}

impl Stage<'_> {
    fn start(&self, needs: &Needs<'_>) -> Result<Part, InitError> {
        starting(needs.name);
        let names = self.bootstrap.service(NAMES).ok_or(InitError::Service(NAMES, RtError::NoService))?;
        start(self.site, needs, Source::Server(self.memory), Naming::Service(&names))
            .map_err(named(needs.name))
    }

    fn serial(&self, boot: &mut Boot) -> Result<Part, InitError> {
        let uart = boot.uart().map_err(InitError::Boot)?;
        let registers = boot.device_page(&uart).map_err(InitError::Boot)?;
        let interrupt = boot.interrupt(&uart).map_err(InitError::Boot)?;
        let mut extra = [0; 8];
        extra[serial::EXTRA_CLOCK] = UART_CLOCK;
        let capabilities = [
            (registers.cast(), serial::REGISTERS, Rights::ALL),
            (interrupt.cast(), serial::INTERRUPT, Rights::ALL),
        ];
        let needs = Needs { name: "serial", domain: Role::Serial.on(0), extra, capabilities: &capabilities };
        self.start(&needs)
    }

    /// The spawn service sees the state of the parts before it, of which the memory server is the first, to list them.
    fn spawn(&self, boot: &Boot, parts: &[(Role, Running)]) -> Result<Part, InitError> {
        let (modules, bytes) = boot.modules().map_err(InitError::Boot)?;
        let mut extra = [0; 8];
        extra[spawn::EXTRA_MODULES] = bytes;
        extra[spawn::EXTRA_CORE] = boot.info().core.into();
        let mut capabilities = alloc::vec![(modules.cast(), spawn::MODULES, Rights::READ)];
        let own = Cap::<Any>::new(abi::layout::SELF_DISPATCHER);
        capabilities.push((own, spawn::dispatcher(Role::Init), Rights::READ));
        for &(role, part) in parts {
            capabilities.push((part.dispatcher.cast(), spawn::dispatcher(role), Rights::READ));
        }
        let memory = parts.first().map_or(0, |(_, memory)| memory.kib);
        extra[spawn::EXTRA_INIT_KIB] = early_kib().saturating_sub(memory);
        extra[spawn::EXTRA_MEM_KIB] = memory;
        let domain = Role::Spawn.on(boot.info().core);
        self.start(&Needs { name: "spawn", domain, extra, capabilities: &capabilities })
    }
}

/// What the kernel gave this domain to live on, in KiB; the memory server is made of it too.
fn early_kib() -> u64 {
    rt::start::info().map_or(0, |info| info.early_ram / 1024)
}

fn facts(boot: &Boot) -> SystemInfo {
    SystemInfo {
        cores: 1,
        cores_present: boot.info().cores,
        memory_mib: boot.info().ram_bytes >> 20,
        platform: boot.platform().into(),
        version: version(),
        ticks_per_second: ticks_per_second(),
    }
}

fn ticks_per_second() -> u64 {
    let now = rt::time::now();
    now.after(Duration::from_secs(1)).ticks() - now.ticks()
}

/// A server that runs and is watched.
#[derive(Clone, Copy)]
struct Running {
    dispatcher: Cap<sys::Dispatcher>,
    /// What it was made of.
    kib: u64,
}

/// Watches the servers: no wait of `init` outlives one that it may depend on.
#[derive(Clone)]
struct Watch(Rc<Ended>);

/// The server that ended first.
struct Ended {
    error: Slot<Option<InitError>>,
    waiting: Slot<Option<Waker>>,
}

impl Watch {
    fn new() -> Watch {
        Watch(Rc::new(Ended { error: Slot::new(None), waiting: Slot::new(None) }))
    }

    /// Watches a server from now on.
    fn part(&self, part: Part) -> Running {
        let running = Running { dispatcher: part.child.dispatcher(), kib: part.bytes / 1024 };
        let watch = self.clone();
        rt::spawn(async move {
            part.ended.wait().await;
            if let Ok(info) = part.child.dispatcher().info() {
                watch.set(InitError::Ended(part.name, info));
            }
        });
        running
    }

    fn set(&self, error: InitError) {
        let earlier = self.0.error.take();
        self.0.error.set(Some(earlier.unwrap_or(error)));
        if let Some(waker) = self.0.waiting.take() {
            waker.wake();
        }
    }

    /// Waits for `future`, unless a server ends before.
    fn until<T>(&self, future: impl Future<Output = T>) -> Result<T, InitError> {
        let mut future = pin!(future);
        rt::block_on(poll_fn(|context| {
            if let Some(error) = self.0.error.take() {
                return Poll::Ready(Err(error));
            }
            self.0.waiting.set(Some(context.waker().clone()));
            future.as_mut().poll(context).map(Ok)
        }))
    }

    /// Waits until a service is there, then connects to it.
    fn connect<C: ipc::Stub<LmpPort>>(&self, name: &'static str) -> Result<C, InitError> {
        let connected = self.until(rt::names::connect_when_there(name))?;
        connected.map_err(|error| InitError::Service(name, error))
    }
}
