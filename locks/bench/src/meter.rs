//! What a database has to do while something is measured: statements, processor time, memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::database::{Database, Kind};
use crate::machine::Processes;
use crate::{Outcome, connect};

/// Asks one database; its own questions count little (one a reading).
pub(crate) struct Meter {
    source: Source,
    server: Processes,
    /// The database as those who are measured must call it.
    pub(crate) database: Database,
}

enum Source {
    /// Nobody counts.
    None,
    Postgres(tokio_postgres::Client),
    Mysql(mysql_async::Conn),
    Redis(redis::aio::MultiplexedConnection),
    /// Requests that passed a counter in between.
    Counted(Arc<AtomicU64>),
}

/// What was counted so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    statements: Option<u64>,
    processor: Option<Duration>,
    /// Memory in bytes.
    pub(crate) memory: Option<u64>,
}

/// What was used between two readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) statements_a_second: Option<f64>,
    /// Of one core, in hundredths.
    pub(crate) processor: Option<f64>,
}

impl Meter {
    pub(crate) async fn new(database: &Database) -> Outcome<Self> {
        let mut database = database.clone();
        let server = match port(&database) {
            Some(port) => Processes::listening_on(port),
            None => Processes::default(),
        };
        let source = match database.kind {
            Kind::Sqlite => Source::None,
            Kind::Postgres => Source::Postgres(connect::postgres(database.address()).await?),
            Kind::Mysql => Source::Mysql(connect::mysql(database.address()).await?),
            Kind::Redis => Source::Redis(connect::redis(database.address()).await?),
            Kind::Dynamodb => match database.address().strip_prefix("http://") {
                Some(engine) => {
                    let count = Arc::new(AtomicU64::new(0));
                    let url = count_requests(engine.trim_end_matches('/'), count.clone()).await?;
                    database.url = format!("dynamodb+{url}");
                    Source::Counted(count)
                }
                None => Source::None,
            },
        };
        Ok(Self { source, server, database })
    }

    pub(crate) async fn read(&mut self) -> Outcome<Reading> {
        let statements = self.statements().await?;
        let known = !self.server.is_empty();
        Ok(Reading {
            at: Instant::now(),
            statements,
            processor: known.then(|| self.server.processor_time()),
            memory: known.then(|| self.server.memory()),
        })
    }

    async fn statements(&mut self) -> Outcome<Option<u64>> {
        Ok(match &mut self.source {
            Source::None => None,
            Source::Counted(count) => Some(count.load(Ordering::Relaxed)),
            Source::Postgres(client) => {
                // A server adds up what its sessions did once a second.
                let asked = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
                let count: i64 = client.query_one(asked, &[]).await?.get(0);
                u64::try_from(count).ok()
            }
            Source::Mysql(conn) => {
                let row: Option<(String, u64)> =
                    conn.query_first("SHOW GLOBAL STATUS LIKE 'Questions'").await?;
                row.map(|(_, count)| count)
            }
            Source::Redis(connection) => {
                let info: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await?;
                // Calls of scripts are what clients send; the commands inside of scripts are counted apart.
                Some(info.lines().filter_map(script_calls).sum())
            }
        })
    }
}

/// `cmdstat_evalsha:calls=12,usec=…`
fn script_calls(line: &str) -> Option<u64> {
    let calls =
        line.strip_prefix("cmdstat_evalsha:calls=").or_else(|| line.strip_prefix("cmdstat_eval:calls="))?;
    calls.split(',').next()?.parse().ok()
}

impl Reading {
    pub(crate) fn until(&self, later: &Self) -> Used {
        let seconds = later.at.duration_since(self.at).as_secs_f64();
        let both = |a: Option<f64>, b: Option<f64>| Some((b? - a?) / seconds);
        Used {
            statements_a_second: both(self.statements.map(|n| n as f64), later.statements.map(|n| n as f64)),
            processor: both(
                self.processor.map(|t| t.as_secs_f64()),
                later.processor.map(|t| t.as_secs_f64()),
            )
            .map(|cores| cores * 100.0),
        }
    }
}

/// A number, or a dash where there is none.
pub(crate) fn or_dash(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
}

/// The port of a server on this machine.
fn port(database: &Database) -> Option<u16> {
    let (_, rest) = database.address().split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (host, port) = authority.rsplit('@').next()?.rsplit_once(':')?;
    matches!(host, "127.0.0.1" | "localhost" | "[::1]").then(|| port.parse().ok())?
}

/// A relay to an engine that counts the requests on their way. It ends with the program.
async fn count_requests(engine: &str, count: Arc<AtomicU64>) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let engine = engine.to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (engine, count) = (engine.clone(), count.clone());
            tokio::spawn(async move {
                // Either side may end it at any time.
                let _ = relay(client, &engine, &count).await;
            });
        }
    });
    Ok(url)
}

async fn relay(client: TcpStream, engine: &str, count: &AtomicU64) -> Outcome {
    let server = TcpStream::connect(engine).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let back = tokio::io::copy(&mut from_server, &mut to_client);
    let forth = async {
        let mut buffer = vec![0; 64 * 1_024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return Ok::<u64, std::io::Error>(0);
            }
            // A request begins a packet: the client waits for the reply before it sends the next.
            count.fetch_add(u64::from(buffer[..read].starts_with(b"POST ")), Ordering::Relaxed);
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! {
        done = back => done?,
        done = forth => done?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_urls() {
        let at = |kind, url: &str| port(&Database { kind, url: url.into() });
        assert_eq!(at(Kind::Postgres, "postgres://app:app@127.0.0.1:5433/locks"), Some(5433));
        assert_eq!(at(Kind::Dynamodb, "dynamodb+http://127.0.0.1:8000"), Some(8000));
        assert_eq!(at(Kind::Redis, "redis://cache.example:6379/0"), None);
        assert_eq!(at(Kind::Sqlite, "sqlite:/tmp/a.sqlite"), None);
    }

    #[test]
    fn calls_of_scripts_are_read() {
        assert_eq!(script_calls("cmdstat_evalsha:calls=12,usec=5,usec_per_call=0.4"), Some(12));
        assert_eq!(script_calls("cmdstat_hset:calls=12,usec=5"), None);
    }
}
