//! The shell in a world that is made up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use interfaces::{CoreInfo, CoreMemory, ExitStatus, LogPart, Pid, ProcessInfo, ProcessState};

use crate::commands::COMMANDS;
use crate::{ByCore, Capability, End, Failure, Program, RunError, Service, Shell, World, interact};

/// What happened, and what is going to.
#[derive(Default)]
struct Story {
    printed: String,
    /// What is typed, a read each.
    typed: VecDeque<Vec<u8>>,
    /// Programs that ran, with their arguments.
    ran: Vec<(String, Vec<String>)>,
    /// Where.
    ran_on: Vec<Option<u32>>,
    killed: Vec<Pid>,
    environment: Vec<String>,
    /// The limits of the programs that ran.
    limits: Vec<u64>,
    power: Option<u8>,
    restarted: bool,
    clock: Duration,
    /// The log never goes on.
    log_stands: bool,
}

impl Story {
    /// How a program ends, or why it does not run.
    fn end_of(&self, program: &Program<'_>) -> Result<End, RunError> {
        match program.core {
            Some(8) => return Err(RunError::NoCore("it does not answer".into())),
            Some(9) => return Err(RunError::NoCore("the machine has no core of this number".into())),
            _ => {}
        }
        match program.name {
            "good" | "hello" => Ok(End::Ended(ExitStatus::Exited { code: 0 })),
            "bad" => Ok(End::Ended(ExitStatus::Exited { code: 7 })),
            "wild" => Ok(End::Ended(ExitStatus::Faulted { address: 0x10, pc: 0x20_1234 })),
            "victim" => Ok(End::Ended(ExitStatus::Killed)),
            "endless" => Ok(End::Interrupted),
            "text" => Err(RunError::NotRunnable("not a program that can run here".into())),
            "large" => Err(RunError::Failed("not enough memory".into())),
            _ => Err(RunError::NotFound),
        }
    }

    fn note(&mut self, program: &Program<'_>) {
        self.ran.push((program.name.into(), program.arguments.to_vec()));
        self.ran_on.push(program.core);
        self.environment = program.environment.to_vec();
        self.limits.push(program.limit);
    }
}

struct Fake(Rc<RefCell<Story>>);

