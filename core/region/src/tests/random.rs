//! Random runs beside the model.
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::model::Model;
use super::soundness;
use crate::{Node, Regions, RootId};

const GRANULE: u64 = 16;
const ALIGNMENTS: [u64; 5] = [16, 32, 64, 512, 1 << 30];
/// More than any run here needs.
const NODES: usize = 600;

/// A request in granules; numbers pick among what there is.
#[derive(Clone, Debug)]
enum Request {
    Allocate { size: u64, class: u32 },
    AllocateAt { base: u64, size: u64 },
    Free { pick: prop::sample::Index },
    FreePart { pick: prop::sample::Index, skip: u64, size: u64 },
    FreeWild { address: u64 },
    AddRoot { root: u32, base: u64, size: u64 },
}

fn request() -> impl Strategy<Value = Request> {
    let size = prop_oneof![4 => 1u64..8, 2 => 1u64..70, 1 => 0u64..300];
    let base = 90u64..700;
    let pick = any::<prop::sample::Index>();
    prop_oneof![
        12 => (size.clone(), prop_oneof![3 => Just(0), 4 => 0u32..8, 1 => 0u32..64])
            .prop_map(|(size, class)| Request::Allocate { size, class }),
        4 => (base.clone(), size.clone()).prop_map(|(base, size)| Request::AllocateAt { base, size }),
        8 => pick.clone().prop_map(|pick| Request::Free { pick }),
        4 => (pick, 0u64..6, size.clone()).prop_map(|(pick, skip, size)| Request::FreePart { pick, skip, size }),
        1 => (80 * GRANULE..720 * GRANULE).prop_map(|address| Request::FreeWild { address }),
        1 => (1u32..4, base, size).prop_map(|(root, base, size)| Request::AddRoot { root, base, size }),
    ]
}

/// Two roots that touch, one apart, and one that is added in two pieces.
const ROOTS: [(u32, u64, u64); 5] = [(1, 100, 129), (2, 229, 71), (3, 333, 167), (4, 600, 30), (4, 570, 30)];

fn apply(request: &Request, real: &mut Regions<'_, 5>, model: &mut Model, allocated: &mut Vec<u64>) {
    let picked = |pick: &prop::sample::Index| {
        if allocated.is_empty() { 0 } else { allocated[pick.index(allocated.len())] }
    };
    match *request {
        Request::Allocate { size, class } => {
            let fit = real.fit(size * GRANULE, 1 << class);
            let got = real.allocate(size * GRANULE, 1 << class);
            assert_eq!(got, fit, "what fits is what is taken");
            assert_eq!(got, model.allocate(size * GRANULE, 1 << class));
            allocated.extend(got.map(|region| region.base));
        }
        Request::AllocateAt { base, size } => {
            let got = real.allocate_at(base * GRANULE, size * GRANULE);
            assert_eq!(got, model.allocate_at(base * GRANULE, size * GRANULE));
            allocated.extend(got.map(|region| region.base));
        }
        Request::Free { ref pick } => {
            // Bases are never forgotten, so that some are freed twice.
            let base = picked(pick);
            assert_eq!(real.free(base), model.free(base));
        }
        Request::FreePart { ref pick, skip, size } => {
            let base = picked(pick) + skip * GRANULE;
            assert_eq!(real.free_part(base, size * GRANULE), model.free_part(base, size * GRANULE));
        }
        Request::FreeWild { address } => assert_eq!(real.free(address), model.free(address)),
        Request::AddRoot { root, base, size } => {
            let (base, size) = (base * GRANULE, size * GRANULE);
            assert_eq!(real.add_root(RootId(root), base, size), model.add_root(RootId(root), base, size));
        }
    }
}

fn cases() -> u32 {
    if std::env::var_os("BARRELDISH_LONG").is_some() { 10_000 } else { 100 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// `BARRELDISH_LONG=1 cargo test --release -p region` is the long run.
    #[test]
    fn random_runs_agree_with_the_model_and_leave_nothing_behind(
        requests in prop::collection::vec(request(), 1..400)
    ) {
        let mut nodes = vec![Node::EMPTY; NODES];
        let (first, second) = nodes.split_at_mut(100);
        let mut real = Regions::new(ALIGNMENTS).unwrap();
        let mut model = Model::new(&ALIGNMENTS);
        real.add_nodes(first).unwrap();
        real.add_nodes(second).unwrap();
        for (root, base, size) in ROOTS {
            real.add_root(RootId(root), base * GRANULE, size * GRANULE).unwrap();
            model.add_root(RootId(root), base * GRANULE, size * GRANULE).unwrap();
        }
        let untouched: Vec<_> = real.iter().collect();
        prop_assert_eq!(untouched.len(), 4);

        let mut allocated = Vec::new();
        let mut added = false;
        for request in &requests {
            apply(request, &mut real, &mut model, &mut allocated);
            prop_assert_eq!(real.statistics(), model.statistics());
            soundness::check(&real, NODES);
            prop_assert!(real.iter().eq(model.regions.iter().copied()));
            added |= matches!(request, Request::AddRoot { .. });
        }

        let used: Vec<_> = real.iter().filter(|(_, state)| *state == crate::State::Used).collect();
        for (region, _) in used {
            prop_assert_eq!(real.free(region.base), Ok(region));
        }
        prop_assert_eq!(real.statistics().used, 0);
        soundness::check(&real, NODES);
        if !added {
            prop_assert!(real.iter().eq(untouched));
        }
    }
}
