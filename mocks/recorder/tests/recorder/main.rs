//! Recording: what is written, and the proxy with real sockets.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clients;
mod files;
mod origin;
mod protocols;
mod proxy;
mod secrets;
mod support;
mod upstream;
mod wire;
