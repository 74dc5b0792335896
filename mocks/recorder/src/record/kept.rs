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

    pub(crate) fn add(&mut self, part: &Bytes) {
        let Some(parts) = &mut self.parts else { return };
        if self.length.saturating_add(part.len()) > self.most || !self.budget.take(part.len()) {
            self.parts = None;
            self.budget.give_back(std::mem::take(&mut self.length));
            return;
        }
        self.length += part.len();
        parts.push(part.clone());
    }

    /// All of it; `None` if there was too much. What it occupies counts until this is dropped.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match self.parts.as_deref()? {
            [] => Some(Bytes::new()),
            [one] => Some(one.clone()),
            parts => {
                let mut whole = BytesMut::with_capacity(self.length);
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                Some(whole.freeze())
            }
        }
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
