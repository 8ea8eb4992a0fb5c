//! The building itself: capabilities into their places, step by step, and all of it undone when a step fails.

use core::fmt;

use abi::cap::{L1_CNODE_MIN_SIZE, MAX_RETYPE, VNODE_SIZE};
use abi::layout::{
    EARLY_RAM, FRAME_BASE, NAMES_OWN, NAMES_PEER, PAGE_CNODE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER,
    SELF_FRAME, SELF_TASK_CNODE, STACK_SIZE, STACK_TOP, START_BASE, START_FRAME, TASK_CNODE, TOP_BASE,
};
use abi::{CapAddr, PAGE_SIZE, Rights};
use loader::{Image, Segment};
use sys::{
    Cap, CapKind, Configuration, Dispatcher, EndPoint, Error, Frame, L1CNode, L2CNode, Mappable, Notify, Ram,
    VNode, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Window,
};

use crate::fill::{LEVEL_1_SLOT, fill};
use crate::host::{Host, Place};
use crate::plan::{PAGE_OFFSET, Piece, Plan, ROOT_OFFSET, TASK_OFFSET, pieces};
use crate::start::StartBlock;

/// Where the builder works: two free slots of its own root CNode, in which it hangs the child's CNodes, and a free slot
/// of its CSpace. All are free again when [`build`] returns, so one bench serves one build after the other.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// Index in the root CNode for the child's task CNode.
    pub task: u64,
    /// Index in the root CNode for the child's page CNode.
    pub page: u64,
    /// A slot.
    pub spare: CapAddr,
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
    let mut site = Site { host, bench, slots, ram, plan, spec, next_page: LEVEL_1_SLOT };
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
    /// Next free slot of the child's page CNode.
    next_page: u64,
}

const DATA: Rights = Rights::READ.or(Rights::WRITE);
/// The builder's own root CNode.
const OWN_ROOT: Cap<L1CNode> = Cap::new(ROOT_CNODE);

