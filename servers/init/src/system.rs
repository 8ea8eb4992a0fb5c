//! The service "system": log, facts, cores, power.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use abi::domain::core_of;
use abi::layout::KERNEL;
use abi::syscall::KernelFact;
use interfaces::{
    CoreCounters, CoreInfo, CoreState, LogPart, SYSTEM, System, SystemClient, SystemError, SystemInfo,
    instance_name,
};
use ipc::Caller;
use rt::LmpPort;
use sys::{Cap, Kernel, Syscall, Syscalls};

use crate::cores::{CoreError, Cores};
use crate::start::FIRST_CORE;

/// How long another core may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the log in one answer.
const LOG_PART: usize = 16 * 1024;

/// The core's own capability, which only this domain holds (K5).
const CORE: Cap<Kernel> = Cap::new(KERNEL);

/// Switches the machine off, or starts it anew. Comes back only when refused.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn power_off(restart: bool, status: u8) -> sys::Result<()> {
    CORE.power_off(restart, status)
}

/// Lets a driver have the console: the kernel's log goes there no longer.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn release_console() -> sys::Result<()> {
    sys::native().call(Syscall::ConsoleRelease, [KERNEL.0, 0, 0, 0, 0, 0, 0]).map(drop)
}

/// The kernel's log from `position` on.
pub(crate) fn log_from(mut position: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(log) = CORE.read_log(position)
        && log.length != 0
    {
        bytes.extend_from_slice(&log.bytes[..log.length]);
        position = log.next;
    }
    bytes
}

/// Where the kernel's log ends now.
pub(crate) fn log_end() -> u64 {
    let mut position = 0;
    while let Ok(log) = CORE.read_log(position)
        && log.length != 0
    {
        position = log.next;
    }
    position
}

/// What is served, on each core.
pub(crate) struct Machine {
    info: SystemInfo,
    /// On the first core, which starts the others.
    cores: Option<Cores>,
}

impl Machine {
    pub(crate) fn new(info: SystemInfo, cores: Option<Cores>) -> Machine {
        Machine { info, cores }
    }
}

/// The same service of another core.
async fn of_core(core: u32) -> Result<SystemClient<LmpPort>, SystemError> {
    let name = instance_name(SYSTEM, core);
    rt::names::connect_async(&name).await.map_err(|_| SystemError::CoreIsSilent)
}

/// What another core, which is up, says of itself, if it does.
async fn ask(core: u32) -> CoreInfo {
    let answer = rt::time::within(PATIENCE, async { of_core(core).await?.core_async().await }).await;
    answer.and_then(Result::ok).unwrap_or(CoreInfo { core, state: CoreState::Silent, counters: None })
}

/// The build's version, as `0.1.0 (abcdef0)`.
pub(crate) fn version() -> String {
    let commit = option_env!("BARRELDISH_COMMIT").unwrap_or("unknown");
    alloc::format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
}

fn own_core() -> u32 {
    rt::start::info().map_or(0, |info| core_of(info.domain))
}

/// What this core has done and has.
fn counters() -> sys::Result<CoreCounters> {
    Ok(CoreCounters {
        up_ms: rt::time::now().since_boot().as_millis() as u64,
        interrupts: CORE.fact(KernelFact::Interrupts)?,
        switches: CORE.fact(KernelFact::Switches)?,
        dispatchers: CORE.fact(KernelFact::Dispatchers)?,
        capabilities: CORE.fact(KernelFact::Capabilities)?,
    })
}

impl System for Machine {
    fn log(&self, _: &Caller, position: u64) -> Result<LogPart, SystemError> {
        let mut part = LogPart { next: position, bytes: Vec::new() };
        while part.bytes.len() < LOG_PART {
            let log = CORE.read_log(part.next).map_err(|_| SystemError::NotAllowed)?;
            part.next = log.next;
            if log.length == 0 {
                break;
            }
            part.bytes.extend_from_slice(&log.bytes[..log.length]);
        }
        Ok(part)
    }

    async fn info(&self, _: &Caller) -> Result<SystemInfo, SystemError> {
        match &self.cores {
            Some(cores) => Ok(SystemInfo { cores: cores.running(), ..self.info.clone() }),
            None => of_core(FIRST_CORE).await?.info_async().await,
        }
    }

    fn core(&self, _: &Caller) -> Result<CoreInfo, SystemError> {
        let counters = counters().map_err(|_| SystemError::NotAllowed)?;
        Ok(CoreInfo { core: own_core(), state: CoreState::Up, counters: Some(counters) })
    }

    async fn cores(&self, caller: &Caller) -> Result<Vec<CoreInfo>, SystemError> {
        let Some(cores) = &self.cores else { return of_core(FIRST_CORE).await?.cores_async().await };
        let mut all = Vec::new();
        for core in 0..cores.count() {
            all.push(match cores.state(core) {
                CoreState::Up if core == own_core() => self.core(caller)?,
                CoreState::Up => ask(core).await,
                state => CoreInfo { core, state, counters: None },
            });
        }
        Ok(all)
    }

    async fn start_core(&self, _: &Caller, core: u32) -> Result<(), SystemError> {
        let Some(cores) = &self.cores else { return of_core(FIRST_CORE).await?.start_core_async(core).await };
        cores.start(core).await.map_err(|error| {
            barreldish::println!("init: core {core}: {error}");
            match error {
                CoreError::NoCore => SystemError::NoSuchCore,
                CoreError::Runs => SystemError::CoreIsUp,
                CoreError::Starting => SystemError::CoreIsStarting,
                CoreError::NoMemory => SystemError::NoMemoryForCore,
                CoreError::Kernel(_) | CoreError::Runtime(_) => SystemError::CoreNotStarted,
                CoreError::Silent => SystemError::CoreIsSilent,
            }
        })
    }

    fn power_off(&self, _: &Caller, status: u8) -> Result<(), SystemError> {
        power_off(false, status).map_err(|_| SystemError::NotSupported)
    }

    fn restart(&self, _: &Caller) -> Result<(), SystemError> {
        power_off(true, 0).map_err(|_| SystemError::NotSupported)
    }
}
