//! Things of which threads that work at the same time have one each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// More threads than this share.
const MOST: usize = 16;

/// The number of the next thread that asks.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

/// One of a thing for each thread that the machine runs at a time: a counter, or something with one, such as an [`Arc`].
/// Cores that count on the same piece of memory wait for each other, which takes longer than all else in a short request.
/// Any thread may use any of them.
///
/// ```
/// use api_mock_engine::Lanes;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let lanes = Lanes::new(AtomicU64::default);
/// lanes.mine().fetch_add(1, Ordering::Relaxed);
/// assert_eq!(lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum::<u64>(), 1);
/// ```
///
/// [`Arc`]: std::sync::Arc
#[derive(Debug)]
pub struct Lanes<T> {
    first: Lane<T>,
    others: Box<[Lane<T>]>,
}

/// On cache lines of its own, also of processors that fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T> Lanes<T> {
    /// As many as the machine has cores, up to sixteen.
    #[must_use]
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        let count = available_parallelism().map_or(1, usize::from).min(MOST);
        Lanes { first: Lane(make()), others: (1..count).map(|_| Lane(make())).collect() }
    }

    /// That of this thread, always the same.
    #[must_use]
    pub fn mine(&self) -> &T {
        let number = NUMBER.with(|number| *number) % (self.others.len() + 1);
        let other = number.checked_sub(1).and_then(|number| self.others.get(number));
        &other.unwrap_or(&self.first).0
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others).map(|lane| &lane.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_keeps_its_own_and_none_is_lost() {
        let lanes = Lanes::new(AtomicUsize::default);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let mine = std::ptr::from_ref(lanes.mine());
                    for _ in 0..100 {
                        assert!(std::ptr::eq(mine, lanes.mine()));
                        lanes.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum::<usize>(), 4_000);
        let cores = available_parallelism().map_or(1, usize::from);
        assert_eq!(lanes.iter().count(), cores.min(MOST));
    }
}
