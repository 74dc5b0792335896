//! What processes of this machine use, as Linux tells: processor time, memory, and which of them listens on a port.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

/// Linux counts processor time for users in hundredths of a second, on every machine.
const TICK: Duration = Duration::from_millis(10);

/// Some processes, to be asked again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn of(ids: &[u32]) -> Self {
        Self(ids.to_vec())
    }

    /// Whoever listens on this TCP port of this machine; none if it may not be seen.
    pub(crate) fn listening_on(port: u16) -> Self {
        let sockets = listening_sockets(port);
        Self(numbered("/proc").into_iter().filter(|id| holds(*id, &sockets)).take(1).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and all that they have started, as they are now.
    fn family(&self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for id in numbered("/proc") {
            if let Some(parent) = stat(id).and_then(|fields| fields.get(1)?.parse().ok()) {
                children.entry(parent).or_default().push(id);
            }
        }
        let (mut family, mut next) = (self.0.clone(), 0);
        while let Some(id) = family.get(next) {
            family.extend(children.remove(id).unwrap_or_default());
            next += 1;
        }
        family
    }

    /// Processor time so far, that of ended children included.
    pub(crate) fn processor_time(&self) -> Duration {
        let ticks: u32 = self
            .family()
            .into_iter()
            .filter_map(stat)
            .map(|fields| {
                fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<u32>().ok()).sum::<u32>()
            })
            .sum();
        TICK * ticks
    }

    /// Memory in bytes; what several share is divided among them.
    pub(crate) fn memory(&self) -> u64 {
        self.family().into_iter().filter_map(memory_of).sum()
    }
}

/// The fields of `stat` after the name, from the state on.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(String::from).collect())
}

fn memory_of(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

fn numbered(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The kernel's numbers of the sockets that listen on this port.
fn listening_sockets(port: u16) -> HashSet<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = *fields.get(3)? == "0A" && fields.get(1)?.ends_with(&format!(":{port:04X}"));
            listens.then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
        })
        .collect()
}

fn holds(id: u32, sockets: &HashSet<String>) -> bool {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_port_and_uses_memory() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Processes::listening_on(listener.local_addr().unwrap().port());
        assert_eq!(found.0, [std::process::id()]);
        assert!(found.memory() > 100_000);
    }
}
