//! Waiting for a server's reply without going to sleep. On one machine or in one rack a reply often takes less time than the
//! kernel needs to wake a sleeping thread, so a caller who is alone lets its runtime look for the reply again and again for some
//! microseconds first. Where that is in vain (a distant server, a busy machine) it is hardly tried any more.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Some replies of a server on the same machine.
const LONGEST: Duration = Duration::from_micros(500);
/// After many failures in a row one wait in so many is still tried this way.
const RAREST: u32 = 1_024;

/// Remembers, for one server, whether it was worth while. It has no runtime of its own: [`Self::wait`] is told how to yield to it.
///
/// ```
/// use std::future::ready;
/// # use std::task::{Context, Poll, Waker};
/// let eager = db_locks_core::eager::Eager::default();
/// // With tokio the second argument is `tokio::task::yield_now`.
/// let answer = eager.wait(ready(42), || ready(()));
/// # let mut answer = std::pin::pin!(answer);
/// # let answer = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// assert_eq!(answer, Poll::Ready(42));
/// ```
#[derive(Debug, Default)]
pub struct Eager {
    callers: Callers,
    worth: Worth,
}

/// Counts calls under way.
#[derive(Debug, Default)]
pub struct Callers(AtomicU32);

/// A call under way; counts itself out, also when its future is dropped.
#[derive(Debug)]
pub struct Caller<'a> {
    callers: &'a Callers,
    /// Whether no other call was under way when this one began.
    pub alone: bool,
}

impl Callers {
    /// Counts a call in, until what is returned is dropped.
    pub fn enter(&self) -> Caller<'_> {
        Caller { callers: self, alone: self.0.fetch_add(1, Ordering::Relaxed) == 0 }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.callers.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether to wait awake, learnt from how that went before. Races between callers only make it a little more or less eager.
#[derive(Debug, Default)]
pub struct Worth {
    /// How many waits to let pass before the next one is tried.
    skip: AtomicU32,
    /// How many to let pass after the next failure.
    penalty: AtomicU32,
}

impl Worth {
    /// Whether this wait is to be tried; counts it if not.
    pub fn is_worth_a_try(&self) -> bool {
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
        }
        skip == 0
    }

    /// A try got its answer in time.
    pub fn paid_off(&self) {
        self.penalty.store(0, Ordering::Relaxed);
    }

    /// A try did not: twice as many waits as the last time pass before the next one.
    pub fn was_in_vain(&self) {
        let penalty = (self.penalty.load(Ordering::Relaxed) * 2).clamp(1, RAREST);
        self.penalty.store(penalty, Ordering::Relaxed);
        self.skip.store(penalty, Ordering::Relaxed);
    }
}

impl Eager {
    /// Waits for `reply`. `yield_now` makes a future that lets the runtime look at its sockets, such as tokio's.
    /// With several waiting at once the thread has enough to do, and nobody is eager.
    pub async fn wait<F: Future, Y: Future<Output = ()>>(
        &self,
        reply: F,
        yield_now: impl Fn() -> Y,
    ) -> F::Output {
        let caller = self.callers.enter();
        let mut reply = pin!(reply);
        if !caller.alone || !self.worth.is_worth_a_try() {
            return reply.await;
        }
        let (begun, mut looking) = (Instant::now(), true);
        poll_fn(|context| {
            if let Poll::Ready(output) = reply.as_mut().poll(context) {
                if looking {
                    self.worth.paid_off();
                }
                return Poll::Ready(output);
            }
            if looking && begun.elapsed() > LONGEST {
                looking = false;
                self.worth.was_in_vain();
            }
            // Polled once, it has the runtime wake this task after its next look at the sockets.
            if looking && pin!(yield_now()).poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::task::{Context, Waker};

    use super::*;

    /// Polls once; tells whether that yielded.
    fn yields(eager: &Eager) -> bool {
        let yielded = Cell::new(false);
        let yield_now = || {
            yielded.set(true);
            pending()
        };
        let mut waiting = pin!(eager.wait(pending::<()>(), yield_now));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        yielded.get()
    }

    #[test]
    fn only_who_is_alone_is_eager() {
        let eager = Eager::default();
        assert!(yields(&eager));
        let mut other = Box::pin(eager.wait(pending::<()>(), pending));
        assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!yields(&eager));
        drop(other);
        assert!(yields(&eager), "a dropped wait is counted out");
    }

    #[test]
    fn waits_in_vain_make_it_rare_and_an_early_reply_makes_it_usual_again() {
        let eager = Eager::default();
        let mut tried = 0;
        for _ in 0..1_000 {
            if yields(&eager) {
                tried += 1;
                eager.worth.was_in_vain();
            }
        }
        assert!((1..=12).contains(&tried), "{tried} of 1,000 were tried");
        while !yields(&eager) {}
        let mut answered = pin!(eager.wait(ready(1), pending));
        assert!(answered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(yields(&eager));
    }
}
