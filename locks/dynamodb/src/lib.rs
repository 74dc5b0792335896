//! db-locks on Amazon DynamoDB.
//!
//! One item a lock; acquire, renew and release are one conditional `UpdateItem` each. DynamoDB has no clock that an
//! expression could read, so nobody takes over a held slot before he has himself watched its revision stand still for a
//! whole lease. What is guaranteed, and what it costs, is in this crate's README.
#![forbid(unsafe_code)]

mod acquire;
mod admin;
mod codec;
mod config;
mod error;
mod fenced;
mod held;
mod migrations;
mod observe;
mod reads;
mod renewals;
mod repository;
mod rules;
mod statements;

pub use repository::DynamoRepository;
