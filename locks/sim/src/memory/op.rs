//! What travels between a client and the store in memory.

use db_locks_core::{
    AcquireRequest, Busy, FencedValue, FencedWrite, LockId, LockRecord, MutexLock, RegisterId,
    ReleaseRequest, RenewRequest, Semaphore,
};

/// One request.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Acquire(AcquireRequest),
    Renew(Vec<RenewRequest>),
    Release(ReleaseRequest),
    Abandon(LockId, String),
    Beat,
    /// A write to what a lock guards, with its token.
    Write {
        register: RegisterId,
        token: u64,
        value: String,
    },
    Read(RegisterId),
    CreateMutex(Box<MutexLock>),
    GetMutex(LockId),
    DeleteMutex(LockId, String),
    CreateSemaphore(Box<Semaphore>),
    GetSemaphore(LockId),
    GetSlots(LockId),
    DeleteSemaphore(LockId, String),
    Ping,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Granted(LockRecord),
    Busy(Busy),
    Renewed(Vec<Result<LockRecord, Refusal>>),
    Released(bool),
    Written(FencedWrite),
    Register(Option<FencedValue>),
    Record(LockRecord),
    Slots(Vec<LockRecord>),
    Semaphore(Box<Semaphore>),
    Count(usize),
    Done,
    Refused(Refusal),
}

/// A "no" that is an error to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    InUse,
    QueueFull,
}
