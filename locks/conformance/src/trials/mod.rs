//! The trials, by subject.

use crate::harness::Spec;

mod data;
mod fairness;
mod input;
mod leases;
mod mutex;
mod semaphore;
mod store;

/// Every trial of the suite.
pub(crate) fn all() -> Vec<Spec> {
    let groups = [
        store::trials(),
        mutex::trials(),
        semaphore::trials(),
        data::trials(),
        leases::trials(),
        input::trials(),
        fairness::trials(),
    ];
    groups.into_iter().flatten().collect()
}
