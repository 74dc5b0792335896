//! Futures beside one that is polled far more often.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it was woken itself, not each time that the task is: what else the task waits for may wake it
/// with each request.
pub(crate) struct Rarely<F> {
    inner: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// Of the bell.
    waker: Waker,
    /// Whom the bell wakes.
    task: Waker,
}

struct Bell {
    has_rung: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl<F: Future> Rarely<F> {
    pub(crate) fn new(inner: F) -> Self {
        let task = Waker::noop().clone();
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: Mutex::new(task.clone()) });
        Rarely { inner: Box::pin(inner), waker: Waker::from(Arc::clone(&bell)), bell, task }
    }

    /// Another future in its place.
    pub(crate) fn set(&mut self, inner: F) {
        self.inner.set(inner);
        self.bell.has_rung.store(true, Ordering::Release);
    }
}

impl<F: Future> Future for Rarely<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.task.will_wake(cx.waker()) {
            this.task.clone_from(cx.waker());
            this.bell.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
            // A ring may have gone to whom it was before.
            this.bell.has_rung.store(true, Ordering::Release);
        }
        if !this.bell.has_rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        this.bell.has_rung.store(false, Ordering::Release);
        this.inner.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_polled_when_woken_and_not_with_its_task() {
        let polls = Cell::new(0);
        let counted = |seconds| {
            let mut sleep = Box::pin(tokio::time::sleep(Duration::from_secs(seconds)));
            let polls = &polls;
            std::future::poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                sleep.as_mut().poll(cx)
            })
        };
        let mut rarely = Rarely::new(counted(1));
        for round in 1..=2 {
            let mut wakes = 0;
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            loop {
                tokio::select! {
                    biased;
                    () = &mut rarely => break,
                    _ = ticks.tick() => wakes += 1,
                }
            }
            assert!((900..=1_001).contains(&wakes), "{wakes}");
            assert_eq!(polls.get(), 2 * round);
            rarely.set(counted(1));
        }
    }
}
