//! Connections: at most so many, the one used last first, and none that is in doubt.
//!
//! The driver's own pool hands each connection to a task of its own when it comes back. Here it is put back on the spot,
//! which a lone caller notices; and it is put back only after a whole answer without an error, so that no half-read
//! answer and no open transaction ever meets the next request.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::consts::StatusFlags;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Params, Row, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Fault;

/// An idle connection is not used again after this: servers and routers close silent ones.
const MAX_IDLE: Duration = Duration::from_secs(240);
/// The longest that a polite good-bye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The connections of one repository.
pub(crate) struct Pool {
    opts: Opts,
    connect_timeout: Duration,
    /// One for each connection that may be in use. Waiters are served in order.
    permits: Semaphore,
    /// The one used last is last.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    conn: Conn,
    since: Instant,
}

impl Pool {
    /// An empty pool of at most `size` connections.
    pub(crate) fn new(opts: Opts, size: usize, connect_timeout: Duration) -> Self {
        let permits = Semaphore::new(size.clamp(1, Semaphore::MAX_PERMITS));
        Self { opts, connect_timeout, permits, idle: Mutex::default() }
    }

    /// A connection, idle or new. Waits while all are in use; the caller bounds that.
    pub(crate) async fn lease(&self) -> Result<Lease<'_>, Fault> {
        let permit = self.permits.acquire().await.map_err(|_| mysql_async::DriverError::PoolDisconnected);
        let permit = permit.map_err(mysql_async::Error::from)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (conn, reused) = match idle {
            Some(idle) if idle.since.elapsed() < MAX_IDLE => (idle.conn, true),
            too_old => {
                // Those below it in the stack are older still.
                if let Some(idle) = too_old {
                    goodbye(idle.conn);
                    self.forget_idle();
                }
                (self.connect().await?, false)
            }
        };
        Ok(Lease { pool: self, conn: Some(conn), reused, _permit: permit })
    }

    async fn connect(&self) -> Result<Conn, Fault> {
        match tokio::time::timeout(self.connect_timeout, Conn::new(self.opts.clone())).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Fault::Connect(self.connect_timeout)),
        }
    }

    /// Closes the idle connections: one of them was found dead, so the others are likely to be.
    pub(crate) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for idle in idle {
            goodbye(idle.conn);
        }
    }
}

/// The driver would say good-bye too, for as long as that takes.
impl Drop for Pool {
    fn drop(&mut self) {
        self.forget_idle();
    }
}

/// What a statement gave.
pub(crate) struct Answer {
    /// The rows of the first result.
    pub(crate) rows: Vec<Row>,
    /// How many rows were changed.
    pub(crate) affected: u64,
    /// What `LAST_INSERT_ID(…)` was set to.
    pub(crate) inserted_id: Option<u64>,
    /// When the statement was sent.
    pub(crate) sent: Instant,
}

/// One connection for one request. Dropped before [`Lease::done`] it is closed.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    conn: Option<Conn>,
    /// It was idle before, so the server may have closed it meanwhile.
    pub(crate) reused: bool,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    fn conn(&mut self) -> Result<&mut Conn, Fault> {
        let closed = || mysql_async::Error::from(mysql_async::DriverError::ConnectionClosed).into();
        self.conn.as_mut().ok_or_else(closed)
    }

    /// Runs one statement, prepared once a connection, and reads all of its answer.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<Answer, Fault> {
        let params = if params.is_empty() { Params::Empty } else { Params::Positional(params.to_vec()) };
        let conn = self.conn()?;
        let sent = Instant::now();
        let mut answer = conn.exec_iter(sql, params).await?;
        let rows = answer.collect().await?;
        answer.drop_result().await?;
        Ok(Answer { rows, affected: conn.affected_rows(), inserted_id: conn.last_insert_id(), sent })
    }

    /// Runs several statements as one message; returns the rows of each that has a result with columns.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<Vec<Vec<Row>>, Fault> {
        let mut answer = self.conn()?.query_iter(sql).await?;
        let mut results = Vec::new();
        while !answer.is_empty() {
            let has_columns = !answer.columns_ref().is_empty();
            let rows = answer.collect().await?;
            if has_columns {
                results.push(rows);
            }
        }
        answer.drop_result().await?;
        Ok(results)
    }

    /// The answer was read to its end and was no error: others may have the connection.
    pub(crate) fn done(mut self) {
        let Some(conn) = self.conn.take() else { return };
        let in_transaction = conn
            .last_ok_packet()
            .is_some_and(|ok| ok.status_flags().contains(StatusFlags::SERVER_STATUS_IN_TRANS));
        if in_transaction {
            return goodbye(conn);
        }
        let idle = Idle { conn, since: Instant::now() };
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            goodbye(conn);
        }
    }
}

/// Closes a connection. One in the middle of an answer is just dropped, which closes it too.
fn goodbye(conn: Conn) {
    if conn.is_disconnected() {
        return;
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        // Bounded, and nothing waits for it.
        drop(runtime.spawn(tokio::time::timeout(GOODBYE, conn.disconnect())));
    }
}
