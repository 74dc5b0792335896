#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod filter;
mod index;
mod invalid;
mod json;
mod miss;
mod parts;
mod pattern;
mod request;
mod rules;
mod segment;
mod sieve;
mod usage;

pub use answer::{BodyPattern, ValuePattern};
pub use filter::RequestFilter;
pub use index::{Choice, Entry, Index, Mismatch};
pub use invalid::{InvalidPattern, invalid_patterns};
pub use miss::{NearMiss, Reason};
pub use parts::{FormPart, boundary as form_boundary, form_parts, form_rule};
pub use request::Request;
pub use rules::MatchOptions;
pub use usage::Usage;
