//! What `ps`, `free`, `names`, `channels`, `cores`, `uptime`, `time` and `dmesg` show, as text.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use abi::domain::core_of;
use interfaces::{ChannelInfo, ChannelKind, CoreCounters, CoreInfo, CoreMemory, ProcessInfo};

use crate::columns::{Column::*, rows, table};
use crate::world::Service;

/// `ps`: a line a process. Memory is in KiB.
pub(crate) fn processes(processes: &[ProcessInfo]) -> String {
    let columns = [Right("PID"), Right("CORE"), Left("STATE"), Right("MEM"), Left("NAME")];
    let cells = |it: &ProcessInfo| {
        let (state, memory) = (it.state.to_string(), format!("{}K", it.memory_kib));
        [it.pid.to_string(), it.core.to_string(), state, memory, it.name.clone()]
    };
    table(columns, &rows(processes, cells))
}

/// `free`: a line a core and a sum, in KiB.
pub(crate) fn memory(cores: &[CoreMemory]) -> String {
    let columns = [Right("CORE"), Right("TOTAL"), Right("USED"), Right("FREE")];
    let line = |name: String, kib: [u64; 3]| {
        let [total, used, free] = kib.map(|it| it.to_string());
        [name, total, used, free]
    };
    let figures = |it: &CoreMemory| [it.total_kib, it.used_kib, it.free_kib];
    let mut lines = rows(cores, |it| line(it.core.to_string(), figures(it)));
    let add = |sum: [u64; 3], it: [u64; 3]| core::array::from_fn(|index| sum[index] + it[index]);
    lines.push(line("sum".into(), cores.iter().map(figures).fold([0; 3], add)));
    table(columns, &lines)
}

/// `names`: a line a service.
pub(crate) fn names(services: &[Service]) -> String {
    let columns = [Left("NAME"), Right("CORE"), Right("PID"), Right("CLIENTS")];
    let cells = |it: &Service| {
        let clients = it.channels.as_ref().map_or("?".into(), |channels| channels.len().to_string());
        [it.name.clone(), core_of(it.owner).to_string(), it.owner.to_string(), clients]
    };
    table(columns, &rows(services, cells))
}

/// `channels`: a line a channel, those of a server together.
pub(crate) fn channels(services: &[Service]) -> String {
    let columns = [
        Left("KIND"),
        Right("NUMBER"),
        Right("CLIENT"),
        Right("SERVER"),
        Left("SERVICE"),
        Right("IN"),
        Right("BYTES"),
        Right("OUT"),
        Right("BYTES"),
        Right("WAITING"),
    ];
    let of_service = |it| move |channel| (it, channel);
    let mut all: Vec<(&Service, &ChannelInfo)> =
        services.iter().flat_map(|it| it.channels.iter().flatten().map(of_service(it))).collect();
    all.sort_by_key(|(service, channel)| (service.owner, channel.number));
    let cells = |&(service, it): &(&Service, &ChannelInfo)| {
        let [number, client, server] = [it.number, it.client, service.owner].map(|it| it.to_string());
        let [messages_in, bytes_in, out, bytes_out, waiting] =
            [it.received, it.received_bytes, it.sent, it.sent_bytes, it.in_flight.into()]
                .map(|it: u64| it.to_string());
        let kind = kind(it.kind).into();
        let name = service.name.clone();
        [kind, number, client, server, name, messages_in, bytes_in, out, bytes_out, waiting]
    };
    table(columns, &rows(&all, cells))
}

fn kind(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Lmp => "lmp",
        ChannelKind::Routed => "routed",
        ChannelKind::Ump => "ump",
    }
}

/// `cores`: a line a core that the machine has.
pub(crate) fn cores(cores: &[CoreInfo]) -> String {
    let columns = [
        Right("CORE"),
        Left("STATE"),
        Right("UPTIME"),
        Right("INTERRUPTS"),
        Right("SWITCHES"),
        Right("DOMAINS"),
        Right("CAPS"),
    ];
    let counters = |it: &CoreCounters| {
        let seconds = format!("{}.{:03}", it.up_ms / 1000, it.up_ms % 1000);
        let [interrupts, switches, domains, capabilities] =
            [it.interrupts, it.switches, it.dispatchers, it.capabilities].map(|it| it.to_string());
        [seconds, interrupts, switches, domains, capabilities]
    };
    let cells = |it: &CoreInfo| {
        let known = it.counters.as_ref().map_or_else(|| ["-"; 5].map(String::from), counters);
        let [uptime, interrupts, switches, domains, capabilities] = known;
        [it.core.to_string(), it.state.to_string(), uptime, interrupts, switches, domains, capabilities]
    };
    table(columns, &rows(cores, cells))
}

