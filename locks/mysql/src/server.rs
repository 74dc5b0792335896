//! One statement, or one message of several, within the time that there is for it.

use std::future::Future;
use std::sync::atomic::AtomicBool;

use db_locks_core::LockResult;
use db_locks_core::eager::{Eager, Worth};
use mysql_async::{Row, Value};

use crate::config::Settings;
use crate::error::{Fault, Task};
use crate::pool::{Answer, Pool};
use crate::statements::Statements;

/// How often a deadlock's victim is sent again. The rows are locked in one order, so there is hardly ever one.
const DEADLOCK_RETRIES: u32 = 3;

/// The server, and what is said to it.
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) pool: Pool,
    pub(crate) sql: Statements,
    pub(crate) eager: Eager,
    /// It is MariaDB, which knows blocks outside of procedures.
    pub(crate) knows_blocks: AtomicBool,
    /// Whether batches of acquires, and of releases, are hoped to be of the usual kind.
    pub(crate) usual_acquires: Worth,
    pub(crate) usual_releases: Worth,
}

impl Server {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            pool: Pool::new(settings.opts.clone(), settings.pool_size, settings.connect_timeout),
            sql: Statements::new(&settings.tables),
            settings,
            eager: Eager::default(),
            knows_blocks: AtomicBool::new(false),
            usual_acquires: Worth::default(),
            usual_releases: Worth::default(),
        }
    }

    /// Sends one statement, within the request timeout. Sends it again when nothing came of it: after a deadlock, or
    /// when the connection turns out to have been closed while it was idle. The protocol makes that safe.
    pub(crate) async fn execute(&self, task: Task<'_>, sql: &str, params: Vec<Value>) -> LockResult<Answer> {
        let attempts = async {
            let (mut deadlocks, mut stale) = (0, false);
            loop {
                let mut lease = self.pool.lease().await?;
                match lease.execute(sql, &params).await {
                    Ok(answer) => {
                        lease.done();
                        return Ok(answer);
                    }
                    Err(fault) if fault.is_deadlock() && deadlocks < DEADLOCK_RETRIES => deadlocks += 1,
                    Err(fault) if fault.is_stale_connection() && lease.reused && !stale => {
                        stale = true;
                        self.pool.forget_idle();
                    }
                    Err(fault) => return Err(fault),
                }
            }
        };
        self.bounded(task, attempts, Some(&self.eager)).await
    }

    /// Sends several statements as one message, in the same way; the rows of each that has a result with columns.
    pub(crate) async fn batch(&self, task: Task<'_>, sql: &str) -> LockResult<Vec<Vec<Row>>> {
        let attempts = async {
            let mut stale = false;
            loop {
                let mut lease = self.pool.lease().await?;
                match lease.batch(sql).await {
                    Ok(results) => {
                        lease.done();
                        return Ok(results);
                    }
                    Err(fault) if fault.is_stale_connection() && lease.reused && !stale => {
                        stale = true;
                        self.pool.forget_idle();
                    }
                    Err(fault) => return Err(fault),
                }
            }
        };
        // Not awake: others have something to do meanwhile, and the server too.
        self.bounded(task, attempts, None).await
    }

    async fn bounded<T>(
        &self,
        task: Task<'_>,
        work: impl Future<Output = Result<T, Fault>>,
        awake: Option<&Eager>,
    ) -> LockResult<T> {
        let timeout = self.settings.request_timeout;
        let work = tokio::time::timeout(timeout, work);
        let reply = match awake {
            Some(eager) => eager.wait(work, tokio::task::yield_now).await,
            None => work.await,
        };
        let outcome = reply.unwrap_or(Err(Fault::Answer(timeout)));
        outcome.map_err(|fault| fault.into_lock_error(&self.settings.place, task))
    }
}
