//! What a domain may try against the kernel and against others: bindings that outlive their owner, objects that are
//! taken away under their users, many of a kind at once, and whole lives of dispatchers at random.

mod common;

use std::collections::HashMap;

use abi::cap::dispatcher_events;
use abi::frame::State;
use abi::layout::{EARLY_RAM, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER, SELF_FRAME};
use abi::{CapType, ErrorKind, PAGE_SIZE, Rights, Syscall};
use caps::Machine as _;
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::dispatcher::{DispatcherRef, EventKind, slot};
use kernel::interrupts::END_BINDABLE;
use kernel::lmp::send_wait_direct;
use kernel::schedule::{self, Next};
use kernel::syscall::Reply;

use common::{
    MANY, OBJECT, call, configure, core, free, interrupts, let_second_wait, many_dispatchers, pair, repeat,
    retype, second, second_dispatcher, second_frame, shared_frame, watched_dispatcher,
};

/// Wait without a deadline.
const FOR_EVER: u64 = u64::MAX;
/// Byte offset of the endpoints' rings in the dispatcher frames.
const RING: u64 = PAGE_SIZE;
/// An interrupt, and its place among all of them.
const INTERRUPT: u32 = 37;
const INTERRUPT_PLACE: u64 = 5;
/// Most that one entry into the kernel may do to dispatchers (K2).
const BOUND: usize = 64;

#[test]
fn woken_during_a_call_that_returns_gets_a_timer() {
    let mut core = core();
    second_dispatcher(&mut core);
    assert_eq!(core.machine.hardware.timer, None);
    assert_eq!(call(&mut core, Syscall::DispatcherStart, &[second()]), Ok(Reply::Value(0)));
    assert!(core.machine.hardware.timer.is_some(), "another is ready, current computes for ever, no timer");
}

#[test]
fn a_stale_binding_leaves_the_new_owner_of_an_interrupt_alone() {
    let mut core = core();
    let all = interrupts(&mut core);
    second_dispatcher(&mut core);
    let (mine, others) = (free(110), free(111));
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, mine).unwrap();
    retype(&mut core, second(), CapType::Notify, 3, 0, 1, others).unwrap();
    let (first, again) = (free(112), free(113));
    retype(&mut core, all, CapType::IrqSource, INTERRUPT_PLACE, 1, 1, first).unwrap();
    call(&mut core, Syscall::IrqBind, &[first, mine]).unwrap();
    call(&mut core, Syscall::CapDelete, &[0, first]).unwrap();
    retype(&mut core, all, CapType::IrqSource, INTERRUPT_PLACE, 1, 1, again).unwrap();
    call(&mut core, Syscall::IrqBind, &[again, others]).unwrap();
    assert!(core.machine.interrupts.listener(INTERRUPT).is_some());
    // The former listener's event ends.
    call(&mut core, Syscall::CapDelete, &[0, mine]).unwrap();
    assert!(core.machine.interrupts.listener(INTERRUPT).is_some(), "victim's binding torn down");
}

#[test]
fn deleting_a_wide_irq_source_leaves_narrower_ones_bound() {
    let mut core = core();
    let all = interrupts(&mut core);
    let (notify, one) = (free(110), free(112));
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, notify).unwrap();
    retype(&mut core, all, CapType::IrqSource, INTERRUPT_PLACE, 1, 1, one).unwrap();
    call(&mut core, Syscall::IrqBind, &[one, notify]).unwrap();
    call(&mut core, Syscall::CapDelete, &[0, all]).unwrap();
    assert!(core.machine.interrupts.listener(INTERRUPT).is_some());
}

#[test]
fn many_endpoints_in_one_retype() {
    let mut core = core();
    let d = second_dispatcher(&mut core);
    retype(&mut core, second(), CapType::EndPoint, 4, 0, 3, free(110)).unwrap();
    for event in 4..7 {
        assert_eq!(core.machine.event(d, event).kind(), EventKind::EndPoint, "event {event}");
    }
}

#[test]
fn end_tells_the_peers_of_endpoints_made_in_one_retype() {
    let mut core = core();
    let d = second_dispatcher(&mut core);
    let me = core.machine.current.unwrap();
    retype(&mut core, second(), CapType::EndPoint, 4, 0, 3, free(110)).unwrap();
    retype(&mut core, SELF_DISPATCHER.0, CapType::EndPoint, 9, 0, 1, free(120)).unwrap();
    call(&mut core, Syscall::EndpointConnect, &[free(112), free(120)]).unwrap();
    call(&mut core, Syscall::DispatcherStop, &[second()]).unwrap();
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended);
    assert!(core.machine.event(me, 9).is_peer_gone(), "dead peer never told");
}

