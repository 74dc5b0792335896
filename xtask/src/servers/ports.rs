//! Free ports.
//!
//! Below the range that the kernel hands to outgoing connections (32768 on Linux): a server that was killed must
//! get its port back, and the tests' own connections would take it. Below 22768, because a Redis Cluster node also
//! listens on its port + 10000.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Failure, Result};
use crate::run;

const LOWEST: u16 = 10_240;
const HIGHEST: u16 = 22_767;
const BUS: u16 = 10_000;

/// Chooses `count` free ports at random.
pub(super) fn choose(count: usize) -> Result<Vec<u16>> {
    let mut chosen: Vec<u16> = Vec::new();
    let mut chance = run::random();
    for _ in 0..10_000 {
        if chosen.len() == count {
            return Ok(chosen);
        }
        // A step of a linear congruential generator (Knuth's constants): enough to spread the tries.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = u64::from(HIGHEST - LOWEST) + 1;
        let port = LOWEST + u16::try_from((chance >> 33) % span).unwrap_or(0);
        if !chosen.contains(&port) && is_free(port) && is_free(port + BUS) && reserve(port) {
            chosen.push(port);
        }
    }
    Err(Failure::new(format!("found no {count} free ports between {LOWEST} and {HIGHEST}")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Within a run, a port once chosen stays its server's, also while that server is dead.
fn reserve(port: u16) -> bool {
    let Some(run) = run::current() else { return true };
    let folder = run.join("ports");
    !folder.is_dir() || File::create_new(folder.join(port.to_string())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_differ_and_leave_room_for_the_cluster_bus() {
        let ports = choose(6).unwrap();
        for (at, port) in ports.iter().enumerate() {
            assert!((LOWEST..=HIGHEST).contains(port));
            assert!(!ports[..at].contains(port));
        }
    }
}
