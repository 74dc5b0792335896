//! Benchmarks of db-locks: one file a figure, each a word on the command line. `README.md` beside this crate tells how the servers
//! are started and how the peers are installed; `docs/locks/figures.md` has what was measured.
#![forbid(unsafe_code)]

mod connect;
mod contenders;
mod contest;
mod database;
mod handover;
mod keys;
mod machine;
mod meter;
mod naive;
mod network;
mod pairs;
mod peers;
mod player;
mod process;
mod renewals;
mod stats;
mod tls;
mod waiters;

use database::Database;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
db-locks-bench [FIGURE] [DATABASE...]

FIGURE
  pairs       acquire + release pairs a second of one client, beside the usual design (if none is named); pairs=N puts a
              network with a round trip of N microseconds before the servers
  handover    from a release to the grant in another process
  contenders  16 processes for one lock: shares, waits, inversions
  renewals    50,000 locks held by one process for five leases (renewals=N: so many)
  keys        an acquire among 100 and among 100,000 keys
  waiters     2,000 waiters for one lock: memory, and load while they wait (waiters=N: so many, in one process and in eight)
  peers       db-locks beside other libraries, in one table

DATABASE
  sqlite, postgres, mysql, redis, dynamodb; all that there are, if none is named
  SQLite's file is made in the folder DB_LOCKS_BENCH_SQLITE_DIR (a temporary one); servers are found through
  DB_LOCKS_TEST_POSTGRES_URL, DB_LOCKS_TEST_MYSQL_URL, DB_LOCKS_TEST_REDIS_URL, DB_LOCKS_TEST_DYNAMODB_URL";

#[tokio::main]
async fn main() -> Outcome {
    // On a worker thread, as the callers of a program are.
    tokio::spawn(run(std::env::args().skip(1).collect())).await?
}

async fn run(arguments: Vec<String>) -> Outcome {
    // Drivers disagree about whose cryptography is the default; an error means that somebody has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [player::ROLE, url, key] => return player::play(url, key).await,
        [tls::COPY] => return pairs::over_tls(&std::env::var("DB_LOCKS_TEST_DYNAMODB_URL")?).await,
        ["--help" | "-h" | "help", ..] => {
            println!("{USAGE}");
            return Ok(());
        }
        _ => {}
    }
    let (figure, wanted) = match arguments.split_first() {
        Some((figure, wanted)) => (figure.as_str(), wanted),
        None => ("pairs", &[][..]),
    };
    let (figure, number) = match figure.split_once('=') {
        Some((figure, number)) => (figure, Some(number.parse::<u64>()?)),
        None => (figure, None),
    };
    let folder = tempfile::tempdir()?;
    let mut databases = Database::all(wanted, folder.path())?;
    if figure == "renewals" && wanted.is_empty() {
        databases.retain(|database| matches!(database.name(), "postgres" | "redis"));
    }
    for database in &databases {
        println!("{}: {}", database.name(), database.durability().await?);
    }
    match figure {
        "pairs" => pairs::measure(&databases, folder.path(), number).await,
        "handover" => handover::measure(&databases).await,
        "contenders" => contenders::measure(&databases).await,
        "renewals" => renewals::measure(&databases, number).await,
        "keys" => keys::measure(&databases).await,
        "waiters" => waiters::measure(&databases, number).await,
        "peers" => peers::measure(&databases).await,
        _ => Err(format!("there is no figure {figure:?}\n\n{USAGE}").into()),
    }
}
