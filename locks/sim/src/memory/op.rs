//! What travels between a client and the store in memory.

use db_locks_core::{
    AcquireRequest, Busy, FencedValue, FencedWrite, LockId, LockRecord, MutexLock, RegisterId,
    ReleaseRequest, RenewRequest, Semaphore, Waiting,
};

/// One request.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Acquire(AcquireRequest),
    /// The same where the store has no clock: these holders have been watched for a whole lease, and have not moved.
    Takeover(AcquireRequest, Vec<(u32, Revision)>),
    Renew(Vec<RenewRequest>),
    Release(ReleaseRequest),
    Abandon(LockId, String),
    Beat,
    Keep(Vec<Waiting>),
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
    /// Acquires, renewals or releases of different locks (group commit).
    Together(Vec<Op>),
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Granted(LockRecord),
    Busy(Busy),
    /// Busy, and what there is to watch.
    Watch(Busy, Vec<Held>),
    Renewed(Vec<Result<LockRecord, Refusal>>),
    Released(bool),
    Lost(Vec<String>),
    Written(FencedWrite),
    Register(Option<FencedValue>),
    Record(LockRecord),
    Slots(Vec<LockRecord>),
    Semaphore(Box<Semaphore>),
    Count(usize),
    Done,
    /// None for what was not done with the others.
    Together(Vec<Option<Reply>>),
    Refused(Refusal),
}

/// Changes with every grant and every renewal of a slot.
pub(crate) type Revision = (String, u64, i64);

/// A holder, as who watches it sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) slot: u32,
    pub(crate) revision: Revision,
    pub(crate) lease_ms: i64,
}

/// A "no" that is an error to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    InUse,
    QueueFull,
}