impl World for Fake {
    fn read(&mut self) -> Result<Vec<u8>, Failure> {
        self.0.borrow_mut().typed.pop_front().ok_or("the terminal is gone".into())
    }
    fn print(&mut self, text: &str) {
        self.0.borrow_mut().printed.push_str(text);
    }
    fn run(&mut self, program: &Program<'_>) -> Result<End, RunError> {
        let mut story = self.0.borrow_mut();
        let end = story.end_of(program)?;
        story.clock += Duration::from_micros(1500);
        story.note(program);
        Ok(end)
    }
    fn start(&mut self, program: &Program<'_>) -> Result<Pid, RunError> {
        let mut story = self.0.borrow_mut();
        story.end_of(program)?;
        story.note(program);
        Ok(256 + story.ran.len() as u64 * 16 + u64::from(program.core.unwrap_or(0)))
    }
    fn kill(&mut self, pid: Pid) -> Result<(), Failure> {
        if pid == 64 {
            return Err("this process cannot be ended".into());
        }
        self.0.borrow_mut().killed.push(pid);
        Ok(())
    }
    fn pid(&self) -> Pid {
        256
    }
    fn programs(&mut self) -> Vec<String> {
        ["eclipse", "good", "bad program", "init", "mem", "spawn"].map(String::from).into()
    }
    fn processes(&mut self) -> Result<ByCore<Vec<ProcessInfo>>, Failure> {
        let process = |pid, core| {
            let name = "init".into();
            vec![ProcessInfo { pid, core, state: ProcessState::Waiting, memory_kib: 5, name }]
        };
        Ok(vec![(0, Ok(process(16, 0))), (1, Err("it does not answer".into())), (2, Ok(process(18, 2)))])
    }
    fn memory(&mut self) -> Result<ByCore<Vec<CoreMemory>>, Failure> {
        let of = |core| Ok(vec![CoreMemory { core, total_kib: 3, used_kib: 1, free_kib: 2 }]);
        Ok(vec![(0, of(0)), (2, of(2))])
    }
    fn services(&mut self) -> Result<Vec<Service>, Failure> {
        let service = |name: &str, channels| Service { name: name.into(), owner: 256, channels };
        Ok(vec![service("deaf", Err("the service does not answer".into())), service("fs", Ok(vec![]))])
    }
    fn cores(&mut self) -> Result<Vec<CoreInfo>, Failure> {
        Err("gone".into())
    }
    fn start_core(&mut self, core: u32) -> Result<(), Failure> {
        if core == 1 { Ok(()) } else { Err("this core is up already".into()) }
    }
    fn log(&mut self, position: u64) -> Result<LogPart, Failure> {
        if self.0.borrow().log_stands {
            return Ok(LogPart { next: position, bytes: b"again".to_vec() });
        }
        let all = b"barreldish\nready\n";
        let bytes = all.iter().skip(position as usize).take(4).copied().collect::<Vec<u8>>();
        Ok(LogPart { next: position + bytes.len() as u64, bytes })
    }
    fn power_off(&mut self, status: u8) -> Result<(), Failure> {
        self.0.borrow_mut().power = Some(status);
        Ok(())
    }
    fn restart(&mut self) -> Result<(), Failure> {
        self.0.borrow_mut().restarted = true;
        Ok(())
    }
    fn uptime(&self) -> Duration {
        self.0.borrow().clock
    }
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

fn shell_with(variables: &[(&str, &str)]) -> (Shell, Rc<RefCell<Story>>) {
    let story = Rc::new(RefCell::new(Story::default()));
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    (Shell::new(Box::new(Fake(story.clone())), variables), story)
}

/// What a line prints, and its status.
fn run(line: &str) -> (String, i32) {
    let (mut shell, story) = shell_with(&[]);
    let status = shell.evaluate(line);
    let printed = story.borrow().printed.clone();
    (printed, status)
}

/// What appears when this is typed, and how the shell ends.
fn talk(typed: &[&[u8]], variables: &[(&str, &str)]) -> (String, i32) {
    let (mut shell, story) = shell_with(variables);
    story.borrow_mut().typed = typed.iter().map(|read| read.to_vec()).collect();
    let status = interact(&mut shell);
    let printed = story.borrow().printed.clone();
    (printed, status)
}

#[test]
fn programs_run_with_their_arguments_and_their_status_counts() {
    let (mut shell, story) = shell_with(&[("HOME", "/")]);
    assert_eq!(shell.evaluate("good a 'b c'; X=1; bad"), 7);
    let story = story.borrow();
    assert_eq!(story.ran[0], ("good".into(), vec!["a".into(), "b c".into()]));
    assert_eq!(story.environment, ["HOME=/", "SHLVL=1", "X=1"]);
    assert_eq!(story.printed, "");
}

#[test]
fn oncore_runs_there_and_tells_the_exit_code_if_it_is_not_0() {
    for (line, printed, status) in [
        ("oncore 2 good", "", 0),
        ("oncore 2 bad", "oncore: bad: exit code 7\n", 7),
        ("oncore 2 wild", "oncore: wild: exit code 139: faulted at 0x10 (pc 0x201234)\n", 139),
        ("oncore 2 victim", "oncore: victim: exit code 137: killed\n", 137),
        ("oncore 2 endless; good", "", 130),
        ("oncore 2 no-such", "oncore: no-such: command not found\n", 127),
        ("oncore 2 echo a", "oncore: echo: a command of the shell, not a program\n", 127),
        ("oncore 2 mem", "oncore: mem: a server of the system, which init starts\n", 1),
        ("oncore 2 text", "oncore: text: not a program that can run here\n", 126),
        ("oncore 8 good", "oncore: core 8: it does not answer\n", 1),
        ("oncore 9 good", "oncore: core 9: the machine has no core of this number\n", 1),
    ] {
        assert_eq!(run(line), (printed.into(), status), "{line}");
    }
    let (mut shell, story) = shell_with(&[]);
    shell.evaluate("good; oncore 0 good a; oncore 3 hello b");
    assert_eq!(story.borrow().ran_on, [None, Some(0), Some(3)]);
    assert_eq!(story.borrow().ran[2], ("hello".into(), vec!["b".into()]));
}

#[test]
fn a_program_in_the_background_is_not_waited_for() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("endless & oncore 3 bad & limit 100 hello & good"), 0);
    assert_eq!(story.borrow().printed, "[272]\n[291]\n[304]\n");
    assert_eq!(story.borrow().limits, [0, 0, 100 << 10, 0]);
    assert_eq!(run("no-such & echo $?"), ("no-such: command not found\n127\n".into(), 0));
    assert_eq!(run("oncore 9 good &").1, 1);
}

