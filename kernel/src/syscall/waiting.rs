//! System calls that give the processor away: send, wait, yield, resume, exit.

use abi::frame::{Area, Cause};
use abi::{Error, ErrorKind};

use super::{Args, DONE, Reply};
use crate::cpu::Core;
use crate::dispatcher::Entry;
use crate::{events, lmp, schedule};

pub(super) fn send(core: &mut Core, a: Args) -> Result<Reply, Error> {
    lmp::send(core, a[0], a[2])?;
    Ok(DONE)
}

pub(super) fn wait(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let m = &mut core.machine;
    if let Some(d) = m.current
        && (m.frame(d).is_some_and(|frame| frame.any_ready()) || a[0] <= m.hardware.now())
    {
        return Ok(DONE);
    }
    schedule::wait(m, a[0]);
    Ok(Reply::Switch)
}

pub(super) fn yield_now(core: &mut Core, _: Args) -> Result<Reply, Error> {
    let m = &mut core.machine;
    if m.run_queue.is_empty() {
        return Ok(DONE);
    }
    schedule::requeue_current(m, Entry::Run(false));
    Ok(Reply::Switch)
}

pub(super) fn resume(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let area = match a[0] {
        0 => Area::Enabled,
        2 => Area::Trap,
        _ => return Err(ErrorKind::BadArgument.into()),
    };
    let m = &mut core.machine;
    let (Some(d), Some(frame)) = (m.current, m.current.and_then(|d| m.frame(d))) else {
        return Ok(Reply::Switch);
    };
    if frame.any_ready() {
        return Ok(DONE);
    }
    frame.load_context(area, &mut core.context);
    frame.set_disabled(false);
    m.dispatcher_mut(d).entry = Entry::Interrupted;
    Ok(Reply::Switch)
}

pub(super) fn exit(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let m = &mut core.machine;
    schedule::account(m);
    if let Some(d) = m.current {
        events::end(m, d, Cause::Exited, a[0], 0, 0);
    }
    Ok(Reply::Switch)
}
