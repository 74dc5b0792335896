//! Scenarios as JSON, and from anything that serde reads, by the names of the blog's files.

use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::fault::FaultRule;
use crate::model::{Contents, Extra, RequestRules, ResponsePlan, Scenario, Status, Wait};
use crate::node::Node;
use crate::read::Fields;

fn put<M: SerializeMap, T: Serialize + ?Sized>(map: &mut M, key: &str, value: &T) -> Result<(), M::Error> {
    map.serialize_entry(key, value)
}

fn put_extra<M: SerializeMap>(map: &mut M, extra: &Extra) -> Result<(), M::Error> {
    extra.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, "method", &self.method)?;
        put(&mut map, "name", &self.name)?;
        put(&mut map, "path", &self.path)?;
        put(&mut map, "description", &self.description)?;
        put(&mut map, "group", &self.group)?;
        put(&mut map, "predicate", &self.predicate)?;
        if self.order != 0 {
            put(&mut map, "order", &self.order)?;
        }
        if !self.tags.is_empty() {
            put(&mut map, "tags", &self.tags)?;
        }
        put(&mut map, "request", &self.request)?;
        put(&mut map, "response", &self.response)?;
        put(&mut map, "wait_before_reply", &self.wait_before_reply)?;
        if !self.faults.is_empty() {
            let faults: Vec<_> = self.faults.iter().map(FaultRule::to_json).collect();
            put(&mut map, "faults", &faults)?;
        }
        put_extra(&mut map, &self.extra)?;
        map.end()
    }
}

impl Serialize for RequestRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, "match_query_params", &self.match_query_params)?;
        put(&mut map, "match_headers", &self.match_headers)?;
        put(&mut map, "match_content_type", &self.match_content_type)?;
        put(&mut map, "match_contents", &self.match_contents)?;
        put(&mut map, "example_path_params", &self.example_path_params)?;
        put(&mut map, "example_query_params", &self.example_query_params)?;
        put(&mut map, "example_headers", &self.example_headers)?;
        put(&mut map, "example_contents", &self.example_contents)?;
        if !self.assertions.is_empty() {
            put(&mut map, "assertions", &self.assertions)?;
        }
        put_extra(&mut map, &self.extra)?;
        map.end()
    }
}

impl Serialize for ResponsePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, "headers", &self.headers)?;
        put(&mut map, "content_type", &self.content_type)?;
        put(&mut map, "contents", &self.contents)?;
        put(&mut map, "contents_file", &self.contents_file)?;
        put(&mut map, "status_code", &self.status_code)?;
        put(&mut map, "match_headers", &self.match_headers)?;
        put(&mut map, "match_contents", &self.match_contents)?;
        put(&mut map, "assertions", &self.assertions)?;
        if !self.pipe_properties.is_empty() {
            put(&mut map, "pipe_properties", &self.pipe_properties)?;
        }
        put_extra(&mut map, &self.extra)?;
        map.end()
    }
}

/// Text, or `{"base64": "…"}`.
impl Serialize for Contents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, self.template_text()) {
            (_, Some(text)) => serializer.serialize_str(&text),
            (Contents::Literal(bytes), None) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                serializer.collect_map([("base64", text)])
            }
            (Contents::Template(text), None) => serializer.serialize_str(text),
        }
    }
}

/// Nanoseconds, or the text of a template.
impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Wait::Fixed(duration) => {
                serializer.serialize_i64(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
            }
            Wait::Template(text) => serializer.serialize_str(text),
        }
    }
}

/// A number, or the text of a template.
impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Status::Fixed(status) => serializer.serialize_u16(*status),
            Status::Template(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::from_json(serde_json::Value::deserialize(deserializer)?);
        Fields { source: "", lenient: true }.scenario(&node).map_err(D::Error::custom)
    }
}