/// Two root CNodes, each larger than the one before, and than that of `init`.
fn larger_roots(core: &mut Core) -> [u64; 2] {
    let (larger, largest) = (free(100), free(101));
    retype(core, EARLY_RAM.0, CapType::L1CNode, 0, 1 << 16, 1, larger).unwrap();
    retype(core, EARLY_RAM.0, CapType::L1CNode, 1 << 16, 1 << 17, 1, largest).unwrap();
    [larger, largest]
}

#[test]
fn a_cspace_can_grow_twice() {
    let mut core = core();
    let mut old = ROOT_CNODE.0;
    for root in larger_roots(&mut core) {
        repeat(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, root]).unwrap();
        // The only other capability to the old root.
        repeat(&mut core, Syscall::CapDelete, &[0, old]).unwrap();
        old = root;
    }
}

#[test]
fn a_cspace_can_grow_again_while_its_old_root_is_cleared_away() {
    let mut core = core();
    let [larger, largest] = larger_roots(&mut core);
    repeat(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, larger]).unwrap();
    // The dispatcher's own slot holds the last copy of the root then.
    repeat(&mut core, Syscall::CapDelete, &[0, larger]).unwrap();
    repeat(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, largest]).unwrap();
}

#[test]
fn waiting_dispatcher_that_loses_its_frame_ends_and_its_watcher_learns() {
    let mut core = core();
    let (watcher, bell) = (free(90), free(91));
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, watcher).unwrap();
    let d = watched_dispatcher(&mut core, watcher);
    retype(&mut core, second(), CapType::Notify, 3, 0, 1, bell).unwrap();
    let me = core.machine.current.unwrap();
    let_second_wait(&mut core, me, d);
    repeat(&mut core, Syscall::CapRevoke, &[0, second_frame()]).unwrap();
    call(&mut core, Syscall::NotifySignal, &[bell]).unwrap();
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended, "it neither runs nor ends");
    assert!(core.machine.frame(me).unwrap().any_ready(), "watcher never told");
}

#[test]
fn configure_that_fails_changes_nothing() {
    let mut core = core();
    let (dispatcher, dying, good) = (free(100), free(101), free(103));
    retype(&mut core, EARLY_RAM.0, CapType::Dispatcher, 0, OBJECT, 1, dispatcher).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 1 << 20, 512 * PAGE_SIZE, 1, dying).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 2 * OBJECT, OBJECT, 1, good).unwrap();
    // So many mappings of the frame that its deletion takes more than one call.
    let table = last_level_table(&mut core);
    for entry in 0..100 {
        map(&mut core, table, dying, entry, free(120 + entry));
    }
    assert_eq!(call(&mut core, Syscall::CapDelete, &[0, dying]), Ok(Reply::Value(1)));
    assert_eq!(configure(&mut core, dispatcher, dying, 0), Err(ErrorKind::InDelete));
    let result = configure(&mut core, dispatcher, good, 0);
    assert_eq!(result, Ok(Reply::Value(0)), "the refused call left something behind");
}

/// A new table of the last level, by way of entry 1 of the root and of those between; slots 104 to 109.
fn last_level_table(core: &mut Core) -> u64 {
    let mut table = ROOT_VNODE.0;
    for (i, level) in (0..).zip([CapType::VNodeL1, CapType::VNodeL2, CapType::VNodeL3]) {
        let below = free(104 + i);
        retype(core, EARLY_RAM.0, level, (3 + i) * OBJECT, 0, 1, below).unwrap();
        map(core, table, below, 1, free(107 + i));
        table = below;
    }
    table
}

/// Shows the beginning of `target` in one entry of `table`.
fn map(core: &mut Core, table: u64, target: u64, entry: u64, mapping: u64) {
    let rights = Rights::READ.or(Rights::WRITE).bits();
    call(core, Syscall::Map, &[table, 0, mapping, target, 0, entry | 1 << 16, rights]).unwrap();
}

#[test]
fn dispatchers_are_counted() {
    let mut core = core();
    let before = core.machine.dispatchers;
    second_dispatcher(&mut core);
    assert_eq!(core.machine.dispatchers, before + 1);
    repeat(&mut core, Syscall::CapDelete, &[0, second()]).unwrap();
    assert_eq!(core.machine.dispatchers, before);
}

