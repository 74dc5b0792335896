//! The server on real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod chaos;
mod defects;
mod encrypted;
mod ending;
mod faults;
mod forward;
mod recording;
mod reference_files;
mod specifications;
mod validation;
mod walk_through;
mod wire;
