//! What is left of deleted objects and ended dispatchers: cleared away in bounded steps, and in time.

mod common;

use abi::cap::L1_CNODE_MAX_SIZE;
use abi::layout::*;
use abi::{CapType, ErrorKind, Syscall};
use kernel::cpu::Core;
use kernel::syscall::Reply;

use common::{call, core, free};

fn retype(core: &mut Core, from: u64, ty: CapType, offset: u64, size: u64, count: u64, slot: u64) {
    call(core, Syscall::CapRetype, &[from, ty as u64, offset, size, count, 0, slot]).unwrap();
}

#[test]
fn a_pair_of_cnode_and_slot_is_found_in_both_roots_while_a_cspace_grows() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 0, L1_CNODE_MAX_SIZE / 2, 1, free(100));
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 1 << 20, L1_CNODE_MAX_SIZE, 1, free(101));
    let resize = |core: &mut Core, to: u64| call(core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(to)]);
    while resize(&mut core, 100) == Ok(Reply::Value(1)) {}
    // A CNode at an index that the next move comes to last, and in it a capability to a CNode.
    retype(&mut core, EARLY_RAM.0, CapType::L2CNode, 2 << 20, 0, 1, free(102));
    let late = 2000;
    call(&mut core, Syscall::CapCopy, &[free(102), free(100), late, 15]).unwrap();
    let cnode = late << 8 | 7;
    call(&mut core, Syscall::CapCopy, &[free(102), 0, cnode, 15]).unwrap();
    let mut steps = 0;
    loop {
        let progress = resize(&mut core, 101);
        steps += 1;
        // By address, and in pairs: copied to, retyped to, deleted from.
        assert_eq!(call(&mut core, Syscall::CapIdentify, &[cnode]), Ok(Reply::Results));
        assert_eq!(call(&mut core, Syscall::CapCopy, &[free(102), cnode, 9, 15]), Ok(Reply::Value(0)));
        assert_eq!(call(&mut core, Syscall::CapDelete, &[cnode, 9]), Ok(Reply::Value(0)));
        let retype = [SELF_DISPATCHER.0, CapType::EndPoint as u64, 9, 0, 1, cnode, 10];
        assert_eq!(call(&mut core, Syscall::CapRetype, &retype), Ok(Reply::Value(0)));
        assert_eq!(call(&mut core, Syscall::CapDelete, &[cnode, 10]), Ok(Reply::Value(0)));
        if progress == Ok(Reply::Value(0)) {
            break;
        }
        assert_eq!(progress, Ok(Reply::Value(1)));
    }
    assert!(steps > 4, "{steps}");
    let wrong = call(&mut core, Syscall::CapDelete, &[4000 << 8 | 7, 9]);
    assert_eq!(wrong, Err(ErrorKind::NoCNode));
}
