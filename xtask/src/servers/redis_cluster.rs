//! A Redis Cluster of three masters on one machine.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use super::redis::common;
use super::{Engine, Home, Program, probe};
use crate::failure::{Context, Result};
use crate::tools;

const NODES: u16 = 3;
const SLOTS: u16 = 16_384;

pub(super) struct RedisCluster;

impl Engine for RedisCluster {
    fn port_count(&self) -> usize {
        usize::from(NODES)
    }

    fn has_tls(&self) -> bool {
        false
    }

    fn prepare(&self, home: &Home) -> Result<()> {
        for node in 0..NODES {
            let folder = home.data().join(node.to_string());
            fs::create_dir(&folder).context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Ok(())
    }

    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>> {
        let path = tools::redis()?;
        let program = |(node, port): (usize, &u16)| {
            let mut args = common(home, *port);
            args.extend(["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"].map(String::from));
            Program { path: path.clone(), args, folder: home.data().join(node.to_string()) }
        };
        Ok(ports.iter().enumerate().map(program).collect())
    }

    /// Also makes the cluster: each question brings it one step on, and a finished one is left as it is.
    fn is_ready(&self, ports: &[u16]) -> bool {
        ports.iter().all(|port| probe::redis(*port, &["PING"]).as_deref() == Some("PONG"))
            && ports.iter().zip(0..).all(|(port, node)| give_slots(*port, node))
            && ports[1..].iter().all(|port| introduce(ports[0], *port))
            && ports.iter().all(|port| agrees(*port))
    }

    /// It forms within 2 to 5 seconds, or not at all.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn retry_when_slow(&self) -> bool {
        true
    }

    fn url(&self, ports: &[u16], _tls: bool) -> String {
        let urls: Vec<String> = ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect();
        urls.join(",")
    }
}

fn slots(node: u16) -> Range<u16> {
    let each = SLOTS / NODES;
    let end = if node + 1 == NODES { SLOTS } else { (node + 1) * each };
    node * each..end
}

fn give_slots(port: u16, node: u16) -> bool {
    if fact(port, "cluster_slots_assigned") != Some("0".into()) {
        return true;
    }
    // Different epochs from the start: no election among the three about who owns what.
    let _ = probe::redis(port, &["CLUSTER", "SET-CONFIG-EPOCH", &(node + 1).to_string()]);
    let numbers: Vec<String> = slots(node).map(|slot| slot.to_string()).collect();
    let mut command = vec!["CLUSTER", "ADDSLOTS"];
    command.extend(numbers.iter().map(String::as_str));
    probe::redis(port, &command).as_deref() == Some("OK")
}

fn introduce(first: u16, other: u16) -> bool {
    if fact(other, "cluster_known_nodes") == Some(NODES.to_string()) {
        return true;
    }
    probe::redis(first, &["CLUSTER", "MEET", "127.0.0.1", &other.to_string()]).as_deref() == Some("OK")
}

fn agrees(port: u16) -> bool {
    fact(port, "cluster_state") == Some("ok".into())
        && fact(port, "cluster_known_nodes") == Some(NODES.to_string())
        && fact(port, "cluster_slots_ok") == Some(SLOTS.to_string())
}

/// One line of CLUSTER INFO.
fn fact(port: u16, name: &str) -> Option<String> {
    let info = probe::redis(port, &["CLUSTER", "INFO"])?;
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_node() {
        let all: Vec<u16> = (0..NODES).flat_map(slots).collect();
        assert_eq!(all, (0..SLOTS).collect::<Vec<_>>());
    }
}
