//! The stand-in for the name service: for the servers that start before it, and for `init` itself.
//!
//! It knows a few services, by the domain that may offer each. What `init` asks beyond these goes on to the name
//! service, as soon as there is one.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use abi::Rights;
use abi::domain::{Role, core_of};
use abi::layout::{NAMES_OWN, NAMES_PEER, SELF_DISPATCHER};
use domain::servers::{ACCOUNT_CLIENTS, MEMORY_ACCOUNTS, MEMORY_CLIENTS, NAMES, ROOT_NAMES};
use interfaces::{ChannelInfo, NameInfo, Names, NamesClient, NamesError, NamesServer, ServiceClient};
use ipc::{Caller, Capability, Reply};
use rt::names::MEMORY;
use rt::{LmpPort, OwnedCap, RtError, slots};
use sys::{Cap, Dispatcher, EndPoint};

use crate::monitor::{Held, Monitor, well_known};
use crate::start::FIRST_CORE;

/// Who may offer what before there is a name service.
const OFFERS: [(&str, Role); 6] = [
    (MEMORY_CLIENTS, Role::Mem),
    (ACCOUNT_CLIENTS, Role::Mem),
    (MEMORY, Role::Mem),
    (MEMORY_ACCOUNTS, Role::Mem),
    (NAMES, Role::Names),
    (ROOT_NAMES, Role::Names),
];

type Waiting = Reply<Result<(), NamesError>>;

#[derive(Default)]
struct Known {
    services: Vec<(String, Rc<ServiceClient<LmpPort>>)>,
    waiting: Vec<(String, Waiting)>,
    /// The name service, for what `init` itself wants.
    names: Option<Rc<NamesClient<LmpPort>>>,
}

/// The stand-in, shared by all its channels.
#[derive(Clone)]
pub(crate) struct Bootstrap {
    known: Rc<RefCell<Known>>,
    /// By way of which the name service of another core reaches that of the first.
    monitor: Monitor,
}

impl Bootstrap {
    /// Makes it the name service of this domain.
    ///
    /// # Errors
    /// Those of the runtime.
    pub(crate) fn serve_own(monitor: Monitor) -> Result<Bootstrap, RtError> {
        let bootstrap = Bootstrap { known: Rc::default(), monitor };
        let own = rt::start::info().ok_or(RtError::NotAvailable)?.domain;
        Cap::<Dispatcher>::new(SELF_DISPATCHER).make_endpoint(0, NAMES_OWN)?;
        let peer = bootstrap.open(own, Cap::new(NAMES_OWN))?;
        peer.cap().copy_to(NAMES_PEER, Rights::WRITE)?;
        Ok(bootstrap)
    }

    /// A channel for the domain whose end `endpoint` is; the answer is this end, to send to.
    ///
    /// # Errors
    /// Those of the runtime.
    pub(crate) fn open(&self, domain: u64, endpoint: Cap<EndPoint>) -> Result<OwnedCap<EndPoint>, RtError> {
        let slot = slots::allocate()?;
        endpoint.copy_to(slot, Rights::WRITE).inspect_err(|_| slots::release(slot))?;
        rt::names::accept(domain, slot, NamesServer::new(self.clone()))
    }

    /// Sends what `init` asks for on to the name service from now on.
    pub(crate) fn set_names(&self, names: NamesClient<LmpPort>) {
        self.known.borrow_mut().names = Some(Rc::new(names));
    }

    /// A service that was offered to the stand-in.
    pub(crate) fn service(&self, name: &str) -> Option<Rc<ServiceClient<LmpPort>>> {
        let known = self.known.borrow();
        known.services.iter().find(|(known, _)| known == name).map(|(_, service)| service.clone())
    }

