//! A call and its reply of a whole packet between two domains on one core, through the generated stubs.

use barreldish::process::Processes;

use crate::counters;
use crate::{Outcome, failed, report};

/// Argument with which the program serves instead of measuring.
pub(crate) const ECHO: &str = "echo-server";
const SERVICE: &str = "bench-echo";

/// Gives back what it gets: seven words, a whole packet each way.
#[ipc::interface]
pub(crate) trait Echo {
    /// The words, the first two of them exchanged.
    fn echo(&self, words: [u64; 7]) -> [u64; 7];
    /// Ends the server.
    fn stop(&self);
}

struct Server;

impl Echo for Server {
    fn echo(&self, _: &ipc::Caller, words: [u64; 7]) -> [u64; 7] {
        let [a, b, c, d, e, f, g] = words;
        [b, a, c, d, e, f, g]
    }
    fn stop(&self, _: &ipc::Caller) {
        barreldish::exit(0)
    }
}

/// Serves until it is told to stop.
pub(crate) fn serve() -> Outcome {
    barreldish::serve(SERVICE, EchoServer::new(Server)).map_err(failed("serving"))?;
    barreldish::run()
}

pub(crate) fn measure() -> Outcome {
    let processes = Processes::connect().map_err(failed("the spawn service"))?;
    let child = processes.spawn("bench", &[ECHO]).map_err(failed("starting the server"))?;
    let echo: EchoClient<_> =
        barreldish::block_on(barreldish::connect_when_there(SERVICE)).map_err(failed("connecting"))?;
    let mut right = true;
    let cost = counters::least(32, || {
        right &= matches!(echo.echo([1, 2, 3, 4, 5, 6, 7]), Ok([2, 1, 3, 4, 5, 6, 7]));
    });
    let _ = echo.stop();
    child.wait().map_err(failed("the server's end"))?;
    if !right {
        return Err("the server answered something else".into());
    }
    // Elsewhere nothing counts the kernel's part.
    if counters::count_instructions() {
        report("lmp_call_reply_kernel", cost.kernel);
    }
    report("rpc_round_trip", cost.all);
    Ok(())
}
