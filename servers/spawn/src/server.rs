//! The server over the table of processes.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::fmt;

use abi::Rights;
use abi::frame::{Cause, State};
use abi::layout::SELF_DISPATCHER;
use domain::servers::spawn::{EXTRA_CORE, EXTRA_KIB, EXTRA_MODULES, MODULES, PARTS, dispatcher};
use domain::servers::{ATTACH, FIRST_PROCESS, SPAWN_DOMAIN};
use interfaces::{
    ExitStatus, MemoryClient, Pid, ProcessInfo, ProcessState, SPAWN, ServiceClient, Spawn, SpawnError,
    SpawnServer,
};
use ipc::{Caller, Reply};
use rt::{LmpPort, Notify, RtError};
use sys::{Cap, Dispatcher, DispatcherInfo, Frame};

use crate::birth::{Birth, Held};
use crate::program::{exists, names, prepare};
use crate::table::Table;

/// Why the service cannot start.
#[derive(Debug)]
pub struct StartError(RtError);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for StartError {}

impl From<RtError> for StartError {
    fn from(error: RtError) -> StartError {
        StartError(error)
    }
}

/// Serves processes for ever.
///
/// # Errors
/// [`StartError`]; afterwards nothing can fail.
pub fn serve() -> Result<core::convert::Infallible, StartError> {
    rt::console::use_log();
    let info = rt::start::info().ok_or(RtError::NotAvailable)?;
    let shared = Shared {
        table: RefCell::new(Table::new(FIRST_PROCESS)),
        modules: map_modules(info.extra[EXTRA_MODULES])?,
        core: info.extra[EXTRA_CORE] as u32,
        part_kib: core::array::from_fn(|index| info.extra[EXTRA_KIB + index]),
        memory: rt::names::connect(rt::names::MEMORY)?,
        attach: rt::names::connect(ATTACH)?,
    };
    rt::names::serve(SPAWN, SpawnServer::new(Spawner(Rc::new(shared))))?;
    rt::run()
}

/// The boot modules, mapped for good.
fn map_modules(bytes: u64) -> Result<&'static [u8], RtError> {
    let window = rt::vspace::map(Cap::<Frame>::new(MODULES), 0, bytes, Rights::READ)?;
    let start = window.pointer();
    core::mem::forget(window);
    // SAFETY: the window shows at least `bytes` bytes, for ever since it was forgotten; nobody can write the modules: the
    // kernel gave `init` their frame, and only readable copies went on from there.
    Ok(unsafe { core::slice::from_raw_parts(start, bytes as usize) })
}

pub(crate) type Waiting = Reply<Result<ExitStatus, SpawnError>>;

struct Shared {
    table: RefCell<Table<Held, Waiting>>,
    modules: &'static [u8],
    core: u32,
    /// What the parts of the system take.
    part_kib: [u64; PARTS.len()],
    memory: MemoryClient<LmpPort>,
    attach: ServiceClient<LmpPort>,
}

/// The service, shared by requests and watchers.
#[derive(Clone)]
pub(crate) struct Spawner(Rc<Shared>);

impl Spawner {
    pub(crate) fn table(&self) -> RefMut<'_, Table<Held, Waiting>> {
        self.0.table.borrow_mut()
    }

    pub(crate) fn memory(&self) -> &MemoryClient<LmpPort> {
        &self.0.memory
    }

    pub(crate) fn attach(&self) -> &ServiceClient<LmpPort> {
        &self.0.attach
    }

    /// Whether somebody wanted the process ended while it was being made.
    pub(crate) fn is_doomed(&self, pid: Pid) -> bool {
        self.table().get_mut(pid).is_ok_and(|process| process.doomed)
    }

    /// The making of a process was stopped.
    pub(crate) fn never_was(&self, pid: Pid) {
        let waiting = self.table().abandon(pid);
        answer_all(waiting, Err(SpawnError::NoProcess));
    }

    async fn make(
        &self,
        name: &str,
        arguments: &[String],
        environment: &[String],
    ) -> Result<Pid, SpawnError> {
        let program = prepare(self.0.modules, name, arguments, environment).inspect_err(|refusal| {
            if SpawnError::from(*refusal) == SpawnError::BadProgram {
                barreldish::println!("spawn: {name}: {refusal}");
            }
        })?;
        let ended = Notify::new().map_err(|_| SpawnError::Exhausted)?;
        let mut birth = Birth::begin(self, name, program.plan.bytes())?;
        birth.build(&program, &ended).await?;
        birth.attach().await?;
        let pid = birth.start()?;
        self.watch(pid, ended);
        Ok(pid)
    }

    /// Waits for the end of a process in a task of its own.
    fn watch(&self, pid: Pid, ended: Notify) {
        let spawner = self.clone();
        rt::spawn(async move {
            ended.wait().await;
            spawner.finish(pid);
        });
    }

    /// A process has ended: its memory first, then those who wait.
    fn finish(&self, pid: Pid) {
        let child = self.table().get_mut(pid).ok().and_then(|process| dispatcher_of(process.child.as_ref()));
        let status = child.map_or(ExitStatus::Killed, |dispatcher| status(dispatcher.info().ok()));
        let (process, waiting) = self.table().ended(pid, status);
        if let Some(held) = process.and_then(|process| process.child) {
            held.bury();
        }
        answer_all(waiting, Ok(status));
    }

    fn parts(&self) -> impl Iterator<Item = ProcessInfo> {
        PARTS.iter().enumerate().map(|(index, &(pid, name))| ProcessInfo {
            pid,
            core: self.0.core,
            state: state(Some(part(index))),
            memory_kib: self.0.part_kib[index],
            name: name.into(),
        })
    }
}

