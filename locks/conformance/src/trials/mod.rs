//! The trials, by subject.

use crate::harness::Spec;

mod mutex;

/// Every trial of the suite.
pub(crate) fn all() -> Vec<Spec> {
    [mutex::trials()].into_iter().flatten().collect()
}
