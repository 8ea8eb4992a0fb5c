//! Programs that the shell starts, and those that run in the foreground: to their end, or to Ctrl-C.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use barreldish::LmpPort;
use interfaces::{ConsoleMode, ExitStatus, Pid, SpawnClient, SpawnError};
use rt::console::Session;

use crate::cores::{PATIENCE, Trouble, in_time};
use crate::world::{End, Program};

/// How long a program may take to start: a large one has much memory to be zeroed.
const START_PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Spawn = SpawnClient<LmpPort>;
type Outcome<T> = Result<T, Trouble<SpawnError>>;

/// Starts a program.
pub(crate) async fn start(spawn: &Spawn, it: &Program<'_>) -> Outcome<Pid> {
    let started = spawn.spawn_async(it.name, it.arguments, it.environment, it.limit);
    in_time(START_PATIENCE, async { Ok(started.await?) }).await
}

/// Runs a program to its end, or to Ctrl-C, which also counts while it is being started.
pub(crate) async fn run_in_foreground(
    spawn: &Spawn,
    console: Option<&Session>,
    program: &Program<'_>,
) -> Outcome<End> {
    let started = Cell::new(None);
    let mut ended = pin!(run(spawn, console, program, &started));
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
    let status = in_time(START_PATIENCE, async {
        if let Some(pid) = started.get() {
            match kill(spawn, pid).await {
                // It may have ended by itself just before.
                Ok(()) | Err(Trouble::Refused(SpawnError::NoProcess)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        ended.await
    });
    let status = status.await?;
    Ok(if status == ExitStatus::Killed { End::Interrupted } else { End::Ended(status) })
}

/// Ends a process.
async fn kill(spawn: &Spawn, pid: Pid) -> Outcome<()> {
    in_time(PATIENCE, async { Ok(spawn.kill_async(pid).await?) }).await
}

/// Runs a program to its end, with the console in line mode; tells its number in `started`.
async fn run(
    spawn: &Spawn,
    console: Option<&Session>,
    program: &Program<'_>,
    started: &Cell<Option<Pid>>,
) -> Outcome<ExitStatus> {
    if let Some(console) = console {
        // In raw mode Ctrl-C would be kept for the next line. If the console is gone, the program runs without.
        let _ = console.set_mode_async(ConsoleMode::Line).await;
    }
    let pid = start(spawn, program).await?;
    started.set(Some(pid));
    Ok(spawn.wait_async(pid).await?)
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
