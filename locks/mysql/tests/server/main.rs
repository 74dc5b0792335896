//! What is MySQL's own: round trips, migrations, rights, time-outs, TLS. The behaviour that all stores share is in `conformance.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod batches;
mod faults;
mod migrations;
mod private;
mod protocol;
mod rights;
mod round_trips;
mod support;
