#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod disk;
mod error;
mod groups;
mod load;
mod options;
mod snapshot;
mod specifications;
mod store;
mod watch;

pub use error::{LoadProblem, StoreError, StoreErrorKind};
pub use load::is_scenario;
pub use options::StoreOptions;
pub use snapshot::{FixtureFolder, Snapshot, Stored, StoredFixture};
pub use specifications::KeptSpecification;
pub use store::{Checked, Store};
