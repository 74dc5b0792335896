//! What clients saw while everything around them failed, and what of it must not be: stale versions that work (I3), newcomers who
//! pass a live waiter (I4), retries that are taken for something new (I6). Of who held when (I1, I2) there is a [`crate::witness`].

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use db_locks_core::protocol::{CLIENT_BEAT_MS, CLIENT_TTL_MS};
use db_locks_core::{Acquired, ErrorKind, LockId, MutexLock};

use crate::backend::Store;
use crate::failure::{Failure, Outcome, check, check_eq};
use crate::fixture::{release, renewal, sleep_ms, token};
use crate::roles::random_below;
use crate::witness::wall_us;
use crate::work::{Job, counter, patiently};

/// Where clients write down when they asked, were put into the queue, and were granted; shared by processes.
pub(crate) struct History {
    file: File,
    path: PathBuf,
}

impl History {
    /// Appends to `path`.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// One line in one write: lines of several processes never mix.
    fn say(&self, line: String) -> Outcome {
        Ok((&self.file).write_all(line.as_bytes())?)
    }

    /// For this long the order of the queue is not to be judged: somebody was stopped, cut off, or too slow to show that it lives.
    pub(crate) fn disturbed(&self, from_us: u64, to_us: u64) -> Outcome {
        self.say(format!("disturbed - {from_us} {to_us}\n"))
    }

    /// What has been written so far.
    pub(crate) fn order(&self) -> Outcome<Order> {
        Order::read(&std::fs::read_to_string(&self.path)?)
    }
}

/// One request that waited or did not.
#[derive(Debug, Default, Clone)]
struct Turn {
    asked_us: u64,
    queued_us: Option<u64>,
    /// When it learnt of its grant, and the token.
    granted: Option<(u64, u64)>,
}

/// Who asked when, and who was granted when.
#[derive(Debug, Default)]
pub(crate) struct Order {
    turns: HashMap<String, Turn>,
    disturbed: Vec<(u64, u64)>,
}

impl Order {
    fn read(text: &str) -> Outcome<Self> {
        let mut order = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let unreadable = || Failure::new(format!("unreadable: {line}"));
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
            let (version, at) = (*words.get(1).ok_or_else(unreadable)?, number(2).ok_or_else(unreadable)?);
            if words[0] == "disturbed" {
                order.disturbed.push((at, number(3).ok_or_else(unreadable)?));
                continue;
            }
            let turn = order.turns.entry(version.to_string()).or_default();
            match words[0] {
                "asked" => turn.asked_us = at,
                "queued" => turn.queued_us = turn.queued_us.or(Some(at)),
                "granted" => turn.granted = Some((at, number(3).ok_or_else(unreadable)?)),
                _ => return Err(unreadable()),
            }
        }
        Ok(order)
    }

    /// Nothing happened between these moments that could make a live waiter look dead.
    fn calm(&self, from_us: u64, to_us: u64) -> bool {
        self.disturbed.iter().all(|(begin, end)| *end < from_us || to_us < *begin)
    }

    /// I4: whoever knew that it was in the queue before another asked is granted before it. Returns how many pairs could be judged.
    pub(crate) fn check(&self) -> Outcome<usize> {
        let mut judged = 0;
        for (first, waited) in &self.turns {
            let (Some(queued), Some((_, token))) = (waited.queued_us, waited.granted) else { continue };
            for (second, next) in &self.turns {
                let Some((granted, next_token)) = next.granted else { continue };
                if next.asked_us <= queued || !self.calm(queued, granted) {
                    continue;
                }
                judged += 1;
                let passed = format!("{second} ({next:?}) passed {first}, which waited ({waited:?})");
                check!(token < next_token, "{passed}");
            }
        }
        Ok(judged)
    }
}

/// Shows that a client lives, as [`crate::fixture::Heart`] does, and owns up to having been too slow.
pub(crate) struct Pulse(tokio::task::JoinHandle<()>);

