//! Which states are the same but for names: cores other than the home's can change places, and a unit can be looked at from
//! its other end.

use capops::{CoreId, CoreSet};

use super::caps::{CAPS, Cap, Set};
use super::{Config, each};

/// A renaming.
#[derive(Clone, Copy, Debug)]
pub struct Renaming<const N: usize> {
    /// The new number of each core.
    to: [u8; N],
    /// The old number of each core.
    from: [u8; N],
    mirrored: bool,
}

/// All renamings of a world, the one that changes nothing first.
#[derive(Debug)]
pub struct Symmetry<const N: usize> {
    /// The renamings.
    pub renamings: Vec<Renaming<N>>,
    mirror: [Cap; CAPS],
}

impl<const N: usize> Symmetry<N> {
    /// The renamings under which a world behaves the same.
    pub fn new(config: &Config) -> Symmetry<N> {
        let mut orders = Vec::new();
        let fixed = config.second != 0 && config.second_home != CoreId(0);
        // Where there are many cores nobody looks at all states.
        let from = if fixed || N > 6 { N } else { 1 };
        permute(&mut std::array::from_fn(|k| k as u8), from, &mut orders);
        // A sweep in steps goes in one direction; a cut is somewhere.
        let mirrors: &[bool] =
            if config.stepped || config.cut != 0 || config.second != 0 { &[false] } else { &[false, true] };
        let renaming = |order: [u8; N], mirrored| {
            let mut to = [0; N];
            for (new, old) in order.iter().enumerate() {
                to[*old as usize] = new as u8;
            }
            Renaming { to, from: order, mirrored }
        };
        let renamings = orders
            .iter()
            .flat_map(|order| mirrors.iter().map(move |mirrored| renaming(*order, *mirrored)))
            .collect();
        let mirror = std::array::from_fn(|cap| Cap(cap as u8).mirrored(config.size));
        Symmetry { renamings, mirror }
    }

    /// A capability by its new name.
    pub fn cap(&self, renaming: &Renaming<N>, cap: Cap) -> Cap {
        if renaming.mirrored { self.mirror[cap.0 as usize] } else { cap }
    }

    /// A set of capabilities by their new names.
    pub fn set(&self, renaming: &Renaming<N>, set: Set) -> Set {
        if renaming.mirrored { each(set).map(|cap| self.mirror[cap.0 as usize].bit()).sum() } else { set }
    }
}

impl<const N: usize> Renaming<N> {
    /// A core by its new name.
    pub fn core(&self, core: CoreId) -> CoreId {
        CoreId(self.to[core.index()])
    }
    /// The old number of a core.
    pub fn old(&self, new: usize) -> usize {
        self.from[new] as usize
    }
    /// Cores by their new names.
    pub fn cores(&self, set: CoreSet) -> CoreSet {
        set.iter().fold(CoreSet::NONE, |new, core| new.with(self.core(core)))
    }
}

fn permute<const N: usize>(order: &mut [u8; N], at: usize, orders: &mut Vec<[u8; N]>) {
    if at >= N {
        orders.push(*order);
        return;
    }
    for i in at..N {
        order.swap(at, i);
        permute(order, at + 1, orders);
        order.swap(at, i);
    }
}
