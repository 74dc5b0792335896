//! A server of any make: started with a free port, asked until its answer is right, ended with all that it started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::stubs::{Probe, Set};
use crate::Failure;

/// How long one may take to its first right answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Its files and its log.
    folder: TempDir,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first right answer.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts the command that is made for a port and a folder for its files.
    pub(crate) fn start(
        set: Set,
        command: &mut dyn FnMut(u16, &Path) -> Result<Command, Failure>,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = command(port, folder.path())?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(folder.path());
        let begun = Instant::now();
        let child = command.spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { child, folder, address, start: Duration::ZERO };
        let mut last = String::new();
        let probes = set.probes();
        for probe in &probes {
            server.await_answer(probe, begun, &mut last)?;
            if server.start.is_zero() {
                server.start = begun.elapsed();
            }
        }
        Ok(server)
    }

    fn await_answer(&mut self, probe: &Probe, begun: Instant, last: &mut String) -> Result<(), Failure> {
        while begun.elapsed() < PATIENCE {
            match ask(self.address, &probe.target) {
                Ok(answer) if is_right(&answer, &probe.expected) => return Ok(()),
                Ok(answer) => *last = answer,
                Err(error) => *last = error.to_string(),
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it ended with {status}: {}", self.log()).into());
            }
            std::thread::sleep(PAUSE);
        }
        let shown: String = last.chars().take(300).collect();
        Err(format!("no right answer: {shown:?}; {}", self.log()).into())
    }

    /// The end of what it wrote.
    fn log(&self) -> String {
        let text = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let from = text.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
        text.get(from..).unwrap_or_default().replace('\n', " ")
    }

    /// Memory that it and all that it started hold, in kilobytes (Linux).
    pub(crate) fn memory_kb(&self) -> u64 {
        let resident = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        };
        family(self.child.id()).iter().filter_map(resident).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in family(self.child.id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // Whoever is gone already need not be ended.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// A process and those that it started, and those that they started.
fn family(root: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pairs: Vec<(u32, u32)> = all.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// One request over a connection of its own; all of the answer.
fn ask(address: SocketAddr, target: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_right(answer: &str, expected: &str) -> bool {
    let has_status = answer.split(' ').nth(1) == Some("200");
    has_status && answer.split_once("\r\n\r\n").is_some_and(|(_, body)| body.contains(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_with_its_status_and_body() {
        assert!(is_right("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"stub\": 7}", "\"stub\": 7"));
        assert!(!is_right("HTTP/1.1 404 Not Found\r\n\r\n{\"stub\": 7}", "\"stub\": 7"));
        assert!(!is_right("HTTP/1.1 200 OK\r\nA: \"stub\": 7\r\n\r\n{}", "\"stub\": 7"));
    }

    #[test]
    fn a_family_has_children_of_children() {
        let mut child = Command::new("sh").args(["-c", "sh -c 'sleep 9; :' & wait"]).spawn().unwrap();
        let begun = Instant::now();
        while family(child.id()).len() < 3 && begun.elapsed() < Duration::from_secs(9) {
            std::thread::sleep(PAUSE);
        }
        let family = family(child.id());
        for pid in &family {
            let _ = kill_process(Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap(), Signal::KILL);
        }
        child.wait().unwrap();
        assert_eq!(family.len(), 3);
    }
}