    /// The name service, where it is to be asked: for `init`, and not for what is known here.
    fn beyond(&self, caller: &Caller, name: &str) -> Option<Rc<NamesClient<LmpPort>>> {
        let here = OFFERS.iter().any(|&(offer, _)| offer == name);
        if here || Role::of(caller.domain) != Some(Role::Init) {
            None
        } else {
            self.known.borrow().names.clone()
        }
    }

    fn add(&self, name: String, endpoint: Capability) -> Result<Capability, NamesError> {
        let attached = rt::names::attach::<ServiceClient<LmpPort>>(endpoint.address());
        let (client, copy) = attached.map_err(|_| NamesError::Exhausted)?;
        let mut known = self.known.borrow_mut();
        let (woken, waiting) =
            core::mem::take(&mut known.waiting).into_iter().partition(|(wanted, _)| *wanted == name);
        known.waiting = waiting;
        known.services.push((name, Rc::new(client)));
        drop(known);
        let woken: Vec<(String, Waiting)> = woken;
        for (_, reply) in woken {
            let _ = reply.send(&Ok(()));
        }
        Ok(Capability::give(copy.into_cap().address()))
    }
}

/// Whether this domain may offer this service, and has not yet.
fn check_offer(bootstrap: &Bootstrap, caller: &Caller, name: &str) -> Result<(), NamesError> {
    let offered = |&(offer, role): &(&str, Role)| offer == name && Role::of(caller.domain) == Some(role);
    if !OFFERS.iter().any(offered) {
        return Err(NamesError::Refused);
    }
    if bootstrap.service(name).is_some() { Err(NamesError::Taken) } else { Ok(()) }
}

impl Names for Bootstrap {
    async fn register(
        &self,
        caller: &Caller,
        name: String,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        if let Some(names) = self.beyond(caller, &name) {
            let peer = names.register_async(&name, Capability::give(endpoint.address())).await?;
            return Ok(Capability::give(peer.address()));
        }
        match check_offer(self, caller, &name) {
            Ok(()) => self.add(name, endpoint),
            Err(error) => {
                slots::discard(endpoint.address());
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
        if let Some(names) = self.beyond(caller, &name) {
            let peer = names.connect_async(&name, Capability::give(endpoint.address())).await?;
            return Ok(Capability::give(peer.address()));
        }
        if name == ROOT_NAMES && Role::of(caller.domain) == Some(Role::Names) {
            let own = Held(endpoint.address());
            let opened = self.monitor.open(FIRST_CORE, well_known::NAMES, caller.domain, own).await;
            return opened.map(|peer| Capability::give(peer.address())).map_err(|_| NamesError::Exhausted);
        }
        let Some(service) = self.service(&name) else {
            slots::discard(endpoint.address());
            return Err(NamesError::NotFound);
        };
        let peer = service.accept_async(caller.domain, Capability::give(endpoint.address())).await?;
        Ok(Capability::give(peer.address()))
    }

    fn wait_for(&self, caller: &Caller, name: String, reply: Waiting) {
        if let Some(names) = self.beyond(caller, &name) {
            rt::spawn(async move {
                let answer = names.wait_for_async(&name).await;
                let _ = reply.send(&answer);
            });
        } else if self.service(&name).is_some() {
            let _ = reply.send(&Ok(()));
        } else {
            self.known.borrow_mut().waiting.push((name, reply));
        }
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<NameInfo>, NamesError> {
        let core = core_of(caller.domain);
        let offered = OFFERS.iter().filter(|(offer, _)| self.service(offer).is_some());
        Ok(offered.map(|&(name, role)| NameInfo { name: name.into(), owner: role.on(core) }).collect())
    }

    async fn channels(&self, _: &Caller, name: String) -> Result<Vec<ChannelInfo>, NamesError> {
        let service = self.service(&name).ok_or(NamesError::NotFound)?;
        Ok(service.channels_async().await?)
    }

    fn client_gone(&self, _: &Caller) {
        self.known.borrow_mut().waiting.retain(|(_, reply)| reply.is_wanted());
    }
}
