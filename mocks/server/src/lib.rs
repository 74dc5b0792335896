#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admin;
mod body;
mod config;
mod documents;
mod error;
mod fault;
mod forward;
mod kept;
mod listen;
mod metrics;
mod problem;
mod rarely;
mod recording;
mod refused;
mod reply;
mod rim;
mod routes;
mod server;
mod specification;
mod tls;
mod validation;
mod watch;

pub use config::{AdminToken, Credentials, OnAnswer, RecordingConfig, ServerConfig, ServerLimits, Timeouts};
pub use documents::WebDocuments;
pub use error::StartError;
pub use listen::Ended;
pub use server::Server;
pub use specification::{ImportReport, LeftOut, Reported, SpecificationError, import_specification};
pub use tls::Identity;
