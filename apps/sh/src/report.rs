//! What `ps`, `free`, `cores`, `uptime`, `time` and `dmesg` show, as text.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use interfaces::{CoreMemory, ProcessInfo, SystemInfo};

use crate::columns::{Column::*, rows, table};

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

/// `cores`: a line a core that the machine has.
pub(crate) fn cores(info: &SystemInfo) -> String {
    let state = |core: &u32| if *core < info.cores { "running" } else { "off" };
    let present: alloc::vec::Vec<u32> = (0..info.cores_present.max(info.cores)).collect();
    table([Right("CORE"), Left("STATE")], &rows(&present, |core| [core.to_string(), state(core).into()]))
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
    use interfaces::ProcessState;

    #[test]
    fn processes_have_a_line_each() {
        let process = |pid, state, memory_kib, name: &str| ProcessInfo {
            pid,
            core: 0,
            state,
            memory_kib,
            name: name.into(),
        };
        let all =
            [process(1, ProcessState::Waiting, 512, "init"), process(16, ProcessState::Ready, 1024, "lines")];
        let expected = "\
PID CORE STATE     MEM NAME
  1    0 waiting  512K init
 16    0 ready   1024K lines
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

    #[test]
    fn cores_that_do_not_run_are_off() {
        let info = SystemInfo {
            cores: 1,
            cores_present: 3,
            memory_mib: 1024,
            platform: "qemu-virt".into(),
            version: "0.1.0".into(),
            ticks_per_second: 1,
        };
        assert_eq!(cores(&info), "CORE STATE\n   0 running\n   1 off\n   2 off\n");
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
