//! One multiplexed connection that is made anew when it is lost, or the driver's connection to a cluster.
//!
//! The driver's own manager keeps a failed connection for good when the failure was not one of the network (a password that was
//! changed and changed back), and does not give up one that is silent. So a single server's connection is kept here.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use db_locks_core::eager::Eager;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, RedisResult, Value};

use crate::bells::Bells;
use crate::config::Settings;
use crate::error::{failed, is_broken};

/// How many commands may wait to be written to the socket before callers wait too.
const WRITE_QUEUE: usize = 1_024;
/// Pauses of the cluster client between its tries, in milliseconds: first and longest.
const CLUSTER_RETRY_MS: (u64, u64) = (10, 500);

/// A way to the server or cluster.
pub(crate) enum Link {
    Single(Box<Single>),
    Cluster(ClusterConnection),
}

/// One server.
pub(crate) struct Single {
    client: Client,
    ear: Ear,
    connect_timeout: Duration,
    request_timeout: Duration,
    live: RwLock<Option<Live>>,
    /// Held by the one caller who connects.
    connecting: tokio::sync::Mutex<()>,
    eager: Eager,
    wait: Option<Replicas>,
}

/// The command that waits for replicas.
struct Replicas {
    wanted: u32,
    wait: Cmd,
}

impl Replicas {
    /// None if nobody is to be waited for.
    fn new(wanted: u32, request_timeout: Duration) -> Option<Self> {
        let mut wait = redis::cmd("WAIT");
        // So that it ends before the silence of the connection would be taken for its death.
        let longest_ms = (request_timeout / 2).as_millis().max(1);
        wait.arg(wanted).arg(u64::try_from(longest_ms).unwrap_or(u64::MAX));
        (wanted > 0).then_some(Self { wanted, wait })
    }

    /// Sends a command, and right behind it on the same connection the one that waits for what it wrote: one round trip. An error when
    /// too few have it, so that nobody may rely on it yet; sent again, it waits again.
    async fn after(
        &self,
        command: &Cmd,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<RedisResult<Value>> {
        let mut behind = connection.clone();
        let (done, have) = tokio::join!(command.query_async(connection), self.wait.query_async(&mut behind));
        if done.is_ok() {
            self.check(have?)?;
        }
        Ok(done)
    }

    /// Whether enough of them have what was written on this connection.
    fn check(&self, answer: Value) -> RedisResult<()> {
        let have = if let Value::Int(have) = answer { have } else { 0 };
        if have >= i64::from(self.wanted) {
            return Ok(());
        }
        let words = format!("{have} of {} replicas have it", self.wanted);
        Err(RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, words)))
    }
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    broken: Arc<AtomicBool>,
}

/// Where the server's calls go.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    /// The channel of this client; none without push.
    pub(crate) channel: Option<String>,
    pub(crate) bells: Arc<Bells>,
    /// Whether the server has let us listen.
    pub(crate) listening: Arc<AtomicBool>,
}

