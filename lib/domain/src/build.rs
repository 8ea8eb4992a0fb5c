//! The building itself: capabilities into their places, step by step, and all of it undone when a step fails.

use core::fmt;

use abi::cap::{L2_CNODE_SIZE, VNODE_SIZE};
use abi::layout::{
    EARLY_RAM, FRAME_BASE, NAMES_OWN, NAMES_PEER, PAGE_CNODE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER,
    SELF_FRAME, SELF_TASK_CNODE, START_FRAME, SpaceKind, SpaceRecord, TASK_CNODE,
};
use abi::{CapAddr, Rights};
use loader::Image;
use sys::{
    Cap, CapKind, Configuration, Dispatcher, EndPoint, Error, Frame, L1CNode, L2CNode, Mappable, Notify, Ram,
    VNode, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Window,
};

use crate::fill::fill;
use crate::host::{Host, Place};
use crate::plan::Plan;
use crate::start::StartBlock;

/// Where the builder works: free slots of its own root CNode, in which it hangs the child's CNodes, and free slots of
/// its CSpace. All are free again when [`build`] returns, so one bench serves one build after the other.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// Index in the root CNode for the child's task CNode.
    pub task: u64,
    /// Indices in the root CNode for the child's page CNodes: the first, and the last two.
    pub pages: [u64; 3],
    /// A slot for a CNode.
    pub node: CapAddr,
    /// A slot for a frame.
    pub frame: CapAddr,
}

/// Free slots of the builder's CSpace for what it keeps of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildSlots {
    /// For its dispatcher, as long as its end is of interest.
    pub dispatcher: CapAddr,
    /// For its task CNode, until it starts.
    pub task: CapAddr,
    /// For its end of the channel to the name service, until it starts.
    pub names: CapAddr,
}

/// What is built.
pub struct Spec<'a> {
    /// The executable.
    pub image: &'a Image<'a>,
    /// Arguments and environment.
    pub start: &'a StartBlock,
    /// The domain's number.
    pub domain: u64,
    /// What the child finds in [`extra`](abi::layout::StartInfo::extra), but for index 0, which is the builder's.
    pub extra: [u64; 8],
    /// Rung when it ends.
    pub ended: Option<Cap<Notify>>,
    /// Whether the Ram is known to be zero, as what a memory server gives is.
    pub ram_is_zero: bool,
}

/// Which step of building a domain the kernel refused, and why. Nothing is left of the domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuildError {
    /// What was being made.
    pub step: &'static str,
    /// What the kernel said.
    pub error: Error,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "making the domain's {}: {}", self.step, self.error)
    }
}

impl core::error::Error for BuildError {}

type Step<T = ()> = Result<T, BuildError>;

/// Names the step of what the kernel refused.
fn named(step: &'static str) -> impl FnOnce(Error) -> BuildError {
    move |error| BuildError { step, error }
}

/// A domain that was built. Its Ram must be kept, and [`Child::dismantle`] called, for its memory to come back.
#[must_use = "a child that is dropped keeps its memory for ever"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Child {
    ram: Cap<Ram>,
    slots: ChildSlots,
}

/// Builds a domain as `plan` (of the same image and start information) lays it out, of `ram`, which holds
/// [`Plan::bytes`] bytes at least, has all rights and no descendants.
///
/// # Errors
/// What the kernel refused. Everything made so far is gone then; `ram` itself stays with the caller.
pub fn build<H: Host>(
    host: &mut H,
    bench: Bench,
    slots: ChildSlots,
    ram: Cap<Ram>,
    plan: &Plan,
    spec: &Spec<'_>,
) -> Step<Child> {
    let mut site = Site { host, bench, slots, ram, plan, spec, nodes: 0, tables: 0 };
    match site.raise() {
        Ok(()) => Ok(Child { ram, slots }),
        Err(error) => {
            // All that was made descends from the Ram, the copies in the builder's own CSpace included. The Ram has the
            // right to revoke, which is all that a revoke can lack.
            let _ = site.host.revoke(ram);
            Err(error)
        }
    }
}

/// A domain under construction.
struct Site<'a, H: Host> {
    host: &'a mut H,
    bench: Bench,
    slots: ChildSlots,
    ram: Cap<Ram>,
    plan: &'a Plan,
    spec: &'a Spec<'a>,
    /// Page CNodes made so far.
    nodes: u64,
    /// Page tables made so far, the root included.
    tables: u64,
}