/// How many of these dispatchers are in this state.
fn count(core: &Core, dispatchers: &[DispatcherRef], state: State) -> usize {
    dispatchers.iter().filter(|&&d| core.machine.dispatcher(d).state() == state).count()
}

#[test]
fn deadlines_of_many_expire_in_bounded_time() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    let many = many_dispatchers(&mut core);
    call(&mut core, Syscall::Yield, &[]).unwrap();
    for _ in 0..MANY {
        schedule::next(&mut core);
        call(&mut core, Syscall::Wait, &[1000]).unwrap();
    }
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(me));
    core.machine.hardware.ticks = 2000;
    kernel::trap::interrupt(&mut core);
    let woken = count(&core, &many, State::Ready);
    assert!(woken < BOUND, "{woken} woken in one interrupt");
}

#[test]
fn one_exit_ends_a_bounded_number_of_dispatchers() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    let many = many_dispatchers(&mut core);
    repeat(&mut core, Syscall::CapRevoke, &[0, shared_frame()]).unwrap();
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    let ended = count(&core, &many, State::Ended);
    assert!(ended < BOUND, "{ended} ended in one exit of the kernel");
    while matches!(schedule::next(&mut core), Next::Again) {}
    assert_eq!(core.machine.current, Some(me));
}

#[test]
fn an_interrupt_ends_a_monopoly() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    second_dispatcher(&mut core);
    call(&mut core, Syscall::DispatcherStart, &[second()]).unwrap();
    call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, u64::MAX]).unwrap();
    core.machine.frame(me).unwrap().set_disabled(false);
    core.machine.hardware.ticks += 1000 * core.machine.hardware.ticks_per_ms();
    kernel::trap::interrupt(&mut core);
    schedule::next(&mut core);
    assert_ne!(core.machine.current, Some(me), "the other is still waiting");
}

/// The endpoints of [`pair`].
fn my_endpoint() -> u64 {
    free(110)
}
fn its_endpoint() -> u64 {
    free(111)
}

#[test]
fn the_direct_way_does_not_overlook_ready_events() {
    let mut core = core();
    let (me, d) = pair(&mut core);
    // Events in two words of the frame.
    for notify in [free(112), free(113)] {
        call(&mut core, Syscall::NotifySignal, &[notify]).unwrap();
    }
    assert!(send_wait_direct(&mut core, its_endpoint(), FOR_EVER, 0).is_none());
    // The slow way: ready events, so an upcall.
    assert_eq!(call(&mut core, Syscall::SendWait, &[its_endpoint(), FOR_EVER, 0]), Ok(Reply::Switch));
    assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
    assert_eq!(core.machine.current, Some(me));
    // The peer takes its packet and waits again.
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(d));
    let frame = core.machine.frame(d).unwrap();
    // What the user space of the receiver does: takes the packet, and clears its ready events.
    // SAFETY: both words lie in the receiver's frame, which the arena backs.
    unsafe {
        let base = core.machine.hardware.direct_map(core.machine.dispatcher(d).slots[slot::FRAME].base());
        base.add(RING as usize).cast::<u32>().write(1);
        base.add(8).cast::<u64>().write(0);
    }
    assert!(!frame.any_ready());
    call(&mut core, Syscall::Wait, &[FOR_EVER]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(me));
    // This one has handled one of the two events, and answers while the other is still ready.
    assert!(core.machine.frame(me).unwrap().any_ready());
    let direct = send_wait_direct(&mut core, its_endpoint(), FOR_EVER, 0);
    assert!(direct.is_none(), "asleep with a ready event");
}

#[test]
fn a_sender_that_met_no_landing_slot_is_woken_when_there_is_one() {
    let mut core = core();
    let (me, _) = pair(&mut core);
    call(&mut core, Syscall::EndpointConnect, &[my_endpoint(), its_endpoint()]).unwrap();
    let refused = call(&mut core, Syscall::Send, &[its_endpoint(), 0, SELF_FRAME.0]);
    assert_eq!(refused, Err(ErrorKind::NoLandingSlot));
    let frame = core.machine.frame(me).unwrap();
    assert!(!frame.any_ready());
    call(&mut core, Syscall::EndpointLanding, &[its_endpoint(), free(200)]).unwrap();
    assert!(frame.any_ready(), "the sender was not told");
    call(&mut core, Syscall::Send, &[its_endpoint(), 0, SELF_FRAME.0]).unwrap();
    call(&mut core, Syscall::CapIdentify, &[free(200)]).unwrap();
}

