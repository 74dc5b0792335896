#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod miss;
mod request;

pub use miss::{NearMiss, Reason};
pub use request::Request;
