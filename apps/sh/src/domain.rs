//! The real world: the services of the system.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Display;
use core::time::Duration;

use abi::domain::core_of;
use barreldish::{LmpPort, block_on, time};
use interfaces::{
    ConsoleError, ConsoleMode, CoreInfo, CoreMemory, CoreState, LogPart, MemoryClient, NameInfo, NamesError,
    Pid, ProcessInfo, SPAWN, SYSTEM, SpawnError, SystemClient, SystemError,
};
use rt::console::Session;
use rt::names::MEMORY;

use crate::capabilities::{self, Capability};
use crate::cores::{ByCore, Instances, PATIENCE, Trouble};
use crate::programs::{Spawn, run_in_foreground, start};
use crate::world::{End, Failure, Program, RunError, Service, World};

type System = SystemClient<LmpPort>;

/// How long the system service may take to ask all cores.
const ALL_CORES: Duration = Duration::from_secs(40);

/// The services that the shell has needed so far.
pub struct Domain {
    spawn: Instances<Spawn>,
    memory: Instances<MemoryClient<LmpPort>>,
    system: Option<Arc<System>>,
    /// The session is in raw mode.
    raw: bool,
}

impl Default for Domain {
    fn default() -> Domain {
        Domain { spawn: Instances::of(SPAWN), memory: Instances::of(MEMORY), system: None, raw: false }
    }
}

impl Domain {
    fn system(&mut self) -> Result<Arc<System>, Failure> {
        if let Some(client) = &self.system {
            return Ok(client.clone());
        }
        let client =
            barreldish::connect(SYSTEM).map_err(|error| format!("no service `{SYSTEM}`: {error}"))?;
        Ok(self.system.insert(Arc::new(client)).clone())
    }

    /// Asks the system service. After a failure the next question goes over a new channel.
    fn ask_system<R>(&mut self, call: impl FnOnce(&System) -> Result<R, SystemError>) -> Result<R, Failure> {
        let answer = call(&*self.system()?);
        answer.map_err(|error| {
            self.system = None;
            error.to_string()
        })
    }

    /// Keys come as they are typed from now on.
    fn become_raw(&mut self, console: &Session) -> Result<(), Failure> {
        if !self.raw {
            console.set_mode(ConsoleMode::Raw).map_err(console_failure)?;
            self.raw = true;
        }
        Ok(())
    }

    /// Does something with the spawn service of the core where a program is to run.
    fn launch<T>(
        &mut self,
        core: Option<u32>,
        with: impl AsyncFnOnce(&Spawn) -> Result<T, Trouble<SpawnError>>,
    ) -> Result<T, RunError> {
        barreldish::flush();
        let core = core.unwrap_or_else(own_core);
        let done = block_on(async {
            let spawn = self.spawn.on(core).await?;
            with(&spawn).await
        });
        done.map_err(|trouble| {
            if trouble.is_of_channel() {
                self.spawn.forget(core);
            }
            match trouble {
                Trouble::Absent => RunError::NoCore(self.why_absent(core)),
                Trouble::Refused(SpawnError::NotFound) => RunError::NotFound,
                Trouble::Refused(SpawnError::BadProgram) => {
                    RunError::NotRunnable(SpawnError::BadProgram.to_string())
                }
                Trouble::Refused(error) => RunError::Failed(error.to_string()),
                trouble => RunError::NoCore(trouble.to_string()),
            }
        })
    }

    /// Why a core has no services.
    fn why_absent(&mut self, core: u32) -> Failure {
        let cores = self.cores().unwrap_or_default();
        match cores.iter().find(|it| it.core == core).map(|it| it.state) {
            None => "the machine has no core of this number".into(),
            Some(CoreState::Off) => format!("it is off; `cores up {core}` starts it"),
            Some(CoreState::Starting) => "it is being started".into(),
            Some(CoreState::Up | CoreState::Silent) => "it does not answer".into(),
        }
    }
}

fn own_core() -> u32 {
    core_of(own_pid())
}

fn own_pid() -> Pid {
    rt::start::info().map_or(0, |info| info.domain)
}

fn console_failure(error: ConsoleError) -> Failure {
    format!("console: {error}")
}

fn session() -> Result<Arc<Session>, Failure> {
    rt::console::session().map_err(|error| format!("no console: {error}"))
}

