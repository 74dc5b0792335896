//! What workers do, tasks and processes alike: acquire, add one to the counter in the lock's data, release, all before a witness.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{LockError, MutexLock};

use crate::backend::Store;
use crate::failure::{Failure, Outcome};
use crate::fixture::{Ask, release, sleep_ms};
use crate::roles::random_below;
use crate::witness::Witness;

/// One worker's tools.
pub(crate) struct Job {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) asked: Ask,
    pub(crate) witness: Arc<Witness>,
    /// The longest time to keep the lock for.
    pub(crate) hold_ms: u64,
}

/// How long a worker waits for its turn. Longer than any honest queue of the suite.
const TURN: Duration = Duration::from_secs(100);

/// One turn. The caller's client must show that it lives, for as long as this takes.
pub(crate) async fn count_once(job: &Job) -> Outcome {
    let asked = job.asked.anew().waiting();
    let lock = asked.until_granted(&job.store, TURN).await?;
    job.witness.granted(&lock)?;
    sleep_ms(random_below(job.hold_ms + 1)).await;
    if lock.remaining.is_over() {
        // A machine so busy that the lease passed by: whatever was done now could be another's turn.
        return Ok(());
    }
    let mut request = release(&lock)?;
    request.data = Some((counter(&lock)? + 1).to_string());
    job.witness.releasing(&lock)?;
    if patiently(|| job.store.release(&request)).await? {
        job.witness.released(&lock)?;
    }
    Ok(())
}

/// The number in the lock's data.
pub(crate) fn counter(lock: &MutexLock) -> Outcome<u64> {
    Ok(lock.data.as_deref().unwrap_or("0").parse()?)
}

/// Sends again what failed in a way that passes by itself: every operation is safe to send again (I6).
pub(crate) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Outcome<T>
where
    F: Future<Output = Result<T, LockError>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Err(error) if error.retryable() && tries < 40 => tries += 1,
            other => return other.map_err(Failure::from),
        }
        sleep_ms(20 + 20 * tries).await;
    }
}