impl Ear {
    /// Keeps whether listening was allowed. A user who may not listen polls; a server that cannot just now is an error.
    fn subscribed(&self, outcome: RedisResult<()>) -> RedisResult<()> {
        self.listening.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Err(error) if !failed("listen", error.clone()).retryable() => {
                tracing::debug!(%error, "this user may not listen: waiters poll");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl Link {
    /// Connects within the configured time.
    ///
    /// # Errors
    /// The driver's.
    pub(crate) async fn connect(settings: &Settings, ear: Ear) -> RedisResult<Self> {
        let connecting = async {
            if settings.cluster {
                connect_cluster(settings, ear).await.map(Self::Cluster)
            } else {
                let single = Single::new(settings, ear)?;
                single.live().await?;
                Ok(Self::Single(Box::new(single)))
            }
        };
        within(settings.connect_timeout, connecting).await
    }

    /// Whether there is one server, where a script may name any keys.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self, Self::Single(_))
    }

    /// Sends a command and waits for its reply, within the configured times; awake, if one caller alone waits for it.
    ///
    /// # Errors
    /// The driver's.
    pub(crate) async fn send(&self, command: &Cmd, awake: bool) -> RedisResult<Value> {
        match self {
            Self::Single(single) => single.send(command, awake).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}

impl Single {
    fn new(settings: &Settings, ear: Ear) -> RedisResult<Self> {
        let node = settings.nodes.first().cloned().ok_or_else(no_node)?;
        let client = match &settings.tls {
            Some(certificates) => Client::build_with_tls(node, certificates.clone())?,
            None => Client::open(node)?,
        };
        Ok(Self {
            client,
            ear,
            connect_timeout: settings.connect_timeout,
            request_timeout: settings.request_timeout,
            live: RwLock::default(),
            connecting: tokio::sync::Mutex::default(),
            eager: Eager::default(),
            wait: Replicas::new(settings.wait_replicas, settings.request_timeout),
        })
    }

    /// A connection that was found broken is made anew and the command sent once more: every command of this crate can
    /// be sent twice. (Not after silence: the caller has waited long enough.)
    async fn send(&self, command: &Cmd, awake: bool) -> RedisResult<Value> {
        match self.send_once(command, awake).await {
            Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() => {
                self.send_once(command, awake).await
            }
            outcome => outcome,
        }
    }

    async fn send_once(&self, command: &Cmd, awake: bool) -> RedisResult<Value> {
        let mut live = match self.current() {
            Some(live) => live,
            None => within(self.connect_timeout, self.live()).await?,
        };
        let outcome = match (&self.wait, awake) {
            (Some(replicas), _) => replicas.after(command, &mut live.connection).await?,
            (None, true) => {
                self.eager.wait(command.query_async(&mut live.connection), tokio::task::yield_now).await
            }
            (None, false) => command.query_async(&mut live.connection).await,
        };
        if outcome.as_ref().is_err_and(is_broken) {
            live.broken.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// The connection, if it is whole.
    fn current(&self) -> Option<Live> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref().filter(|live| !live.broken.load(Ordering::Relaxed)).cloned()
    }

    /// The connection, made anew if need be: by one caller, while the others wait.
    async fn live(&self) -> RedisResult<Live> {
        let _turn = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let live = self.connect().await?;
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    async fn connect(&self) -> RedisResult<Live> {
        let broken = Arc::new(AtomicBool::new(false));
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.request_timeout))
            .set_pipeline_buffer_size(WRITE_QUEUE);
        if self.ear.channel.is_some() {
            config = config.set_push_sender(listener(&self.ear, Arc::clone(&broken)));
        }
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        if let Some(channel) = &self.ear.channel {
            self.ear.subscribed(connection.subscribe(channel).await)?;
        }
        Ok(Live { connection, broken })
    }
}

/// Called by the driver for all that the server sends unasked. Must not block.
fn listener(
    ear: &Ear,
    broken: Arc<AtomicBool>,
) -> impl Fn(PushInfo) -> Result<(), std::convert::Infallible> + use<> {
    let bells = Arc::clone(&ear.bells);
    move |push| {
        if push.kind == PushKind::Disconnection {
            broken.store(true, Ordering::Relaxed);
        }
        bells.hear(push);
        Ok(())
    }
}

/// The driver's connection mends itself, and subscribes again.
async fn connect_cluster(settings: &Settings, ear: Ear) -> RedisResult<ClusterConnection> {
    let mut builder = ClusterClient::builder(settings.nodes.clone())
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.request_timeout)
        .overall_response_timeout(Some(settings.request_timeout))
        .min_retry_wait(CLUSTER_RETRY_MS.0)
        .max_retry_wait(CLUSTER_RETRY_MS.1);
    if let Some(node) = settings.nodes.first() {
        builder = builder.tcp_settings(node.tcp_settings().clone());
    }
    if let Some(certificates) = &settings.tls {
        builder = builder.certs(certificates.clone());
    }
    if ear.channel.is_some() {
        // A node that is lost is the driver's business; here only the bells hear of it.
        builder = builder.push_sender(listener(&ear, Arc::default()));
    }
    let mut connection = builder.build()?.get_async_connection().await?;
    if let Some(channel) = &ear.channel {
        ear.subscribed(connection.subscribe(channel).await)?;
    }
    Ok(connection)
}

/// Bounds a wait.
async fn within<T>(longest: Duration, doing: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(longest, doing).await.unwrap_or_else(|_| {
        let words = format!("no connection within {} ms", longest.as_millis());
        Err(RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, words)))
    })
}

fn no_node() -> RedisError {
    (redis::ErrorKind::InvalidClientConfig, "no server is named").into()
}

/// Shows neither address nor credentials.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_single() { "Link::Single" } else { "Link::Cluster" })
    }
}
