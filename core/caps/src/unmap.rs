//! Taking mappings away, one at a time, with everything below a child table.

use abi::CapType;

use crate::Db;
use crate::machine::Machine;
use crate::map::window;
use crate::slot::{Flags, SlotRef};
use crate::vnode::{NOT_INSTALLED, Place};

impl Db {
    /// One action towards the end of `mapping`; says whether that is reached.
    ///
    /// The mapping of a child table: first the table is detached, so that the processor sees nothing below it and no more
    /// can be mapped into it; then what was mapped below goes, deepest first; then the mapping itself.
    pub(crate) fn unmap_action<M: Machine>(&mut self, m: &mut M, mapping: SlotRef) -> bool {
        let mut at = mapping;
        loop {
            let s = m.slot_mut(at);
            s.flags = s.flags.or(Flags::IN_DELETE);
            let (w, next) = (window(s), SlotRef(s.next));
            if !w.child {
                m.clear(&w, 0, w.count);
                break;
            }
            // A VNode has one mapping at most, the last of its ring, so the representative is next.
            if Place::of(m.slot(next)).is_some() {
                m.clear(&w, 0, w.count);
                m.slot_mut(next).aux64 = NOT_INSTALLED;
                return false;
            }
            match self.first_mapping(m, next) {
                Some(below) => at = below,
                None => break,
            }
        }
        self.remove_mapping(m, at);
        at == mapping
    }

    /// One action towards the end of the last capability to a VNode; says whether that is reached.
    pub(crate) fn vnode_action<M: Machine>(&mut self, m: &mut M, vnode: SlotRef) -> bool {
        let s = m.slot_mut(vnode);
        s.flags = s.flags.or(Flags::IN_DELETE);
        let (next, base, size, root) = (SlotRef(s.next), s.base, s.size, s.ty == CapType::VNodeL0);
        let asid = Place::of(s).map(|place| place.asid);
        let attached = (next != vnode).then_some(next);
        if let Some(mapping) = attached.or_else(|| self.first_mapping(m, vnode)) {
            let _ = self.unmap_action(m, mapping);
            return false;
        }
        if let (true, Some(asid)) = (root, asid) {
            m.free_asid(asid, base);
        }
        m.zero(base, size);
        self.remove_node(m, vnode);
        true
    }
}
