//! Waiting for the other thread without going to sleep. A request takes SQLite less time than the two wake-ups around it
//! take the kernel, so a lone caller and the thread that serves it watch for each other for some microseconds first. Where
//! that is in vain (a busy machine, an idle program) it is hardly tried any more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Some requests to a file on an ordinary machine; little enough for a thread that serves other tasks too.
const LONGEST: Duration = Duration::from_micros(200);
/// After many failures in a row one wait in so many is still tried this way.
const RAREST: u32 = 1_024;

/// Remembers whether it was worth while.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// How many waits to let pass before the next one is tried.
    skip: AtomicU32,
    /// How many to let pass after the next failure.
    penalty: AtomicU32,
}

impl Spin {
    /// Asks until there is an answer, for some microseconds at most.
    pub(crate) fn wait<T>(&self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        // Races between callers only make this a little more or less eager.
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
            return None;
        }
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            if let Some(answer) = ask() {
                self.penalty.store(0, Ordering::Relaxed);
                return Some(answer);
            }
            std::hint::spin_loop();
        }
        let penalty = (self.penalty.load(Ordering::Relaxed) * 2).clamp(1, RAREST);
        self.penalty.store(penalty, Ordering::Relaxed);
        self.skip.store(penalty, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_it_rare_and_a_success_makes_it_usual_again() {
        let (spin, mut asked) = (Spin::default(), 0_u32);
        for _ in 0..1_000 {
            let tried = std::cell::Cell::new(false);
            assert_eq!(
                spin.wait(|| {
                    tried.set(true);
                    None::<()>
                }),
                None
            );
            asked += u32::from(tried.get());
        }
        assert!(asked <= 12, "{asked} of 1,000 were tried");
        while spin.wait(|| Some(())).is_none() {}
        assert!(spin.wait(|| Some(())).is_some());
    }
}
