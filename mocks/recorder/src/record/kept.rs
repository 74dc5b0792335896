//! What is kept of bodies on their way, within a budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// What all kept bodies may occupy together.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Budget { left: AtomicUsize::new(bytes) }
    }

    fn take(&self, bytes: usize) -> bool {
        let took =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        took.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The parts of a body so far. What it occupies is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    budget: Arc<Budget>,
    most: usize,
    length: usize,
    /// `None` once there was too much.
    parts: Option<Vec<Bytes>>,
}

impl Kept {
    pub(crate) fn new(budget: Arc<Budget>, most: usize) -> Self {
        Kept { budget, most, length: 0, parts: Some(Vec::new()) }
    }

    /// What does not fit means that nothing is kept.
    pub(crate) fn add(&mut self, part: &Bytes) {
        if !self.add_if_room(part) {
            self.parts = None;
            self.budget.give_back(std::mem::take(&mut self.length));
        }
    }

    /// As `add`, but what is too much changes nothing; says whether there was room.
    pub(crate) fn add_if_room(&mut self, part: &Bytes) -> bool {
        let Some(parts) = &mut self.parts else { return false };
        if self.length.saturating_add(part.len()) > self.most || !self.budget.take(part.len()) {
            return false;
        }
        self.length += part.len();
        parts.push(part.clone());
        true
    }

    /// The most that may be kept.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// All of it; `None` if there was too much. What it occupies counts until this is dropped.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        let parts = self.parts.as_mut()?;
        if let [_, _, ..] = parts.as_slice() {
            let mut whole = BytesMut::with_capacity(self.length);
            parts.drain(..).for_each(|part| whole.extend_from_slice(&part));
            parts.push(whole.freeze());
        }
        Some(parts.first().cloned().unwrap_or_default())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.give_back(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l04_what_is_kept_is_bounded_and_given_back() {
        let budget = Arc::new(Budget::new(10));
        let mut one = Kept::new(Arc::clone(&budget), 8);
        one.add(&Bytes::from_static(b"abcd"));
        one.add(&Bytes::from_static(b"ef"));
        assert_eq!(one.whole().as_deref(), Some(&b"abcdef"[..]));
        let mut two = Kept::new(Arc::clone(&budget), 8);
        two.add(&Bytes::from_static(b"12345"));
        assert_eq!(two.whole(), None);
        one.add(&Bytes::from_static(b"ghi"));
        assert_eq!(one.whole(), None);
        drop((one, two));
        assert!(budget.take(10) && !budget.take(1));
    }
}
