//! [`RedisRepository`]: each operation is one script.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Instant;

use async_trait::async_trait;
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Semaphore, SemaphoreRepository,
};
use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, RedisResult, Value};

use crate::codec::{self, Answer};
use crate::config::Settings;
use crate::connection::{Ear, Link};
use crate::error::{failed, is_no_script};
use crate::statements::{BELL, Keys, Statement, statements};

/// How many renewals are on their way at once, and how many locks one beat names.
const BATCH: usize = 512;

/// Locks in one Redis or Valkey server, or in one Redis Cluster. Cheap to share; one connection whatever the load.
#[derive(Debug)]
pub struct RedisRepository {
    pub(crate) link: Link,
    ear: Ear,
    push: bool,
    pub(crate) prefix: String,
    /// This client's name in waiting lists: while the server can call it, and while it must poll.
    ids: (String, String),
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
        let repository = Arc::new(Self { link, ear, push: settings.push, prefix: settings.prefix, ids });
        repository.warn_of_eviction().await;
        Ok(repository)
    }

    /// A server that throws keys away when it is full throws away locks.
    async fn warn_of_eviction(&self) {
        if !self.link.is_single() {
            return;
        }
        let Ok(Value::BulkString(info)) = self.link.send(redis::cmd("INFO").arg("memory")).await.map(plain)
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

    /// Runs a script, which the server knows by its hash; after a restart it must be told the source again.
    pub(crate) async fn run(
        &self,
        doing: &str,
        statement: &Statement,
        keys: &[&str],
        args: &[&str],
    ) -> LockResult<Value> {
        let mut outcome = self.link.send(&script("EVALSHA", &statement.sha, keys, args)).await;
        if outcome.as_ref().is_err_and(is_no_script) {
            outcome = self.link.send(&script("EVAL", &statement.source, keys, args)).await;
        }
        outcome.map_err(|error| failed(doing, error))
    }

    fn keys(&self, id: &LockId) -> Keys {
        Keys::new(&self.prefix, id)
    }

    /// This client's name as a waiter.
    fn client(&self) -> &str {
        if self.ear.listening.load(Ordering::Relaxed) { &self.ids.0 } else { &self.ids.1 }
    }

    async fn send_acquire(&self, request: &AcquireRequest) -> LockResult<Value> {
        let keys = self.keys(&request.lock);
        let (lease_ms, flags) = (request.lease_ms.to_string(), acquire_flags(request));
        let data = request.data.as_deref().unwrap_or_default();
        let common = [&request.version, &request.owner, lease_ms.as_str(), &flags, self.client(), data];
        if !request.lock.is_semaphore() {
            return self.run("acquire", &statements().acquire_mutex, &keys.mutex(), &common).await;
        }
        let size = request.max_size.map(|size| size.to_string()).unwrap_or_default();
        let args = [&common[..], &[&size]].concat();
        self.run("acquire", &statements().acquire_semaphore, &keys.semaphore(), &args).await
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

fn script(command: &str, body: &str, keys: &[&str], args: &[&str]) -> Cmd {
    let size = body.len() + keys.iter().chain(args).map(|text| text.len() + 8).sum::<usize>() + 32;
    let mut cmd = Cmd::with_capacity(3 + keys.len() + args.len(), size);
    cmd.arg(command).arg(body).arg(keys.len()).arg(keys).arg(args);
    cmd
}

/// Newer servers mark texts for people.
fn plain(reply: Value) -> Value {
    match reply {
        Value::VerbatimString { text, .. } => Value::BulkString(text.into_bytes()),
        other => other,
    }
}

/// As `scripts/acquire_mutex.lua` and `scripts/acquire_semaphore.lua` read them.
fn acquire_flags(request: &AcquireRequest) -> String {
    let all = [
        (request.fair, 'f'),
        (request.wait, 'w'),
        (request.reentrant, 'r'),
        (request.only_if_exists, 'o'),
        (request.delete_on_release, 'd'),
        (request.data.is_some(), 'p'),
        (request.replace_data, 's'),
        (request.named_by_version, 'n'),
    ];
    all.into_iter().filter_map(|(set, flag)| set.then_some(flag)).collect()
}

/// The slot that a handle's key names: empty for any slot. None for a key that names no slot of this lock at this version.
fn named_slot(id: &LockId, mutex_key: &str, version: &str) -> Option<String> {
    let rest = mutex_key.strip_prefix(id.key())?;
    if rest.is_empty() || rest.strip_prefix('_') == Some(version) {
        return Some(String::new());
    }
    let slot = db_locks_core::lock_id::slot_number(mutex_key, id.key())?;
    id.is_semaphore().then(|| slot.to_string())
}

fn no_such(id: &LockId) -> LockError {
    LockError::not_found(format!("there is no {id}"))
}

fn stale(id: &LockId) -> LockError {
    LockError::not_found(format!("the version is not, or no longer, the holder's of the {id}"))
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
        let outcome: RedisResult<Value> = self.link.send(&redis::cmd("PING")).await;
        outcome.map(drop).map_err(|error| failed("ping", error))
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let waits = self.push && request.wait && request.fair;
        if waits {
            self.ear.bells.hang(&request.version);
        }
        let sent = Instant::now();
        let answer = codec::answer(self.send_acquire(request).await?)?;
        if waits && !matches!(answer, Answer::Busy(_)) {
            self.ear.bells.take_down(&request.version);
        }
        match answer {
            Answer::Row(row) => Ok(Acquired::Granted(row.into_lock(&request.lock, sent))),
            Answer::Grant(grant) => {
                Ok(Acquired::Granted(grant.into_record(request).into_lock(&request.lock, sent)))
            }
            Answer::Busy(busy) => Ok(Acquired::Busy(busy)),
            Answer::Absent => Err(no_such(&request.lock)),
            Answer::Full => Err(LockError::in_use(format!("too many wait for the {}", request.lock))),
        }
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let id = &request.lock;
        let slot = named_slot(id, &request.mutex_key, &request.version).ok_or_else(|| stale(id))?;
        let keys = self.keys(id);
        let lease_ms = request.lease_ms.to_string();
        let (flags, data) = (if request.data.is_some() { "p" } else { "" }, request.data.as_deref());
        let args = [
            &request.version,
            &request.new_version,
            lease_ms.as_str(),
            flags,
            data.unwrap_or_default(),
            &slot,
        ];
        let sent = Instant::now();
        let reply = if id.is_semaphore() {
            self.run("renew", &statements().renew_semaphore, &keys.slots(), &args).await?
        } else {
            self.run("renew", &statements().renew_mutex, &keys.row(), &args).await?
        };
        match codec::answer(reply)? {
            Answer::Row(row) => Ok(row.into_lock(id, sent)),
            _ => Err(stale(id)),
        }
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let id = &request.lock;
        let slot = named_slot(id, &request.mutex_key, &request.version).ok_or_else(|| stale(id))?;
        let keys = self.keys(id);
        let mut flags = String::new();
        flags.extend(request.delete.then_some('d'));
        flags.extend(request.data.is_some().then_some('p'));
        let args = [&request.version, flags.as_str(), request.data.as_deref().unwrap_or_default(), &slot];
        let reply = if id.is_semaphore() {
            self.run("release", &statements().release_semaphore, &keys.semaphore(), &args).await?
        } else {
            self.run("release", &statements().release_mutex, &keys.mutex(), &args).await?
        };
        match codec::int(reply)? {
            1 => Ok(true),
            0 => Ok(false),
            _ => Err(no_such(id)),
        }
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.ear.bells.take_down(version);
        let keys = self.keys(lock);
        let args = [version];
        if lock.is_semaphore() {
            self.run("abandon", &statements().abandon_semaphore, &keys.semaphore(), &args).await?;
        } else {
            self.run("abandon", &statements().abandon_mutex, &keys.mutex(), &args).await?;
        }
        Ok(())
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        // A script of a cluster may name keys of one slot only.
        let batch = if self.link.is_single() { BATCH } else { 1 };
        let waiters: Vec<_> = locks.iter().map(|lock| self.keys(lock).waiters).collect();
        let beats = waiters.chunks(batch).map(|keys| {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            async move { self.run("beat", &statements().beat, &keys, &[self.client()]).await }
        });
        try_join_all(beats).await.map(drop)
    }

    /// All on their way at once, on one connection.
    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let mut replies = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            replies.extend(join_all(batch.iter().map(|request| self.renew(request))).await);
        }
        replies
    }

    async fn rung(&self, version: &str) {
        self.ear.bells.rung(version).await;
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

fn deleted(lock: &LockId, code: i64) -> LockResult<usize> {
    match code {
        1 => Ok(1),
        0 => Err(LockError::in_use(format!("the {lock} is held"))),
        _ => Err(LockError::not_found(format!("there is no {lock} at this version"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_name_slots() {
        let semaphore = LockId::semaphore("t", "one").unwrap();
        let mutex = LockId::mutex("t", "one").unwrap();
        let slot = |id, key| named_slot(id, key, "v1");
        assert_eq!(slot(&semaphore, "one").as_deref(), Some(""));
        assert_eq!(slot(&semaphore, "one_v1").as_deref(), Some(""));
        assert_eq!(slot(&semaphore, "one_0000000012").as_deref(), Some("12"));
        assert_eq!(slot(&semaphore, "one_v2"), None);
        assert_eq!(slot(&semaphore, "other"), None);
        assert_eq!(slot(&mutex, "one").as_deref(), Some(""));
        assert_eq!(slot(&mutex, "one_0000000012"), None);
    }
}
