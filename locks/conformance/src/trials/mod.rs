//! The trials, by subject.

use crate::harness::Spec;

mod concurrency;
mod data;
mod fairness;
mod faults;
mod fenced;
mod histories;
mod input;
mod leases;
mod mutex;
mod outages;
mod semaphore;
mod store;
mod together;

/// Every trial of the suite.
pub(crate) fn all() -> Vec<Spec> {
    let groups = [
        store::trials(),
        mutex::trials(),
        semaphore::trials(),
        data::trials(),
        fenced::trials(),
        leases::trials(),
        input::trials(),
        fairness::trials(),
        concurrency::trials(),
        together::trials(),
        faults::trials(),
        outages::trials(),
        histories::trials(),
    ];
    groups.into_iter().flatten().collect()
}
