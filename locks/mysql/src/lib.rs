//! db-locks on MySQL 8 and MariaDB 10.6+.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | the forms of the URL, TLS; the names of the tables |
//! | `repository` | [`MysqlRepository`], the traits of `db-locks-core` |
//! | `pool` | connections: at most so many, none that is in doubt |
//! | `statements` | one `CALL` an operation; the rules themselves are the stored procedures of `migrations/` |
//! | `together` | the SQL of many operations in one transaction |
//! | `usual` | the same in one statement, where all are of the usual kind |
//! | `batch` | which calls go together |
//! | `server` | one statement, or one message of several, in time |
//! | `codec` | rows to records |
//! | `error` | what the server and the driver say, as `LockError` |
//! | `migrations` | tables and procedures |
//!
//! README.md says what is guaranteed and what it costs.
#![forbid(unsafe_code)]

mod batch;
mod codec;
mod config;
mod error;
mod fenced;
mod handle;
mod migrations;
mod pool;
mod repository;
mod server;
mod statements;
mod together;
mod usual;

pub use repository::MysqlRepository;
