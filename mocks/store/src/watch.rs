//! Looks for files that were changed by hand. It asks the file system again and again rather than
//! to be told: that works on every file system, network and container mounts included, and costs
//! at most a fiftieth of one core.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::store::Shared;

/// A thread that ends with this value.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(crate) fn start(shared: &Arc<Shared>, interval: Duration) -> std::io::Result<Watcher> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (shared, seen) = (Arc::downgrade(shared), stop.clone());
        let thread = std::thread::Builder::new()
            .name("scenario-watch".to_owned())
            .spawn(move || watch(&shared, &seen, interval))?;
        Ok(Watcher { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // It looks at the flag between two scans. A panic in it was reported where it was.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Weak<Shared>, stop: &(Mutex<bool>, Condvar), interval: Duration) {
    let mut pause = interval;
    loop {
        let stopped = lock(&stop.0);
        let (stopped, _) = stop
            .1
            .wait_timeout_while(stopped, pause, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *stopped {
            return;
        }
        drop(stopped);
        let Some(shared) = shared.upgrade() else { return };
        let begin = Instant::now();
        shared.refresh();
        pause = interval.max(begin.elapsed() * 50);
    }
}

fn lock(flag: &Mutex<bool>) -> MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(PoisonError::into_inner)
}
