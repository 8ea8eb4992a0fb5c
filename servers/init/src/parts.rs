//! Building the servers: each from its boot module, with the capabilities that it needs.

use alloc::rc::Rc;
use core::fmt;

use abi::{CapAddr, Rights};
use archive::{Archive, ArchiveError};
use domain::{
    Bench, BuildError, Child, ChildSlots, Plan, PlanError, Sizes, Spec, StartBlock, StartError, build,
    runtime,
};
use interfaces::{AccountsClient, MemoryError, ServiceClient, ServiceError};
use ipc::Capability;
use loader::{Image, Limits, LoadError};
use rt::{LmpPort, Notify, OwnedCap, RtError, slots};
use sys::{Any, Cap, EndPoint, Ram};

use crate::bootstrap::Bootstrap;

/// What all servers are built with.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    modules: &'a [u8],
    /// Slots of the own root CNode to build in, which the runtime leaves alone however large that CNode becomes.
    roots: [u64; 4],
}

impl<'a> Site<'a> {
    /// For servers out of these boot modules.
    ///
    /// # Errors
    /// `OutOfMemory` when the root CNode is full.
    pub(crate) fn new(modules: &'a [u8]) -> Result<Site<'a>, RtError> {
        let mut roots = [0; 4];
        for root in &mut roots {
            *root = slots::reserve_root_slot()?;
        }
        Ok(Site { modules, roots })
    }
}

/// Why a server cannot be started.
#[derive(Debug)]
pub enum PartError {
    /// The archive of boot modules is damaged.
    Archive(ArchiveError),
    /// There is no such module.
    Missing,
    /// It is no program for this machine.
    Load(LoadError),
    /// It is too large.
    Plan(PlanError),
    /// It cannot be given its name.
    Start(StartError),
    /// The kernel refused while it was built.
    Build(BuildError),
    /// No memory to build it of.
    Memory(MemoryError),
    /// The name service did not take it.
    Attach(ServiceError),
    /// The runtime failed.
    Runtime(RtError),
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartError::Archive(error) => {
                write!(f, "the boot modules are damaged: {error}; make the image anew")
            }
            PartError::Missing => f.write_str("not among the boot modules; make the image anew"),
            PartError::Load(error) => {
                write!(f, "not a program that can run here: {error}; make the image anew")
            }
            PartError::Plan(error) => error.fmt(f),
            PartError::Start(error) => error.fmt(f),
            PartError::Build(error) => error.fmt(f),
            PartError::Memory(error) => error.fmt(f),
            PartError::Attach(error) => error.fmt(f),
            PartError::Runtime(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PartError {}

impl From<RtError> for PartError {
    fn from(error: RtError) -> PartError {
        PartError::Runtime(error)
    }
}

impl From<sys::Error> for PartError {
    fn from(error: sys::Error) -> PartError {
        PartError::Runtime(error.into())
    }
}

/// What a server is to get.
pub(crate) struct Needs<'a> {
    /// Its module and name.
    pub(crate) name: &'static str,
    /// Its domain number.
    pub(crate) domain: u64,
    /// Numbers, see [`domain::servers`].
    pub(crate) extra: [u64; 8],
    /// Capabilities: what, where to, with which rights.
    pub(crate) capabilities: &'a [(Cap<Any>, CapAddr, Rights)],
}

/// Where memory for a server comes from.
pub(crate) enum Source<'a> {
    /// The early Ram of `init`.
    Own,
    /// The memory server, which accounts for it.
    Server(&'a AccountsClient<LmpPort>),
}

/// Where a server's channel to the name service leads.
pub(crate) enum Naming<'a> {
    /// To the stand-in.
    Bootstrap(&'a Bootstrap),
    /// To the name service, which is asked here to make channels.
    Service(&'a Rc<ServiceClient<LmpPort>>),
}

/// A server that runs.
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: &'static str,
    /// Bytes that it was made of.
    pub(crate) bytes: u64,
    /// Its dispatcher.
    pub(crate) child: Child,
    /// Rung when it ends.
    pub(crate) ended: Notify,
}

/// Starts a server.
///
/// # Errors
/// [`PartError`]. What was made of it stays: the system cannot go on without it.
pub(crate) fn start(
    site: Site<'_>,
    needs: &Needs<'_>,
    source: Source<'_>,
    naming: Naming<'_>,
) -> Result<Part, PartError> {
    let file =
        Archive::new(site.modules).find(needs.name).map_err(PartError::Archive)?.ok_or(PartError::Missing)?;
    let image = Image::parse(file.data, Limits::default()).map_err(PartError::Load)?;
    let start = StartBlock::new(&[needs.name], &[""; 0]).map_err(PartError::Start)?;
    let plan = Plan::new(&image, &start, Sizes::SERVER).map_err(PartError::Plan)?;
    let ended = Notify::new()?;
    let (ram, ram_is_zero) = match source {
        Source::Own => (own_ram(plan.bytes(), plan.align())?, false),
        Source::Server(memory) => {
            let ram =
                memory.allocate_for(needs.domain, plan.bytes(), plan.align()).map_err(PartError::Memory)?;
            (Cap::new(ram.address()), true)
        }
    };
    let spec = Spec {
        image: &image,
        start: &start,
        domain: needs.domain,
        extra: needs.extra,
        ended: Some(ended.capability()),
        ram_is_zero,
    };
    let [task, pages @ ..] = site.roots;
    let bench = Bench { task, pages, node: slots::allocate()?, frame: slots::allocate()? };
    let places =
        ChildSlots { dispatcher: slots::allocate()?, task: slots::allocate()?, names: slots::allocate()? };
    let child = build(&mut runtime(), bench, places, ram, &plan, &spec).map_err(PartError::Build)?;
    slots::release(bench.node);
    slots::release(bench.frame);
    let part = Part { name: needs.name, bytes: plan.bytes(), child, ended };
    for &(capability, to, rights) in needs.capabilities {
        part.child.give(&mut runtime(), capability, to, rights)?;
    }
    connect(&part.child, needs.domain, naming)?;
    part.child.start(&mut runtime())?;
    slots::release(places.task);
    slots::release(places.names);
    Ok(part)
}

fn own_ram(bytes: u64, align: u64) -> Result<Cap<Ram>, PartError> {
    let (early, offset) = rt::memory::carve(bytes, align)?;
    let slot = slots::allocate()?;
    early.retype::<Ram>(offset, bytes, 1, slot)?;
    Ok(Cap::new(slot))
}

fn connect(child: &Child, domain: u64, naming: Naming<'_>) -> Result<(), PartError> {
    let peer = match naming {
        Naming::Bootstrap(bootstrap) => bootstrap.open(domain, child.names_end())?,
        Naming::Service(service) => {
            let own = Capability::lend(child.names_end().address());
            let peer = service.accept(domain, own).map_err(PartError::Attach)?;
            OwnedCap::<EndPoint>::new(peer.address())
        }
    };
    Ok(child.connect_names(&mut runtime(), peer.cap())?)
}
