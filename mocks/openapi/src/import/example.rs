//! Example values of parameters and bodies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use api_mock_scenario::literal;
use serde_json::Value;

use crate::plan::{Flat, PlanError, Planner, Sampler};
use crate::schema::{Direction, SchemaId, Schemas};
use crate::spec::{Location, Parameter, Style};

/// A planner that several use.
pub(crate) type SharedPlanner<'s> = Rc<RefCell<Planner<'s>>>;

/// Planners for what is sent and for what is answered: the same one, if there is no difference.
pub(crate) fn planners(schemas: &Schemas, value_examples: bool) -> (SharedPlanner<'_>, SharedPlanner<'_>) {
    let planner = |direction, examples| Rc::new(RefCell::new(Planner::new(schemas, direction, examples)));
    let requests = planner(Direction::Request, true);
    if value_examples && !schemas.have_directions() {
        return (requests.clone(), requests);
    }
    (requests, planner(Direction::Response, value_examples))
}

/// Makes example values, which are valid and always the same.
pub(crate) struct Examples<'s> {
    planner: SharedPlanner<'s>,
    schemas: &'s Schemas,
    flat: Flat<'s>,
    known: HashMap<SchemaId, Result<Value, PlanError>>,
    patterns: HashMap<SchemaId, Rc<str>>,
    texts: HashMap<SchemaId, Rc<str>>,
}

impl<'s> Examples<'s> {
    pub(crate) fn new(schemas: &'s Schemas, planner: SharedPlanner<'s>) -> Self {
        let flat = Flat::new(schemas, Direction::Request);
        let (known, patterns, texts) = (HashMap::new(), HashMap::new(), HashMap::new());
        Examples { planner, schemas, flat, known, patterns, texts }
    }

    /// The first valid example that is given, or a valid value.
    pub(crate) fn value(&mut self, schema: SchemaId, given: &[Value]) -> Result<Value, PlanError> {
        let valid = |value: &&Value| self.schemas.is_valid(schema, value, Direction::Request);
        if let Some(value) = given.iter().find(valid) {
            return Ok(value.clone());
        }
        if let Some(known) = self.known.get(&schema) {
            return known.clone();
        }
        let value =
            self.planner.borrow_mut().body(schema).map(|plan| Sampler::new(u64::from(schema.0)).value(&plan));
        self.known.insert(schema, value.clone());
        value
    }

    /// The value as an XML document.
    pub(crate) fn xml(&self, schema: SchemaId, value: &Value) -> String {
        crate::request::xml_document(self.schemas, schema, value)
    }

    /// The value as JSON, as it stands in a file.
    pub(crate) fn json(&mut self, schema: SchemaId, given: &[Value]) -> Rc<str> {
        if let Some(known) = self.texts.get(&schema).filter(|_| given.is_empty()) {
            return known.clone();
        }
        let text = self.value(schema, given).ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
        let text: Rc<str> = literal(&text.unwrap_or_default()).into();
        if given.is_empty() {
            self.texts.insert(schema, text.clone());
        }
        text
    }

    /// The patterns of the members of a body, as they stand in a file.
    pub(crate) fn patterns(&mut self, schema: SchemaId) -> Rc<str> {
        if let Some(known) = self.patterns.get(&schema) {
            return known.clone();
        }
        let patterns: Rc<str> = literal(&self.flat.of(schema, None)).into();
        self.patterns.insert(schema, patterns.clone());
        patterns
    }

    /// What a parameter is sent as: names and values. Empty texts in paths are avoided, since
    /// a path without its variable is another path.
    pub(crate) fn parameter(&mut self, parameter: &Parameter) -> Option<Vec<(String, String)>> {
        let value = self.value(parameter.schema, &parameter.examples).ok()?;
        Some(written(parameter, &value))
    }
}

/// A scalar without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A value in the style of its parameter.
pub(crate) fn written(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let name = parameter.name.clone();
    if parameter.media.is_some() {
        return vec![(name, value.to_string())];
    }
    let one = |text: String| vec![(name.clone(), text)];
    let separator = match parameter.style {
        Style::Space => " ",
        Style::Pipe => "|",
        Style::Tab => "\t",
        Style::Label if parameter.explode => ".",
        Style::Matrix if parameter.explode => ";",
        _ => ",",
    };
    let repeats = parameter.explode && matches!(parameter.location, Location::Query | Location::Cookie);
    match value {
        Value::Array(items) if repeats => items.iter().map(|item| (name.clone(), plain(item))).collect(),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| match parameter.style {
                    Style::Matrix if parameter.explode => format!("{name}={}", plain(item)),
                    _ => plain(item),
                })
                .collect();
            one(prefixed(parameter, items.join(separator)))
        }
        Value::Object(members) if parameter.style == Style::DeepObject => {
            members.iter().map(|(key, value)| (format!("{name}[{key}]"), plain(value))).collect()
        }
        Value::Object(members) if repeats => {
            members.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
        Value::Object(members) => {
            let between = if parameter.explode { "=" } else { "," };
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}{between}{}", plain(value))).collect();
            one(prefixed(parameter, members.join(separator)))
        }
        scalar => one(prefixed(parameter, plain(scalar))),
    }
}

fn prefixed(parameter: &Parameter, text: String) -> String {
    match parameter.style {
        Style::Label => format!(".{text}"),
        Style::Matrix if parameter.explode && text.contains('=') => format!(";{text}"),
        Style::Matrix => format!(";{}={text}", parameter.name),
        _ => text,
    }
}
