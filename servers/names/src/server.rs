//! The server over the registry: requests of clients, and channels to servers.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::fmt;
use core::time::Duration;

use abi::domain::{Role, core_of, is_program};
use domain::servers::{ACCOUNT_CLIENTS, ATTACH, MEMORY_ACCOUNTS, MEMORY_CLIENTS, NAMES, ROOT_NAMES};
use interfaces::{
    ChannelInfo, NameInfo, Names, NamesError, NamesServer, RootNames, RootNamesServer, Service,
    ServiceClient, ServiceError, ServiceServer, instance_name,
};
use ipc::{Caller, Capability, Reply};
use rt::names::{Acceptor, Clients};
use rt::{LmpPort, RtError};

use crate::registry::Registry;
use crate::upstream::{Published, Upstream};

/// How long a program has to say which channels it has.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of heap that the first core's service has free from the start: clients of all cores come through it, and who shows how
/// much memory is used must not see it grow by that.
const FOR_ALL_CORES: usize = 128 * 1024;
/// Owner of the services that are registered from the start.
const NO_CHANNEL: u64 = u64::MAX;

/// Why the service cannot start.
#[derive(Debug)]
pub enum StartError {
    /// The runtime failed.
    Runtime(RtError),
    /// A name that is registered from the start.
    Register(NamesError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Runtime(error) => error.fmt(f),
            StartError::Register(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

impl From<RtError> for StartError {
    fn from(error: RtError) -> StartError {
        StartError::Runtime(error)
    }
}

/// How a service is reached.
#[derive(Clone)]
enum Target {
    /// It is asked to take the client.
    Server(Rc<Server>),
    /// [`ATTACH`], which is served here.
    Attach,
    /// This service itself: whoever connects to it has one more channel.
    Names,
}

/// A server of this core, or on the first core the name service of another one, for a server there.
struct Server {
    client: Rc<ServiceClient<LmpPort>>,
    /// On other cores than the first: what that knows of it.
    _published: Option<Published>,
}

type Waiting = Reply<Result<(), NamesError>>;

/// Serves names for ever.
///
/// # Errors
/// [`StartError`]; afterwards nothing can fail.
pub fn serve() -> Result<core::convert::Infallible, StartError> {
    rt::console::use_log();
    let core = core_of(rt::start::info().ok_or(RtError::NotAvailable)?.domain);
    let first = core == 0;
    let directory = Directory::new(if first { None } else { Some(Upstream::connect()?) });
    for (name, target) in [(ATTACH, Target::Attach), (NAMES, Target::Names)] {
        directory.know(name, Role::Names.on(core), target)?;
    }
    for (name, way_in) in [(rt::names::MEMORY, MEMORY_CLIENTS), (MEMORY_ACCOUNTS, ACCOUNT_CLIENTS)] {
        let (name, domain) = (instance_name(name, core), Role::Mem.on(core));
        let client = Rc::new(rt::names::connect(way_in)?);
        let published = rt::block_on(directory.publish(domain, &name, &client));
        let server = Server { client, _published: published.map_err(StartError::Register)? };
        directory.know(&name, domain, Target::Server(Rc::new(server)))?;
    }
    if first {
        let root = RootNamesServer::new(Root(directory.clone()));
        rt::provide_heap(FOR_ALL_CORES);
        Acceptor::new(Clients::new(), root).admitting(|domain| !is_program(domain)).serve(ROOT_NAMES)?;
    }
    Acceptor::new(directory.0.clients, NamesServer::new(directory)).serve(NAMES)?;
    rt::run()
}

/// What every client sees.
#[derive(Clone)]
pub(crate) struct Directory(Rc<Shared>);

struct Shared {
    registry: RefCell<Registry<Target, Waiting>>,
    /// The first core's name service, on other cores.
    upstream: Option<Upstream>,
    clients: Clients,
    attach_clients: Clients,
}

impl Directory {
    fn new(upstream: Option<Upstream>) -> Directory {
        let registry = RefCell::new(Registry::new());
        let (clients, attach_clients) = (Clients::new(), Clients::new());
        Directory(Rc::new(Shared { registry, upstream, clients, attach_clients }))
    }

    /// A service that is there from the start.
    fn know(&self, name: &str, domain: u64, target: Target) -> Result<(), StartError> {
        let registered = self.registry().register(name, NO_CHANNEL, domain, target);
        registered.map(drop).map_err(StartError::Register)
    }

    /// Tells the first core's name service, if that is another one.
    async fn publish(
        &self,
        domain: u64,
        name: &str,
        client: &Rc<ServiceClient<LmpPort>>,
    ) -> Result<Option<Published>, NamesError> {
        match &self.0.upstream {
            Some(upstream) => upstream.publish(domain, name, client.clone()).await.map(Some),
            None => Ok(None),
        }
    }

    fn registry(&self) -> RefMut<'_, Registry<Target, Waiting>> {
        self.0.registry.borrow_mut()
    }

    /// A channel to this service.
    fn open(&self, domain: u64, endpoint: Capability) -> Result<Capability, RtError> {
        let server = NamesServer::new(self.clone());
        let copy = self.0.clients.accept(domain, endpoint.address(), server)?;
        Ok(Capability::give(copy.into_cap().address()))
    }

    /// Registers a service of the channel `owner` for `domain`; the answer is for `endpoint` to send to.
    async fn add(
        &self,
        owner: u64,
        domain: u64,
        name: &str,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        if let Err(error) = self.registry().check_free(name, domain) {
            rt::slots::discard(endpoint.address());
            return Err(error);
        }
        let (client, copy) =
            rt::names::attach::<ServiceClient<LmpPort>>(endpoint.address()).map_err(own_error)?;
        let client = Rc::new(client);
        let published = self.publish(domain, name, &client).await?;
        let server = Target::Server(Rc::new(Server { client, _published: published }));
        let woken = self.registry().register(name, owner, domain, server)?;
        for request in woken {
            // Whoever gave up needs no answer.
            let _ = request.send(&Ok(()));
        }
        Ok(Capability::give(copy.into_cap().address()))
    }

    /// Connects an endpoint of `domain` with the service that it means by this name.
    async fn introduce(
        &self,
        domain: u64,
        name: &str,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        let found = self.registry().find(name, core_of(domain));
        let refused = match (found, &self.0.upstream) {
            (Ok(Target::Server(server)), _) => {
                let endpoint = Capability::give(endpoint.address());
                let accepted = server.client.accept_async(domain, endpoint).await;
                return Ok(Capability::give(accepted?.address()));
            }
            (Ok(Target::Attach), _) if !is_program(domain) => return self.open_attach(domain, endpoint),
            (Ok(Target::Names), _) => return self.open(domain, endpoint).map_err(own_error),
            (Ok(Target::Attach), _) => NamesError::Refused,
            (Err(NamesError::NotFound), Some(upstream)) => {
                return upstream.connect_for(domain, name, endpoint).await;
            }
            (Err(error), _) => error,
        };
        rt::slots::discard(endpoint.address());
        Err(refused)
    }

    /// Answers when there is such a service.
    fn answer_when_there(&self, domain: u64, name: &str, reply: Waiting) {
        let mut kept = self.registry().wait(domain, name, reply);
        if let Err((reply, Err(NamesError::TooMany | NamesError::Exhausted))) = kept {
            // Some may have been given up.
            self.registry().keep_waiters(Reply::is_wanted);
            kept = self.registry().wait(domain, name, reply);
        }
        match (kept, &self.0.upstream) {
            (Err((reply, answer)), _) => {
                let _ = reply.send(&answer);
            }
            (Ok(()), Some(upstream)) => upstream.watch(self.clone(), name),
            (Ok(()), None) => {}
        }
    }

    /// There is such a service on another core, or there never will be.
    pub(crate) fn answer_waiters(&self, name: &str, answer: Result<(), NamesError>) {
        let waiters = self.registry().take_waiters(name);
        for request in waiters {
            let _ = request.send(&answer);
        }
    }

    /// A channel has ended.
    fn owner_gone(&self, owner: u64) {
        let gone = self.registry().owner_gone(owner);
        self.registry().keep_waiters(Reply::is_wanted);
        if let Some(upstream) = &self.0.upstream {
            upstream.forget(|name| self.registry().is_awaited(name));
        }
        // Closing channels may come back here: with nothing borrowed.
        drop(gone);
    }

    /// Makes a channel of privileged clients to [`ATTACH`].
    fn open_attach(&self, domain: u64, endpoint: Capability) -> Result<Capability, NamesError> {
        let service = ServiceServer::new(Attach(self.clone()));
        let copy = self.0.attach_clients.accept(domain, endpoint.address(), service).map_err(own_error)?;
        Ok(Capability::give(copy.into_cap().address()))
    }
}

impl Names for Directory {
    async fn register(
        &self,
        caller: &Caller,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        self.add(caller.channel, caller.domain, &name, endpoint).await
    }

    async fn connect(
        &self,
        caller: &Caller,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        self.introduce(caller.domain, &name, endpoint).await
    }

    fn wait_for(&self, caller: &Caller, name: String, reply: Waiting) {
        self.answer_when_there(caller.domain, &name, reply);
    }

    async fn list(&self, _: &Caller) -> Result<Vec<NameInfo>, NamesError> {
        match &self.0.upstream {
            Some(upstream) => upstream.list().await,
            None => Ok(self.registry().list()),
        }
    }

    async fn channels(&self, _: &Caller, name: String) -> Result<Vec<ChannelInfo>, NamesError> {
        let found = self.registry().exactly(&name);
        match (found, &self.0.upstream) {
            (Ok((Target::Names, _)), _) => Ok(self.0.clients.channels()),
            (Ok((Target::Attach, _)), _) => Ok(self.0.attach_clients.channels()),
            (Ok((Target::Server(server), owner)), _) if is_program(owner) => {
                let asked = rt::time::within(PATIENCE, server.client.channels_async()).await;
                asked.ok_or(NamesError::Silent)?.map_err(NamesError::from)
            }
            (Ok((Target::Server(server), _)), _) => Ok(server.client.channels_async().await?),
            (Err(NamesError::NotFound), Some(upstream)) => upstream.channels(&name).await,
            (Err(error), _) => Err(error),
        }
    }

    fn client_gone(&self, caller: &Caller) {
        self.owner_gone(caller.channel);
    }
}

/// What the name services of other cores see.
#[derive(Clone)]
struct Root(Directory);

/// A name service speaks for the domains of its own core.
fn check_spokesman(caller: &Caller, domain: u64) -> Result<(), NamesError> {
    if core_of(caller.domain) == core_of(domain) { Ok(()) } else { Err(NamesError::Refused) }
}

impl RootNames for Root {
    async fn register(
        &self,
        caller: &Caller,
        domain: u64,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        check_spokesman(caller, domain)?;
        self.0.add(caller.channel, domain, &name, endpoint).await
    }

    fn unregister(&self, caller: &Caller, name: String) -> Result<(), NamesError> {
        let removed = self.0.registry().remove(&name, caller.channel);
        removed.map(drop)
    }

    async fn connect(
        &self,
        caller: &Caller,
        domain: u64,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        check_spokesman(caller, domain)?;
        self.0.introduce(domain, &name, endpoint).await
    }

    fn wait_for(&self, caller: &Caller, domain: u64, name: String, reply: Waiting) {
        match check_spokesman(caller, domain) {
            Ok(()) => self.0.answer_when_there(domain, &name, reply),
            Err(error) => {
                let _ = reply.send(&Err(error));
            }
        }
    }

    fn list(&self, _: &Caller) -> Result<Vec<NameInfo>, NamesError> {
        Ok(self.0.registry().list())
    }

    async fn channels(&self, caller: &Caller, name: String) -> Result<Vec<ChannelInfo>, NamesError> {
        Names::channels(&self.0, caller, name).await
    }

    fn client_gone(&self, caller: &Caller) {
        self.0.owner_gone(caller.channel);
    }
}

/// [`ATTACH`]: makes the channels of new domains.
struct Attach(Directory);

impl Service for Attach {
    async fn accept(
        &self,
        _: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        match self.0.open(domain, endpoint) {
            Ok(copy) => Ok(copy),
            Err(RtError::Kernel(_)) => Err(ServiceError::BadEndpoint),
            Err(RtError::Refused) => Err(ServiceError::TooMany),
            Err(_) => Err(ServiceError::Exhausted),
        }
    }

    async fn channels(&self, _: &Caller) -> Result<Vec<ChannelInfo>, ServiceError> {
        Ok(self.0.0.attach_clients.channels())
    }
}

/// What the server lacked was its own, unless the kernel says that the endpoint is to blame.
pub(crate) fn own_error(error: RtError) -> NamesError {
    match error {
        RtError::Kernel(_) => NamesError::BadEndpoint,
        RtError::Refused => NamesError::TooMany,
        _ => NamesError::Exhausted,
    }
}
