//! One behaviour suite that every db-locks store runs.
//!
//! A store describes itself as a [`Backend`], and its `tests/conformance.rs` is three lines:
//! `fn main() -> ExitCode { db_locks_conformance::main(vec![Box::new(MyBackend)]) }`.
//! Each trial has a name (`postgres::semaphore::resize_refuses_held_slot`), a tenant of its own and a runtime of its own, so
//! trials run in parallel, in one process or (cargo-nextest) each in its own. What a store cannot do is listed as ignored,
//! with the reason in brackets; a server that is missing makes its trials fail.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

mod backend;
mod failure;
mod fixture;
mod harness;
mod history;
mod process;
mod proxy;
mod roles;
mod server;
mod trials;
mod witness;
mod work;

pub use backend::{Backend, Store};

/// The `main` of a store's conformance test: runs the suite on each backend, or (when the suite has started this program
/// again as another process of a trial) plays the part that the environment names.
pub fn main(backends: Vec<Box<dyn Backend>>) -> ExitCode {
    let backends: Vec<Arc<dyn Backend>> = backends.into_iter().map(Arc::from).collect();
    roles::play(&backends).unwrap_or_else(|| harness::run(backends))
}

/// Runs the trial `name` (`mutex::acquire_creates`) on `backend`: for those who check the suite itself.
///
/// # Errors
/// Outside, when there is no such trial or it cannot hold on `backend`; inside, why the trial failed.
pub fn run_one(backend: Arc<dyn Backend>, name: &str) -> Result<Result<(), String>, String> {
    harness::run_one(backend, name)
}
