//! Work on many scenarios by several threads.

use std::thread::{available_parallelism, scope};

/// More threads than this are not used where they only compute.
const MOST: usize = 8;

/// How many threads compute at a time here: one a core, up to eight.
#[must_use]
pub fn computing_threads() -> usize {
    available_parallelism().map_or(1, usize::from).min(MOST)
}

/// Does something with all items, a part of them on each of at most so many threads, of which this is one. Fewer than
/// `for_a_thread` are not worth another thread. Gives what came of each part, in the order of the items.
///
/// ```
/// let numbers: Vec<u64> = (0..1_000).collect();
/// let sums = api_mock_scenario::in_parts(&numbers, 4, 100, |part| part.iter().sum::<u64>());
/// assert_eq!((sums.len(), sums.iter().sum::<u64>()), (4, 499_500));
/// ```
pub fn in_parts<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    for_a_thread: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    let part = items.len().div_ceil(threads.max(1)).max(for_a_thread).max(1);
    let work = &work;
    scope(|scope| {
        let mut parts = items.chunks(part);
        let own = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| (part, scope.spawn(move || work(part)))).collect();
        let mut all = vec![work(own)];
        for (part, thread) in others {
            // A thread that panicked has said why; here it will say it again.
            all.push(thread.join().unwrap_or_else(|_| work(part)));
        }
        all
    })
}
