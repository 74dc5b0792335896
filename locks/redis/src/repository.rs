//! [`RedisRepository`]: each operation is one script.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use db_locks_core::combine::{Batches, Reply};
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Semaphore, SemaphoreRepository, Waiting,
};
use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use redis::{RedisResult, Value};

use crate::batch::{self, send_all, within};
use crate::calls::{self, no_such};
use crate::codec::{self, Answer};
use crate::config::Settings;
use crate::connection::{Ear, Link};
use crate::error::failed;
use crate::statements::{BELL, Keys, Statement, statements};
use crate::wire::Wire;

/// How many places one script keeps.
const PLACES: usize = 500;
/// How many renewals are on their way at once, and how many locks one beat names.
const BATCH: usize = 512;

/// Locks in one Redis or Valkey server, or in one Redis Cluster. Cheap to share; one connection whatever the load.
#[derive(Debug)]
pub struct RedisRepository {
    pub(crate) wire: Arc<Wire>,
    batches: Batches,
    /// No call waits longer for others' batch.
    longest: Duration,
    push: bool,
}

impl RedisRepository {
    /// Connects to `config.redis_url()` within the configured time. Nothing is created on the server.
    ///
    /// # Errors
    /// `Validation` for a malformed URL; `AccessDenied` for wrong credentials; `CurrentlyUnavailable` when nobody answers.
    pub async fn connect(config: &LocksConfig) -> LockResult<Arc<Self>> {
        install_crypto_provider();
        let settings = Settings::new(config).await?;
        let id = new_version();
        let ids = (format!("b{id}"), format!("p{id}"));
        let ear = Ear {
            channel: settings.push.then(|| format!("{BELL}{}", ids.0)),
            bells: Arc::default(),
            listening: Arc::new(AtomicBool::new(false)),
        };
        let link = Link::connect(&settings, ear.clone())
            .await
            .map_err(|error| failed(&format!("connect to {}", settings.shown), error))?;
        let wire = Arc::new(Wire { link, ear, prefix: settings.prefix, ids });
        // As long as a call that has to connect first, and is sent again.
        let longest = settings.connect_timeout + 2 * settings.request_timeout;
        let batches = batch::batches(&wire, settings.group_commit);
        let repository = Arc::new(Self { wire, batches, longest, push: settings.push });
        repository.warn_of_eviction().await;
        Ok(repository)
    }

    /// A server that throws keys away when it is full throws away locks.
    async fn warn_of_eviction(&self) {
        if !self.wire.link.is_single() {
            return;
        }
        let Ok(Value::BulkString(info)) =
            self.wire.link.send(redis::cmd("INFO").arg("memory"), true).await.map(plain)
        else {
            return;
        };
        let info = String::from_utf8_lossy(&info);
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim);
        let bounded = info.lines().any(|line| line.starts_with("maxmemory:") && line.trim() != "maxmemory:0");
        if let Some(policy) = policy.filter(|policy| bounded && policy.starts_with("allkeys")) {
            tracing::warn!(
                policy,
                "this Redis may evict locks that are held; set maxmemory-policy to noeviction"
            );
        }
    }

    pub(crate) async fn run(
        &self,
        doing: &str,
        statement: &Statement,
        keys: &[&str],
        args: &[&str],
    ) -> LockResult<Value> {
        self.wire.run(doing, statement, keys, args).await
    }

    fn keys(&self, id: &LockId) -> Keys {
        self.wire.keys(id)
    }

    async fn acquire_alone(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let (call, sent) = (calls::acquire(&self.wire, request), Instant::now());
        let script = statements().acquire.of(&request.lock);
        calls::acquired(request, self.run("acquire", script, &call.keys(), &call.args()).await?, sent)
    }

    async fn renew_alone(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let (call, sent) = (calls::renew(&self.wire, request), Instant::now());
        let script = statements().renew.of(&request.lock);
        calls::renewed(request, self.run("renew", script, &call.keys(), &call.args()).await?, sent)
    }

    async fn release_alone(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let call = calls::release(&self.wire, request);
        let script = statements().release.of(&request.lock);
        calls::released(request, self.run("release", script, &call.keys(), &call.args()).await?)
    }

    /// Renews so many in one script for the mutexes and one for the semaphores.
    async fn renew_some(&self, requests: &[&RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let sent = Instant::now();
        let calls =
            requests.iter().map(|request| (&request.lock, calls::renew(&self.wire, request))).collect();
        let replies = match send_all(&self.wire, "renew", &statements().renew_many, calls).await {
            Ok(replies) => replies,
            // It may be for the sake of one of them.
            Err(LockError::Database { .. }) => requests.iter().map(|_| Reply::Alone).collect(),
            Err(error) => return requests.iter().map(|_| Err(error.duplicate())).collect(),
        };
        let mut renewed = Vec::with_capacity(requests.len());
        for (request, reply) in requests.iter().zip(replies) {
            renewed.push(match reply {
                Reply::Answer(value) => calls::renewed(request, value, sent),
                Reply::Alone => self.renew_alone(request).await,
            });
        }
        renewed
    }
}