impl Pulse {
    /// Beats for `lock` until dropped.
    pub(crate) fn of(store: &Arc<dyn Store>, lock: &LockId, history: &Arc<History>) -> Self {
        let (store, locks, history) = (Arc::clone(store), vec![lock.clone()], Arc::clone(history));
        Self(tokio::spawn(async move {
            let mut sent_us = wall_us();
            loop {
                let sent = wall_us();
                if store.beat(&locks).await.is_ok() {
                    let slow_us = CLIENT_TTL_MS as u64 * 750;
                    if wall_us() - sent_us > slow_us && history.disturbed(sent_us, wall_us()).is_err() {
                        return;
                    }
                    sent_us = sent;
                }
                sleep_ms(CLIENT_BEAT_MS as u64).await;
            }
        }))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a client waits for its turn, through all that the trial does to it.
const TURN: Duration = Duration::from_secs(90);

/// One turn: acquire (sometimes twice), renew (sometimes), count, release, and try with every version that has ended.
pub(crate) async fn round(job: &Job, history: &History) -> Outcome {
    let asked = job.asked.anew().waiting();
    let version = asked.0.version.clone();
    history.say(format!("asked {version} {}\n", wall_us()))?;
    let queued = || history.say(format!("queued {version} {}\n", wall_us()));
    let mut lock = asked.until_granted_told(&job.store, TURN, queued).await?;
    history.say(format!("granted {version} {} {}\n", wall_us(), token(&lock)?))?;
    job.witness.granted(&lock)?;
    if random_below(4) == 0 {
        // As if its answer had been lost (I6).
        let again = job.store.acquire(&asked.0).await;
        same_grant(&lock, again)?;
    }
    sleep_ms(random_below(job.hold_ms + 1)).await;
    if random_below(3) == 0 {
        let request = renewal(&lock)?;
        match patiently_known(|| job.store.renew(&request)).await? {
            Some(renewed) => {
                job.witness.renewed(&renewed)?;
                let ended = std::mem::replace(&mut lock, renewed);
                refuses(job, &ended).await?;
            }
            None => return lost(&lock),
        }
    }
    if lock.remaining.is_over() {
        return Ok(());
    }
    let mut request = release(&lock)?;
    request.data = Some((counter(&lock)? + 1).to_string());
    job.witness.releasing(&lock)?;
    if patiently(|| job.store.release(&request)).await? {
        job.witness.released(&lock)?;
    }
    refuses(job, &lock).await
}

/// An acquisition sent again is the same one, for as long as its lease lasts.
fn same_grant(lock: &MutexLock, again: Result<Acquired, db_locks_core::LockError>) -> Outcome {
    match again {
        Ok(Acquired::Granted(again)) if !lock.remaining.is_over() => {
            check_eq!(again.fencing_token, lock.fencing_token, "sent again, it got another grant");
        }
        Ok(Acquired::Busy(busy)) if !lock.remaining.is_over() => {
            return Err(Failure::new(format!("sent again, it was refused what it holds: {busy:?}")));
        }
        Err(error) if !error.retryable() => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

/// A renewal may be refused when the lease is over, not before.
fn lost(lock: &MutexLock) -> Outcome {
    check!(lock.remaining.is_over(), "lost within its lease: {lock:?}");
    Ok(())
}

/// Sends again what may help; none where the version is not current (any more).
async fn patiently_known<F>(mut call: impl FnMut() -> F) -> Outcome<Option<MutexLock>>
where
    F: Future<Output = Result<MutexLock, db_locks_core::LockError>>,
{
    patiently(|| {
        let answer = call();
        async {
            match answer.await {
                Ok(lock) => Ok(Some(lock)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }
    })
    .await
}

/// I3: a version that is not current renews nothing.
async fn refuses(job: &Job, ended: &MutexLock) -> Outcome {
    let request = renewal(ended)?;
    match job.store.renew(&request).await {
        Ok(renewed) => Err(Failure::new(format!("a version that has ended was renewed: {renewed:?}"))),
        Err(error) if error.retryable() || error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<usize, String> {
        Order::read(text).and_then(|order| order.check()).map_err(|failure| failure.to_string())
    }

    const PASSED: &str = "asked a 10\nqueued a 12\nasked b 20\ngranted b 30 7\ngranted a 40 8\n";

    #[test]
    fn who_passes_a_waiter_is_seen() {
        assert!(judge(PASSED).unwrap_err().contains("passed a"));
        assert_eq!(judge("asked a 10\nqueued a 12\nasked b 20\ngranted a 30 7\ngranted b 40 8\n"), Ok(1));
        // Nobody knew yet that the first was in the queue.
        assert_eq!(judge("asked a 10\nqueued a 22\nasked b 20\ngranted b 30 7\ngranted a 40 8\n"), Ok(0));
    }

    #[test]
    fn disturbed_times_are_not_judged() {
        assert_eq!(judge(&format!("{PASSED}disturbed - 25 26\n")), Ok(0));
        assert_eq!(judge(&format!("{PASSED}disturbed - 1 13\n")), Ok(0));
        assert!(judge(&format!("{PASSED}disturbed - 31 90\n")).is_err());
        assert!(judge("nonsense\n").is_err());
    }
}
