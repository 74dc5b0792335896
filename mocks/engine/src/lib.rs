#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod block;
mod compare;
mod compiled;
mod data;
mod engine;
mod fault;
mod group;
mod head;
mod key_data;
mod lanes;
mod needs;
mod plan;
mod problem;
mod text;

pub use answer::{Answer, Invalid, REQUEST_COUNT, Refusal};
pub use api_mock_matcher::{InvalidPattern, MatchOptions, NearMiss, Reason, Request, invalid_patterns};
pub use api_mock_scenario::ConnectionFault;
pub use engine::{Clock, Engine, EngineOptions, check};
pub use fault::{CHAOS_ENABLED, FAULT, FaultEffects, FaultPlan, InjectedFault, Replacement};
pub use key_data::KeyData;
pub use lanes::Lanes;
pub use problem::RenderProblem;
