//! Recordings on their way to the disk: a thread that writes them, many at a time, so that no request waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use api_mock_scenario::{Key, Scenario};
use api_mock_store::{Snapshot, Store, StoreError};
use http::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::seen::{Seen, digest};
use super::{Exchange, Kept, Recording, recording};
use crate::options::FileOptions;

/// Recordings that are under way or not yet written.
const WAITING: usize = 2_048;
/// As many are written at once: that they are on disk takes hardly longer for many than for one.
const BATCH: usize = 512;
/// A request that could be answered by what is just being written waits this long for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes recordings into a store.
pub(crate) struct Queue {
    jobs: Option<Sender<Box<Job>>>,
    writer: Option<JoinHandle<()>>,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What the thread and those who ask it know.
struct Shared {
    store: Arc<Store>,
    options: FileOptions,
    pending: Mutex<HashMap<(Method, String), usize>>,
    /// How many were taken in.
    begun: AtomicU64,
    /// How many of these are done with, in the order in which they came.
    written: watch::Sender<u64>,
    recorded: AtomicU64,
    failed: AtomicU64,
}

struct Job {
    exchange: Exchange,
    key: (Method, String),
    /// Given back when it is written.
    _slot: Slot,
    _kept: Vec<Kept>,
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Queue {
    pub(crate) fn start(store: Arc<Store>, options: FileOptions) -> std::io::Result<Queue> {
        let shared = Arc::new(Shared {
            store,
            options,
            pending: Mutex::default(),
            begun: AtomicU64::new(0),
            written: watch::Sender::new(0),
            recorded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let (jobs, coming) = channel();
        let at_work = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || at_work.write_all(&coming))?;
        let slots = Arc::new(Semaphore::new(WAITING));
        Ok(Queue { jobs: Some(jobs), writer: Some(writer), slots, shared })
    }

    /// A place in the queue, when there is one; `None` if the disk does not keep up.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        let slot = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let slot = tokio::time::timeout(PATIENCE, Arc::clone(&self.slots).acquire_owned()).await;
                slot.ok().and_then(Result::ok)
            }
        };
        if slot.is_none() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("too many recordings wait for the disk; an exchange was only forwarded");
        }
        slot.map(|permit| Slot { _permit: permit })
    }

    /// Has an exchange recorded. Never waits.
    pub(crate) fn record(&self, exchange: Exchange, slot: Slot, kept: Vec<Kept>) {
        let key = (exchange.method.clone(), exchange.url.path().to_owned());
        *self.shared.pending().entry(key.clone()).or_default() += 1;
        let job = Box::new(Job { exchange, key, _slot: slot, _kept: kept });
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(Err(unsent)) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            self.shared.done(&[unsent.0]);
        }
    }

    /// Waits until nothing for this method and path is under way to the disk; says whether something was.
    pub(crate) async fn settled(&self, method: &Method, path: &str) -> bool {
        let key = (method.clone(), path.to_owned());
        let mut written = self.shared.written.subscribe();
        if !self.shared.pending().contains_key(&key) {
            return false;
        }
        let gone =
            async { while self.shared.pending().contains_key(&key) && written.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(PATIENCE, gone).await;
        true
    }

    /// Waits until all that was recorded before this call is written, or for `patience`.
    pub(crate) async fn flush(&self, patience: Duration) {
        let begun = self.shared.begun.load(Ordering::SeqCst);
        let mut written = self.shared.written.subscribe();
        let _ = tokio::time::timeout(patience, written.wait_for(|count| *count >= begun)).await;
    }

    /// How many were recorded, and how many should have been.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.shared.recorded.load(Ordering::Relaxed), self.shared.failed.load(Ordering::Relaxed))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<(Method, String), usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, jobs: &[Box<Job>]) {
        let mut pending = self.pending();
        for Job { key, .. } in jobs.iter().map(|job| &**job) {
            if let Some(count) = pending.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    pending.remove(key);
                }
            }
        }
        drop(pending);
        self.written.send_modify(|count| *count += jobs.len() as u64);
    }

    fn write_all(&self, coming: &Receiver<Box<Job>>) {
        let mut seen = Seen::default();
        while let Ok(first) = coming.recv() {
            let mut jobs = vec![first];
            jobs.extend(coming.try_iter().take(BATCH - 1));
            self.write(&jobs, &mut seen);
            self.done(&jobs);
        }
    }

    fn write(&self, jobs: &[Box<Job>], seen: &mut Seen) {
        let snapshot = self.store.snapshot();
        // In an order that does not depend on chance: two of them may want the same file.
        let mut scenarios: BTreeMap<Key, Scenario> = BTreeMap::new();
        for job in jobs {
            let digest = digest(&job.exchange);
            if seen.key(&digest).is_some_and(|key| snapshot.scenario(key).is_some()) {
                continue;
            }
            let recording = match recording(&job.exchange, &self.options) {
                Ok(recording) => recording,
                Err(reason) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(method = %job.exchange.method, "an exchange was not recorded: {reason}");
                    continue;
                }
            };
            if !recording.is_named {
                seen.remember(digest, recording.scenario.key());
            }
            if is_known(&recording, &snapshot) {
                continue;
            }
            if let Err(error) = self.put_fixture(&recording) {
                self.note_failure(&error);
                continue;
            }
            scenarios.insert(recording.scenario.key(), recording.scenario);
        }
        self.put(&scenarios.into_values().collect::<Vec<_>>());
    }

    fn put(&self, scenarios: &[Scenario]) {
        if scenarios.is_empty() {
            return;
        }
        match self.store.put_good_texts(scenarios.iter().map(Scenario::to_yaml).collect()) {
            Ok(bad) => {
                self.note_recorded(scenarios.len() - bad.len());
                bad.iter().for_each(|(_, error)| self.note_failure(error));
            }
            // One for which there is no place must not keep the others out.
            Err(_) => scenarios.iter().for_each(|scenario| match self.store.put_scenario(scenario) {
                Ok(_) => self.note_recorded(1),
                Err(error) => self.note_failure(&error),
            }),
        }
    }

    fn note_recorded(&self, count: usize) {
        self.recorded.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn put_fixture(&self, recording: &Recording) -> Result<(), StoreError> {
        let Some((name, bytes)) = &recording.fixture else { return Ok(()) };
        let Scenario { method, path, .. } = &recording.scenario;
        if self.store.fixture(method, name, path).is_ok_and(|known| known.bytes() == bytes) {
            return Ok(());
        }
        self.store.put_fixture(method, name, path, bytes.clone())
    }

    fn note_failure(&self, error: &StoreError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("an exchange was not recorded: {error}");
    }
}

/// Whether there is such a recording. What a hand has changed in it since then stays, unless the client chose its name.
fn is_known(recording: &Recording, snapshot: &Snapshot) -> bool {
    let Some(known) = snapshot.scenario(&recording.scenario.key()) else { return false };
    !recording.is_named || *known.text == *recording.scenario.to_yaml()
}
