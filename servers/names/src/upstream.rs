//! The name service of the first core, as that of another core knows it.
//!
//! Services of this core are told there, and those of other cores found. Who connects from another core to a service of this one
//! comes by way of that name service and this one; afterwards both are out of the way.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Poll, Waker};

use domain::servers::ROOT_NAMES;
use interfaces::{ChannelInfo, NameInfo, NamesError, RootNamesClient, Service, ServiceClient, ServiceError};
use ipc::{Caller, Capability};
use rt::names::{Offer, OfferError};
use rt::{LmpPort, RtError};

use crate::server::{Directory, own_error};

/// The first core's name service.
pub(crate) struct Upstream {
    root: Rc<RootNamesClient<LmpPort>>,
    /// This service's own number, which says its core.
    own: u64,
    /// Names that domains of this core wait for.
    watched: Rc<RefCell<BTreeMap<String, Rc<Stop>>>>,
}

/// What is known there of a service of this core. Dropped when that ends.
pub(crate) struct Published {
    root: Rc<RootNamesClient<LmpPort>>,
    name: Box<str>,
    _offer: Offer,
}

impl Drop for Published {
    fn drop(&mut self) {
        let (root, name) = (self.root.clone(), core::mem::take(&mut self.name));
        rt::spawn(async move {
            // It fails only if that service has ended, and all names with it.
            let _ = root.unregister_async(&name).await;
        });
    }
}

/// Clients that come from there, for a server of this core.
struct Forward(Rc<ServiceClient<LmpPort>>);

impl Service for Forward {
    async fn accept(
        &self,
        _: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        let peer = self.0.accept_async(domain, Capability::give(endpoint.address())).await?;
        Ok(Capability::give(peer.address()))
    }

    async fn channels(&self, _: &Caller) -> Result<Vec<ChannelInfo>, ServiceError> {
        self.0.channels_async().await
    }
}

/// Ends a task that waits.
#[derive(Default)]
struct Stop {
    stopped: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Stop {
    fn stop(&self) {
        self.stopped.set(true);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// What comes of `work`, unless it is stopped before.
    async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            self.waker.set(Some(context.waker().clone()));
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Upstream {
    /// Connects to it.
    ///
    /// # Errors
    /// Those of the runtime.
    pub(crate) fn connect() -> Result<Upstream, RtError> {
        let own = rt::start::info().ok_or(RtError::NotAvailable)?.domain;
        Ok(Upstream { root: Rc::new(rt::names::connect(ROOT_NAMES)?), own, watched: Rc::default() })
    }

    /// Tells of a service of `domain`, whose server `client` asks.
    ///
    /// # Errors
    /// [`NamesError`].
    pub(crate) async fn publish(
        &self,
        domain: u64,
        name: &str,
        client: Rc<ServiceClient<LmpPort>>,
    ) -> Result<Published, NamesError> {
        let register = async |own| self.root.register_async(domain, name, own).await;
        let offered = rt::names::offer(Forward(client), register).await;
        let offer = offered.map_err(|error| match error {
            OfferError::Runtime(error) => own_error(error),
            OfferError::Refused(error) => error,
        })?;
        Ok(Published { root: self.root.clone(), name: name.into(), _offer: offer })
    }

    /// Connects an endpoint of `domain` with a service.
    ///
    /// # Errors
    /// [`NamesError`].
    pub(crate) async fn connect_for(
        &self,
        domain: u64,
        name: &str,
        endpoint: Capability,
    ) -> Result<Capability, NamesError> {
        let endpoint = Capability::give(endpoint.address());
        let peer = self.root.connect_async(domain, name, endpoint).await?;
        Ok(Capability::give(peer.address()))
    }

    /// Has those who wait for a name answered when there is such a service, or when it is known why there will be none.
    pub(crate) fn watch(&self, directory: Directory, name: &str) {
        if self.watched.borrow().contains_key(name) {
            return;
        }
        let (stop, root, watched) = (Rc::new(Stop::default()), self.root.clone(), self.watched.clone());
        watched.borrow_mut().insert(name.into(), stop.clone());
        let (own, name) = (self.own, String::from(name));
        rt::spawn(async move {
            let answer = stop.unless(root.wait_for_async(own, &name)).await;
            if let Some(answer) = answer {
                watched.borrow_mut().remove(&name);
                directory.answer_waiters(&name, answer);
            }
        });
    }

    /// Names that are not awaited any more are not asked for any more.
    pub(crate) fn forget(&self, is_awaited: impl Fn(&str) -> bool) {
        let unwanted = |name: &String, _: &mut Rc<Stop>| !is_awaited(name);
        let stops: Vec<_> = self.watched.borrow_mut().extract_if(.., unwanted).collect();
        stops.into_iter().for_each(|(_, stop)| stop.stop());
    }

    /// All services of all cores.
    ///
    /// # Errors
    /// [`NamesError`].
    pub(crate) async fn list(&self) -> Result<Vec<NameInfo>, NamesError> {
        self.root.list_async().await
    }

    /// The channels of a service.
    ///
    /// # Errors
    /// [`NamesError`].
    pub(crate) async fn channels(&self, name: &str) -> Result<Vec<ChannelInfo>, NamesError> {
        self.root.channels_async(name).await
    }
}
