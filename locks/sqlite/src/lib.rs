//! db-locks on SQLite: the embedded default, which needs no server, and the store to read first: its rules are Rust.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | the forms of the URL; the names of the tables |
//! | `clock` | [`Clock`]: the machine's clocks; the lease clock that is made of them |
//! | `repository` | [`SqliteRepository`], the traits of `db-locks-core` |
//! | `writer` | the thread that owns the connection, and group commit |
//! | `session` | the connection: opening it, transactions, the lease clock |
//! | `acquire`, `queue`, `keep`, `admin` | the protocol: grants; waiters; renewal and release; creating, reading, deleting |
//! | `statements`, `codec` | the SQL; rows to records |
//! | `error` | what SQLite says, as `LockError` |
//! | `migrations` | the tables |
//!
//! README.md says what is guaranteed and what it costs.
#![forbid(unsafe_code)]

mod acquire;
mod admin;
mod clock;
mod codec;
mod config;
mod error;
mod fenced;
mod keep;
mod migrations;
mod queue;
mod repository;
mod session;
mod spin;
mod statements;
mod writer;

pub use clock::{Clock, SystemClock};
pub use repository::{SqliteOptions, SqliteRepository, Stats};
