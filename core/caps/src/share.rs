//! What the monitor does with a capability that it asks the home about: it pins it, and hands on what the home decided.
//!
//! A pin is a copy of the monitor's own, so that the capability stays whatever its owner does. It is the representative of its
//! key as long as it is there, since nobody revokes meanwhile: so it is what a coordinated revocation leaves.
//!
//! Before a copy leaves the core, the capability and all its ancestors in the unit lose their mark. (That of the Unit says what its
//! home says about sharers, and until that has answered the Unit is asked about.) A chain of nested Rams can be long, so
//! that goes in steps, from the inside outwards; the pin remembers where it stands. To lose a mark early is always safe; and to
//! get one takes an answer of the home, of which there is one at a time.

use abi::{CapType, ErrorKind, Rights};
use capops::Refusal;

use crate::db::usable;
use crate::frozen::{self, BUSY, refused};
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::{self, row_of};
use crate::{BUDGET, Db, Progress, RetypeArgs, cost};

/// What the home is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A copy for another core.
    Send,
    /// A descendant.
    Retype,
    /// The end of all other copies and all descendants.
    Revoke,
}

/// `page` of a pin whose ancestors are losing their marks: this, the depth of the last that has, and upper bits of its size.
/// `aux64`: how far before the pin that one begins, and the rest of its size. Nothing of it refers to the Unit, which may be cut.
const SHARING: u32 = 1 << 31;
/// `page` of a pin whose ancestors have all lost theirs. None gets one before the request is concluded.
const SHARED: u32 = 1 << 30;
const DEPTH_SHIFT: u32 = 16;

impl Db {
    /// Copies a capability into the empty slot `dst` of the monitor, for a request to the home of its unit; until
    /// [`Db::conclude`] there cannot be another for that unit. For [`Ask::Send`], [`Db::share`] has to follow.
    ///
    /// # Errors
    /// Those of [`Db::copy`]; `Pending`; `MissingRight` without REVOKE for a revocation; `WrongType` for what cannot leave
    /// its core, or belongs to no unit; `BadState` for a retype or revocation of what is exclusive.
    pub fn pin<M: Machine>(
        &mut self,
        m: &mut M,
        src: SlotRef,
        dst: SlotRef,
        ask: Ask,
    ) -> Result<(), ErrorKind> {
        let s = usable(m.slot(src))?;
        let representative = self.representative(m, src);
        let facts = self.facts(m, s, m.slot(representative).is(Flags::EXCL));
        match ask {
            Ask::Send => facts.send(),
            Ask::Retype | Ask::Revoke => facts.coordinated(),
        }
        .map_err(refused)?;
        let sends = ask == Ask::Send;
        if s.is(Flags::ROOT) || s.ty == CapType::Unit || sends && !types::travels(s.ty) {
            return Err(ErrorKind::WrongType);
        }
        if ask == Ask::Revoke && !s.rights.contains(Rights::REVOKE) {
            return Err(ErrorKind::MissingRight);
        }
        let unit = self.unit_over(m, s.base);
        if unit.is_none() {
            return Err(ErrorKind::WrongType);
        }
        self.unit(m, unit)?;
        self.copy(m, src, dst, Rights::ALL)?;
        self.lead(m, dst);
        self.set_busy(m, unit, true);
        Ok(())
    }

    /// Goes on taking the mark of being exclusive from a pin and all its ancestors, for about `budget`. Before `Done` the home
    /// must not be asked. After that it costs nothing to call it again.
    ///
    /// # Errors
    /// Those of [`Db::copy`]; `BadState` for what is not pinned, `WrongType` for what cannot leave its core.
    pub fn share_within<M: Machine>(
        &mut self,
        m: &mut M,
        pin: SlotRef,
        mut budget: u32,
    ) -> Result<Progress, ErrorKind> {
        let unit = self.pinned(m, pin)?;
        if !types::travels(m.slot(pin).ty) {
            return Err(ErrorKind::WrongType);
        }
        if m.slot(pin).page == SHARED {
            return Ok(Progress::Done);
        }
        let from = m.slot(pin).base;
        let mut at = cursor(m.slot(pin));
        while budget >= cost::DELETE {
            budget -= cost::DELETE;
            let next = match at {
                None => pin,
                // Events of one dispatcher do not lie in each other.
                Some(key) => self.innermost(m, &Key { index: 0, ..key }, from),
            };
            if next == unit {
                let p = m.slot_mut(pin);
                (p.page, p.aux64) = (SHARED, 0);
                return Ok(Progress::Done);
            }
            let s = m.slot_mut(next);
            s.set(Flags::EXCL, false);
            at = Some(Key::of(s));
        }
        if let Some(key) = at {
            let (low, high) = frozen::pack_around(from, &key);
            let p = m.slot_mut(pin);
            (p.page, p.aux64) = (SHARING | (key.depth as u32) << DEPTH_SHIFT | high as u32, low);
        }
        Ok(Progress::More)
    }

    /// [`Db::share_within`] the work of one call.
    ///
    /// # Errors
    /// Those of [`Db::share_within`].
    pub fn share<M: Machine>(&mut self, m: &mut M, pin: SlotRef) -> Result<Progress, ErrorKind> {
        self.share_within(m, pin, BUDGET)
    }

    /// The request about a unit has been answered, and what the answer brings about is done. The pin is the monitor's to
    /// delete; it is no pin for another request.
    ///
    /// # Errors
    /// Those of `Db::unit`; `BadState` when there is none.
    pub fn conclude<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> Result<(), ErrorKind> {
        if self.unit(m, unit)?.aux32 & BUSY == 0 {
            return Err(refused(Refusal::Nonsense));
        }
        self.set_busy(m, unit, false);
        self.unpark(m, unit);
        Ok(())
    }

    /// Marks what is pinned as exclusive: the home said so.
    ///
    /// # Errors
    /// Those of [`Db::copy`]; `BadState` for what is not pinned.
    pub fn own<M: Machine>(&mut self, m: &mut M, pin: SlotRef) -> Result<(), ErrorKind> {
        self.pinned(m, pin)?;
        let representative = self.representative(m, pin);
        m.slot_mut(representative).set(Flags::EXCL, true);
        Ok(())
    }

    /// [`Db::retype`] of what is pinned, which the home has allowed although it is shared.
    ///
    /// # Errors
    /// Those of [`Db::retype`] but `AskMonitor`; `BadState` for what is not pinned.
    pub fn retype_granted<M: Machine>(
        &mut self,
        m: &mut M,
        pin: SlotRef,
        args: &RetypeArgs,
        first_dst: SlotRef,
    ) -> Result<(), ErrorKind> {
        self.pinned(m, pin)?;
        self.retype_as(m, pin, args, first_dst, true)
    }

    /// The Unit of a capability, about which the home has been asked.
    fn pinned<M: Machine>(&self, m: &M, pin: SlotRef) -> Result<SlotRef, ErrorKind> {
        let s = self.usable(m, pin)?;
        let busy = self.facts(m, s, true).busy && row_of(s).copyable;
        if busy { Ok(self.unit_over(m, s.base)) } else { Err(refused(Refusal::Nonsense)) }
    }
}

/// The last of a pin's ancestors that has lost its mark.
const fn cursor(pin: &Slot) -> Option<Key> {
    if pin.page & SHARING == 0 {
        return None;
    }
    let depth = (pin.page & !SHARING) >> DEPTH_SHIFT;
    Some(frozen::unpack_around(pin.base, pin.aux64, pin.page as u16, depth as u8))
}
