//! What every interface sends arrives as it was, and errors say what was wrong.

use interfaces::*;
use ipc::wire::{ByteSink, decode_bytes, fits};
use ipc::{CallError, Capability, Decode};
use std::collections::HashSet;
use std::fmt::{Debug, Display};

/// As one element of a sequence, so that types of every size go the same way.
fn arrives<T: Decode + PartialEq + Debug>(value: T) {
    let sent = vec![value];
    let (bytes, _) = ByteSink::collect(&sent);
    let bytes = bytes.unwrap();
    assert_eq!(decode_bytes::<Vec<T>>(&bytes, None).as_ref(), Ok(&sent));
    for length in 0..bytes.len() {
        let cut = decode_bytes::<Vec<T>>(&bytes[..length], None);
        assert!(cut.is_err(), "{length} bytes of {sent:?} are no such value");
    }
}

#[test]
fn every_structure_arrives_and_no_part_of_one_passes_for_it() {
    arrives(CoreMemory { core: 3, total_kib: 1 << 20, used_kib: 5, free_kib: (1 << 20) - 5 });
    arrives(ExitStatus::Exited { code: -7 });
    arrives(ExitStatus::Faulted { address: u64::MAX, pc: 0x40_0000 });
    arrives(ExitStatus::Killed);
    arrives(ProcessInfo {
        pid: 12,
        core: 1,
        state: ProcessState::Waiting,
        memory_kib: 300,
        name: "sh".into(),
    });
    arrives(LogPart { next: 99, bytes: b"line\n".to_vec() });
    arrives(SystemInfo {
        cores: 1,
        cores_present: 4,
        memory_mib: 1024,
        platform: "virt".into(),
        version: "0.1.0".into(),
        ticks_per_second: 62_500_000,
    });
    let counters = CoreCounters { up_ms: 1, interrupts: 2, switches: 3, dispatchers: 4, capabilities: 5 };
    for state in [CoreState::Off, CoreState::Starting, CoreState::Up, CoreState::Silent] {
        arrives(CoreInfo { core: 3, state, counters: (state == CoreState::Up).then_some(counters) });
    }
    arrives(Inherited { limit: 4096, ancestors: vec![256, 273] });
    arrives(NameInfo { name: "mem.0".into(), owner: 32 });
    arrives(ChannelInfo {
        number: 1,
        kind: ChannelKind::Routed,
        client: 257,
        received: 3,
        received_bytes: 4,
        sent: 5,
        sent_bytes: 6,
        in_flight: 7,
    });
    arrives(ConsoleMode::Raw);
    arrives(MemoryError::Call(CallError::PeerGone));
    arrives(SpawnError::NotFound);
}

#[test]
fn what_is_called_often_goes_in_one_packet_of_words() {
    assert!(fits::<(u64, u64)>() && fits::<Result<Capability, MemoryError>>());
    assert!(fits::<Result<(), ConsoleError>>());
    assert!(fits::<Result<Pid, SpawnError>>() && fits::<Result<ExitStatus, SpawnError>>());
}

fn differ<E: Display>(errors: &[E]) {
    let texts: HashSet<String> = errors.iter().map(|error| error.to_string()).collect();
    assert_eq!(texts.len(), errors.len());
    assert!(texts.iter().all(|text| text.len() > 10 && !text.ends_with('.')));
}

#[test]
fn errors_tell_their_reasons_apart() {
    use NamesError as N;
    differ(&[N::NotFound, N::Taken, N::BadName, N::BadEndpoint, N::Refused, N::ServiceGone]);
    use SpawnError as S;
    differ(&[S::NotFound, S::BadProgram, S::NoProcess, S::ArgumentsTooLong, S::NotAllowed]);
    let call = MemoryError::from(CallError::PeerGone);
    assert_eq!(call.to_string(), "the other end of the channel is gone");
}

#[test]
fn a_shell_knows_how_a_process_ended() {
    assert_eq!(ExitStatus::Exited { code: 3 }.code(), 3);
    assert_eq!(ExitStatus::Faulted { address: 0, pc: 0 }.code(), 139);
    assert_eq!(ExitStatus::Killed.code(), 137);
}