/// What a child may do with what the builder, or whoever it deals with, has a copy of: all but take that copy away.
const NOT_REVOKE: Rights = Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE);
/// Entries of a page table.
const ENTRIES: u64 = VNODE_SIZE / 8;
/// The builder's own root CNode.
const OWN_ROOT: Cap<L1CNode> = Cap::new(ROOT_CNODE);

impl<H: Host> Site<'_, H> {
    fn raise(&mut self) -> Step {
        self.cnodes().map_err(named("capability space"))?;
        self.upper_tables().map_err(named("page tables"))?;
        self.large().map_err(named("zeroed memory"))?;
        let body = self.body().map_err(named("memory"))?;
        self.lower(body).map_err(named("address space"))?;
        self.seal(body).map_err(named("memory"))?;
        self.dispatcher().map_err(named("dispatcher"))?;
        self.early_ram().map_err(named("early memory"))?;
        self.leave().map_err(named("capability space"))
    }

    /// A well-known capability of the child, as the builder reaches it.
    fn task<K>(&self, known: CapAddr) -> Cap<K> {
        Cap::new(CapAddr::new(self.bench.task, known.slot()))
    }

    /// Index in the own root CNode of the child's page CNode with this number. All level 2 tables are in the first; and a
    /// level 3 table with all that it shows takes no more than two that follow each other.
    fn hook(&self, node: u64) -> u64 {
        self.bench.pages[if node == 0 { 0 } else { 1 + (node % 2) as usize }]
    }

    /// A capability of the child's page CNodes by its address there, as the builder reaches it.
    fn page<K>(&self, address: u32) -> Cap<K> {
        let address = CapAddr(address.into());
        Cap::new(CapAddr::new(self.hook(address.l1() - PAGE_CNODE), address.slot()))
    }

    /// A place in the child's page CNodes that is to be filled. CNodes are filled one after the other.
    fn new_page(&mut self, address: u32) -> sys::Result<Place> {
        if CapAddr(address.into()).l1() - PAGE_CNODE == self.nodes {
            self.page_cnode()?;
        }
        Ok(self.page::<()>(address).into())
    }

    /// The task and the root CNode of the child, in its root and in the builder's.
    fn cnodes(&mut self) -> sys::Result<()> {
        let task: Cap<L2CNode> = Cap::new(self.slots.task);
        self.host.retype::<Ram, L2CNode>(self.ram, self.plan.task, 0, 1, task.into())?;
        self.host.copy(task, Place::Root(OWN_ROOT, self.bench.task), Rights::ALL)?;
        let root: Cap<L1CNode> = self.task(ROOT_CNODE);
        self.host.retype::<Ram, L1CNode>(self.ram, self.plan.root, self.plan.root_size, 1, root.into())?;
        self.host.copy(task, Place::Root(root, TASK_CNODE), Rights::ALL)?;
        self.host.copy(task, self.task::<L2CNode>(SELF_TASK_CNODE).into(), Rights::ALL)
    }

    /// Another page CNode of the child, in its root and in the builder's.
    fn page_cnode(&mut self) -> sys::Result<()> {
        let (number, page) = (self.nodes, Cap::<L2CNode>::new(self.bench.node));
        let hook = Place::Root(OWN_ROOT, self.hook(number));
        if number >= self.bench.pages.len() as u64 {
            self.host.delete(hook)?;
        }
        let offset = self.plan.pages + number * L2_CNODE_SIZE;
        self.host.retype::<Ram, L2CNode>(self.ram, offset, 0, 1, page.into())?;
        self.host.copy(page, hook, Rights::ALL)?;
        let root: Cap<L1CNode> = self.task(ROOT_CNODE);
        self.host.copy(page, Place::Root(root, PAGE_CNODE + number), Rights::ALL)?;
        self.nodes += 1;
        self.host.delete(page.into())
    }

    /// The tables of level 0 to 2, each mapped in its parent.
    fn upper_tables(&mut self) -> sys::Result<()> {
        let plan = self.plan;
        let root: Cap<VNodeL0> = self.task(ROOT_VNODE);
        self.make_table::<VNodeL0>(root.into())?;
        if let Some((level_1, level_2)) = plan.upper().split_first() {
            self.table::<_, VNodeL1>(root, level_1)?;
            for record in level_2 {
                self.table::<VNodeL1, VNodeL2>(self.page(level_1.object), record)?;
            }
        }
        Ok(())
    }

    fn make_table<T: CapKind>(&mut self, to: Place) -> sys::Result<()> {
        let offset = self.plan.tables + self.tables * VNODE_SIZE;
        self.tables += 1;
        self.host.retype::<Ram, T>(self.ram, offset, 0, 1, to)
    }

    /// Makes a table, and puts it into its place in `parent`.
    fn table<V: VNode, T: CapKind + Mappable>(
        &mut self,
        parent: Cap<V>,
        record: &SpaceRecord,
    ) -> sys::Result<()> {
        let to = self.new_page(record.object)?;
        self.make_table::<T>(to)?;
        let first = record.base / V::ENTRY_BYTES % ENTRIES;
        let window = Window { first, entries: 1, offset: 0, rights: Rights::ALL, fill: true };
        let to = self.new_page(record.mapping)?;
        self.host.map(parent, self.page::<T>(record.object), window, to)
    }

    /// Shows the part of `frame` that begins at `offset`.
    fn memory<V: VNode>(
        &mut self,
        table: Cap<V>,
        frame: Cap<Frame>,
        offset: u64,
        record: &SpaceRecord,
    ) -> sys::Result<()> {
        let window = Window {
            first: record.base / V::ENTRY_BYTES % ENTRIES,
            entries: record.bytes / V::ENTRY_BYTES,
            offset,
            rights: Rights::from_bits(record.rights.into()),
            fill: true,
        };
        let to = self.new_page(record.mapping)?;
        self.host.map(table, frame, window, to)
    }

    /// The level 2 table over an address: every one lies under one of them, by the making of the plan.
    fn level_2(&self, address: u64) -> Cap<VNodeL2> {
        let tables = &self.plan.upper()[1..];
        let index = tables.partition_point(|table| table.base + table.bytes <= address);
        self.page(tables[index].object)
    }

    /// What large pages show.
    fn large(&mut self) -> sys::Result<()> {
        let (plan, frame) = (self.plan, Cap::<Frame>::new(self.bench.frame));
        if plan.large_size == 0 {
            return Ok(());
        }
        self.host.retype::<Ram, Frame>(self.ram, 0, plan.large_size, 1, frame.into())?;
        if !self.spec.ram_is_zero {
            self.host.view(frame, plan.large_size, &mut |bytes| bytes.fill(0))?;
        }
        let mut offset = 0;
        for record in plan.large() {
            self.memory(self.level_2(record.base), frame, offset, record)?;
            offset += record.bytes;
        }
        self.hold(frame, plan.large_holder)
    }

    /// The rest of the child's memory, with its contents.
    fn body(&mut self) -> sys::Result<Cap<Frame>> {
        let body = Cap::<Frame>::new(self.bench.frame);
        self.host.retype::<Ram, Frame>(self.ram, self.plan.body, self.plan.body_size, 1, body.into())?;
        let (plan, spec) = (self.plan, self.spec);
        self.host.view(body, plan.stack(), &mut |bytes| fill(bytes, plan, spec))?;
        Ok(body)
    }

    /// The level 3 tables, and what they show of the body.
    fn lower(&mut self, body: Cap<Frame>) -> sys::Result<()> {
        let plan = self.plan;
        let mut image = plan.image();
        let mut table = Cap::<VNodeL3>::new(CapAddr::NULL);
        for record in plan.lower() {
            let offset = match SpaceKind::from_number(record.kind) {
                Some(SpaceKind::Table) => {
                    self.table::<_, VNodeL3>(self.level_2(record.base), record)?;
                    table = self.page(record.object);
                    continue;
                }
                Some(SpaceKind::Frame) => 0,
                Some(SpaceKind::Start) => plan.sizes.frame,
                Some(SpaceKind::Stack) => plan.stack(),
                _ => {
                    image += record.bytes;
                    image - record.bytes
                }
            };
            self.memory(table, body, offset, record)?;
        }
        Ok(())
    }

    /// Frames for what the child may know as such; of the rest stays a capability without rights.
    fn seal(&mut self, body: Cap<Frame>) -> sys::Result<()> {
        // A frame retypes to smaller frames as Ram does; the kernel knows what it is.
        let whole: Cap<Ram> = body.cast();
        let frame: Cap<Frame> = self.task(SELF_FRAME);
        self.host.retype::<Ram, Frame>(whole, 0, self.plan.sizes.frame, 1, frame.into())?;
        let start: Cap<Frame> = self.task(START_FRAME);
        self.host.retype::<Ram, Frame>(
            whole,
            self.plan.sizes.frame,
            self.plan.start_size,
            1,
            start.into(),
        )?;
        self.hold(body, self.plan.body_holder)
    }

    /// Leaves the child a capability without rights, which keeps the mappings of a frame alive, in place of the frame.
    fn hold(&mut self, frame: Cap<Frame>, holder: CapAddr) -> sys::Result<()> {
        let holder = self.new_page(holder.0 as u32)?;
        self.host.copy(frame, holder, Rights::NONE)?;
        self.host.delete(frame.into())
    }

    fn dispatcher(&mut self) -> sys::Result<()> {
        let dispatcher = Cap::<Dispatcher>::new(self.slots.dispatcher);
        let bytes = self.plan.sizes.dispatcher;
        self.host.retype::<Ram, Dispatcher>(self.ram, self.plan.dispatcher, bytes, 1, dispatcher.into())?;
        // A child that could revoke its dispatcher could not be stopped or asked how it ended any more.
        self.host.copy(dispatcher, self.task::<Dispatcher>(SELF_DISPATCHER).into(), NOT_REVOKE)?;
        // Through the slot for the copy that can only be sent to.
        let (names, own) = (Cap::<EndPoint>::new(self.slots.names), self.task::<EndPoint>(NAMES_OWN));
        self.host.make_endpoint(dispatcher, 0, names.into())?;
        self.host.copy(names, own.into(), NOT_REVOKE)?;
        self.host.delete(names.into())?;
        self.host.copy(own, names.into(), Rights::WRITE)?;
        let configuration = Configuration {
            cspace: self.task(ROOT_CNODE),
            vspace: self.task(ROOT_VNODE),
            frame: self.task(SELF_FRAME),
            frame_address: FRAME_BASE,
            vector: self.spec.image.entry(),
            ended: self.spec.ended,
        };
        self.host.configure(dispatcher, &configuration)
    }

    fn early_ram(&mut self) -> sys::Result<()> {
        let bytes = self.plan.sizes.early_ram;
        if bytes == 0 {
            return Ok(());
        }
        let early: Cap<Ram> = self.task(EARLY_RAM);
        self.host.retype::<Ram, Ram>(self.ram, self.plan.early, bytes, 1, early.into())
    }

    /// Takes the child's CNodes off the bench.
    fn leave(&mut self) -> sys::Result<()> {
        for node in self.nodes.saturating_sub(2).max(1)..self.nodes {
            self.host.delete(Place::Root(OWN_ROOT, self.hook(node)))?;
        }
        self.host.delete(Place::Root(OWN_ROOT, self.hook(0)))?;
        self.host.delete(Place::Root(OWN_ROOT, self.bench.task))
    }
}

