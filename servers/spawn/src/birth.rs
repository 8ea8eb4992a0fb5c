//! A process being made: whatever stops it half-way, nothing of it stays.

use abi::CapAddr;
use domain::{Bench, Child, ChildSlots, Spec, build, runtime};
use interfaces::{MemoryError, Pid, ServiceError, SpawnError};
use ipc::Capability;
use rt::{Notify, OwnedCap, RtError, slots};
use sys::EndPoint;

use crate::program::Program;
use crate::server::Spawner;
use crate::table::Heritage;

/// Slots of the own root CNode to build in, which the runtime leaves alone however large that CNode becomes.
#[derive(Clone, Copy)]
pub(crate) struct Roots([u64; 4]);

impl Roots {
    /// Takes them for good.
    ///
    /// # Errors
    /// `OutOfMemory` when the root CNode is full.
    pub(crate) fn reserve() -> Result<Roots, RtError> {
        let mut roots = [0; 4];
        for root in &mut roots {
            *root = slots::reserve_root_slot()?;
        }
        Ok(Roots(roots))
    }
}

/// A domain with all that belongs to it: what the server holds of a process.
pub(crate) struct Held {
    child: Child,
    slots: ChildSlots,
    ram: CapAddr,
}

impl Held {
    /// The domain.
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Ends it, and gives all of its memory back.
    pub(crate) fn bury(self) {
        // Refused only without the right to revoke, which the memory service gives.
        let _ = self.child.dismantle(&mut runtime());
        release(self.slots);
        slots::discard(self.ram);
    }
}

fn take_slots() -> Result<ChildSlots, RtError> {
    let dispatcher = slots::allocate()?;
    let task = slots::allocate().inspect_err(|_| slots::release(dispatcher))?;
    let names = slots::allocate().inspect_err(|_| {
        slots::release(dispatcher);
        slots::release(task);
    })?;
    Ok(ChildSlots { dispatcher, task, names })
}

fn take_bench(Roots([task, pages @ ..]): Roots) -> Result<Bench, RtError> {
    let node = slots::allocate()?;
    let frame = slots::allocate().inspect_err(|_| slots::release(node))?;
    Ok(Bench { task, pages, node, frame })
}

fn release_bench(bench: Bench) {
    slots::release(bench.node);
    slots::release(bench.frame);
}

fn release(slots: ChildSlots) {
    for slot in [slots.dispatcher, slots.task, slots.names] {
        slots::release(slot);
    }
}

/// A process between its entry in the table and its start. Dropped before that, because something failed or whoever
/// asked for it is gone, it is undone.
pub(crate) struct Birth<'a> {
    spawner: &'a Spawner,
    pid: Pid,
    held: Option<Held>,
    /// Most bytes that it may have.
    limit: Option<u64>,
    done: bool,
}

impl Drop for Birth<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(held) = self.held.take() {
            held.bury();
        }
        self.spawner.never_was(self.pid);
    }
}

impl<'a> Birth<'a> {
    /// Enters a process into the table; `wanted` as in [`Table::begin`](crate::Table::begin).
    pub(crate) fn begin(
        spawner: &'a Spawner,
        heritage: Heritage,
        name: &str,
        wanted: u64,
    ) -> Result<Birth<'a>, SpawnError> {
        let mut table = spawner.table();
        let pid = table.begin(heritage, name, wanted)?;
        let limit = table.get_mut(pid)?.limit;
        drop(table);
        Ok(Birth { spawner, pid, held: None, limit, done: false })
    }

    /// Gets its memory, on its own account, and builds its domain. `ended` is rung at its end.
    pub(crate) async fn build(&mut self, program: &Program<'_>, ended: &Notify) -> Result<(), SpawnError> {
        let accounts = self.spawner.accounts();
        if let Some(limit) = self.limit {
            accounts.set_limit_async(self.pid, limit).await.map_err(no_memory)?;
        }
        let (bytes, align) = (program.plan.bytes(), program.plan.align());
        let ram = accounts.allocate_for_async(self.pid, bytes, align).await.map_err(no_memory)?;
        let ram = OwnedCap::<sys::Ram>::new(ram.address());
        let spec = Spec {
            image: &program.image,
            start: &program.start,
            domain: self.pid,
            extra: [0; 8],
            ended: Some(ended.capability()),
            ram_is_zero: true,
        };
        let bench = take_bench(self.spawner.roots()).map_err(exhausted)?;
        let slots = take_slots().inspect_err(|_| release_bench(bench)).map_err(exhausted)?;
        let built = build(&mut runtime(), bench, slots, ram.cap(), &program.plan, &spec);
        release_bench(bench);
        match built {
            Ok(child) => {
                self.held = Some(Held { child, slots, ram: ram.into_cap().address() });
                Ok(())
            }
            Err(error) => {
                release(slots);
                // A matter of this server; whoever asked learns that there was no room.
                barreldish::println!("spawn: {error}");
                Err(SpawnError::Exhausted)
            }
        }
    }

    /// Has the name service make the domain's channel.
    pub(crate) async fn attach(&self) -> Result<(), SpawnError> {
        let Some(held) = &self.held else { return Err(SpawnError::Exhausted) };
        let own = Capability::lend(held.child.names_end().address());
        let peer = self.spawner.attach().accept_async(self.pid, own).await.map_err(not_attached)?;
        let peer = OwnedCap::<EndPoint>::new(peer.address());
        held.child.connect_names(&mut runtime(), peer.cap()).map_err(|_| SpawnError::Exhausted)
    }

    /// Lets it run; the table has it from now on.
    pub(crate) fn start(mut self) -> Result<Pid, SpawnError> {
        let Some(held) = &self.held else { return Err(SpawnError::Exhausted) };
        if self.spawner.is_doomed(self.pid) {
            return Err(SpawnError::NoProcess);
        }
        held.child.start(&mut runtime()).map_err(|_| SpawnError::Exhausted)?;
        if let Some(held) = self.held.take() {
            self.spawner.table().started(self.pid, held);
        }
        self.done = true;
        Ok(self.pid)
    }
}

fn exhausted(_: RtError) -> SpawnError {
    SpawnError::Exhausted
}

pub(crate) fn no_memory(error: MemoryError) -> SpawnError {
    match error {
        MemoryError::OverQuota => SpawnError::OverLimit,
        MemoryError::Call(error) => SpawnError::Call(error),
        _ => SpawnError::OutOfMemory,
    }
}

fn not_attached(error: ServiceError) -> SpawnError {
    match error {
        ServiceError::Call(error) => SpawnError::Call(error),
        _ => SpawnError::Exhausted,
    }
}