#[test]
fn what_cannot_run_in_the_background_is_refused_in_words() {
    let said = "a command of the shell cannot run in the background\n";
    for (line, name) in [("echo a &", "echo"), ("time good &", "time"), ("limit 100 echo a &", "echo")] {
        assert_eq!(run(line), (format!("{name}: {said}"), 1), "{line}");
    }
    assert_eq!(run("echo a & echo b"), (format!("echo: {said}b\n"), 0));
    let (printed, status) = run("good && good &");
    assert!(
        printed.contains("a list in the background (&) is not supported yet") && status == 2,
        "{printed}"
    );
}

#[test]
fn kill_ends_each_process_that_it_can() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("kill 272 64 256 289"), 1);
    assert_eq!(story.borrow().killed, [272, 289]);
    let said = "kill: 64: this process cannot be ended; 256: this is the shell itself; `exit` ends it\n";
    assert_eq!(story.borrow().printed, said);
    assert_eq!(run("kill 272"), (String::new(), 0));
}

#[test]
fn ps_shows_what_the_cores_say_and_tells_which_do_not() {
    let (printed, status) = run("ps");
    let shown = "PID CORE STATE   MEM NAME\n 16    0 waiting  5K init\n 18    2 waiting  5K init\n";
    assert_eq!((printed, status), (format!("{shown}ps: core 1: it does not answer\n"), 1));
}

#[test]
fn hello_is_explained_as_a_command_and_is_a_program() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("hello && help hello"), 0);
    let story = story.borrow();
    assert_eq!((story.ran.len(), story.printed.lines().next()), (1, Some("usage: hello [NAME]")));
}

#[test]
fn how_a_program_ended_is_told_if_it_could_not_tell_itself() {
    for (line, printed, status) in [
        ("bad", "", 7),
        ("wild", "wild: faulted at 0x10 (pc 0x201234)\n", 139),
        ("victim", "victim: killed\n", 137),
        ("no-such", "no-such: command not found\n", 127),
        ("text", "text: not a program that can run here\n", 126),
        ("large", "large: not enough memory\n", 1),
    ] {
        assert_eq!(run(line), (printed.into(), status), "{line}");
    }
}

#[test]
fn the_systems_own_servers_are_not_started_and_not_offered() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("mem"), 1);
    assert_eq!(shell.evaluate("init now"), 1);
    let said = "mem: a server of the system, which init starts\n\
                init: a server of the system, which the kernel starts\n";
    assert_eq!((story.borrow().printed.as_str(), story.borrow().ran.len()), (said, 0));
    let (printed, _) = talk(&[b"m\t\t"], &[]);
    assert!(!printed.contains("mem"), "{printed}");
}

#[test]
fn ctrl_c_in_a_program_ends_the_whole_line() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("endless; good || good"), 130);
    assert_eq!(story.borrow().ran.len(), 1);
    assert_eq!(shell.evaluate("echo $?"), 0);
    assert_eq!(story.borrow().printed, "130\n");
}

