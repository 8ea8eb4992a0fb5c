//! Facts from the device trees that QEMU 7.2 makes: `-M virt,gic-version=3 -smp 4 -m 1024`, with an initrd and a
//! command line; `el2.dtb` also with `virtualization=on`. Dumped by `dumpdtb=`, packed by dtc.

use abi::boot::{Device, DeviceKind};
use qemu_virt::facts::{Conduit, Facts, FactsError, Range};

const EL1: &[u8] = include_bytes!("trees/el1.dtb");
const EL2: &[u8] = include_bytes!("trees/el2.dtb");

/// The same tree with some bytes replaced by others of the same length.
fn edited(tree: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut tree = tree.to_vec();
    let at = tree.windows(from.len()).position(|window| window == from).expect("the tree has it");
    tree[at..at + to.len()].copy_from_slice(to);
    tree
}

#[test]
fn the_tree_of_qemu_tells_the_machine() {
    let facts = Facts::parse(EL1).unwrap();
    assert_eq!(facts.ram.as_slice(), [Range { base: 0x4000_0000, size: 0x4000_0000 }]);
    assert_eq!(facts.reserved.as_slice(), []);
    assert_eq!(facts.initrd, Some(Range { base: 0x4800_0000, size: 3_000_000 }));
    let affinities: Vec<u32> = facts.cores.as_slice().iter().map(|core| core.0).collect();
    assert_eq!(affinities, [0, 1, 2, 3]);
    assert_eq!(facts.distributor, Range { base: 0x0800_0000, size: 0x1_0000 });
    assert_eq!(facts.redistributors, Range { base: 0x080a_0000, size: 0xf6_0000 });
    assert_eq!(facts.console, Range { base: 0x0900_0000, size: 0x1000 });
    assert_eq!(facts.command_line(), b"pmu=user hello");
    assert_eq!(facts.tree_size, EL1.len() as u64);
}

#[test]
fn devices_come_with_registers_and_interrupts() {
    let facts = Facts::parse(EL1).unwrap();
    let find = |kind: DeviceKind| {
        let is_it = |device: &&Device| device.kind == kind as u32;
        let device = facts.devices.as_slice().iter().find(is_it).expect("listed");
        (device.base, device.size, device.interrupt)
    };
    assert_eq!(find(DeviceKind::Pl011), (0x0900_0000, 0x1000, 33));
    assert_eq!(find(DeviceKind::Pl031), (0x0901_0000, 0x1000, 34));
    assert_eq!(find(DeviceKind::PcieEcam), (0x40_1000_0000, 0x1000_0000, 0));
    assert_eq!(facts.devices.as_slice().len(), 3);
}

#[test]
fn firmware_is_called_as_the_tree_says() {
    assert_eq!(Facts::parse(EL1).unwrap().conduit, Conduit::Hvc);
    assert_eq!(Facts::parse(EL2).unwrap().conduit, Conduit::Smc);
}

#[test]
fn what_is_no_tree_is_refused() {
    assert!(Facts::parse(&[0; 64]).is_none());
    assert!(Facts::parse(&[]).is_none());
    assert!(Facts::parse(&EL1[..EL1.len() - 1]).is_none(), "shorter than it says");
}

#[test]
fn what_is_missing_is_named() {
    let lacks = |from: &[u8], to: &[u8]| Facts::parse(&edited(EL1, from, to)).unwrap().check();
    assert_eq!(Facts::parse(EL1).unwrap().check(), Ok(()));
    assert_eq!(lacks(b"memory\0\0", b"absent\0\0"), Err(FactsError::NoRam));
    assert_eq!(lacks(b"arm,gic-v3\0", b"arm,gic-v9\0"), Err(FactsError::NoInterruptController));
    assert_eq!(lacks(b"arm,pl011\0", b"arm,pl999\0"), Err(FactsError::NoConsole));
}

#[test]
fn a_damaged_tree_never_panics() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..800 {
        let mut tree = EL2.to_vec();
        for _ in 0..1 + random() % 8 {
            let at = random() % tree.len();
            tree[at] = random() as u8;
        }
        let _ = Facts::parse(&tree);
    }
    // Cut short, with a header that agrees.
    for size in (0..EL2.len()).step_by(37) {
        let mut tree = EL2[..size].to_vec();
        if let Some(field) = tree.get_mut(4..8) {
            field.copy_from_slice(&(size as u32).to_be_bytes());
        }
        let _ = Facts::parse(&tree);
    }
}
