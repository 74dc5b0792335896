//! What a specification says, independent of its version: operations with parameters, bodies and
//! responses.

mod read;
mod responses;
mod security;
mod spot;
mod v2;
mod v3;

use serde_json::Value;

use crate::request::{Base, Router};
use crate::schema::{SchemaId, Schemas};

pub(crate) use read::{read, version};

/// The language of a specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3_0,
    /// OpenAPI 3.1 and later.
    V3_1,
}

/// A specification, ready for use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Api {
    /// What it is called.
    pub title: String,
    /// Which version of itself it is.
    pub version: String,
    /// The language that it is written in.
    pub language: Version,
    /// The path of its first server, without `/` at its end: empty, or for example `/v1`.
    pub base_path: String,
    /// In the order of the specification.
    pub operations: Vec<Operation>,
    /// All schemas of the operations.
    pub schemas: Schemas,
    /// How clients show who they are.
    pub security: Vec<SecurityScheme>,
    /// From paths to operations.
    pub(crate) router: Router,
    /// Whether that looks below the base path.
    pub(crate) base: Base,
}

/// A method of a path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The name that the specification gives it.
    pub id: Option<String>,
    /// In capitals.
    pub method: String,
    /// With `{name}` for its variables.
    pub path: String,
    /// The description, or the summary if there is none.
    pub description: String,
    /// What it is filed under.
    pub tags: Vec<String>,
    /// Those of the path and its own.
    pub parameters: Vec<Parameter>,
    /// What is sent.
    pub body: Option<Body>,
    /// In the order of the specification.
    pub responses: Vec<Response>,
    /// Alternatives; of each, all schemes are needed. None if anybody may call.
    pub security: Vec<Vec<Requirement>>,
    /// Where it stands.
    pub at: String,
}

/// Where a parameter is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Location {
    Path,
    Query,
    Header,
    Cookie,
}

/// How lists and objects are written in a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// `a,b`
    Simple,
    /// `x=a&x=b` or `x=a,b`
    Form,
    /// `a b`
    Space,
    /// `a|b`
    Pipe,
    /// `a<tab>b`
    Tab,
    /// `.a.b`
    Label,
    /// `;x=a,b`
    Matrix,
    /// `x[a]=b`
    DeepObject,
}

/// Something that is sent in the path, the query, a header or a cookie.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it is sent.
    pub location: Location,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What its value is like.
    pub schema: SchemaId,
    /// How lists and objects are written.
    pub style: Style,
    /// Whether each item or member is written for itself.
    pub explode: bool,
    /// The media type of its value, if that is written as one.
    pub media: Option<String>,
    /// Values that it may have.
    pub examples: Vec<Value>,
}

/// The body of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Body {
    /// Whether a request without it is refused.
    pub required: bool,
    /// In the order of the specification.
    pub content: Vec<Media>,
}

/// A body in one media type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Media {
    /// The media type, `application/json`.
    pub name: String,
    /// What the body is like.
    pub schema: Option<SchemaId>,
    /// Bodies, with their names if they have some.
    pub examples: Vec<(Option<String>, Value)>,
}

/// What is answered with one status.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// `200`, `2XX` or `default`.
    pub status: String,
    /// What it means.
    pub description: String,
    /// In the order of the specification, without `Content-Type`.
    pub headers: Vec<Header>,
    /// In the order of the specification; none if there is no body.
    pub content: Vec<Media>,
    /// Where it stands.
    pub at: String,
}

/// A header of a response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Whether it is always there.
    pub required: bool,
    /// What its value is like.
    pub schema: SchemaId,
    /// How lists and objects are written.
    pub style: Style,
    /// Whether members of objects are written as `name=value`.
    pub explode: bool,
    /// The media type of its value, if that is JSON.
    pub media: Option<String>,
    /// Values that it may have.
    pub examples: Vec<Value>,
}

/// A way for clients to show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityScheme {
    /// The name by which operations ask for it.
    pub name: String,
    /// `apiKey`, `http`, `oauth2`, `openIdConnect`, `mutualTLS`.
    pub kind: String,
    /// The name of the header, the query parameter or the cookie of an `apiKey`.
    pub key: String,
    /// Where the `apiKey` is sent: `header`, `query` or `cookie`.
    pub location: String,
    /// `basic` or `bearer`, for `http`.
    pub scheme: String,
    /// What a bearer token is, `JWT`.
    pub format: String,
    /// Where tokens come from.
    pub url: String,
    /// What it is about.
    pub description: String,
    /// All scopes that there are.
    pub scopes: Vec<String>,
}

/// One scheme that an operation wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which of [`Api::security`].
    pub name: String,
    /// With which scopes.
    pub scopes: Vec<String>,
}

impl Header {
    /// As if it were sent.
    pub(crate) fn as_parameter(&self) -> Parameter {
        Parameter {
            name: self.name.clone(),
            location: Location::Header,
            required: self.required,
            schema: self.schema,
            style: self.style,
            explode: self.explode,
            media: self.media.clone(),
            examples: Vec::new(),
        }
    }
}

impl Media {
    /// Whether bodies are JSON. A range such as `*/*` counts as JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        is_json(&self.name)
    }
}

pub(crate) fn is_json(media: &str) -> bool {
    let name = essence(media);
    matches!(name.as_str(), "application/json" | "text/json" | "*/*" | "application/*" | "application/x-json")
        || name.ends_with("+json")
}

pub(crate) fn is_xml(media: &str) -> bool {
    let name = essence(media);
    name.ends_with("/xml") || name.ends_with("+xml")
}

/// The media type in small letters, without parameters.
pub(crate) fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a name is that of a media type, or of a range of them.
pub(crate) fn is_media_type(name: &str) -> bool {
    let is_token = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    essence(name).split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of))
}

/// Whether a media type is one that a specification names, perhaps as a range.
pub(crate) fn media_fits(range: &str, media: &str) -> bool {
    let (range, media) = (essence(range), essence(media));
    if range == "*/*" || range == media {
        return true;
    }
    range.strip_suffix("/*").is_some_and(|kind| media.split('/').next() == Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_and_their_ranges() {
        assert!(is_json("application/json; charset=utf-8") && is_json("application/vnd.api+json"));
        assert!(!is_json("application/xml"));
        assert!(media_fits("application/*", "Application/XML") && media_fits("*/*", "a/b"));
        assert!(!media_fits("text/*", "application/json"));
        assert!(
            ["*/*", "text/plain; charset=utf-8", "Application/vnd.a+json"]
                .iter()
                .all(|name| is_media_type(name))
        );
        assert!(!["not a type", "json", "/json", "text/", "a/b/c"].iter().any(|name| is_media_type(name)));
    }
}
