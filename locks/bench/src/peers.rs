//! db-locks beside other libraries, on the same servers in the same run, measured by the same code.
//!
//! The peers are processes of their own (`peers/`): Rust ones are built here through cargo, Python's are run by the interpreter that
//! `DB_LOCKS_BENCH_PYTHON` names, Node's find their modules in the folder that `DB_LOCKS_BENCH_NODE_MODULES` names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::contest::{self, Contention, Contestant, Handover};
use crate::database::{Database, Kind};
use crate::stats::{median, millis, percentile};

const PAIRS: Duration = Duration::from_secs(2);
const HANDOVERS: usize = 30;
const CONTENDERS: usize = 16;
const CONTEND: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runtime {
    Rust,
    Python,
    Node,
}

struct Peer {
    name: &'static str,
    runtime: Runtime,
    databases: &'static [Kind],
    /// Facts of its documentation and source, not of this run.
    lacks: &'static str,
}

const PEERS: [Peer; 10] = [
    Peer {
        name: "rslock",
        runtime: Runtime::Rust,
        databases: &[Kind::Redis],
        lacks: "fencing, fairness, wake-up (polls, 3 tries; tried again here), lost signal, release on drop",
    },
    Peer {
        name: "distributed-lock-redis",
        runtime: Runtime::Rust,
        databases: &[Kind::Redis],
        lacks: "waiting (refused at once, whatever the limit), fencing, fairness, release on drop",
    },
    Peer {
        name: "distributed-lock-postgres",
        runtime: Runtime::Rust,
        databases: &[Kind::Postgres],
        lacks: "fencing, lease (a connection a lock), lost signal (never fires), release on drop, semaphores",
    },
    Peer {
        name: "distributed-lock-mysql",
        runtime: Runtime::Rust,
        databases: &[Kind::Mysql],
        lacks: "fencing, lease (a connection a lock), waiting without a limit on MariaDB, semaphores",
    },
    Peer {
        name: "redis-py",
        runtime: Runtime::Python,
        databases: &[Kind::Redis],
        lacks: "fencing, fairness, wake-up (polls every 100 ms), renewal, lost signal, semaphores",
    },
    Peer {
        name: "pottery",
        runtime: Runtime::Python,
        databases: &[Kind::Redis],
        lacks: "fencing, fairness, wake-up (polls), renewal, lost signal, semaphores",
    },
    Peer {
        name: "redis-fifo-lock",
        runtime: Runtime::Python,
        databases: &[Kind::Redis],
        lacks: "semaphores, cluster; a dead waiter costs a whole lease; a connection a waiter",
    },
    Peer {
        name: "sqlalchemy-dlock",
        runtime: Runtime::Python,
        databases: &[Kind::Postgres, Kind::Mysql],
        lacks: "fencing, lease (a connection a lock), lost signal, semaphores; waits with a limit by 1 s sleeps on PostgreSQL",
    },
    Peer {
        name: "redlock",
        runtime: Runtime::Node,
        databases: &[Kind::Redis],
        lacks: "fencing, fairness, wake-up (polls every 200 ms or so), renewal, lost signal, semaphores",
    },
    Peer {
        name: "redis-semaphore",
        runtime: Runtime::Node,
        databases: &[Kind::Redis],
        lacks: "fencing, fairness, wake-up (polls every 10 ms)",
    },
];

pub(crate) async fn measure(databases: &[Database]) -> Outcome {
    println!(
        "One client's pairs; handover between two processes ({HANDOVERS} times, from the call of release); {CONTENDERS} processes for \
         one lock for {} s, each holding it for 1 ms. \"Passed\": grants to somebody who called 5 ms or more after another who still waited.",
        CONTEND.as_secs()
    );
    let rust = build_rust();
    println!(
        "| database | library | pairs/s | handover median ms | max ms | grants/s | min/max a process | wait p99 ms | max ms | passed | lacks |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for database in databases {
        let ours = Contestant::ours(database)?;
        row(database, "**db-locks**", &ours, "").await;
        for peer in PEERS.iter().filter(|p| p.databases.contains(&database.kind)) {
            match peer.contestant(database, &rust) {
                Ok(contestant) => row(database, peer.name, &contestant, peer.lacks).await,
                Err(reason) => println!("| {} | {} | absent: {reason} |", database.name(), peer.name),
            }
        }
    }
    Ok(())
}

impl Peer {
    fn contestant(&self, database: &Database, rust: &Result<PathBuf, String>) -> Result<Contestant, String> {
        let set = |variable: &str| std::env::var_os(variable).ok_or(format!("{variable} is not set"));
        let (program, script): (OsString, Option<PathBuf>) = match self.runtime {
            Runtime::Rust => (rust.clone()?.into(), None),
            Runtime::Python => (set("DB_LOCKS_BENCH_PYTHON")?, Some(ours("peers.py"))),
            Runtime::Node => {
                set("DB_LOCKS_BENCH_NODE_MODULES")?;
                ("node".into(), Some(ours("peers.cjs")))
            }
        };
        let mut contestant = Contestant::new(program, &[]);
        if self.runtime == Runtime::Node {
            contestant = contestant.with_env("NODE_PATH", &set("DB_LOCKS_BENCH_NODE_MODULES")?);
        }
        if let Some(script) = script {
            contestant = contestant.with_arg(script);
        }
        Ok(contestant.with_arg(self.name).with_arg(&database.url))
    }
}

/// A file of the folder `peers` beside this crate's sources.
fn ours(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(file)
}

/// Builds the Rust peers, whose dependencies are no business of this workspace; says why if that fails.
fn build_rust() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-peers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(ours("rust/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .map_err(|error| error.to_string())?;
    if built.success() { Ok(target.join("release/db-locks-bench-peers")) } else { Err(built.to_string()) }
}

async fn row(database: &Database, name: &str, contestant: &Contestant, lacks: &str) {
    let mut troubles = Vec::new();
    let pairs = contest::pairs(contestant, PAIRS).await;
    let pairs = note(&mut troubles, pairs).map_or_else(dash, |pairs| format!("{pairs:.0}"));
    let handover = contest::handover(contestant, HANDOVERS).await;
    let handover = note(&mut troubles, handover).map_or_else(|| dashes(2), |seen| handover_cells(&seen));
    let contention = contest::contenders(contestant, CONTENDERS, CONTEND).await;
    let contention =
        note(&mut troubles, contention).map_or_else(|| dashes(5), |seen| contention_cells(&seen));
    troubles.dedup();
    let lacks = match &troubles[..] {
        [] => lacks.to_string(),
        troubles => format!("{lacks}; said here: {}", troubles.join("; ")),
    };
    println!("| {} | {name} | {pairs} | {handover} | {contention} | {lacks} |", database.name());
}

fn note<T>(troubles: &mut Vec<String>, result: Outcome<T>) -> Option<T> {
    result.map_err(|error| troubles.push(error.to_string().replace(['\n', '|'], " "))).ok()
}

fn dash() -> String {
    "-".to_string()
}

fn dashes(cells: usize) -> String {
    vec!["-"; cells].join(" | ")
}

fn handover_cells(seen: &Handover) -> String {
    let (middle, longest) = (median(&seen.from_call), percentile(&seen.from_call, 1.0));
    format!("{:.2} | {:.1}", millis(middle), millis(longest))
}

fn contention_cells(seen: &Contention) -> String {
    let ((least, most), (p99, longest)) = (seen.spread(), seen.waits());
    format!(
        "{:.0} | {least}/{most} | {:.0} | {:.0} | {}",
        seen.a_second(),
        millis(p99),
        millis(longest),
        seen.passed()
    )
}
