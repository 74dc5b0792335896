//! The traits of a database over the state machine: each call is one request sent through a [`Wire`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, FencedRepository, FencedValue, FencedWrite, LockError, LockId,
    LockRepository, LockResult, MutexLock, MutexRepository, RegisterId, ReleaseRequest, RenewRequest,
    Semaphore, SemaphoreRepository,
};

use super::{Asker, MemoryStore, Op, Refusal, Reply};
use crate::defect::Defect;

/// The way from a client to the store and back.
#[async_trait]
pub(crate) trait Wire: Send + Sync + std::fmt::Debug {
    /// Sends a request: its answer, and when it was sent.
    async fn call(&self, op: Op) -> LockResult<(Reply, Instant)>;

    /// Returns when this waiter was rung for.
    async fn rung(&self, version: &str);

    fn push(&self) -> bool;
}

/// A client of a store in memory.
#[derive(Debug)]
pub struct MemoryRepository {
    wire: Box<dyn Wire>,
}

/// A store in memory for clients of this process, on the runtime's clock.
#[derive(Debug, Clone)]
pub struct SharedMemory {
    store: Arc<Mutex<(MemoryStore, u32)>>,
    start: tokio::time::Instant,
}

impl Default for SharedMemory {
    fn default() -> Self {
        Self {
            store: Arc::new(Mutex::new((MemoryStore::new(Defect::Nothing), 0))),
            start: tokio::time::Instant::now(),
        }
    }
}

impl SharedMemory {
    /// Another client: to the store another process.
    pub fn client(&self) -> Arc<MemoryRepository> {
        let client = {
            let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.1 += 1;
            store.1
        };
        Arc::new(MemoryRepository { wire: Box::new(Direct { memory: self.clone(), client }) })
    }
}

/// No way at all: the store is asked on the spot.
#[derive(Debug)]
struct Direct {
    memory: SharedMemory,
    client: u32,
}

/// Where the stores' clocks begin, in microseconds since 1970.
pub(crate) const EPOCH_US: i64 = 1_700_000_000_000_000;

#[async_trait]
impl Wire for Direct {
    async fn call(&self, op: Op) -> LockResult<(Reply, Instant)> {
        let now = tokio::time::Instant::now();
        let elapsed_us = now.duration_since(self.memory.start).as_micros();
        let now_us = EPOCH_US + i64::try_from(elapsed_us).unwrap_or(0);
        let mut store = self.memory.store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((store.0.apply(&op, Asker { client: self.client, skew_us: 0 }, now_us), now.into_std()))
    }

    async fn rung(&self, _: &str) {
        std::future::pending::<()>().await;
    }

    fn push(&self) -> bool {
        false
    }
}

fn refused(id: &LockId, refusal: Refusal) -> LockError {
    match refusal {
        Refusal::NotFound => LockError::not_found(format!("there is no {id} with this version")),
        Refusal::InUse => LockError::in_use(format!("{id} is held")),
        Refusal::QueueFull => LockError::in_use(format!("too many wait for {id}")),
    }
}

/// An answer to another question.
fn unexpected(reply: &Reply) -> LockError {
    LockError::runtime(format!("the store in memory answered {reply:?}"))
}

impl MemoryRepository {
    pub(crate) fn over(wire: Box<dyn Wire>) -> Self {
        Self { wire }
    }

    async fn ask(&self, id: &LockId, op: Op) -> LockResult<(Reply, Instant)> {
        match self.wire.call(op).await? {
            (Reply::Refused(refusal), _) => Err(refused(id, refusal)),
            answered => Ok(answered),
        }
    }

    async fn count(&self, id: &LockId, op: Op) -> LockResult<usize> {
        match self.ask(id, op).await?.0 {
            Reply::Count(count) => Ok(count),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl FencedRepository for MemoryRepository {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        let op = Op::Write { register: register.clone(), token, value: value.to_string() };
        match self.wire.call(op).await?.0 {
            Reply::Written(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        match self.wire.call(Op::Read(register.clone())).await?.0 {
            Reply::Register(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl LockRepository for MemoryRepository {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: false,
            survives_restart: false,
            push: self.wire.push(),
        }
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn ping(&self) -> LockResult<()> {
        self.wire.call(Op::Ping).await.map(|_| ())
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        match self.ask(&request.lock, Op::Acquire(request.clone())).await? {
            (Reply::Granted(record), sent) => Ok(Acquired::Granted(record.into_lock(&request.lock, sent))),
            (Reply::Busy(busy), _) => Ok(Acquired::Busy(busy)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let mut replies = self.renew_many(std::slice::from_ref(request)).await;
        replies.pop().unwrap_or_else(|| Err(unexpected(&Reply::Done)))
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        match self.ask(&request.lock, Op::Release(request.clone())).await? {
            (Reply::Released(released), _) => Ok(released),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.ask(lock, Op::Abandon(lock.clone(), version.to_string())).await.map(|_| ())
    }

    async fn beat(&self, _: &[LockId]) -> LockResult<()> {
        self.wire.call(Op::Beat).await.map(|_| ())
    }

    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        match self.wire.call(Op::Renew(requests.to_vec())).await {
            Ok((Reply::Renewed(records), sent)) => requests
                .iter()
                .zip(records)
                .map(|(request, record)| match record {
                    Ok(record) => Ok(record.into_lock(&request.lock, sent)),
                    Err(refusal) => Err(refused(&request.lock, refusal)),
                })
                .collect(),
            Ok((other, _)) => requests.iter().map(|_| Err(unexpected(&other))).collect(),
            Err(error) => {
                let lost = || LockError::unavailable("the renewal was not answered", error.to_string());
                requests.iter().map(|_| Err(lost())).collect()
            }
        }
    }

    async fn rung(&self, version: &str) {
        self.wire.rung(version).await;
    }
}

#[async_trait]
impl MutexRepository for MemoryRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        self.count(&mutex.lock_id()?, Op::CreateMutex(Box::new(mutex.clone()))).await
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        match self.ask(lock, Op::GetMutex(lock.clone())).await? {
            (Reply::Record(record), sent) => Ok(record.into_lock(lock, sent)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        self.count(lock, Op::DeleteMutex(lock.clone(), version.to_string())).await
    }
}

#[async_trait]
impl SemaphoreRepository for MemoryRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        self.count(&semaphore.lock_id()?, Op::CreateSemaphore(Box::new(semaphore.clone()))).await
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        match self.ask(lock, Op::GetSemaphore(lock.clone())).await?.0 {
            Reply::Semaphore(semaphore) => Ok(*semaphore),
            other => Err(unexpected(&other)),
        }
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        match self.ask(lock, Op::GetSlots(lock.clone())).await? {
            (Reply::Slots(slots), sent) => {
                Ok(slots.into_iter().map(|slot| slot.into_lock(lock, sent)).collect())
            }
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        self.count(lock, Op::DeleteSemaphore(lock.clone(), version.to_string())).await
    }
}