/// TLS needs a crypto provider for the whole process; another one that is installed already is as good.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Fails only if somebody else was faster.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    });
}

/// Newer servers mark texts for people.
fn plain(reply: Value) -> Value {
    match reply {
        Value::VerbatimString { text, .. } => Value::BulkString(text.into_bytes()),
        other => other,
    }
}

#[async_trait]
impl LockRepository for RedisRepository {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: self.push,
        }
    }

    /// There are no tables.
    async fn migrate(&self) -> LockResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn ping(&self) -> LockResult<()> {
        let outcome: RedisResult<Value> = self.wire.link.send(&redis::cmd("PING"), true).await;
        outcome.map(drop).map_err(|error| failed("ping", error))
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let waits = self.push && request.wait && request.fair;
        let bells = &self.wire.ear.bells;
        if waits {
            bells.hang(&request.version);
        }
        let answer = self
            .batches
            .acquires
            .call(request, |answer| within(self.longest, answer), self.acquire_alone(request))
            .await?;
        if waits && !matches!(answer, Acquired::Busy(_)) {
            bells.take_down(&request.version);
        }
        Ok(answer)
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        calls::is_handle_of(&request.lock, &request.mutex_key, &request.version)?;
        self.batches
            .renewals
            .call(request, |answer| within(self.longest, answer), self.renew_alone(request))
            .await
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        calls::is_handle_of(&request.lock, &request.mutex_key, &request.version)?;
        self.batches
            .releases
            .call(request, |answer| within(self.longest, answer), self.release_alone(request))
            .await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.wire.abandon(lock, version).await
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        // A script of a cluster may name keys of one slot only.
        let batch = if self.wire.link.is_single() { BATCH } else { 1 };
        let waiters: Vec<_> = locks.iter().map(|lock| self.keys(lock).waiters).collect();
        let beats = waiters.chunks(batch).map(|keys| {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            async move { self.run("beat", &statements().beat, &keys, &[self.wire.client()]).await }
        });
        try_join_all(beats).await.map(drop)
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let mut lost = Vec::new();
        for (keys, tickets) in places(waiting, self.wire.link.is_single()) {
            let mut names: Vec<String> = Vec::with_capacity(keys.len() * 2);
            let mut args = vec![self.wire.client().to_string()];
            for (lock, versions) in keys.into_iter().zip(tickets) {
                let Keys { queue, waiters, .. } = self.keys(lock);
                names.extend([queue, waiters]);
                args.push(versions.len().to_string());
                args.extend(versions.iter().cloned());
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let reply = self.run("keep places", &statements().keep_places, &names, &args).await?;
            lost.extend(codec::texts(reply)?);
        }
        Ok(lost)
    }

    /// One script for many; in a cluster, where their keys lie in many slots, all on their way at once.
    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let mut replies: Vec<Option<LockResult<MutexLock>>> = Vec::with_capacity(requests.len());
        let handles = |request: &RenewRequest| {
            calls::is_handle_of(&request.lock, &request.mutex_key, &request.version).err().map(Err)
        };
        replies.extend(requests.iter().map(handles));
        let open: Vec<usize> = (0..requests.len()).filter(|place| replies[*place].is_none()).collect();
        for places in open.chunks(BATCH) {
            let some: Vec<&RenewRequest> = places.iter().map(|place| &requests[*place]).collect();
            let renewed = match self.wire.link.is_single() {
                true => self.renew_some(&some).await,
                false => {
                    // Boxed, since the compiler cannot name the lifetime of such a closure's future.
                    let all: Vec<_> = some.iter().map(|request| self.renew_alone(request).boxed()).collect();
                    join_all(all).await
                }
            };
            for (place, reply) in places.iter().zip(renewed) {
                replies[*place] = Some(reply);
            }
        }
        let unanswered = || Err(LockError::runtime("a renewal was left unanswered"));
        replies.into_iter().map(|reply| reply.unwrap_or_else(unanswered)).collect()
    }

    async fn rung(&self, version: &str) {
        self.wire.ear.bells.rung(version).await;
    }
}