#[test]
fn commands_print_what_they_are_asked_for() {
    for (line, printed) in [
        ("echo a  b", "a b\n"),
        ("echo", "\n"),
        ("clear", "\x1b[H\x1b[2J"),
        ("free", "CORE TOTAL USED FREE\n   0     3    1    2\n   2     3    1    2\n sum     6    2    4\n"),
        ("names", "NAME CORE PID CLIENTS\ndeaf    0 256       ?\nfs      0 256       0\n"),
        ("dmesg", "barreldish\nready\n"),
        ("uptime", "up 0.000 s\n"),
        ("caps", "TYPE COUNT\nsum      0\n"),
        ("help false", "usage: false\nfail\n"),
        ("true && echo yes; false || echo no", "yes\nno\n"),
    ] {
        assert_eq!(run(line), (printed.into(), 0), "{line}");
    }
}

#[test]
fn a_log_that_does_not_go_on_ends() {
    let (mut shell, story) = shell_with(&[]);
    story.borrow_mut().log_stands = true;
    assert_eq!(shell.evaluate("dmesg"), 0);
}

#[test]
fn every_command_is_explained() {
    let (help, status) = run("help");
    assert_eq!(status, 0);
    for command in COMMANDS.0 {
        assert!(help.lines().any(|line| line.starts_with(command.name) && line.ends_with(command.help)));
    }
}

#[test]
fn a_command_that_is_called_wrongly_says_so_and_does_nothing() {
    let lines = [
        "help a b",
        "clear all",
        "ps -x",
        "cores 1",
        "cores up",
        "cores up one",
        "cores up 1 2",
        "cores down 1",
        "kill",
        "kill one",
        "kill 272 -1",
        "oncore",
        "oncore one good",
        "oncore -1 good",
        "oncore 1",
        "free -m",
        "caps all",
        "names all",
        "channels 1",
        "caps list all",
        "dmesg -w",
        "uptime -p",
        "time",
        "limit",
        "limit 100",
        "limit 0 good",
        "limit much good",
        "limit -5 good",
        "limit 18014398509481984 good",
        "exit now",
        "shutdown now",
        "shutdown -1",
        "shutdown 256",
        "shutdown 1 2",
        "reboot -f",
    ];
    for line in lines {
        let (mut shell, story) = shell_with(&[]);
        let status = shell.evaluate(line);
        let story = story.borrow();
        let name = line.split(' ').next().unwrap_or_default();
        let said = story.printed.starts_with(&format!("{name}: "))
            && story.printed.contains(&format!("\nusage: {name}"));
        assert!(said && status == 2, "{line}: {status} {}", story.printed);
        assert!(story.power.is_none() && !story.restarted && story.killed.is_empty(), "{line}");
    }
}

#[test]
fn limits_that_cannot_be_are_told_apart() {
    for (kib, said) in [
        ("0", "expected a number of KiB from 1, not `0`"),
        ("much", "expected a number of KiB, not `much`"),
        ("18014398509481984", "18014398509481984 KiB: too large"),
        ("99999999999999999999", "99999999999999999999 KiB: too large"),
    ] {
        let (output, _) = run(&format!("limit {kib} good"));
        assert!(output.starts_with(&format!("limit: {said}\nusage: ")), "{output}");
    }
}

#[test]
fn a_service_that_fails_is_a_complaint_of_the_command() {
    assert_eq!(run("cores"), ("cores: gone\n".into(), 1));
    assert_eq!(run("cores up 0"), ("cores: core 0: this core is up already\n".into(), 1));
    assert_eq!(run("cores up 1"), (String::new(), 0));
    let (printed, status) = run("channels");
    assert!(printed.ends_with("\nchannels: deaf: the service does not answer\n") && status == 1, "{printed}");
    assert_eq!(run("help nothing"), ("help: there is no command `nothing`\n".into(), 1));
}

#[test]
fn time_tells_how_long_it_took_and_keeps_the_status() {
    assert_eq!(run("time bad"), ("real 0.001500 s\n".into(), 7));
    assert_eq!(run("time echo hello"), ("hello\nreal 0.000000 s\n".into(), 0));
    assert_eq!(run("time no-such").1, 127);
}

