//! Locks in Redis 6.2 or newer, Valkey, or a Redis Cluster of either.
//!
//! Each operation is one Lua script, so one round trip and atomic; time is the server's. All keys of a lock share a hash
//! tag, so that they lie in one slot of a cluster. Waiters are woken by pub/sub. What is and what is not guaranteed: README.md.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | URLs, TLS, timeouts |
//! | `connection` | one multiplexed connection that mends itself, or a cluster's |
//! | `repository` | [`RedisRepository`], the store |
//! | `statements` | the scripts and the keys they work on |
//! | `calls` | a request as keys and arguments of a script, and its reply |
//! | `wire` | running scripts, for one call and for many |
//! | `batch` | many calls of one process in one script |
//! | `codec` | replies of the scripts -> rows |
//! | `bells` | waiters that the server has called |
//! | `error` | the driver's errors -> [`LockError`](db_locks_core::LockError) |
#![forbid(unsafe_code)]

mod batch;
mod bells;
mod calls;
mod codec;
mod config;
mod connection;
mod error;
mod fenced;
mod repository;
mod statements;
mod wire;

pub use repository::RedisRepository;
