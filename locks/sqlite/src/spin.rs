//! Waiting for the other thread without going to sleep. A request takes SQLite less time than the two wake-ups around it
//! take the kernel, so a lone caller and the thread that serves it watch for each other for some microseconds first. Where
//! that is in vain (a busy machine, an idle program) it is hardly tried any more.

use std::time::{Duration, Instant};

use db_locks_core::eager::Worth;

/// Some requests to a file on an ordinary machine; little enough for a thread that serves other tasks too.
const LONGEST: Duration = Duration::from_micros(200);

/// Remembers whether it was worth while.
#[derive(Debug, Default)]
pub(crate) struct Spin(Worth);

impl Spin {
    /// Asks until there is an answer, for some microseconds at most.
    pub(crate) fn wait<T>(&self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        if !self.0.is_worth_a_try() {
            return None;
        }
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            if let Some(answer) = ask() {
                self.0.paid_off();
                return Some(answer);
            }
            std::hint::spin_loop();
        }
        self.0.was_in_vain();
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