#[async_trait]
impl MutexRepository for RedisRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let id = mutex.lock_id()?;
        let lease_ms = mutex.lease_duration_ms.to_string();
        let mut flags = String::new();
        flags.extend(mutex.delete_on_release.then_some('d'));
        flags.extend(mutex.data.is_some().then_some('p'));
        let args = [&mutex.version, lease_ms.as_str(), &flags, mutex.data.as_deref().unwrap_or_default()];
        let keys = self.keys(&id);
        let created = self.run("create a mutex", &statements().create_mutex, &keys.row(), &args).await?;
        Ok(usize::from(codec::int(created)? == 1))
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        let keys = self.keys(lock);
        let sent = Instant::now();
        let reply = self.run("read a mutex", &statements().get_mutex, &keys.row(), &[]).await?;
        match codec::answer(reply)? {
            Answer::Row(row) => Ok(row.into_lock(lock, sent)),
            _ => Err(no_such(lock)),
        }
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let keys = self.keys(lock);
        let reply = self.run("delete a mutex", &statements().delete_mutex, &keys.row(), &[version]).await?;
        deleted(lock, codec::int(reply)?)
    }
}

#[async_trait]
impl SemaphoreRepository for RedisRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let id = semaphore.lock_id()?;
        let (size, lease_ms) = (semaphore.max_size.to_string(), semaphore.lease_duration_ms.to_string());
        let named = match semaphore.fair_semaphore {
            Some(true) => "1",
            Some(false) => "0",
            None => "",
        };
        let args = [&semaphore.version, size.as_str(), &lease_ms, named];
        let keys = self.keys(&id);
        let reply =
            self.run("create a semaphore", &statements().create_semaphore, &keys.semaphore(), &args).await?;
        match codec::resized(reply)? {
            None => Ok(1),
            Some(slot) => {
                let words = format!("the {id} cannot shrink to {size}: {} is held", id.slot_key(slot));
                Err(LockError::in_use(words))
            }
        }
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        let keys = self.keys(lock);
        let reply = self.run("read a semaphore", &statements().get_semaphore, &keys.slots(), &[]).await?;
        codec::semaphore(reply, lock)?.ok_or_else(|| no_such(lock))
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let keys = self.keys(lock);
        let sent = Instant::now();
        let reply = self.run("read a semaphore", &statements().get_slots, &keys.slots(), &[]).await?;
        let rows = codec::slots(reply)?.ok_or_else(|| no_such(lock))?;
        Ok(rows.into_iter().map(|row| row.into_lock(lock, sent)).collect())
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let keys = self.keys(lock);
        let reply =
            self.run("delete a semaphore", &statements().delete_semaphore, &keys.slots(), &[version]).await?;
        deleted(lock, codec::int(reply)?)
    }
}

/// What goes in each script: locks, and for each of them tickets.
fn places(waiting: &[Waiting], many_locks: bool) -> Vec<(Vec<&LockId>, Vec<&[String]>)> {
    let mut scripts: Vec<(Vec<&LockId>, Vec<&[String]>)> = Vec::new();
    let mut room = 0;
    for Waiting { lock, versions } in waiting {
        if !many_locks {
            room = 0;
        }
        let mut left = versions.as_slice();
        while !left.is_empty() {
            if room == 0 {
                scripts.push(Default::default());
                room = PLACES;
            }
            let (now, later) = left.split_at(left.len().min(room));
            if let Some((locks, tickets)) = scripts.last_mut() {
                locks.push(lock);
                tickets.push(now);
            }
            (left, room) = (later, room - now.len());
        }
    }
    scripts
}

fn deleted(lock: &LockId, code: i64) -> LockResult<usize> {
    match code {
        1 => Ok(1),
        0 => Err(LockError::in_use(format!("the {lock} is held"))),
        _ => Err(LockError::not_found(format!("there is no {lock} at this version"))),
    }
}
