//! The server over the table of processes.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::fmt;

use abi::Rights;
use abi::domain::{Role, core_of, is_program};
use abi::frame::{Cause, State};
use abi::layout::SELF_DISPATCHER;
use domain::servers::spawn::{EXTRA_CORE, EXTRA_INIT_KIB, EXTRA_MEM_KIB, EXTRA_MODULES, MODULES, dispatcher};
use domain::servers::{ATTACH, MEMORY_ACCOUNTS};
use interfaces::{
    AccountsClient, ExitStatus, Inherited, Pid, ProcessInfo, ProcessState, SPAWN, ServiceClient, Spawn,
    SpawnClient, SpawnError, SpawnServer, instance_name,
};
use ipc::{Caller, Reply};
use rt::{LmpPort, Notify, RtError};
use sys::{Cap, Dispatcher, DispatcherInfo, Frame};

use crate::birth::{Birth, Held, Roots, no_memory};
use crate::program::{exists, names, prepare};
use crate::table::{Heritage, Process, Table};

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
    let core = info.extra[EXTRA_CORE] as u32;
    let shared = Shared {
        table: RefCell::new(Table::new(core)),
        roots: Roots::reserve()?,
        modules: map_modules(info.extra[EXTRA_MODULES])?,
        core,
        made_kib: [(Role::Init, info.extra[EXTRA_INIT_KIB]), (Role::Mem, info.extra[EXTRA_MEM_KIB])],
        accounts: rt::names::connect(MEMORY_ACCOUNTS)?,
        attach: rt::names::connect(ATTACH)?,
    };
    rt::names::serve_on_core(SPAWN, SpawnServer::new(Spawner(Rc::new(shared))))?;
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
    roots: Roots,
    modules: &'static [u8],
    core: u32,
    /// KiB of which those parts of the system are made that were there before there were accounts.
    made_kib: [(Role, u64); 2],
    accounts: AccountsClient<LmpPort>,
    attach: ServiceClient<LmpPort>,
}

/// The service, shared by requests and watchers.
#[derive(Clone)]
pub(crate) struct Spawner(Rc<Shared>);

impl Spawner {
    pub(crate) fn table(&self) -> RefMut<'_, Table<Held, Waiting>> {
        self.0.table.borrow_mut()
    }

    pub(crate) fn accounts(&self) -> &AccountsClient<LmpPort> {
        &self.0.accounts
    }

    pub(crate) fn roots(&self) -> Roots {
        self.0.roots
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
        self.close_account(pid);
    }

    /// Has the memory server forget a process, in a task of its own: nobody waits for that.
    fn close_account(&self, pid: Pid) {
        let spawner = self.clone();
        rt::spawn(async move {
            // It fails only if there is no memory server any more.
            let _ = spawner.accounts().forget_async(pid).await;
        });
    }

    /// What is inherited by what `starter` starts here.
    async fn heritage(&self, starter: Pid) -> Result<Heritage, SpawnError> {
        let core = core_of(starter);
        if core == self.0.core || !is_program(starter) {
            return self.table().heritage(starter);
        }
        let name = instance_name(SPAWN, core);
        let other = rt::names::connect_async::<SpawnClient<LmpPort>>(&name).await;
        let inherited = other.map_err(|_| SpawnError::Unreachable)?.heritage_async(starter).await?;
        let limit = (inherited.limit != 0).then_some(inherited.limit);
        Ok(Heritage { limit, ancestors: inherited.ancestors })
    }

    async fn make(
        &self,
        heritage: Heritage,
        name: &str,
        arguments: &[String],
        environment: &[String],
        limit: u64,
    ) -> Result<Pid, SpawnError> {
        let program = prepare(self.0.modules, name, arguments, environment).inspect_err(|refusal| {
            if SpawnError::from(*refusal) == SpawnError::BadProgram {
                barreldish::println!("spawn: {name}: {refusal}");
            }
        })?;
        let ended = Notify::new().map_err(|_| SpawnError::Exhausted)?;
        let mut birth = Birth::begin(self, heritage, name, limit)?;
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
            spawner.finish(pid).await;
        });
    }

    /// From now on the process does not start, if it has not: its dispatcher, to be stopped, if it has.
    fn doom(&self, domain: Pid, pid: Pid) -> Result<Option<Cap<Dispatcher>>, SpawnError> {
        let mut table = self.table();
        table.check_authority(domain, pid)?;
        let process = table.get_mut(pid)?;
        process.doomed = true;
        Ok(dispatcher_of(process.child.as_ref()))
    }

    /// A process has ended: first what it was made of and what it had, then those who wait.
    async fn finish(&self, pid: Pid) {
        let Some(held) = self.table().ending(pid) else { return };
        let status = status(held.child().dispatcher().info().ok());
        held.bury();
        // It fails only if there is no memory server any more.
        let _ = self.accounts().forget_async(pid).await;
        let waiting = self.table().ended(pid, status);
        answer_all(waiting, Ok(status));
    }

    fn parts(&self) -> impl Iterator<Item = ProcessInfo> {
        let core = self.0.core;
        let made_kib = |role| self.0.made_kib.iter().find(|made| made.0 == role).map_or(0, |made| made.1);
        Role::ALL.into_iter().filter(move |role| role.runs_on(core)).map(move |role| ProcessInfo {
            pid: role.on(core),
            core,
            state: state(Some(part(role))),
            memory_kib: made_kib(role),
            name: role.name().into(),
        })
    }

    /// All that there are, without what the memory server accounts for.
    fn snapshot(&self) -> Vec<ProcessInfo> {
        let table = self.table();
        let processes = table.living().map(|(pid, process)| ProcessInfo {
            pid,
            core: self.0.core,
            state: state_of(process),
            memory_kib: 0,
            name: process.name.clone(),
        });
        self.parts().chain(processes).collect()
    }
}

