#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod background;
mod builder;
mod calls;
mod error;
mod files;
mod journal;
mod mock;
mod pattern;
mod reply;
mod server;
mod unmet;

pub use api_mock_engine::{NearMiss, Reason, Request};
pub use api_mock_scenario::Scenario;
pub use api_mock_server::{ServerConfig, ServerLimits, Timeouts};
pub use builder::MockServerBuilder;
pub use calls::{Calls, Times};
pub use error::{MountError, StartError};
pub use journal::{Outcome, ReceivedRequest};
pub use mock::{Call, Mock, Source, delete, get, head, options, patch, post, put, request};
pub use reply::Reply;
pub use server::MockServer;
pub use unmet::Unmet;

/// The page for users, whose examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/mocks/use-from-rust.md")]
struct UseFromRust;
