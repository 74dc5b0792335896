#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod document;
mod documents;
mod import;
mod loader;
mod plan;
mod problem;
mod request;
mod schema;
mod spec;

pub use document::{DocumentError, parse_document};
pub use import::{
    Comparison, Fate, Import, ImportError, ImportOptions, Imported, Kept, Made, Stored, Update, compare,
    import, import_each, mark, parse, unmarked, update,
};
pub use loader::{LoadError, Loader, NoDocuments};
pub use problem::Problem;
pub use request::{Refused, RequestParts, RequestViolation, ResponseParts};
pub use schema::{Direction, SchemaId, Schemas, Violation};
pub use spec::{
    Api, Body, Header, Location, Media, Operation, Parameter, Requirement, Response, SecurityScheme, Style,
    Version,
};
