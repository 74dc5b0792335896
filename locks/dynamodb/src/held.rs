//! What holders and those who gave up do: renew (R9), release (R10, R11), abandon.

use std::time::Instant;

use db_locks_core::lock_id::slot_number;
use db_locks_core::protocol::key_means_slot;
use db_locks_core::{LockError, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest};

use crate::acquire::pause_after;
use crate::codec::Item;
use crate::repository::{Answer, DynamoRepository};
use crate::{rules, statements};

/// Tries that may lose a race; a holder has none, unless its key does not tell the slot.
const TRIES: u32 = 8;

impl DynamoRepository {
    /// The slot that a caller probably means; whether it is so, the condition decides.
    fn probable_slot(&self, lock: &LockId, mutex_key: &str, version: &str) -> u32 {
        if !lock.is_semaphore() {
            return 0;
        }
        slot_number(mutex_key, lock.key()).or_else(|| self.seen.slot_of(lock, version)).unwrap_or(0)
    }

    /// The slot to try first; none if the caller's key means no slot of this version.
    pub(crate) fn slot_to_renew(&self, request: &RenewRequest) -> Option<u32> {
        let RenewRequest { lock, mutex_key, version, .. } = request;
        let slot = self.probable_slot(lock, mutex_key, version);
        key_means_slot(lock, mutex_key, slot, version).then_some(slot)
    }

    pub(crate) async fn renew_slot(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let Some(slot) = self.slot_to_renew(request) else { return Err(stale(&request.lock)) };
        let answer = self.send_renewal(request, &request.version, slot).await?;
        self.after_renewal(request, slot, answer).await
    }

    async fn send_renewal(&self, request: &RenewRequest, version: &str, slot: u32) -> LockResult<Answer> {
        let over = self.seen.over(&request.lock, slot, Instant::now());
        self.update(&request.lock, statements::renew(request, version, slot, over)).await
    }

    /// What comes of a renewal whose first try, of `slot`, was answered so.
    pub(crate) async fn after_renewal(
        &self,
        request: &RenewRequest,
        mut slot: u32,
        mut answer: Answer,
    ) -> LockResult<MutexLock> {
        let lock = &request.lock;
        let mut version = request.version.clone();
        for tries in 1..=TRIES {
            let item = match answer {
                Answer::Done(item, sent) => return self.remember(lock, &request.new_version, &item, sent),
                Answer::Refused(item) => item,
            };
            self.look(lock, &item);
            match rules::renewable(request, &item) {
                Some((found, current)) if (found, current) != (slot, version.as_str()) => {
                    (slot, version) = (found, current.to_string());
                }
                _ => return Err(stale(lock)),
            }
            if tries == TRIES {
                break;
            }
            answer = self.send_renewal(request, &version, slot).await?;
        }
        Err(self.too_busy(lock))
    }

    pub(crate) async fn release_slot(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let lock = &request.lock;
        let mark = uuid::Uuid::new_v4().to_string();
        let mut slot = self.probable_slot(lock, &request.mutex_key, &request.version);
        let mut delete = request.delete;
        if !key_means_slot(lock, &request.mutex_key, slot, &request.version) {
            let (item, _) = self.read(lock).await?;
            return if item.exists(lock) { Ok(false) } else { Err(absent(lock)) };
        }
        for lost in 0..TRIES {
            pause_after(lost).await;
            let item = match self.update(lock, statements::release(request, slot, delete, &mark)).await? {
                Answer::Done(..) => {
                    self.seen.released(lock, slot);
                    return Ok(true);
                }
                Answer::Refused(item) => item,
            };
            self.look(lock, &item);
            match after_refused_release(request, &item, &mark) {
                Release::Over(answer) => return answer,
                Release::Of { slot: found, delete: also } => {
                    slot = found;
                    delete |= also;
                }
            }
        }
        Err(self.too_busy(lock))
    }

    pub(crate) async fn abandon_ticket(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.seen.left_queue(lock, version);
        let (mut item, _) = self.read(lock).await?;
        for lost in 0..TRIES {
            let Some(place) = item.place(version) else { break };
            pause_after(lost).await;
            item = self.update(lock, statements::leave_queue(&item, &[place])).await?.item();
        }
        if item.place(version).is_some() {
            return Err(self.too_busy(lock));
        }
        let Some((slot, _)) = item.held_by(lock, &[version]) else { return Ok(()) };
        let request = ReleaseRequest {
            lock: lock.clone(),
            mutex_key: lock.slot_key(slot),
            version: version.to_string(),
            delete: false,
            data: None,
        };
        self.release_slot(&request).await.map(|_| ())
    }
}

fn stale(lock: &LockId) -> LockError {
    let words = "its lease ran out and was not renewed in time, or it was released";
    LockError::not_found(format!("the {lock} is not held at this version: {words}"))
}

fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("there is no {lock}"))
}

/// What to make of a refused release.
enum Release {
    /// There is nothing more to do.
    Over(LockResult<bool>),
    /// It is this slot's, and to be deleted if the acquire asked for it.
    Of { slot: u32, delete: bool },
}

fn after_refused_release(request: &ReleaseRequest, item: &Item, mark: &str) -> Release {
    let lock = &request.lock;
    if !item.exists(lock) {
        // Deleted by this very call, whose reply was lost?
        let by_us = item.mark.as_deref() == Some(mark);
        return Release::Over(if by_us { Ok(true) } else { Err(absent(lock)) });
    }
    let meant = |slot: u32| key_means_slot(lock, &request.mutex_key, slot, &request.version);
    match item.held_by(lock, &[&request.version]) {
        Some((slot, held)) if meant(slot) => Release::Of { slot, delete: held.delete_on_release },
        Some(_) => Release::Over(Ok(false)),
        None => {
            let released =
                item.slots_of(lock).any(|(slot, last)| last.version == request.version && meant(slot));
            Release::Over(Ok(released))
        }
    }
}
