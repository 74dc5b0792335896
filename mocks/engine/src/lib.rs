#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod engine;
mod problem;

pub use answer::{Answer, REQUEST_COUNT, Refusal};
pub use api_mock_matcher::{NearMiss, Reason, Request};
pub use engine::{Clock, Engine, EngineOptions, KeyData};
pub use problem::RenderProblem;
