#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod context;
mod error;
mod escape;
mod fmt;
mod functions;
mod parse;
mod program;
mod template;
pub mod time;
mod value;
mod vm;

pub use context::{Context, Limits};
pub use error::{Limit, Location, ParseError, ParseErrorKind, RenderError, RenderErrorKind};
pub use functions::{Arity, FuncError, Function, Functions};
pub use template::{MissingKey, Template, TemplateOptions, UnknownMissingKey};
pub use value::{List, Map, Value};
