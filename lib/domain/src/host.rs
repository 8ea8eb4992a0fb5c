//! What the builder needs of the domain that it works in.

use abi::{CapAddr, Rights};
use sys::{
    Cap, CapKind, Configuration, Dispatcher, Frame, L1CNode, L2CNode, Mappable, Result, Retypable, Slot,
    VNode, Window,
};

/// A place for a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this address of the builder's CSpace.
    Own(CapAddr),
    /// In a slot of this root CNode.
    Root(Cap<L1CNode>, u64),
    /// In a slot of this CNode.
    Node(Cap<L2CNode>, u64),
}

impl From<Place> for Slot {
    fn from(place: Place) -> Slot {
        match place {
            Place::Own(address) => Slot::own(address),
            Place::Root(node, index) => Slot::of_l1(node, index),
            Place::Node(node, index) => Slot::of_l2(node, index),
        }
    }
}

impl<K> From<Cap<K>> for Place {
    fn from(capability: Cap<K>) -> Place {
        Place::Own(capability.address())
    }
}

/// The system calls of the builder, and a look into a frame. In production this is [`System`]; in tests a model
/// that can refuse any of them.
pub trait Host {
    /// See [`Cap::retype`].
    fn retype<S: Retypable, T: CapKind>(
        &mut self,
        source: Cap<S>,
        offset: u64,
        bytes: u64,
        count: u64,
        first: Place,
    ) -> Result<()>;
    /// See [`Cap::copy_to`].
    fn copy<K: CapKind>(&mut self, source: Cap<K>, to: Place, rights: Rights) -> Result<()>;
    /// See [`Slot::delete`].
    fn delete(&mut self, place: Place) -> Result<()>;
    /// See [`Cap::revoke`].
    fn revoke<K: CapKind>(&mut self, capability: Cap<K>) -> Result<()>;
    /// See [`Cap::map`].
    fn map<V: VNode, T: Mappable>(
        &mut self,
        table: Cap<V>,
        object: Cap<T>,
        window: Window,
        to: Place,
    ) -> Result<()>;
    /// See [`Cap::make_endpoint`].
    fn make_endpoint(&mut self, dispatcher: Cap<Dispatcher>, event: u64, to: Place) -> Result<()>;
    /// See [`Cap::configure`].
    fn configure(&mut self, dispatcher: Cap<Dispatcher>, with: &Configuration) -> Result<()>;
    /// See [`Cap::start`].
    fn start(&mut self, dispatcher: Cap<Dispatcher>) -> Result<()>;
    /// Shows the first `bytes` bytes (whole pages) of `frame`, writable, to `f`, and takes the view away again, also
    /// after a failure. Nobody else uses the frame.
    fn view(&mut self, frame: Cap<Frame>, bytes: u64, f: &mut dyn FnMut(&mut [u8])) -> Result<()>;
}

/// The kernel below, and a function that looks into a frame ([`Host::view`]): it maps, calls, and unmaps.
pub struct System<F>(pub F);

impl<F: FnMut(Cap<Frame>, u64, &mut dyn FnMut(&mut [u8])) -> Result<()>> Host for System<F> {
    fn retype<S: Retypable, T: CapKind>(
        &mut self,
        source: Cap<S>,
        offset: u64,
        bytes: u64,
        count: u64,
        first: Place,
    ) -> Result<()> {
        source.retype::<T>(offset, bytes, count, first)
    }
    fn copy<K: CapKind>(&mut self, source: Cap<K>, to: Place, rights: Rights) -> Result<()> {
        source.copy_to(to, rights)
    }
    fn delete(&mut self, place: Place) -> Result<()> {
        Slot::from(place).delete()
    }
    fn revoke<K: CapKind>(&mut self, capability: Cap<K>) -> Result<()> {
        capability.revoke()
    }
    fn map<V: VNode, T: Mappable>(
        &mut self,
        table: Cap<V>,
        object: Cap<T>,
        window: Window,
        to: Place,
    ) -> Result<()> {
        table.map(object, window, to)
    }
    fn make_endpoint(&mut self, dispatcher: Cap<Dispatcher>, event: u64, to: Place) -> Result<()> {
        dispatcher.make_endpoint(event, to)
    }
    fn configure(&mut self, dispatcher: Cap<Dispatcher>, with: &Configuration) -> Result<()> {
        dispatcher.configure(with)
    }
    fn start(&mut self, dispatcher: Cap<Dispatcher>) -> Result<()> {
        dispatcher.start()
    }
    fn view(&mut self, frame: Cap<Frame>, bytes: u64, f: &mut dyn FnMut(&mut [u8])) -> Result<()> {
        (self.0)(frame, bytes, f)
    }
}
