//! The traits of a database over the state machine: each call is one request sent through a [`Wire`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use db_locks_core::combine::{Batches, Limits, Task, Waiters};
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, ErrorKind, FencedRepository, FencedValue, FencedWrite, LockError,
    LockId, LockRepository, LockResult, MutexLock, MutexRepository, RegisterId, ReleaseRequest, RenewRequest,
    Semaphore, SemaphoreRepository, Waiting,
};

use super::batch::{self, can_gather, within};
use super::watch::Watched;
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

    /// Takes note of what a caller is told.
    fn told(&self, _: Told) {}
}

/// What a caller was told, whoever brought the answer.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// It asked under `asked` and got this.
    Granted { asked: String, version: String, token: u64 },
    /// Its renewal to this version was refused.
    NotRenewed { new_version: String },
    /// Its release was answered so.
    Released { version: String, released: bool },
    /// It was told that this failed.
    Failed { what: &'static str, version: String, kind: ErrorKind },
}

impl Told {
    fn failed<T>(what: &'static str, version: &str, answer: &LockResult<T>) -> Option<Self> {
        let error = answer.as_ref().err()?;
        Some(Self::Failed { what, version: version.to_string(), kind: error.kind() })
    }
}

/// A client of a store in memory.
#[derive(Debug)]
pub struct MemoryRepository {
    wire: Arc<dyn Wire>,
    batches: Option<Batches>,
    waiters: Waiters,
    /// Where the store has no clock.
    watched: Option<Watched>,
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
            store: Arc::new(Mutex::new((MemoryStore::new(Defect::Nothing, false), 0))),
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
        let wire: Arc<dyn Wire> = Arc::new(Direct { memory: self.clone(), client });
        // The tasks end by themselves: the store answers on the spot.
        let spawn = |task: Task| drop(tokio::spawn(task));
        Arc::new(MemoryRepository::together(wire, Limits::default(), Defect::Nothing, spawn))
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
pub(super) fn unexpected(reply: &Reply) -> LockError {
    LockError::runtime(format!("the store in memory answered {reply:?}"))
}

impl MemoryRepository {
    pub(crate) fn over(wire: Arc<dyn Wire>) -> Self {
        Self { wire, batches: None, waiters: Waiters::default(), watched: None }
    }

    /// One of a store without a clock.
    pub(crate) fn watching(self, defect: Defect) -> Self {
        Self { watched: Some(Watched::new(defect)), ..self }
    }

    /// One with group commit; `spawn` runs tasks that end with the client.
    pub(crate) fn together(
        wire: Arc<dyn Wire>,
        limits: Limits,
        defect: Defect,
        spawn: impl Fn(Task) + Clone + Send + Sync + 'static,
    ) -> Self {
        let batches = Some(batch::batches(&wire, limits, defect, spawn));
        Self { batches, ..Self::over(wire) }
    }

    fn tell(&self, told: Option<Told>) {
        if let Some(told) = told {
            self.wire.told(told);
        }
    }

    async fn acquire_alone(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        if let Some(watched) = &self.watched {
            let answer = self.acquire_watching(request, watched).await;
            self.waiters.answered(request, &answer);
            return answer;
        }
        let answer = match self.ask(&request.lock, Op::Acquire(request.clone())).await? {
            (Reply::Granted(record), sent) => Ok(Acquired::Granted(record.into_lock(&request.lock, sent))),
            (Reply::Busy(busy), _) => Ok(Acquired::Busy(busy)),
            (other, _) => Err(unexpected(&other)),
        };
        self.waiters.answered(request, &answer);
        answer
    }

    async fn renew_alone(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let mut replies = self.send_renewals(std::slice::from_ref(request)).await;
        replies.pop().unwrap_or_else(|| Err(unexpected(&Reply::Done)))
    }

    async fn release_alone(&self, request: &ReleaseRequest) -> LockResult<bool> {
        match self.ask(&request.lock, Op::Release(request.clone())).await? {
            (Reply::Released(released), _) => Ok(released),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn send_renewals(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
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
            Err(error) => requests.iter().map(|_| Err(error.duplicate())).collect(),
        }
    }

    fn tell_of_renewal(&self, request: &RenewRequest, answer: &LockResult<MutexLock>) {
        self.tell(match answer {
            Err(LockError::NotFound { .. }) => {
                Some(Told::NotRenewed { new_version: request.new_version.clone() })
            }
            other => Told::failed("renew", &request.version, other),
        });
    }

    pub(super) async fn ask(&self, id: &LockId, op: Op) -> LockResult<(Reply, Instant)> {
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
            server_clock: self.watched.is_none(),
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
        let alone = self.acquire_alone(request);
        let answer = match &self.batches {
            Some(batches) if can_gather(request) && !self.waiters.knows(request) => {
                batches.acquires.call(request, within, alone).await
            }
            _ => alone.await,
        };
        self.tell(match &answer {
            Ok(Acquired::Granted(lock)) => Some(Told::Granted {
                asked: request.version.clone(),
                version: lock.version.clone(),
                token: lock.fencing_token.unwrap_or(0),
            }),
            other => Told::failed("acquire", &request.version, other),
        });
        answer
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let alone = self.renew_alone(request);
        let answer = match &self.batches {
            Some(batches) => batches.renewals.call(request, within, alone).await,
            None => alone.await,
        };
        self.tell_of_renewal(request, &answer);
        answer
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let alone = self.release_alone(request);
        let answer = match &self.batches {
            Some(batches) => batches.releases.call(request, within, alone).await,
            None => alone.await,
        };
        self.tell(match &answer {
            Ok(released) => Some(Told::Released { version: request.version.clone(), released: *released }),
            other => Told::failed("release", &request.version, other),
        });
        answer
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.waiters.gone(version);
        self.ask(lock, Op::Abandon(lock.clone(), version.to_string())).await.map(|_| ())
    }

    async fn beat(&self, _: &[LockId]) -> LockResult<()> {
        self.wire.call(Op::Beat).await.map(|_| ())
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        match self.wire.call(Op::Keep(waiting.to_vec())).await?.0 {
            Reply::Lost(lost) => Ok(lost),
            other => Err(unexpected(&other)),
        }
    }

    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let answers = self.send_renewals(requests).await;
        requests.iter().zip(&answers).for_each(|(request, answer)| self.tell_of_renewal(request, answer));
        answers
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
