//! What a monitor needs of its kernel, of its domains and of the memory server of its core.

use capops::{CoreId, CoreSet, Holder, HolderEffects, HolderEvent, Refusal, ToHome, Verdict};

use crate::{DomainId, UnitId, WireKey};

/// A unit at its home: what its slot in the kernel remembers. While something goes on with it, `live` and `zeroed` are true of
/// it, and the sharers are at least those that there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Idle {
    /// Whether it is handed out.
    pub live: bool,
    /// Whether its memory is zero, while it is not handed out.
    pub zeroed: bool,
    /// The cores that hold something of it.
    pub sharers: CoreSet,
}

/// A copy that the monitor has in its own CSpace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied<K> {
    /// The one that [`capops::Held::insert`] made in the last [`Kernel::step`].
    Fresh {
        /// Of which unit.
        unit: UnitId,
        /// Which capability.
        key: K,
    },
    /// The one that came with a request, in this slot.
    Pinned(u32),
}

/// Who gets a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taker {
    /// The domain that asked, with the answer.
    Asker {
        /// Who asked.
        domain: DomainId,
        /// By what it knows the answer.
        token: u64,
    },
    /// Whom the tag of a delivery names.
    Tag(u64),
}

/// A message or event that was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonsense {
    /// From whom it came.
    pub from: CoreId,
    /// About which unit, if it could be read.
    pub unit: Option<UnitId>,
    /// Why it was refused.
    pub why: Refusal,
}

/// What is below and beside the monitor. Every call takes bounded time, and none calls back.
///
/// One event of a monitor makes several of these calls, and between two of them the domains of this core run: they copy, retype,
/// revoke what is exclusive, and delete, what the monitor has copied for them included. *Within* a call nothing else happens to the
/// unit. For [`step`](Kernel::step) and [`cut`](Kernel::cut) that is not a matter of speed: each is one system call, because
/// what it looks at, what it changes, and what it says to the home have to be of one moment.
pub trait Kernel {
    /// Names a capability.
    type Key: WireKey;

    /// One event of this core's part in a unit: [`Holder::step`], over what the kernel holds of it. All of the following is one:
    ///
    /// 1. For [`HolderEvent::Ask`]: the copy in the slot `place` is still there, and of this unit. Otherwise it is refused with
    ///    [`Refusal::NotHeld`].
    /// 2. `holder.owes_gone` is what the kernel has marked, and the guards of the event are looked at.
    /// 3. The unit's guards look at `holder` as it is afterwards, for ever if nothing else is said; `place` is the slot with the copy
    ///    that the unanswered request pins, which a sweep leaves if it keeps its top. So no guard sees a state in which a
    ///    request is allowed and not yet marked as under way.
    /// 4. What the event does to what is held is done. For [`HolderEvent::Receive`] of a `Done` that allows a retype: it becomes
    ///    exclusive, what is in the way is looked for, the new one is made.
    /// 5. The mark of what is owed is cleared if what is to be sent is [`ToHome::Gone`] or an answer that says that the unit is
    ///    empty, or something is held again, or the home has stopped; else it stays as it is. It is set by each deletion that is the last, of
    ///    domains as well as of a sweep: hence one that comes behind the moment of the answer sets it again.
    ///
    /// The one thing that may take several system calls is taking the exclusive mark from the ancestors of what is sent, behind 3 and
    /// before this returns: to lose a mark early is safe. A refused event has changed nothing, `holder` included.
    ///
    /// # Errors
    /// Those of [`Holder::step`].
    fn step(
        &mut self,
        unit: UnitId,
        holder: &mut Holder<Self::Key>,
        event: HolderEvent<Self::Key>,
        place: Option<u32>,
    ) -> Result<HolderEffects<Self::Key>, Refusal>;
    /// A unit is two units on this core from now on: [`Holder::cut_knowing`]. One moment are: the cut, whether each part is empty, the
    /// guards of both (`place` goes with what is asked), and the marks of what both owe, which the answer says: neither does.
    /// Returns the holder of the upper part, and the answer.
    fn cut(
        &mut self,
        unit: UnitId,
        at: u64,
        upper: UnitId,
        holder: &mut Holder<Self::Key>,
        place: Option<u32>,
    ) -> (Holder<Self::Key>, ToHome<Self::Key>);
    /// A unit of this home of which the last capability went without that the home was told. Only a look: the unit is named again
    /// and again until a [`step`](Kernel::step), of [`HolderEvent::SayGone`] or of what else says it, has taken the mark. The
    /// one that has been marked for longest comes first. Only steps take marks, and they are the monitor's: a unit that was named
    /// still has its mark in the next call. What stopped homes are owed is not asked for.
    fn next_emptied(&self, home: CoreId) -> Option<UnitId>;
    /// The unit of the copy that came with a request, as it is called now: while requests wait, units are cut, and the kernel may trim what it
    /// knows of one. `None`: the slot is empty, because a revocation took the copy. Empty or not, the slot belongs to the
    /// request until the copy is given, left or discarded, and serves no other.
    fn pinned(&self, place: u32) -> Option<UnitId>;

    /// A unit of this core's memory server.
    fn idle(&self, unit: UnitId) -> Option<Idle>;
    /// Something of the unit is about to be handed to a core: before the first message of that leaves, the slot has to
    /// remember that the unit is handed out, that its memory is not zero any more, and that this core shares it, too. Whatever becomes of
    /// this monitor, nothing that others hold is then taken for exclusive or free, and no dirty memory for clean.
    fn will_share(&mut self, unit: UnitId, idle: Idle);
    /// Nothing goes on with the unit any more: what is to be remembered from now on, `zeroed` as well as the sharers.
    fn set_idle(&mut self, unit: UnitId, idle: Idle);
    /// The first unit of this core's memory server behind this one: all, in some order.
    fn next_unit(&self, after: Option<UnitId>) -> Option<UnitId>;
    /// The cut is decided: there is a new unit at this home.
    fn split(&mut self, unit: UnitId, at: u64, upper: UnitId);
    /// Goes on with zeroing the free unit. Says whether all is zero.
    fn zero(&mut self, unit: UnitId) -> bool;
    /// Nobody holds anything of the unit: it is the memory server's again.
    fn reclaimed(&mut self, unit: UnitId);
    /// What the memory server asked for is done, or cannot be.
    fn cut_ended(&mut self, unit: UnitId, at: u64, done: bool);

    /// Whether somebody takes what the tag goes with.
    fn accepts(&mut self, unit: UnitId, key: Self::Key, tag: u64) -> bool;
    /// Moves the monitor's copy to somebody. If that fails it is still the monitor's.
    fn give(&mut self, copy: Copied<Self::Key>, to: Taker) -> bool;
    /// The copy in this slot is what is left to a domain of what it has revoked, and the domain has no room for it now, or
    /// the copy is gone. It stays in the slot for that domain, which gets it when it has room and comes for it, and goes with the
    /// domain. Until then the slot counts as one of the domain's requests: so what can be left has a bound. An empty slot is free.
    fn leave(&mut self, place: u32, domain: DomainId, token: u64);
    /// Deletes the monitor's copy, if it is still there: a revocation may have taken it.
    fn discard(&mut self, copy: Copied<Self::Key>);
    /// Tells a domain how its request ended, or that it could not be begun. What it gets has been given or left before.
    /// [`Refusal::NoRoom`]: a retype was allowed, and the domain could not take what it made, which is deleted.
    fn reply(&mut self, domain: DomainId, token: u64, how: Result<Verdict, Refusal>);
    /// A peer has said what it cannot have meant.
    fn report(&mut self, nonsense: Nonsense);
}