impl Child {
    /// Its dispatcher, until [`Child::dismantle`].
    pub fn dispatcher(&self) -> Cap<Dispatcher> {
        Cap::new(self.slots.dispatcher)
    }

    /// Its end of the channel to the name service (to send to), until [`Child::start`].
    pub fn names_end(&self) -> Cap<EndPoint> {
        Cap::new(self.slots.names)
    }

    /// The Ram that it is made of.
    pub fn ram(&self) -> Cap<Ram> {
        self.ram
    }

    /// Gives it a copy of a capability, into this slot of its task CNode. Before [`Child::start`].
    ///
    /// # Errors
    /// Those of a copy.
    pub fn give<H: Host, K: CapKind>(
        &self,
        host: &mut H,
        capability: Cap<K>,
        to: CapAddr,
        rights: Rights,
    ) -> sys::Result<()> {
        host.copy(capability, Place::Node(Cap::new(self.slots.task), to.slot()), rights)
    }

    /// Connects it to the name service, whose end of the channel is `peer` (to send to). Before [`Child::start`].
    ///
    /// # Errors
    /// Those of a copy.
    pub fn connect_names<H: Host>(&self, host: &mut H, peer: Cap<EndPoint>) -> sys::Result<()> {
        self.give(host, peer, NAMES_PEER, Rights::WRITE)
    }

    /// Lets it run. Only its dispatcher's slot is in use from then on.
    ///
    /// # Errors
    /// Those of starting a dispatcher; it can only be dismantled then.
    pub fn start<H: Host>(&self, host: &mut H) -> sys::Result<()> {
        host.delete(Place::Own(self.slots.task))?;
        host.delete(Place::Own(self.slots.names))?;
        host.start(self.dispatcher())
    }

    /// Ends it if it still runs, and takes all of its memory back: whatever was made of its Ram is gone, wherever it is,
    /// and all slots given to [`build`] are empty. `ram` stays with the caller.
    ///
    /// # Errors
    /// Those of a revoke: none, if the Ram has the right to revoke.
    pub fn dismantle<H: Host>(self, host: &mut H) -> sys::Result<()> {
        host.revoke(self.ram)
    }
}
