//! The real world: the services of the system.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use barreldish::{LmpPort, block_on, time};
use interfaces::{
    ConsoleError, ConsoleMode, CoreMemory, ExitStatus, LogPart, Pid, ProcessInfo, SPAWN, SYSTEM, SpawnClient,
    SpawnError, SystemClient, SystemError, SystemInfo,
};
use rt::console::Session;

use crate::capabilities::{self, Capability};
use crate::world::{End, Failure, RunError, World};

type Spawn = SpawnClient<LmpPort>;
type System = SystemClient<LmpPort>;

/// The services that the shell has needed so far.
#[derive(Default)]
pub struct Domain {
    spawn: Option<Rc<Spawn>>,
    system: Option<Rc<System>>,
    /// The session is in raw mode.
    raw: bool,
}

impl Domain {
    fn ask_spawn<R>(&mut self, call: impl FnOnce(&Spawn) -> Result<R, SpawnError>) -> Result<R, Failure> {
        ask(&mut self.spawn, SPAWN, call)
    }

    fn ask_system<R>(&mut self, call: impl FnOnce(&System) -> Result<R, SystemError>) -> Result<R, Failure> {
        ask(&mut self.system, SYSTEM, call)
    }

    /// Keys come as they are typed from now on.
    fn become_raw(&mut self, console: &Session) -> Result<(), Failure> {
        if !self.raw {
            console.set_mode(ConsoleMode::Raw).map_err(console_failure)?;
            self.raw = true;
        }
        Ok(())
    }
}

/// The client in `place`, connected first if there is none.
fn connected<C: ipc::Stub<LmpPort>>(place: &mut Option<Rc<C>>, name: &str) -> Result<Rc<C>, Failure> {
    if let Some(client) = place {
        return Ok(client.clone());
    }
    let client = barreldish::connect(name).map_err(|error| format!("no service `{name}`: {error}"))?;
    Ok(place.insert(Rc::new(client)).clone())
}

/// Asks a service. After a failure the next question goes over a new channel.
fn ask<C: ipc::Stub<LmpPort>, R, E: Display>(
    place: &mut Option<Rc<C>>,
    name: &str,
    call: impl FnOnce(&C) -> Result<R, E>,
) -> Result<R, Failure> {
    let answer = call(&*connected(place, name)?);
    answer.map_err(|error| {
        *place = None;
        error.to_string()
    })
}

fn console_failure(error: ConsoleError) -> Failure {
    format!("console: {error}")
}

fn session() -> Result<Rc<Session>, Failure> {
    rt::console::session().map_err(|error| format!("no console: {error}"))
}

impl World for Domain {
    fn read(&mut self) -> Result<Vec<u8>, Failure> {
        self.become_raw(&*session()?)?;
        barreldish::input::read().map_err(|error| error.to_string())
    }

    fn print(&mut self, text: &str) {
        barreldish::print!("{text}");
    }

    fn run(&mut self, program: &str, arguments: &[String], environment: &[String]) -> Result<End, RunError> {
        barreldish::flush();
        let spawn = connected(&mut self.spawn, SPAWN).map_err(RunError::Failed)?;
        let console = session().ok();
        let interrupt = ctrl_c(console.as_deref());
        if let Some(console) = &console {
            // In raw mode Ctrl-C would be kept for the next line. If the console is gone, the program runs without.
            self.raw = console.set_mode(ConsoleMode::Line).is_err() && self.raw;
        }
        let start = Start { program, arguments, environment };
        let end = block_on(run_in_foreground(&spawn, start, interrupt));
        if let Err(SpawnError::Call(_)) = end {
            self.spawn = None;
        }
        end.map_err(run_error)
    }

    fn programs(&mut self) -> Vec<String> {
        let names = self.ask_spawn(Spawn::programs);
        names.unwrap_or_default()
    }

    fn processes(&mut self) -> Result<Vec<ProcessInfo>, Failure> {
        self.ask_spawn(Spawn::list)
    }

    fn memory(&mut self) -> Result<Vec<CoreMemory>, Failure> {
        let service = rt::names::memory_service().map_err(|error| error.to_string())?;
        service.status().map_err(|error| error.to_string())
    }

    fn info(&mut self) -> Result<SystemInfo, Failure> {
        self.ask_system(System::info)
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

fn run_error(error: SpawnError) -> RunError {
    match error {
        SpawnError::NotFound => RunError::NotFound,
        SpawnError::BadProgram => RunError::NotRunnable(error.to_string()),
        _ => RunError::Failed(error.to_string()),
    }
}

/// What is to be started.
struct Start<'a> {
    program: &'a str,
    arguments: &'a [String],
    environment: &'a [String],
}

/// Runs a program to its end, or to Ctrl-C.
async fn run_in_foreground(
    spawn: &Spawn,
    start: Start<'_>,
    interrupt: impl Future<Output = ()>,
) -> Result<End, SpawnError> {
    let mut interrupted = pin!(interrupt);
    let pid = spawn.spawn_async(start.program, start.arguments, start.environment).await?;
    let mut ended = pin!(spawn.wait_async(pid));
    match either(ended.as_mut(), interrupted.as_mut()).await {
        First::Ended(status) => status.map(End::Ended),
        First::Interrupted => {
            let status = kill(spawn, pid, ended).await?;
            Ok(if status == ExitStatus::Killed { End::Interrupted } else { End::Ended(status) })
        }
    }
}

/// Ends a program; it may have ended by itself just before.
async fn kill(
    spawn: &Spawn,
    pid: Pid,
    ended: impl Future<Output = Result<ExitStatus, SpawnError>>,
) -> Result<ExitStatus, SpawnError> {
    match spawn.kill_async(pid).await {
        Ok(()) | Err(SpawnError::NoProcess) => ended.await,
        Err(error) => Err(error),
    }
}

/// Ready when Ctrl-C is typed from this call on; never without a console that can tell.
fn ctrl_c(console: Option<&Session>) -> impl Future<Output = ()> + use<> {
    // Asked here, not when the future is polled: Ctrl-C also counts while the program is being started.
    let typed = console.map(Session::interrupted_async);
    async {
        let told = match typed {
            Some(typed) => typed.await.is_ok(),
            None => false,
        };
        if !told {
            core::future::pending::<()>().await;
        }
    }
}

/// What came first.
enum First<T> {
    Ended(T),
    Interrupted,
}

async fn either<T>(
    mut ended: Pin<&mut impl Future<Output = T>>,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> First<T> {
    poll_fn(|context| {
        if let Poll::Ready(value) = ended.as_mut().poll(context) {
            return Poll::Ready(First::Ended(value));
        }
        interrupted.as_mut().poll(context).map(|()| First::Interrupted)
    })
    .await
}
