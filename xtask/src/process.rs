//! Processes by identity. A pid alone may be reused, so each is kept together with its start time.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The programs that xtask starts as servers, by the name that the kernel shows.
const SERVERS: [&str; 6] = ["postgres", "mariadbd", "mysqld", "redis-server", "valkey-server", "dynoxide"];

/// One process, surely the same one as when this value was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks from boot to start.
    started: u64,
}

impl Process {
    /// The living process with this pid. A zombie is not living, but for one with threads that still end: until the
    /// last is gone, files and ports stay open.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::from_stat(pid, &stat)
    }

    /// Reads proc(5) `stat`; the name in parentheses may itself hold spaces and parentheses.
    fn from_stat(pid: u32, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        let state = *fields.first()?;
        let threads: u32 = fields.get(17)?.parse().ok()?;
        let started = fields.get(19)?.parse().ok()?;
        let is_dead = state == "X" || (state == "Z" && threads <= 1);
        (!is_dead).then_some(Self { pid, started })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// The program's name, at most 15 bytes.
    pub(crate) fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim_end().to_owned()
    }

    fn folder(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    fn has_variable(&self, assignment: &[u8]) -> bool {
        let environ = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == assignment)
    }
}

/// A signal that xtask sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Interrupt,
    Quit,
    Terminate,
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// Sends a signal to each of these that still lives. Through the shell's own `kill`: no unsafe code here.
pub(crate) fn send(signal: Signal, to: &[Process]) {
    let pids: Vec<String> =
        to.iter().filter(|process| process.is_alive()).map(|process| process.pid.to_string()).collect();
    if pids.is_empty() {
        return;
    }
    let script = r#"for pid; do kill -s "$0" "$pid"; done"#;
    // A process that ended in between is what we wanted, so the result does not matter.
    let _ = Command::new("/bin/sh")
        .args(["-c", script, signal.name()])
        .args(pids)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Waits until none of these lives. False when the time was too short.
pub(crate) fn wait_gone(processes: &[Process], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while processes.iter().any(Process::is_alive) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// All living processes but this one.
fn all() -> Vec<Process> {
    let me = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != me)
        .filter_map(Process::of)
        .collect()
}

/// Servers that work inside `dir`, found by their current folder: a postmaster's children too.
pub(crate) fn servers_in(dir: &Path) -> Vec<Process> {
    all().into_iter().filter(|process| is_server_in(process, dir)).collect()
}

fn is_server_in(process: &Process, dir: &Path) -> bool {
    SERVERS.contains(&process.name().as_str())
        && process.folder().is_some_and(|folder| folder.starts_with(dir))
}

/// Everything that carries this variable in its environment, and the servers that work inside `dir`.
pub(crate) fn offspring(name: &str, value: &OsStr, dir: &Path) -> Vec<Process> {
    let assignment = [name.as_bytes(), b"=", value.as_bytes()].concat();
    all()
        .into_iter()
        .filter(|process| process.has_variable(&assignment) || is_server_in(process, dir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_nasty_name_is_read() {
        let line = format!("7 (a) R (b) S {} 4242 0", "0 ".repeat(18).trim_end());
        assert_eq!(Process::from_stat(7, &line), Some(Process { pid: 7, started: 4242 }));
        let zombie = line.replace(" S ", " Z ");
        assert_eq!(Process::from_stat(7, &zombie), None, "a zombie is dead");
        let ending = zombie.replace(" 0 0 4242", " 3 0 4242");
        assert!(Process::from_stat(7, &ending).is_some(), "but not while its threads end");
        assert_eq!(Process::from_stat(7, "7 (x"), None);
    }

    #[test]
    fn a_killed_child_is_gone_even_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive());
        send(Signal::Kill, &[process]);
        assert!(wait_gone(&[process], Duration::from_secs(5)));
        child.wait().unwrap();
    }

    #[test]
    fn offspring_is_found_by_its_variable() {
        let mut child = Command::new("sleep").arg("60").env("XTASK_UNIT", "yes").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        let nowhere = Path::new("/nonexistent");
        // The variable shows once the child has replaced its program.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !offspring("XTASK_UNIT", OsStr::new("yes"), nowhere).contains(&process) {
            assert!(Instant::now() < deadline, "not found");
        }
        assert!(!offspring("XTASK_UNIT", OsStr::new("ye"), nowhere).contains(&process));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
