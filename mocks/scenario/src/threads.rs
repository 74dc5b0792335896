//! Work on many scenarios by several threads.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
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

/// Does something with items while they are made, on other threads where there are some: this one makes them, and helps when it has made
/// all. Fewer than `for_a_thread` are not worth another thread. Gives what came of each, in the order of the items.
///
/// ```
/// let make = |push: &mut dyn FnMut(u64)| (0..1_000).for_each(push);
/// let squares = api_mock_scenario::while_made(100, make, |number| number * number);
/// assert_eq!((squares.len(), squares[999]), (1_000, 998_001));
/// ```
pub fn while_made<T: Send, R: Send>(
    for_a_thread: usize,
    make: impl FnOnce(&mut dyn FnMut(T)),
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let (send, receive) = channel::<(usize, Vec<T>)>();
    let (receive, parts) = (Mutex::new(receive), Mutex::new(Vec::new()));
    let help = || {
        while let Some((number, items)) = next(&receive) {
            let done: Vec<R> = items.into_iter().map(&work).collect();
            parts.lock().unwrap_or_else(PoisonError::into_inner).push((number, done));
        }
    };
    scope(|scope| {
        let (size, others) = (for_a_thread.max(1), computing_threads() - 1);
        let (mut part, mut number) = (Vec::new(), 0);
        make(&mut |item| {
            part.push(item);
            if part.len() < size {
                return;
            }
            if number == 0 {
                (0..others).for_each(|_| drop(scope.spawn(help)));
            }
            // The receiver lives as long as this.
            let _ = send.send((number, std::mem::take(&mut part)));
            number += 1;
        });
        let _ = send.send((number, part));
        drop(send);
        help();
    });
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|(number, _)| *number);
    parts.into_iter().flat_map(|(_, done)| done).collect()
}

fn next<T>(receive: &Mutex<Receiver<T>>) -> Option<T> {
    receive.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_keeps_its_order_however_it_is_parted() {
        for (items, for_a_thread) in [(0, 1), (1, 1), (7, 3), (1_000, 1), (1_000, 64), (5, 100), (10, 0)] {
            let make = |push: &mut dyn FnMut(u32)| (0..items).for_each(push);
            let wanted: Vec<String> = (0..items).map(|item| item.to_string()).collect();
            assert_eq!(while_made(for_a_thread, make, |item| item.to_string()), wanted);
        }
    }
}
