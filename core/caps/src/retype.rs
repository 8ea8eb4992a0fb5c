//! Retype: making capabilities from the memory, or over the object, of another.

use abi::cap::{MAX_RETYPE, MAX_RETYPE_BYTES, dispatcher_events};
use abi::{CapType, ErrorKind, Rights};
use capops::Facts;
use tree::NONE;

use crate::Db;
use crate::db::{New, View, require_empty};
use crate::frozen::refused;
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::{self, Size, TypeRow, row_of};
use crate::vnode::{self, Place};

/// What to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetypeArgs {
    /// Type of the objects.
    pub ty: CapType,
    /// Where the first one begins in the source, in bytes or numbers; for EndPoint and Notify the first event index.
    pub offset: u64,
    /// Bytes of each, or how many numbers; 0: the type's own size. For EndPoint and Notify 0.
    pub object_size: u64,
    /// How many, one behind the other.
    pub count: u64,
}

/// A retype of a region that has been found legal.
pub(crate) struct Plan {
    pub first: New,
    pub count: u32,
    /// The node that the new ones follow in the tree.
    pub place: u32,
}

impl Db {
    /// Makes `count` capabilities in the empty slots from `first_dst`.
    ///
    /// New regions inherit the source's rights; they may not overlap any other descendant of the source. Kernel
    /// objects need WRITE on the source and get READ, WRITE, EXECUTE and the source's REVOKE; their memory is zeroed
    /// here. EndPoints and Notifys need WRITE on the dispatcher and get READ, WRITE and REVOKE: whoever makes one may end it,
    /// without being able to end the dispatcher. Making one of an index that has one of the same kind gives a further copy
    /// of it, with REVOKE only if the dispatcher's capability has it.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`; `BadType`, `IllegalRetype`; `BadCount`; `BadSize`, `Unaligned`;
    /// `OutOfRange` (`BadEvent` for an index); `MissingRight`; `UnitNotZeroed`; `AskMonitor`; `Overlap` (`BadEvent` for
    /// an index of the other kind); `SlotOccupied`; `NoAsid`.
    pub fn retype<M: Machine>(
        &mut self,
        m: &mut M,
        src: SlotRef,
        args: &RetypeArgs,
        first_dst: SlotRef,
    ) -> Result<(), ErrorKind> {
        self.retype_as(m, src, args, first_dst, false)
    }

    /// [`Db::retype`]; `granted`: the home has allowed it, whoever shares the source.
    pub(crate) fn retype_as<M: Machine>(
        &mut self,
        m: &mut M,
        src: SlotRef,
        args: &RetypeArgs,
        first_dst: SlotRef,
        granted: bool,
    ) -> Result<(), ErrorKind> {
        let s = *self.usable(m, src)?;
        let row = types::row(args.ty, s.is(Flags::ROOT) && args.ty == CapType::Ram);
        if matches!(row.size, Size::Never) {
            return Err(ErrorKind::BadType);
        }
        if !row_of(&s).makes(args.ty) {
            return Err(ErrorKind::IllegalRetype);
        }
        if args.count == 0 || args.count > MAX_RETYPE {
            return Err(ErrorKind::BadCount);
        }
        if matches!(row.size, Size::Event) {
            return self.retype_events(m, &s, args, first_dst, granted);
        }
        let plan = self.plan(m, &s, row, args, granted)?;
        require_empty(m, first_dst, plan.count)?;
        if row.object {
            let asids = &mut [0; MAX_RETYPE as usize];
            take_asids(m, &plan, asids)?;
            m.zero(plan.first.base, plan.first.size * plan.count as u64);
            self.commit_objects(m, &plan, asids, first_dst);
        } else {
            self.commit(m, &plan, first_dst);
        }
        if s.is(Flags::LISTED) {
            self.unlist(m, src);
        }
        Ok(())
    }

    /// Decodes a retype of a region; changes nothing.
    pub(crate) fn plan<M: Machine>(
        &self,
        m: &M,
        s: &Slot,
        row: &TypeRow,
        args: &RetypeArgs,
        granted: bool,
    ) -> Result<Plan, ErrorKind> {
        let (size, alignment) = row.object_size(args.object_size)?;
        if !args.offset.is_multiple_of(alignment) {
            return Err(ErrorKind::Unaligned);
        }
        // A capability of the same type over the same region would be a copy, not a descendant.
        if s.ty == args.ty && size == s.size {
            return Err(ErrorKind::BadSize);
        }
        let bytes = size.checked_mul(args.count).ok_or(ErrorKind::OutOfRange)?;
        if row.object && bytes > MAX_RETYPE_BYTES {
            return Err(ErrorKind::BadCount);
        }
        match args.offset.checked_add(bytes) {
            Some(end) if end <= s.size => {}
            _ => return Err(ErrorKind::OutOfRange),
        }
        if row.object && !s.rights.contains(Rights::WRITE) {
            return Err(ErrorKind::MissingRight);
        }
        if s.ty == CapType::Unit && s.aux64 != s.size {
            return Err(ErrorKind::UnitNotZeroed);
        }
        let base = s.base + args.offset;
        let (place, representative) = self.place_inside(m, s, base, base + bytes)?;
        require_exclusive(m.slot(representative), granted)?;
        Ok(Plan { first: first_of(s, row, args, base, size), count: args.count as u32, place })
    }