/// What a service answers in time.
async fn answered<T, E: Display>(
    time: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let answer = time::within(time, answer).await.ok_or("the service does not answer")?;
    answer.map_err(|error| error.to_string())
}

impl World for Domain {
    fn read(&mut self) -> Result<Vec<u8>, Failure> {
        self.become_raw(&*session()?)?;
        barreldish::input::read().map_err(|error| error.to_string())
    }

    fn print(&mut self, text: &str) {
        barreldish::print!("{text}");
    }

    fn run(&mut self, program: &Program<'_>) -> Result<End, RunError> {
        let console = session().ok();
        self.raw = false;
        let run = async |spawn: &Spawn| run_in_foreground(spawn, console.as_deref(), program).await;
        self.launch(program.core, run)
    }

    fn start(&mut self, program: &Program<'_>) -> Result<Pid, RunError> {
        self.launch(program.core, async |spawn: &Spawn| start(spawn, program).await)
    }

    fn kill(&mut self, pid: Pid) -> Result<(), Failure> {
        let killed =
            block_on(self.spawn.ask(core_of(pid), async |spawn: &Spawn| spawn.kill_async(pid).await));
        killed.map_err(|trouble| match trouble {
            // Nothing runs there.
            Trouble::Absent => SpawnError::NoProcess.to_string(),
            Trouble::Silent => format!("core {} does not answer", core_of(pid)),
            trouble => trouble.to_string(),
        })
    }

    fn pid(&self) -> Pid {
        own_pid()
    }

    fn programs(&mut self) -> Vec<String> {
        let asked = self.spawn.ask(own_core(), async |spawn: &Spawn| spawn.programs_async().await);
        block_on(asked).unwrap_or_default()
    }

    fn processes(&mut self) -> Result<ByCore<Vec<ProcessInfo>>, Failure> {
        block_on(self.spawn.ask_all(async |spawn: &Spawn| spawn.list_async().await))
    }

    fn memory(&mut self) -> Result<ByCore<Vec<CoreMemory>>, Failure> {
        // The runtime has a channel to that of its core.
        if let Ok(own) = rt::names::memory_service() {
            self.memory.know(own_core(), own);
        }
        block_on(self.memory.ask_all(async |memory: &MemoryClient<LmpPort>| memory.status_async().await))
    }

    fn services(&mut self) -> Result<Vec<Service>, Failure> {
        let names = rt::names::names().map_err(|error| error.to_string())?;
        let all = block_on(answered(PATIENCE, names.list_async()))?;
        // All at once: then those that do not answer take their time once.
        let ask = |it: &NameInfo| {
            let (names, name) = (names.clone(), it.name.clone());
            async move { time::within(PATIENCE, names.channels_async(&name)).await }
        };
        let answers = block_on(rt::join_all(all.iter().map(|it| Box::pin(ask(it))).collect()));
        let told = all.into_iter().zip(answers).filter(|(_, answer)| !is_gone(answer));
        let service = |(it, answer): (NameInfo, Option<Result<_, NamesError>>)| Service {
            name: it.name,
            owner: it.owner,
            channels: answer.unwrap_or(Err(NamesError::Silent)).map_err(|error| error.to_string()),
        };
        Ok(told.map(service).collect())
    }

    fn cores(&mut self) -> Result<Vec<CoreInfo>, Failure> {
        let system = self.system()?;
        let answer = block_on(answered(ALL_CORES, system.cores_async()));
        answer.inspect_err(|_| self.system = None)
    }

    fn start_core(&mut self, core: u32) -> Result<(), Failure> {
        self.ask_system(|system| system.start_core(core))
    }

    fn log(&mut self, position: u64) -> Result<LogPart, Failure> {
        self.ask_system(|system| system.log(position))
    }

    fn power_off(&mut self, status: u8) -> Result<(), Failure> {
        barreldish::flush();
        self.ask_system(|system| system.power_off(status))
    }

    fn restart(&mut self) -> Result<(), Failure> {
        barreldish::flush();
        self.ask_system(System::restart)
    }

    fn uptime(&self) -> Duration {
        time::now().since_boot()
    }

    fn capabilities(&self) -> Vec<Capability> {
        capabilities::own()
    }
}

/// Whether the service has ended since it was listed.
fn is_gone<T>(answer: &Option<Result<T, NamesError>>) -> bool {
    matches!(answer, Some(Err(NamesError::NotFound | NamesError::ServiceGone)))
}