/// RAM of a core of the random lives: enough, and quickly made.
const SMALL_RAM: usize = 12 << 20;
/// Random lives, and steps of each.
const LIVES: u64 = 40;
const STEPS: u64 = 400;
/// Pieces of RAM that a life has, and the bytes of each.
const PIECES: u64 = 4;
const PIECE: u64 = 64 << 10;
/// Slots that it fills and empties: a row for each kind of capability, so that most calls meet what they are for.
const ROW: u64 = 6;
const ROWS: u64 = 4;
const DISPATCHERS: u64 = 0;
const FRAMES: u64 = 1;
const ENDPOINTS: u64 = 2;
const OTHERS: u64 = 3;

/// xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
    fn piece(&mut self) -> u64 {
        piece(self.below(PIECES))
    }
    /// A slot of this row, mostly.
    fn of(&mut self, row: u64) -> u64 {
        let row = if self.below(8) == 0 { self.below(ROWS) } else { row };
        free(100 + row * ROW + self.below(ROW))
    }
    fn dispatcher(&mut self) -> u64 {
        if self.below(4) == 0 { SELF_DISPATCHER.0 } else { self.of(DISPATCHERS) }
    }
    fn any(&mut self) -> u64 {
        let row = self.below(ROWS);
        self.of(row)
    }
    /// The offset of a page in quarter `quarter` of a piece.
    fn page(&mut self, quarter: u64) -> u64 {
        quarter * PIECE / 4 + self.below(4) * PAGE_SIZE
    }
}

fn piece(number: u64) -> u64 {
    free(90 + number)
}

#[test]
fn random_lifecycle_leaves_no_dangling_reference() {
    let mut dice = Dice(88_172_645_463_325_252);
    for life in 0..LIVES {
        let mut core = boot(&tiny_program(), SMALL_RAM);
        assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
        let all = interrupts(&mut core);
        for number in 0..PIECES {
            let offset = number * PIECE;
            retype(&mut core, EARLY_RAM.0, CapType::Ram, offset, PIECE, 1, piece(number)).unwrap();
        }
        for step in 0..STEPS {
            let result = random_step(&mut core, &mut dice, all);
            let leaves = result == Ok(Reply::Switch) || core.machine.current.is_none();
            if leaves && !let_time_pass(&mut core) {
                break;
            }
            no_reference_dangles(&core, &format!("life {life}, step {step}"));
        }
    }
}

/// A call at random, or an interrupt. Many make no sense, and are refused. `all` names all interrupts.
fn random_step(core: &mut Core, dice: &mut Dice, all: u64) -> Result<Reply, ErrorKind> {
    match dice.below(25) {
        24 => match core.machine.hardware.fp_open || kernel::fp::claim(&mut core.machine) {
            true => Ok(Reply::Value(0)),
            false => Ok(Reply::Switch),
        },
        0 => {
            let (offset, size) = (dice.page(0), PAGE_SIZE << dice.below(2));
            retype(core, dice.piece(), CapType::Dispatcher, offset, size, 1, dice.of(DISPATCHERS))
        }
        1 => retype(core, dice.piece(), CapType::Frame, dice.page(2), OBJECT, 1, dice.of(FRAMES)),
        2 => {
            let (event, count) = (dice.below(100), 1 + dice.below(3));
            retype(core, dice.dispatcher(), CapType::EndPoint, event, 0, count, dice.of(ENDPOINTS))
        }
        3 => retype(core, dice.dispatcher(), CapType::Notify, dice.below(100), 0, 1, dice.of(OTHERS)),
        4 => {
            let watcher = if dice.below(2) == 0 { 0 } else { dice.of(OTHERS) };
            configure(core, dice.of(DISPATCHERS), dice.of(FRAMES), watcher)
        }
        5 | 6 => call(core, Syscall::DispatcherStart, &[dice.of(DISPATCHERS)]),
        // Not as often as the others, or nobody would live for long.
        7 if dice.below(4) > 0 => call(core, Syscall::Null, &[]),
        7 => call(core, Syscall::DispatcherStop, &[dice.of(DISPATCHERS)]),
        8 => call(core, Syscall::EndpointConnect, &[dice.of(ENDPOINTS), dice.of(ENDPOINTS)]),
        9 => {
            let (ring, packets) = (RING + dice.below(4) * 64, 1 << dice.below(5));
            call(core, Syscall::EndpointConfigure, &[dice.of(ENDPOINTS), ring, packets, 0])
        }
        10 | 11 => call(core, Syscall::Send, &[dice.of(ENDPOINTS), 0, 0]),
        12 => {
            let endpoint = dice.of(ENDPOINTS);
            match send_wait_direct(core, endpoint, FOR_EVER, 0) {
                Some(_) => Ok(Reply::Value(0)),
                None => call(core, Syscall::SendWait, &[endpoint, FOR_EVER, 0]),
            }
        }
        13 => {
            let deadline = core.machine.hardware.ticks + dice.below(50);
            call(core, Syscall::Wait, &[deadline])
        }
        14 => call(core, Syscall::Yield, &[]),
        15 => call(core, Syscall::CapDelete, &[0, dice.any()]),
        16 => {
            let victim = if dice.below(8) == 0 { dice.piece() } else { dice.any() };
            call(core, Syscall::CapRevoke, &[0, victim])
        }
        17 => {
            let row = dice.below(ROWS);
            call(core, Syscall::CapCopy, &[dice.of(row), 0, dice.of(row), Rights::ALL.bits()])
        }
        18 => retype(core, all, CapType::IrqSource, dice.below(3), 1, 1, dice.of(OTHERS)),
        19 => call(core, Syscall::IrqBind, &[dice.of(OTHERS), dice.of(OTHERS)]),
        20 => retype(core, dice.piece(), CapType::L2CNode, 3 * PIECE / 4, 0, 1, dice.of(OTHERS)),
        21 => {
            let into = [dice.any(), dice.of(OTHERS), 1 + dice.below(20), Rights::ALL.bits()];
            call(core, Syscall::CapCopy, &into)
        }
        22 => call(core, Syscall::EndpointDrained, &[dice.of(ENDPOINTS)]),
        _ => {
            core.machine.hardware.ticks += dice.below(40);
            kernel::trap::interrupt(core);
            Ok(Reply::Switch)
        }
    }
}