#[test]
fn a_limit_holds_for_its_command_alone_and_never_grows() {
    let (mut shell, story) = shell_with(&[]);
    assert_eq!(shell.evaluate("limit 100 bad; good; limit 50 limit 70 good; limit 50 time good"), 0);
    assert_eq!(story.borrow().limits, [100 << 10, 0, 50 << 10, 50 << 10]);
    assert_eq!(shell.evaluate("limit 100 bad"), 7);
    assert_eq!(shell.evaluate("limit 100 no-such"), 127);
}

#[test]
fn power_goes_with_the_code() {
    for (line, code) in [("shutdown", 0), ("shutdown 42", 42), ("shutdown 255", 255)] {
        let (mut shell, story) = shell_with(&[]);
        shell.evaluate(line);
        assert_eq!(story.borrow().power, Some(code));
    }
    let (mut shell, story) = shell_with(&[]);
    shell.evaluate("reboot");
    assert!(story.borrow().restarted);
}

#[test]
fn only_an_inner_shell_can_be_left() {
    let (printed, status) = run("exit; echo still here");
    assert!(printed.starts_with("exit: ") && printed.ends_with("still here\n") && status == 0, "{printed}");
    let (mut shell, story) = shell_with(&[("SHLVL", "1")]);
    assert_eq!(shell.evaluate("exit 3; echo not here"), 3);
    assert_eq!((shell.over(), story.borrow().printed.as_str()), (Some(3), ""));
}

#[test]
fn a_line_that_makes_no_sense_runs_nothing() {
    let (printed, status) = run("good; echo 'open");
    assert!(printed.starts_with("sh: the quote ' is never closed") && status == 2, "{printed}");
}

#[test]
fn every_line_ends_with_a_new_prompt() {
    let (printed, status) = talk(&[b"echo a", b"b\r", b"\r", b"exit\r"], &[("SHLVL", "1")]);
    assert_eq!(printed, "bd:/$ echo ab\nab\nbd:/$ \nbd:/$ exit\n");
    assert_eq!(status, 0);
}

#[test]
fn lines_that_come_in_one_read_run_in_order() {
    let (printed, _) = talk(&[b"echo 1\recho 2\rexit 4\r"], &[("SHLVL", "1")]);
    assert_eq!(printed, "bd:/$ echo 1\n1\nbd:/$ echo 2\n2\nbd:/$ exit 4\n");
}

#[test]
fn end_of_file_leaves_an_inner_shell_only() {
    let (printed, status) = talk(&[b"false\r", b"\x04"], &[("SHLVL", "1")]);
    assert!(printed.ends_with("bd:/$ \n") && status == 1, "{printed}");
    let (printed, _) = talk(&[b"\x04", b"echo on\r"], &[]);
    assert!(printed.contains("exit: this is the only shell") && printed.contains("\non\n"), "{printed}");
}

#[test]
fn ctrl_c_drops_the_line_and_is_a_status() {
    let (printed, _) = talk(&[b"echo dropped\x03", b"echo $?\r"], &[]);
    assert!(printed.starts_with("bd:/$ echo dropped^C\nbd:/$ ") && printed.contains("\n130\n"), "{printed}");
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_one_runs() {
    let long = vec![b'x'; 200_000];
    let (printed, _) = talk(&[&long, b"\recho fine\r"], &[]);
    assert!(printed.contains("sh: the line is too long") && printed.contains("\nfine\n"));
}

#[test]
fn commands_and_programs_are_completed_where_a_command_stands() {
    let (mut shell, story) = shell_with(&[]);
    story.borrow_mut().typed = [&b"ech\tx; g\tgoo\r"[..], b"bad\t\x03", b"ec\t\t"].map(<[u8]>::to_vec).into();
    interact(&mut shell);
    let story = story.borrow();
    assert!(story.printed.contains("\nx\n"), "{}", story.printed);
    assert_eq!(story.ran, [("good".into(), vec!["goo".into()])]);
    assert!(story.printed.contains("bad\\ program"), "{}", story.printed);
    assert!(story.printed.contains("\necho     eclipse\n"), "{}", story.printed);
}

#[test]
fn a_terminal_that_goes_ends_the_shell() {
    let (printed, status) = talk(&[], &[]);
    assert_eq!((printed.as_str(), status), ("bd:/$ sh: the terminal is gone\n", 1));
}