impl<H: Host> Site<'_, H> {
    fn raise(&mut self) -> Step {
        self.cnodes().map_err(named("capability space"))?;
        let level_3 = self.tables().map_err(named("page tables"))?;
        let body = self.body().map_err(named("memory"))?;
        self.map_image(body, level_3).map_err(named("image"))?;
        self.map_top(body, level_3).map_err(named("stack and frame"))?;
        self.seal(body).map_err(named("memory"))?;
        self.dispatcher().map_err(named("dispatcher"))?;
        self.early_ram().map_err(named("early memory"))?;
        self.leave().map_err(named("capability space"))
    }

    /// A well-known capability of the child, as the builder reaches it.
    fn task<K>(&self, known: CapAddr) -> Cap<K> {
        Cap::new(CapAddr::new(self.bench.task, known.slot()))
    }

    /// The capability in this slot of the child's page CNode.
    fn page<K>(&self, slot: u64) -> Cap<K> {
        Cap::new(CapAddr::new(self.bench.page, slot))
    }

    /// Takes `count` slots of the child's page CNode; the first.
    fn page_slots(&mut self, count: u64) -> u64 {
        let first = self.next_page;
        self.next_page += count;
        first
    }

    /// The three CNodes of the child, in its root and in the builder's.
    fn cnodes(&mut self) -> sys::Result<()> {
        let task: Cap<L2CNode> = Cap::new(self.slots.task);
        self.host.retype::<Ram, L2CNode>(self.ram, TASK_OFFSET, 0, 1, task.into())?;
        self.host.copy(task, Place::Root(OWN_ROOT, self.bench.task), Rights::ALL)?;
        let root: Cap<L1CNode> = self.task(ROOT_CNODE);
        self.host.retype::<Ram, L1CNode>(self.ram, ROOT_OFFSET, L1_CNODE_MIN_SIZE, 1, root.into())?;
        self.host.copy(task, Place::Root(root, TASK_CNODE), Rights::ALL)?;
        self.host.copy(task, self.task::<L2CNode>(SELF_TASK_CNODE).into(), Rights::ALL)?;

        let page: Cap<L2CNode> = Cap::new(self.bench.spare);
        self.host.retype::<Ram, L2CNode>(self.ram, PAGE_OFFSET, 0, 1, page.into())?;
        self.host.copy(page, Place::Root(OWN_ROOT, self.bench.page), Rights::ALL)?;
        self.host.copy(page, Place::Root(root, PAGE_CNODE), Rights::ALL)?;
        self.host.delete(page.into())
    }

    /// All page tables, each mapped in its parent. The slot of the first one of level 3.
    fn tables(&mut self) -> sys::Result<u64> {
        let plan = self.plan;
        let root: Cap<VNodeL0> = self.task(ROOT_VNODE);
        self.host.retype::<Ram, VNodeL0>(self.ram, plan.tables, 0, 1, root.into())?;
        let mut offset = plan.tables + VNODE_SIZE;
        let level_1 = self.make_tables::<VNodeL1>(1, &mut offset)?;
        let level_2 = self.make_tables::<VNodeL2>(plan.larges.len() as u64, &mut offset)?;
        let level_3 = self.make_tables::<VNodeL3>(plan.regions.len() as u64, &mut offset)?;
        self.map_table(root, 0, self.page::<VNodeL1>(level_1))?;
        for (index, &large) in plan.larges.iter().enumerate() {
            let table = self.page::<VNodeL2>(level_2 + index as u64);
            self.map_table(self.page::<VNodeL1>(level_1), large % 512, table)?;
        }
        for (index, &region) in plan.regions.iter().enumerate() {
            // Every region lies in one of the large ones, by the making of the plan.
            let large = plan.larges.partition_point(|&large| large < region / 512) as u64;
            let table = self.page::<VNodeL3>(level_3 + index as u64);
            self.map_table(self.page::<VNodeL2>(level_2 + large), region % 512, table)?;
        }
        Ok(level_3)
    }

    /// Makes `count` tables of one kind in slots that follow each other; the first slot.
    fn make_tables<V: CapKind>(&mut self, count: u64, offset: &mut u64) -> sys::Result<u64> {
        let first = self.page_slots(count);
        let mut made = 0;
        while made < count {
            let batch = (count - made).min(MAX_RETYPE);
            self.host.retype::<Ram, V>(self.ram, *offset, 0, batch, self.page::<V>(first + made).into())?;
            *offset += batch * VNODE_SIZE;
            made += batch;
        }
        Ok(first)
    }

    fn map_table<V: VNode, T: Mappable>(
        &mut self,
        parent: Cap<V>,
        entry: u64,
        table: Cap<T>,
    ) -> sys::Result<()> {
        self.map(
            parent,
            table,
            Window { first: entry, entries: 1, offset: 0, rights: Rights::ALL, fill: true },
        )
    }

    fn map<V: VNode, T: Mappable>(
        &mut self,
        table: Cap<V>,
        object: Cap<T>,
        window: Window,
    ) -> sys::Result<()> {
        let slot = self.page_slots(1);
        self.host.map(table, object, window, self.page::<sys::Mapping>(slot).into())
    }

    /// The memory of the child with its contents.
    fn body(&mut self) -> sys::Result<Cap<Frame>> {
        let slot = self.page_slots(1);
        let body = self.page::<Frame>(slot);
        self.host.retype::<Ram, Frame>(self.ram, self.plan.body, self.plan.body_size, 1, body.into())?;
        let (plan, spec) = (self.plan, self.spec);
        // What is still to be mapped: image, dispatcher frame, start information, stack; and the sealed body.
        let mappings: usize = spec.image.segments().map(|segment| pieces(segment).count()).sum();
        let first_page_slot = self.next_page + mappings as u64 + 4;
        self.host.view(body, plan.stack(), &mut |bytes| fill(bytes, plan, spec, first_page_slot))?;
        Ok(body)
    }

    fn map_image(&mut self, body: Cap<Frame>, level_3: u64) -> sys::Result<()> {
        let image: &Image<'_> = self.spec.image;
        let mut offset = self.plan.image();
        for segment in image.segments() {
            for piece in pieces(segment) {
                self.map_piece(body, level_3, segment, piece, offset)?;
                offset += piece.entries() * PAGE_SIZE;
            }
        }
        Ok(())
    }

    fn map_piece(
        &mut self,
        body: Cap<Frame>,
        level_3: u64,
        segment: &Segment<'_>,
        piece: Piece,
        offset: u64,
    ) -> sys::Result<()> {
        let index = self.plan.regions.partition_point(|&region| region < piece.region()) as u64;
        let window = Window {
            first: piece.first_entry(),
            entries: piece.entries(),
            offset,
            rights: segment.rights,
            fill: true,
        };
        self.map(self.page::<VNodeL3>(level_3 + index), body, window)
    }

    /// Dispatcher frame, start information and stack; the page below the stack stays empty.
    fn map_top(&mut self, body: Cap<Frame>, level_3: u64) -> sys::Result<()> {
        let plan = self.plan;
        let top = self.page::<VNodeL3>(level_3 + plan.regions.len() as u64 - 1);
        let pieces = [
            (FRAME_BASE, plan.sizes.frame, 0),
            (START_BASE, plan.start_size, plan.sizes.frame),
            (STACK_TOP - STACK_SIZE, STACK_SIZE, plan.stack()),
        ];
        for (address, bytes, offset) in pieces {
            let first = (address - TOP_BASE) / PAGE_SIZE;
            self.map(
                top,
                body,
                Window { first, entries: bytes / PAGE_SIZE, offset, rights: DATA, fill: true },
            )?;
        }
        Ok(())
    }

    /// Frames for what the child may know as such; of the rest stays a capability without rights, which keeps the
    /// mappings alive.
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
        let slot = self.page_slots(1);
        self.host.copy(body, self.page::<Frame>(slot).into(), Rights::NONE)?;
        self.host.delete(body.into())
    }

    fn dispatcher(&mut self) -> sys::Result<()> {
        let dispatcher: Cap<Dispatcher> = self.task(SELF_DISPATCHER);
        let bytes = self.plan.sizes.dispatcher;
        self.host.retype::<Ram, Dispatcher>(self.ram, self.plan.dispatcher, bytes, 1, dispatcher.into())?;
        self.host.copy(dispatcher, Place::Own(self.slots.dispatcher), Rights::ALL)?;
        let names: Cap<EndPoint> = self.task(NAMES_OWN);
        self.host.make_endpoint(dispatcher, 0, names.into())?;
        self.host.copy(names, Place::Own(self.slots.names), Rights::WRITE)?;
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
        self.host.delete(Place::Root(OWN_ROOT, self.bench.page))?;
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