fn state_of(process: &Process<Held>) -> ProcessState {
    if process.ended { ProcessState::Ended } else { state(dispatcher_of(process.child.as_ref())) }
}

/// The dispatcher of a part of the system on this core.
fn part(role: Role) -> Cap<Dispatcher> {
    Cap::new(if role == Role::Spawn { SELF_DISPATCHER } else { dispatcher(role) })
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
        caller: &Caller,
        program: String,
        arguments: Vec<String>,
        environment: Vec<String>,
        limit: u64,
    ) -> Result<Pid, SpawnError> {
        let heritage = self.heritage(caller.domain).await?;
        self.make(heritage, &program, &arguments, &environment, limit).await
    }

    fn wait(&self, caller: &Caller, pid: Pid, reply: Waiting) {
        let mut kept = self.table().wait(caller.domain, pid, reply);
        if let Err((reply, Err(SpawnError::TooManyWaits))) = kept {
            // Some may have been given up.
            self.table().keep_waiters(Reply::is_wanted);
            kept = self.table().wait(caller.domain, pid, reply);
        }
        if let Err((reply, answer)) = kept {
            let _ = reply.send(&answer);
        }
    }

    async fn list(&self, _: &Caller) -> Result<Vec<ProcessInfo>, SpawnError> {
        let mut all = self.snapshot();
        let pids: Vec<Pid> = all.iter().map(|process| process.pid).collect();
        let accounts = self.accounts().accounts_async(&pids).await.map_err(no_memory)?;
        for (process, account) in all.iter_mut().zip(accounts) {
            process.memory_kib += account.used / 1024;
        }
        Ok(all)
    }

    async fn exists(&self, _: &Caller, program: String) -> Result<bool, SpawnError> {
        Ok(exists(self.0.modules, &program)?)
    }

    fn programs(&self, _: &Caller) -> Result<Vec<String>, SpawnError> {
        Ok(names(self.0.modules)?)
    }

    fn heritage(&self, _: &Caller, pid: Pid) -> Result<Inherited, SpawnError> {
        let Heritage { limit, ancestors } = self.table().heritage(pid)?;
        Ok(Inherited { limit: limit.unwrap_or(0), ancestors })
    }

    async fn kill(&self, caller: &Caller, pid: Pid) -> Result<(), SpawnError> {
        if !is_program(pid) {
            let part = self.parts().any(|part| part.pid == pid);
            return Err(if part { SpawnError::NotAllowed } else { SpawnError::NoProcess });
        }
        let dispatcher = self.doom(caller.domain, pid)?;
        if dispatcher.is_some_and(|dispatcher| dispatcher.stop().is_err()) {
            // There is no such dispatcher any more, so its end is not announced either. What it is made of goes all the same.
            self.finish(pid).await;
        }
        Ok(())
    }

    fn client_gone(&self, _: &Caller) {
        self.table().keep_waiters(Reply::is_wanted);
    }
}