/// `uptime`: in seconds, and in larger units when there are any.
pub(crate) fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let rest = match (days, hours, minutes) {
        (0, 0, 0) => String::new(),
        (0, 0, _) => format!(" ({minutes} min)"),
        (0, _, _) => format!(" ({hours} h {minutes} min)"),
        _ => format!(" ({days} d {hours} h {minutes} min)"),
    };
    format!("up {seconds}.{:03} s{rest}\n", time.subsec_millis())
}

/// `time`: how long a command took.
pub(crate) fn elapsed(time: Duration) -> String {
    format!("real {}.{:06} s\n", time.as_secs(), time.subsec_micros())
}

/// A part of the kernel's log as the terminal should see it: whatever a domain put there, it cannot steer the
/// terminal.
pub(crate) fn log(bytes: &[u8]) -> String {
    let shown = |it: &char| *it == '\n' || *it == '\t' || !it.is_control();
    String::from_utf8_lossy(bytes).chars().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use interfaces::{CoreState, ProcessState};

    #[test]
    fn processes_have_a_line_each() {
        let process = |pid, state, memory_kib, name: &str| ProcessInfo {
            pid,
            core: 0,
            state,
            memory_kib,
            name: name.into(),
        };
        let all = [
            process(16, ProcessState::Waiting, 512, "init"),
            process(256, ProcessState::Ready, 1024, "lines"),
        ];
        let expected = "\
PID CORE STATE     MEM NAME
 16    0 waiting  512K init
256    0 ready   1024K lines
";
        assert_eq!(processes(&all), expected);
    }

    #[test]
    fn memory_has_a_line_a_core_and_a_sum() {
        let core = |core| CoreMemory { core, total_kib: 1000, used_kib: 10, free_kib: 990 };
        let expected = "\
CORE TOTAL USED FREE
   0  1000   10  990
   1  1000   10  990
 sum  2000   20 1980
";
        assert_eq!(memory(&[core(0), core(1)]), expected);
    }

    fn services() -> [Service; 3] {
        let channel = |number, client| ChannelInfo {
            number,
            kind: if core_of(client) == 0 { ChannelKind::Lmp } else { ChannelKind::Routed },
            client,
            received: 10,
            received_bytes: 800,
            sent: 9,
            sent_bytes: 7,
            in_flight: 1,
        };
        let service = |name: &str, owner, channels| Service { name: name.into(), owner, channels };
        [
            service("console", 64, Ok(vec![channel(5, 256), channel(7, 259)])),
            service("lost", 272, Err("the service does not answer".into())),
            service("mem.0", 32, Ok(vec![channel(12, 256)])),
        ]
    }

    #[test]
    fn services_have_a_line_each() {
        let expected = "\
NAME    CORE PID CLIENTS
console    0  64       2
lost       0 272       ?
mem.0      0  32       1
";
        assert_eq!(names(&services()), expected);
    }

    #[test]
    fn channels_have_a_line_each_by_server_and_number() {
        let expected = "\
KIND   NUMBER CLIENT SERVER SERVICE IN BYTES OUT BYTES WAITING
lmp        12    256     32 mem.0   10   800   9     7       1
lmp         5    256     64 console 10   800   9     7       1
routed      7    259     64 console 10   800   9     7       1
";
        assert_eq!(channels(&services()), expected);
    }

    #[test]
    fn cores_that_are_not_up_have_no_counters() {
        let counters = CoreCounters {
            up_ms: 61_002,
            interrupts: 1200,
            switches: 34_567,
            dispatchers: 7,
            capabilities: 890,
        };
        let core = |core, state, counters| CoreInfo { core, state, counters };
        let expected = "\
CORE STATE  UPTIME INTERRUPTS SWITCHES DOMAINS CAPS
   0 up     61.002       1200    34567       7  890
   1 off         -          -        -       -    -
   2 silent      -          -        -       -    -
";
        let all = [
            core(0, CoreState::Up, Some(counters)),
            core(1, CoreState::Off, None),
            core(2, CoreState::Silent, None),
        ];
        assert_eq!(cores(&all), expected);
    }

    #[test]
    fn times_are_in_seconds_first() {
        for (millis, text) in [
            (0, "up 0.000 s\n"),
            (12_034, "up 12.034 s\n"),
            (60_000, "up 60.000 s (1 min)\n"),
            (7_260_000, "up 7260.000 s (2 h 1 min)\n"),
            (90_000_000, "up 90000.000 s (1 d 1 h 0 min)\n"),
        ] {
            assert_eq!(uptime(Duration::from_millis(millis)), text);
        }
        assert_eq!(elapsed(Duration::from_micros(1_000_042)), "real 1.000042 s\n");
    }

    #[test]
    fn a_log_cannot_steer_the_terminal() {
        assert_eq!(log(b"one\r\ntwo\x1b[2J\xff\n"), "one\ntwo[2J\u{fffd}\n");
    }
}
