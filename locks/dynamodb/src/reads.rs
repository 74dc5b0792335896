//! Waiters of one process that look at one lock at the same time share the look.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use db_locks_core::{LockId, LockResult};

use crate::codec::Item;

/// The last reading of a lock, and when it was asked for; whoever holds the mutex is reading.
type Reading = Arc<tokio::sync::Mutex<Option<(Instant, Item)>>>;

/// Readings under way, by lock; empty when nobody reads.
#[derive(Debug, Default)]
pub(crate) struct SharedReads {
    under_way: Mutex<HashMap<LockId, Reading>>,
}

impl SharedReads {
    /// What `read` brings, or what another's `read` brought that was sent after this call was made: never an older answer.
    pub(crate) async fn read<F>(&self, lock: &LockId, read: impl FnOnce() -> F) -> LockResult<Item>
    where
        F: Future<Output = LockResult<(Item, Instant)>>,
    {
        let asked = Instant::now();
        let reading = Visit { reads: self, lock, reading: self.enter(lock) };
        let mut last = reading.reading.lock().await;
        if let Some((sent, item)) = last.as_ref().filter(|(sent, _)| *sent >= asked) {
            tracing::trace!(%lock, age = ?sent.elapsed(), "shared a look");
            return Ok(item.clone());
        }
        let (item, sent) = read().await?;
        *last = Some((sent, item.clone()));
        Ok(item)
    }

    fn enter(&self, lock: &LockId) -> Reading {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.entry(lock.clone()).or_default().clone()
    }
}

/// Removes the reading when the last visitor goes, however it goes.
struct Visit<'a> {
    reads: &'a SharedReads,
    lock: &'a LockId,
    reading: Reading,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut under_way = self.reads.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // One for the map, one for us: nobody else can come by it while the map is locked.
        if Arc::strong_count(&self.reading) == 2 {
            under_way.remove(self.lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    /// Numbers its readings, so that it can be seen who got which.
    async fn reading(counter: &AtomicU64) -> LockResult<(Item, Instant)> {
        let sent = Instant::now();
        let fence = Some(counter.fetch_add(1, Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok((Item { fence, ..Item::default() }, sent))
    }

    #[tokio::test]
    async fn a_look_is_shared_only_with_those_who_asked_before_it() {
        let (reads, counter) = (SharedReads::default(), AtomicU64::new(0));
        let lock = LockId::mutex("t", "one").unwrap();
        let look = || async { reads.read(&lock, || reading(&counter)).await.unwrap().fence };
        let late = || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            look().await
        };
        let (first, second, third, fourth) = tokio::join!(look(), late(), late(), late());
        assert_eq!([first, second, third, fourth], [Some(0), Some(1), Some(1), Some(1)]);
        assert!(reads.under_way.lock().unwrap().is_empty());
        assert_eq!(look().await, Some(2), "nothing is kept");
    }

    #[tokio::test]
    async fn a_dropped_look_leaves_nothing_behind() {
        let (reads, counter) = (SharedReads::default(), AtomicU64::new(0));
        let lock = LockId::mutex("t", "one").unwrap();
        let brief = Duration::from_millis(5);
        let look = reads.read(&lock, || reading(&counter));
        assert!(tokio::time::timeout(brief, look).await.is_err());
        assert!(reads.under_way.lock().unwrap().is_empty());
    }
}
