//! What happens when cores want what does not go together, in any order of messages.

use capops::{CoreId, HolderEvent, Refusal, Request};
use model::system::{Fairness, System};
use model::world::{Action, Cap, Config, State, Type, World, each};

const CORES: usize = 4;

struct Run {
    world: World<CORES>,
    state: State<CORES>,
    random: u64,
}

impl Run {
    /// All cores share the whole unit.
    fn shared(seed: u64, size: u8) -> Run {
        let world = World::new(Config { stepped: true, owed: true, ..Config::plain(size) });
        let state = world.initial();
        let mut run = Run { world, state, random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 };
        run.take(Action::Allocate { unit: 0, to: CoreId(0) });
        run.settle();
        for to in 1..CORES as u8 {
            run.ask(0, Request::Send { key: run.whole(), to: CoreId(to) });
            run.settle();
        }
        run
    }

    fn whole(&self) -> Cap {
        Cap::new(Type::Ram, 0, self.world.config.size)
    }

    fn take(&mut self, action: Action) {
        self.state = self.world.step(&self.state, action).unwrap();
        self.world.check(&self.state).unwrap();
    }

    fn ask(&mut self, core: u8, request: Request<Cap>) {
        let event = HolderEvent::Ask(request);
        self.take(Action::User { unit: 0, core: CoreId(core), event });
    }

    /// What a domain is told that asks for this.
    fn refusal(&self, core: usize, event: HolderEvent<Cap>) -> Option<Refusal> {
        let mut unit = self.state.units[0];
        unit.holders[core].step(&mut self.world.view(&mut unit.held[core]), event).err()
    }

    fn next(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random as usize % below
    }

    /// One step of a core or the home, whichever; false if there is none.
    fn go_on(&mut self) -> bool {
        let mut actions = Vec::new();
        self.world.actions(&self.state, false, &mut actions);
        actions.retain(|action| self.world.fairness(*action) != Fairness::None);
        if actions.is_empty() {
            return false;
        }
        let action = actions[self.next(actions.len())];
        self.take(action);
        true
    }

    fn settle(&mut self) {
        while self.go_on() {}
    }

    fn held(&self, core: usize) -> Vec<Cap> {
        each(self.state.units[0].held[core].have).collect()
    }
}

#[test]
fn of_conflicting_retypes_on_all_cores_exactly_one_wins() {
    for seed in 0..300 {
        let mut run = Run::shared(seed, 3);
        let src = run.whole();
        // Each overlaps each.
        for (core, (start, end)) in [(0, 2), (1, 3), (1, 2), (0, 2)].into_iter().enumerate() {
            run.ask(core as u8, Request::Retype { src, new: Cap::new(Type::Ram, start, end) });
        }
        run.settle();
        let winners = (0..CORES).filter(|core| run.held(*core).len() == 2).count();
        assert_eq!(winners, 1, "seed {seed}");
    }
}

#[test]
fn a_revocation_wins_over_those_of_what_lies_in_it() {
    for seed in 0..300 {
        let mut run = Run::shared(seed, 2);
        let (top, part) = (run.whole(), Cap::new(Type::Ram, 0, 1));
        run.ask(1, Request::Retype { src: top, new: part });
        run.settle();
        run.ask(1, Request::Send { key: part, to: CoreId(2) });
        run.settle();
        run.ask(2, Request::Revoke { top: part });
        for _ in 0..run.next(12) {
            run.go_on();
        }
        run.ask(3, Request::Revoke { top });
        run.settle();
        assert_eq!(run.held(3), [top], "seed {seed}");
        assert!((0..3).all(|core| run.held(core).is_empty()), "seed {seed}");
    }
}

#[test]
fn of_two_that_revoke_the_same_one_keeps_it() {
    for seed in 0..300 {
        let mut run = Run::shared(seed, 2);
        let top = run.whole();
        for core in 0..CORES as u8 {
            run.ask(core, Request::Revoke { top });
        }
        run.settle();
        let keepers = (0..CORES).filter(|core| run.held(*core) == [top]).count();
        assert_eq!(keepers, 1, "seed {seed}");
    }
}

#[test]
fn what_is_being_revoked_is_refused_but_can_be_deleted() {
    let mut run = Run::shared(7, 2);
    let (top, part) = (run.whole(), Cap::new(Type::Ram, 0, 1));
    run.ask(0, Request::Revoke { top });
    while run.state.units[0].holders[1].frozen.is_none() {
        assert!(run.go_on());
    }
    for event in [
        HolderEvent::Retype { src: top, new: part },
        HolderEvent::Revoke(top),
        HolderEvent::Ask(Request::Retype { src: top, new: part }),
        HolderEvent::Ask(Request::Send { key: top, to: CoreId(2) }),
        HolderEvent::Ask(Request::Revoke { top }),
    ] {
        assert_eq!(run.refusal(1, event), Some(Refusal::Frozen), "{event:?}");
    }
    assert_eq!(run.refusal(1, HolderEvent::Delete(top)), None);
}

#[test]
fn a_core_has_one_request_a_unit_and_a_second_one_is_told_to_wait() {
    let mut run = Run::shared(1, 2);
    let top = run.whole();
    run.ask(1, Request::Send { key: top, to: CoreId(2) });
    let second = HolderEvent::Ask(Request::Revoke { top });
    assert_eq!(run.refusal(1, second), Some(Refusal::Busy));
    run.settle();
    assert_eq!(run.refusal(1, second), None);
}