/// Lets time pass until somebody runs; false when nobody does for long.
fn let_time_pass(core: &mut Core) -> bool {
    for _ in 0..50 {
        if !matches!(schedule::next(core), Next::Idle) {
            break;
        }
        core.machine.hardware.ticks += 100;
        let _ = core.db.step(&mut core.machine, caps::BUDGET);
        kernel::trap::interrupt(core);
    }
    core.machine.current.is_some()
}

/// The dispatchers that capabilities name: their bases and sizes.
fn named_dispatchers(core: &Core) -> HashMap<u64, u64> {
    let mut named = HashMap::new();
    let mut at = core.db.first(&core.machine);
    while !at.is_none() {
        let capability = core.machine.slot(at);
        if capability.cap_type() == CapType::Dispatcher {
            named.insert(capability.base(), capability.size());
        }
        at = core.db.next(&core.machine, at);
    }
    named
}

/// Whatever the kernel keeps a reference to is a dispatcher that a capability names.
fn no_reference_dangles(core: &Core, when: &str) {
    let named = named_dispatchers(core);
    let lives = |d: DispatcherRef| named.contains_key(&d.base());
    assert!(core.machine.current.is_none_or(lives), "{when}: the current one is gone");
    let owner = core.machine.fp.owner();
    assert!(owner.is_none_or(lives), "{when}: the owner of the FP unit is gone");
    let open = core.machine.hardware.fp_open;
    assert_eq!(open, core.machine.fp.is_open(), "{when}: the FP unit is not as the kernel thinks");
    assert!(!open || owner == core.machine.current, "{when}: the FP unit is open for another than its owner");
    for interrupt in 0..END_BINDABLE as u32 {
        let listener = core.machine.interrupts.listener(interrupt);
        assert!(listener.is_none_or(|(d, _)| lives(d)), "{when}: the listener of {interrupt} is gone");
    }
    for (&base, &size) in &named {
        let d = DispatcherRef::at(base).unwrap();
        let neighbours = [core.machine.dispatcher(d).next, core.machine.dispatcher(d).previous];
        assert!(
            neighbours.into_iter().flatten().all(lives),
            "{when}: the run queue leads to one that is gone"
        );
        for index in 0..dispatcher_events(size) as u32 {
            let event = core.machine.event(d, index);
            let Some(peer) = event.peer else { continue };
            assert!(lives(peer), "{when}: a peer is gone");
            let back = core.machine.event(peer, event.peer_index);
            assert_eq!((back.peer, back.peer_index), (Some(d), index), "{when}: a peer has another one");
        }
    }
}
