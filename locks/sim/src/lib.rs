//! Deterministic simulation of db-locks.
//!
//! A schedule runs the real client code (manager, both stores, guards with their renewer) of several processes against a
//! [store in memory](MemoryRepository) that obeys the lock protocol, on tokio's virtual clock. Between the two stands a
//! network that delays, loses and repeats requests, loses answers, and rings bells late or never; processes are paused and
//! crash; the server is restarted and its clock put forward. All that happens follows from one number, the seed, so
//! that [`run`] with the same seed gives the same history, byte for byte. Each history is held to the invariants.
//!
//! ```
//! use db_locks_sim::{Defect, run};
//!
//! let outcome = run(42, Defect::Nothing)?;
//! assert_eq!(outcome.violation, None);
//! assert_eq!(outcome.trace(), run(42, Defect::Nothing)?.trace());
//! # Ok::<(), db_locks_core::LockError>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod client;
mod defect;
mod history;
mod memory;
mod network;
mod rng;
mod schedule;

pub use check::Violation;
pub use defect::Defect;
pub use memory::{MemoryRepository, SharedMemory};
pub use schedule::{Outcome, run};