/// The dispatcher of one of [`PARTS`].
fn part(index: usize) -> Cap<Dispatcher> {
    let own = PARTS[index].0 == SPAWN_DOMAIN;
    Cap::new(if own { SELF_DISPATCHER } else { dispatcher(index as u64) })
}

fn dispatcher_of(held: Option<&Held>) -> Option<Cap<Dispatcher>> {
    held.map(|held| held.child().dispatcher())
}

fn answer_all(waiting: Vec<Waiting>, answer: Result<ExitStatus, SpawnError>) {
    for reply in waiting {
        // Whoever gave up needs no answer.
        let _ = reply.send(&answer);
    }
}

/// How a dispatcher ended. One that nobody can ask any more was taken away from outside.
fn status(info: Option<DispatcherInfo>) -> ExitStatus {
    match info {
        Some(info) if info.cause == Cause::Exited as u8 => {
            ExitStatus::Exited { code: info.code as u32 as i32 }
        }
        Some(info) if info.cause == Cause::Faulted as u8 => {
            ExitStatus::Faulted { address: info.code, pc: info.pc }
        }
        _ => ExitStatus::Killed,
    }
}

/// What a dispatcher is doing; none while it is being made.
fn state(dispatcher: Option<Cap<Dispatcher>>) -> ProcessState {
    let Some(dispatcher) = dispatcher else { return ProcessState::Starting };
    match dispatcher.info().map(|info| info.state) {
        Ok(state) if state == State::Fresh as u8 => ProcessState::Starting,
        Ok(state) if state == State::Ready as u8 => ProcessState::Ready,
        Ok(state) if state == State::Waiting as u8 => ProcessState::Waiting,
        _ => ProcessState::Ended,
    }
}

impl Spawn for Spawner {
    async fn spawn(
        &self,
        _: &Caller,
        program: String,
        arguments: Vec<String>,
        environment: Vec<String>,
    ) -> Result<Pid, SpawnError> {
        self.make(&program, &arguments, &environment).await
    }

    fn wait(&self, _: &Caller, pid: Pid, reply: Waiting) {
        let kept = self.table().wait(pid, reply);
        if let Err((reply, answer)) = kept {
            let _ = reply.send(&answer);
        }
    }

    fn list(&self, _: &Caller) -> Result<Vec<ProcessInfo>, SpawnError> {
        let table = self.table();
        let processes = table.living().map(|(pid, process)| ProcessInfo {
            pid,
            core: self.0.core,
            state: state(dispatcher_of(process.child.as_ref())),
            memory_kib: process.bytes / 1024,
            name: process.name.clone(),
        });
        Ok(self.parts().chain(processes).collect())
    }

    async fn exists(&self, _: &Caller, program: String) -> Result<bool, SpawnError> {
        Ok(exists(self.0.modules, &program)?)
    }

    fn programs(&self, _: &Caller) -> Result<Vec<String>, SpawnError> {
        Ok(names(self.0.modules)?)
    }

    async fn kill(&self, _: &Caller, pid: Pid) -> Result<(), SpawnError> {
        if pid < FIRST_PROCESS {
            let part = PARTS.iter().any(|&(part, _)| part == pid);
            return Err(if part { SpawnError::NotAllowed } else { SpawnError::NoProcess });
        }
        let mut table = self.table();
        let process = table.get_mut(pid)?;
        process.doomed = true;
        let dispatcher = dispatcher_of(process.child.as_ref());
        drop(table);
        // One that has ended by itself meanwhile cannot be stopped, and need not be.
        dispatcher.map_or(Ok(()), |dispatcher| dispatcher.stop().or(Ok(())))
    }

    fn client_gone(&self, _: &Caller) {
        self.table().keep_waiters(Reply::is_wanted);
    }
}
