//! Connections: a bounded pool, one round trip for a statement, and a time limit on everything.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db_locks_core::eager::Eager;
use db_locks_core::{LockError, LockResult};
use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolConfig, QueueMode,
    RecyclingMethod, Runtime, Timeouts,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Error, Row, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Settings;
use crate::error::{Place, spoils_connection};
use crate::statements::Statement;

/// The most statements that are being cancelled on the server at once; more are left to end by themselves.
const MAX_CANCELS: usize = 16;
/// The longest time to ask the server to cancel a statement.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// A statement's parameter.
pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

/// The connections of one repository.
pub(crate) struct Connections {
    pool: Pool,
    place: Place,
    prepare: bool,
    connect_timeout: Duration,
    request_timeout: Duration,
    tls: MakeRustlsConnect,
    eager: Eager,
    /// Ended with the repository.
    cancels: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("place", &self.place)
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// A pool that opens its connections when they are needed.
    ///
    /// # Errors
    /// `Runtime` outside a tokio runtime.
    pub(crate) fn new(settings: &Settings, tls: MakeRustlsConnect) -> LockResult<Self> {
        // Fast: whether the connection is closed is known without asking the server.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(settings.driver.clone(), tls.clone(), recycling);
        let mut config = PoolConfig::new(settings.pool_size as usize);
        config.timeouts = Timeouts {
            wait: Some(settings.request_timeout),
            create: Some(settings.connect_timeout),
            recycle: Some(settings.request_timeout),
        };
        // The connection that was used last has the warmest caches, and the others can go stale.
        config.queue_mode = QueueMode::Lifo;
        let mut builder = Pool::builder(manager).config(config).runtime(Runtime::Tokio1);
        if settings.prepare {
            builder = builder.post_create(Hook::async_fn(|client, _| Box::pin(use_read_committed(client))));
        }
        Ok(Self {
            pool: builder
                .build()
                .map_err(|error| LockError::runtime_from("cannot build the connection pool", error))?,
            place: Place { shown: settings.shown.clone(), pool_size: settings.pool_size },
            prepare: settings.prepare,
            connect_timeout: settings.connect_timeout,
            request_timeout: settings.request_timeout,
            tls,
            eager: Eager::default(),
            cancels: Mutex::default(),
        })
    }

    /// Runs one statement: one round trip once the connection knows it. `doing` is for messages: "acquire".
    ///
    /// # Errors
    /// What the database says; `CurrentlyUnavailable` when it says nothing in time.
    pub(crate) async fn query(
        &self,
        doing: &str,
        statement: &Statement,
        params: &[Param<'_>],
    ) -> LockResult<Vec<Row>> {
        self.eager.wait(self.query_asleep(doing, statement, params), tokio::task::yield_now).await
    }

    /// The same for many callers at once: their tasks have something to do meanwhile, and so has the server, so nobody waits awake.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn query_asleep(
        &self,
        doing: &str,
        statement: &Statement,
        params: &[Param<'_>],
    ) -> LockResult<Vec<Row>> {
        let prepare = self.prepare;
        self.with_client(doing, self.request_timeout, async |client: &mut ClientWrapper| {
            if prepare {
                let prepared = client.prepare_typed_cached(&statement.sql, &statement.types).await?;
                client.query(&prepared, params).await
            } else {
                let params: Vec<(Param<'_>, Type)> =
                    params.iter().copied().zip(statement.types.iter().cloned()).collect();
                client.query_typed(&statement.sql, &params).await
            }
        })
        .await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn ping(&self) -> LockResult<()> {
        self.with_client("connect", self.request_timeout, async |client: &mut ClientWrapper| {
            client.batch_execute("").await
        })
        .await
    }

    /// Runs `work` with a connection of its own, which goes back into the pool only if nothing is left open on it.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn with_client<T>(
        &self,
        doing: &str,
        limit: Duration,
        work: impl AsyncFnOnce(&mut ClientWrapper) -> Result<T, Error>,
    ) -> LockResult<T> {
        let mut lease = Lease { client: Some(self.checkout(doing).await?) };
        let Some(client) = lease.client.as_mut() else {
            return Err(LockError::runtime("the connection is gone"));
        };
        let cancel = client.cancel_token();
        match timeout(limit, work(client)).await {
            Ok(Ok(value)) => {
                lease.give_back();
                Ok(value)
            }
            Ok(Err(error)) => {
                if spoils_connection(&error) {
                    self.forget_idle();
                } else {
                    lease.give_back();
                }
                Err(self.place.failed(doing, error))
            }
            Err(elapsed) => {
                self.cancel(cancel);
                self.forget_idle();
                Err(self.place.too_late(doing, elapsed))
            }
        }
    }

    async fn checkout(&self, doing: &str) -> LockResult<Object> {
        // The pool's own limits do not cover what is done on a new connection before it is handed out.
        match timeout(self.connect_timeout + self.request_timeout, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(self.place.no_connection(doing, error)),
            Err(elapsed) => Err(self.place.too_late(doing, elapsed)),
        }
    }

    /// One connection was found dead: the idle ones are likely dead too, and each would cost a caller its call.
    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Asks the server to stop a statement that nobody waits for any more, so that it does not stand in a row's queue.
    fn cancel(&self, token: CancelToken) {
        let mut cancels = self.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        while cancels.try_join_next().is_some() {}
        if cancels.len() < MAX_CANCELS {
            let tls = self.tls.clone();
            cancels.spawn(async move {
                // If it cannot be cancelled it ends by itself; what it does is safe at any time.
                let _ = timeout(CANCEL_LIMIT, token.cancel_query(tls)).await;
            });
        }
    }
}

/// A connection in use. If it is dropped in the middle of a statement it is closed, so that its reply meets nobody else.
struct Lease {
    client: Option<Object>,
}

impl Lease {
    fn give_back(mut self) {
        drop(self.client.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// The functions need each of their statements to see what was committed before it. That is the default, but a
/// database or a role can have another.
async fn use_read_committed(client: &mut ClientWrapper) -> Result<(), HookError> {
    let answer = client.simple_query("SHOW transaction_isolation").await.map_err(HookError::Backend)?;
    let is_read_committed = answer.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("read committed"),
        _ => false,
    });
    if !is_read_committed {
        let set = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";
        client.batch_execute(set).await.map_err(HookError::Backend)?;
    }
    Ok(())
}
