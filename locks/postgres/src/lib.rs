//! db-locks on PostgreSQL 13 and later: [`PostgresRepository`].
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | the URL taken apart: what is ours, what is the driver's |
//! | `tls` | `sslmode` and `sslrootcert` as libpq understands them |
//! | `statements` | the SQL that is sent, for one set of table names |
//! | `pool` | connections, timeouts, cancellation |
//! | `batch` | many calls of one process in one statement |
//! | `codec` | rows to [`db_locks_core::LockRecord`] |
//! | `error` | SQLSTATE to [`db_locks_core::LockError`] |
//! | `migrations` | tables and functions, embedded; the same files serve Diesel and psql |
//! | `bells` | wake-ups by LISTEN/NOTIFY |
//! | `repository` | the traits of [`db_locks_core::repository`] |
//!
//! The protocol itself is in `migrations/`: one function for each operation, so that each is one round trip and atomic.
#![forbid(unsafe_code)]

mod batch;
mod bells;
mod codec;
mod config;
mod error;
mod fenced;
mod migrations;
mod pool;
mod repository;
mod semaphores;
mod statements;
mod tls;

pub use repository::PostgresRepository;
