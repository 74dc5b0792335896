#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod id;
pub mod internet;
pub mod json;
pub mod number;
mod pattern;
pub mod person;
pub mod place;
mod rng;
pub mod text;
mod words;

pub use pattern::{Pattern, PatternError, PatternLimits, strip_type_tags};
pub use rng::Rng;
