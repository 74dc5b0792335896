//! What a client has seen of holders, where the store has no clock that could be asked whether their leases are over: who waits must
//! itself have watched a holder for a whole lease.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db_locks_core::{AcquireRequest, Acquired, Busy, LockId, LockResult};
use tokio::time::Instant;

use super::repository::{MemoryRepository, unexpected};
use super::{Held, Op, Reply, Revision};
use crate::defect::Defect;

/// One client's memory.
#[derive(Debug, Default)]
pub(super) struct Watched {
    defect: Defect,
    seen: Mutex<BTreeMap<LockId, Vec<Seen>>>,
}

#[derive(Debug, Clone)]
struct Seen {
    held: Held,
    since: Instant,
}

impl Seen {
    /// When it has been watched for long enough.
    fn over_at(&self, defect: Defect) -> Instant {
        let lease = Duration::from_millis(self.held.lease_ms.unsigned_abs());
        self.since
            + Duration::from_millis(1)
            + if defect == Defect::WatchesHalfALease { lease / 2 } else { lease }
    }
}

impl Watched {
    pub(super) fn new(defect: Defect) -> Self {
        Self { defect, ..Self::default() }
    }

    /// Holders that have not moved for a whole lease.
    fn dead(&self, lock: &LockId) -> Vec<(u32, Revision)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let over = seen.get(lock).into_iter().flatten().filter(|seen| seen.over_at(self.defect) <= now);
        over.map(|seen| (seen.held.slot, seen.held.revision.clone())).collect()
    }

    /// Takes note of an answer that has come just now; when the first holder will have been watched for long enough.
    fn look(&self, lock: &LockId, held: Vec<Held>) -> Option<Duration> {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(lock).unwrap_or_default();
        let now = Instant::now();
        let seen = |held: Held| match before.iter().find(|seen| seen.held == held) {
            Some(same) => same.clone(),
            None => Seen { held, since: now },
        };
        let seen: Vec<Seen> = held.into_iter().map(seen).collect();
        let first = seen.iter().map(|seen| seen.over_at(self.defect)).min();
        all.insert(lock.clone(), seen);
        first.map(|over_at| over_at.saturating_duration_since(now))
    }
}

impl MemoryRepository {
    /// An acquire that says whom this client has watched.
    pub(super) async fn acquire_watching(
        &self,
        request: &AcquireRequest,
        watched: &Watched,
    ) -> LockResult<Acquired> {
        let lock = &request.lock;
        match self.ask(lock, Op::Takeover(request.clone(), watched.dead(lock))).await? {
            (Reply::Granted(record), sent) => Ok(Acquired::Granted(record.into_lock(lock, sent))),
            (Reply::Watch(busy, held), _) => {
                let ends_in = watched.look(lock, held);
                let retry_after_ms = ends_in.and_then(|ends_in| i64::try_from(ends_in.as_millis()).ok());
                Ok(Acquired::Busy(Busy { retry_after_ms, ..busy }))
            }
            (other, _) => Err(unexpected(&other)),
        }
    }
}
