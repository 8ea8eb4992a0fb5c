//! The real world: the services of the system.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Display;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use barreldish::{LmpPort, block_on, time};
use interfaces::{
    ConsoleError, ConsoleMode, CoreInfo, CoreMemory, ExitStatus, LogPart, NameInfo, NamesError, Pid,
    ProcessInfo, SPAWN, SYSTEM, SpawnClient, SpawnError, SystemClient, SystemError,
};
use rt::console::Session;

use crate::capabilities::{self, Capability};
use crate::world::{End, Failure, RunError, Service, World};

type Spawn = SpawnClient<LmpPort>;
type System = SystemClient<LmpPort>;

/// The services that the shell has needed so far.
#[derive(Default)]
pub struct Domain {
    spawn: Option<Arc<Spawn>>,
    system: Option<Arc<System>>,
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
fn connected<C: ipc::Stub<LmpPort>>(place: &mut Option<Arc<C>>, name: &str) -> Result<Arc<C>, Failure> {
    if let Some(client) = place {
        return Ok(client.clone());
    }
    let client = barreldish::connect(name).map_err(|error| format!("no service `{name}`: {error}"))?;
    Ok(place.insert(Arc::new(client)).clone())
}

/// Asks a service. After a failure the next question goes over a new channel.
fn ask<C: ipc::Stub<LmpPort>, R, E: Display>(
    place: &mut Option<Arc<C>>,
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

fn session() -> Result<Arc<Session>, Failure> {
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

    fn run(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[String],
        limit: u64,
    ) -> Result<End, RunError> {
        barreldish::flush();
        let spawn = connected(&mut self.spawn, SPAWN).map_err(RunError::Failed)?;
        let console = session().ok();
        self.raw = false;
        let start = Start { program, arguments, environment, limit };
        let end = block_on(run_in_foreground(&spawn, console.as_deref(), start));
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

    fn services(&mut self) -> Result<Vec<Service>, Failure> {
        let names = rt::names::names().map_err(|error| error.to_string())?;
        let all = names.list().map_err(|error| error.to_string())?;
        // All at once: then those that do not answer take their time once.
        let questions = all.iter().map(|it| Box::pin(names.channels_async(&it.name))).collect();
        let answers = block_on(every(questions));
        let told = all.into_iter().zip(answers).filter(|(_, answer)| !is_gone(answer));
        let service = |(it, answer): (NameInfo, Result<_, NamesError>)| Service {
            name: it.name,
            owner: it.owner,
            channels: answer.map_err(|error| error.to_string()),
        };
        Ok(told.map(service).collect())
    }

    fn cores(&mut self) -> Result<Vec<CoreInfo>, Failure> {
        self.ask_system(System::cores)
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
fn is_gone<T>(answer: &Result<T, NamesError>) -> bool {
    matches!(answer, Err(NamesError::NotFound | NamesError::ServiceGone))
}

/// The results of all futures, in their order.
async fn every<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut done = true;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match Pin::new(future).poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => done = false,
                }
            }
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
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
    limit: u64,
}

/// Runs a program to its end, or to Ctrl-C, which also counts while it is being started.
async fn run_in_foreground(
    spawn: &Spawn,
    console: Option<&Session>,
    start: Start<'_>,
) -> Result<End, SpawnError> {
    let started = Cell::new(None);
    let mut ended = pin!(run(spawn, console, start, &started));
    if let Some(result) = unless(ctrl_c(console), ended.as_mut()).await {
        return result.map(End::Ended);
    }
    // Only what has been started can be ended.
    let beginning = poll_fn(|context| match ended.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if started.get().is_some() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    if let Some(result) = beginning.await {
        return result.map(End::Ended);
    }
    if let Some(pid) = started.get() {
        match spawn.kill_async(pid).await {
            // It may have ended by itself just before.
            Ok(()) | Err(SpawnError::NoProcess) => {}
            Err(error) => return Err(error),
        }
    }
    let status = ended.await?;
    Ok(if status == ExitStatus::Killed { End::Interrupted } else { End::Ended(status) })
}

/// Runs a program to its end, with the console in line mode; tells its number in `started`.
async fn run(
    spawn: &Spawn,
    console: Option<&Session>,
    start: Start<'_>,
    started: &Cell<Option<Pid>>,
) -> Result<ExitStatus, SpawnError> {
    if let Some(console) = console {
        // In raw mode Ctrl-C would be kept for the next line. If the console is gone, the program runs without.
        let _ = console.set_mode_async(ConsoleMode::Line).await;
    }
    let pid = spawn.spawn_async(start.program, start.arguments, start.environment, start.limit).await?;
    started.set(Some(pid));
    spawn.wait_async(pid).await
}

/// Ready when Ctrl-C is typed; never without a console that can tell.
async fn ctrl_c(console: Option<&Session>) {
    let typed = match console {
        Some(console) => console.interrupted_async().await.is_ok(),
        None => false,
    };
    if !typed {
        core::future::pending::<()>().await;
    }
}

/// The result of `work`, unless `event` comes first; then `work` is left as it is. `event` is polled first: what it
/// asks for is asked before what `work` asks for.
async fn unless<T>(
    event: impl Future<Output = ()>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut event = pin!(event);
    poll_fn(|context| {
        if event.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::{pending, ready};
    use core::task::{Context, Waker};

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_event_goes_before_the_work_that_it_stops() {
        assert_eq!(poll(unless(pending(), pin!(ready(1)))), Poll::Ready(Some(1)));
        assert_eq!(poll(unless(ready(()), pin!(ready(1)))), Poll::Ready(None));
        assert_eq!(poll(unless(pending(), pin!(pending::<i32>()))), Poll::Pending);
    }

    #[test]
    fn every_result_comes_in_its_place() {
        let slow = Cell::new(2);
        let later = poll_fn(|_| match slow.replace(slow.get() - 1) {
            0 => Poll::Ready(1),
            _ => Poll::Pending,
        });
        let mut all =
            pin!(every(vec![Box::pin(later) as Pin<Box<dyn Future<Output = i32>>>, Box::pin(ready(2))]));
        assert_eq!(poll(all.as_mut()), Poll::Pending);
        assert_eq!(poll(all.as_mut()), Poll::Pending);
        assert_eq!(poll(all.as_mut()), Poll::Ready(vec![1, 2]));
        assert_eq!(poll(every(Vec::<core::future::Ready<()>>::new())), Poll::Ready(vec![]));
    }

    #[test]
    fn an_event_is_asked_for_before_the_work_begins() {
        let order = Cell::new(0);
        let event = poll_fn(|_| {
            order.set(1);
            Poll::Pending
        });
        let work = pin!(async { order.get() });
        assert_eq!(poll(unless(event, work)), Poll::Ready(Some(1)));
    }
}
