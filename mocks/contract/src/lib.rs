#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod body;
mod client;
mod curl;
mod make;
mod options;
mod parts;
mod plan;
mod reach;
mod report;
mod run;
mod secret;
mod source;

pub use options::{Data, RunError, RunOptions};
pub use reach::Reach;
pub use report::{Failure, Report, ScenarioReport};
pub use run::{Progress, run};
pub use source::{Contract, of_group};
