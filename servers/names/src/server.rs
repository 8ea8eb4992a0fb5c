//! The server over the registry: requests of clients, and channels to servers.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use domain::servers::{
    ACCOUNT_CLIENTS, ATTACH, FIRST_PROCESS, MEMORY_ACCOUNTS, MEMORY_CLIENTS, NAMES, NAMES_DOMAIN,
};
use interfaces::{Names, NamesError, NamesServer, Service, ServiceClient, ServiceError, ServiceServer};
use ipc::{Caller, Capability, Reply};
use rt::{LmpPort, RtError};

use crate::registry::Registry;

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
    Server(Rc<ServiceClient<LmpPort>>),
    /// [`ATTACH`], which is served here.
    Attach,
}

type Waiting = Reply<Result<(), NamesError>>;

/// Serves names for ever.
///
/// # Errors
/// [`StartError`]; afterwards nothing can fail.
pub fn serve() -> Result<core::convert::Infallible, StartError> {
    rt::console::use_log();
    let directory = Directory(Rc::new(RefCell::new(Registry::new())));
    let mut known = alloc::vec![(ATTACH, Target::Attach)];
    for (name, way_in) in [(rt::names::MEMORY, MEMORY_CLIENTS), (MEMORY_ACCOUNTS, ACCOUNT_CLIENTS)] {
        known.push((name, Target::Server(Rc::new(rt::names::connect(way_in)?))));
    }
    for (name, target) in known {
        directory
            .0
            .borrow_mut()
            .register(name, NO_CHANNEL, NAMES_DOMAIN, target)
            .map_err(StartError::Register)?;
    }
    rt::names::serve(NAMES, NamesServer::new(directory))?;
    rt::run()
}

/// What every client sees.
#[derive(Clone)]
struct Directory(Rc<RefCell<Registry<Target, Waiting>>>);

impl Directory {
    fn add(&self, name: &str, caller: &Caller, endpoint: Capability) -> Result<Capability, NamesError> {
        let (client, copy) =
            rt::names::attach::<ServiceClient<LmpPort>>(endpoint.address()).map_err(own_error)?;
        let woken = self.0.borrow_mut().register(
            name,
            caller.channel,
            caller.domain,
            Target::Server(Rc::new(client)),
        )?;
        for request in woken {
            // Whoever gave up needs no answer.
            let _ = request.send(&Ok(()));
        }
        Ok(Capability::give(copy.into_cap().address()))
    }

    /// Makes a channel of privileged clients to [`ATTACH`].
    fn open_attach(&self, domain: u64, endpoint: Capability) -> Result<Capability, NamesError> {
        let service = ServiceServer::new(Attach(self.clone()));
        let copy = rt::names::accept(domain, endpoint.address(), service).map_err(own_error)?;
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
        let free = self.0.borrow().check_free(&name, caller.domain);
        match free {
            Ok(()) => self.add(&name, caller, endpoint),
            Err(error) => {
                rt::slots::discard(endpoint.address());
                Err(error)
            }
        }
    }

    async fn connect(
        &self,
        caller: &Caller,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        let found = self.0.borrow().find(&name);
        let refused = match found {
            Ok(Target::Server(server)) => {
                let endpoint = Capability::give(endpoint.address());
                let accepted = server.accept_async(caller.domain, endpoint).await;
                return Ok(Capability::give(accepted?.address()));
            }
            Ok(Target::Attach) if caller.domain < FIRST_PROCESS => {
                return self.open_attach(caller.domain, endpoint);
            }
            Ok(Target::Attach) => NamesError::Refused,
            Err(error) => error,
        };
        rt::slots::discard(endpoint.address());
        Err(refused)
    }

    fn wait_for(&self, caller: &Caller, name: String, reply: Waiting) {
        let mut kept = self.0.borrow_mut().wait(caller.domain, &name, reply);
        if let Err((reply, Err(NamesError::TooMany | NamesError::Exhausted))) = kept {
            // Some may have been given up.
            self.0.borrow_mut().keep_waiters(Reply::is_wanted);
            kept = self.0.borrow_mut().wait(caller.domain, &name, reply);
        }
        if let Err((reply, answer)) = kept {
            let _ = reply.send(&answer);
        }
    }

    fn list(&self, _: &Caller) -> Result<Vec<String>, NamesError> {
        Ok(self.0.borrow().list())
    }

    fn client_gone(&self, caller: &Caller) {
        let gone = self.0.borrow_mut().owner_gone(caller.channel);
        self.0.borrow_mut().keep_waiters(Reply::is_wanted);
        // Closing channels may come back here: with nothing borrowed.
        drop(gone);
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
        match rt::names::accept(domain, endpoint.address(), NamesServer::new(self.0.clone())) {
            Ok(copy) => Ok(Capability::give(copy.into_cap().address())),
            Err(RtError::Kernel(_)) => Err(ServiceError::BadEndpoint),
            Err(RtError::Refused) => Err(ServiceError::TooMany),
            Err(_) => Err(ServiceError::Exhausted),
        }
    }
}

/// What the server lacked was its own, unless the kernel says that the endpoint is to blame.
fn own_error(error: RtError) -> NamesError {
    match error {
        RtError::Kernel(_) => NamesError::BadEndpoint,
        RtError::Refused => NamesError::TooMany,
        _ => NamesError::Exhausted,
    }
}