    /// The node behind which new capabilities from `base` to `end` inside `s` have their place, and the representative of `s`.
    ///
    /// Nodes that begin before `end` and end behind `base` overlap the range. `s` and its ancestors do, and come
    /// before all descendants of `s` in the order. So the last that does tells: it is `s`, or a descendant.
    fn place_inside<M: Machine>(
        &self,
        m: &M,
        s: &Slot,
        base: u64,
        end: u64,
    ) -> Result<(u32, SlotRef), ErrorKind> {
        let (place, overlapping) = self.around(m, base, end);
        if overlapping == NONE || Key::of(m.slot(SlotRef(overlapping))) != Key::of(s) {
            return Err(ErrorKind::Overlap);
        }
        Ok((place, SlotRef(overlapping)))
    }

    /// Makes regions.
    fn commit<M: Machine>(&mut self, m: &mut M, plan: &Plan, dst: SlotRef) {
        let (mut new, mut place) = (plan.first, plan.place);
        for i in 0..plan.count {
            self.add_node(m, dst.plus(i), &new, place);
            place = dst.plus(i).0;
            new.base += new.size;
        }
    }

    /// Makes kernel objects, whose memory is zero.
    fn commit_objects<M: Machine>(&mut self, m: &mut M, plan: &Plan, asids: &[u16], dst: SlotRef) {
        let (mut new, mut place) = (plan.first, plan.place);
        for i in 0..plan.count {
            new.aux64 = match new.ty {
                CapType::VNodeL0 => Place::root(asids[i as usize]).pack(),
                _ => vnode::NOT_INSTALLED,
            };
            self.add_node(m, dst.plus(i), &new, place);
            place = dst.plus(i).0;
            new.base += new.size;
        }
    }

    /// Makes endpoints or notifications of consecutive events of the dispatcher `s`.
    fn retype_events<M: Machine>(
        &mut self,
        m: &mut M,
        s: &Slot,
        args: &RetypeArgs,
        dst: SlotRef,
        granted: bool,
    ) -> Result<(), ErrorKind> {
        if args.object_size != 0 {
            return Err(ErrorKind::BadSize);
        }
        let events = dispatcher_events(s.size);
        if args.offset >= events || args.count > events - args.offset {
            return Err(ErrorKind::BadEvent);
        }
        if !s.rights.contains(Rights::WRITE) {
            return Err(ErrorKind::MissingRight);
        }
        require_exclusive(m.slot(SlotRef(self.find(m, &Key::of(s)))), granted)?;
        let (first, count) = (args.offset as u32, args.count as u32);
        let depth = types::depth(args.ty, false);
        let key = |i: u32| Key { base: s.base, size: s.size, depth, index: first + i };
        for i in 0..count {
            let node = self.find(m, &key(i));
            if node != NONE && m.slot(SlotRef(node)).ty != args.ty {
                return Err(ErrorKind::BadEvent);
            }
        }
        require_empty(m, dst, count)?;
        for i in 0..count {
            self.commit_event(m, s, args.ty, &key(i), dst.plus(i));
        }
        Ok(())
    }

    /// Makes one endpoint or notification, or a further copy of it.
    fn commit_event<M: Machine>(&mut self, m: &mut M, s: &Slot, ty: CapType, key: &Key, dst: SlotRef) {
        let access = Rights::READ.or(Rights::WRITE);
        let mut new = New {
            ty,
            rights: access.or(Rights::REVOKE),
            flags: Flags::default(),
            page: 0,
            base: s.base,
            size: s.size,
            aux32: key.index,
            aux64: 0,
        };
        let place = self.tree.predecessor(&View(m), |v, n| key.cmp_slot(v.0.slot(SlotRef(n))).is_le());
        if Key::of(m.slot(SlotRef(place))) == *key {
            new.rights = access.or(s.rights.and(Rights::REVOKE));
            self.add_copy(m, dst, &new, SlotRef(place));
        } else {
            self.add_node(m, dst, &new, place);
        }
    }
}

/// Checks that nobody has to be asked: the mark of a representative, or that it was done.
fn require_exclusive(representative: &Slot, granted: bool) -> Result<(), ErrorKind> {
    let exclusive = granted || representative.is(Flags::EXCL);
    Facts { held: true, frozen: false, exclusive, busy: false }.local().map_err(refused)
}

/// The first of the capabilities that a retype makes.
fn first_of(s: &Slot, row: &TypeRow, args: &RetypeArgs, base: u64, size: u64) -> New {
    let all = Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE);
    New {
        ty: args.ty,
        rights: if row.object { all.or(s.rights.and(Rights::REVOKE)) } else { s.rights },
        flags: if args.ty == CapType::Ram { s.flags.and(Flags::ROOT) } else { Flags::default() },
        page: 0,
        base,
        size,
        aux32: 0,
        aux64: 0,
    }
}

/// Takes an address space identifier for each VNodeL0 of a plan, or none at all.
fn take_asids<M: Machine>(m: &mut M, plan: &Plan, asids: &mut [u16]) -> Result<(), ErrorKind> {
    if plan.first.ty != CapType::VNodeL0 {
        return Ok(());
    }
    let root = |i: usize| plan.first.base + i as u64 * plan.first.size;
    for i in 0..plan.count as usize {
        let Some(asid) = m.new_asid() else {
            for (i, asid) in asids[..i].iter().enumerate() {
                m.free_asid(*asid, root(i));
            }
            return Err(ErrorKind::NoAsid);
        };
        asids[i] = asid;
    }
    Ok(())
}
