//! Example values of parameters and bodies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use api_mock_scenario::literal;
use serde_json::Value;

use crate::plan::{
    Escape, Flat, Plan, PlanError, PlanNode, Planner, Sampler, form_encoded, form_template, json_template,
    text_template, xml_template,
};
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

/// Makes examples as they stand in files: what the specification gives, or templates that make valid values.
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

    /// The first valid example that is given.
    fn given<'v>(&self, schema: SchemaId, given: &'v [Value]) -> Option<&'v Value> {
        given.iter().find(|value| self.schemas.is_valid(schema, value, Direction::Request))
    }

    fn plan(&self, schema: SchemaId) -> Result<Arc<Plan>, PlanError> {
        self.planner.borrow_mut().body(schema)
    }

    /// The first valid example that is given, or a valid value, which is always the same.
    fn value(&mut self, schema: SchemaId, given: &[Value]) -> Result<Value, PlanError> {
        if let Some(value) = self.given(schema, given) {
            return Ok(value.clone());
        }
        if let Some(known) = self.known.get(&schema) {
            return known.clone();
        }
        let value = self.plan(schema).map(|plan| Sampler::new(u64::from(schema.0)).value(&plan));
        self.known.insert(schema, value.clone());
        value
    }

    /// A body of JSON.
    pub(crate) fn json(&mut self, schema: SchemaId, given: &[Value]) -> Rc<str> {
        if let Some(value) = self.given(schema, given) {
            return literal(&serde_json::to_string_pretty(value).unwrap_or_default()).into();
        }
        if let Some(known) = self.texts.get(&schema) {
            return known.clone();
        }
        let text: Rc<str> = self.plan(schema).map(|plan| json_template(&plan)).unwrap_or_default().into();
        self.texts.insert(schema, text.clone());
        text
    }

    /// A form.
    pub(crate) fn form(&self, schema: SchemaId, given: &[Value]) -> String {
        match self.given(schema, given) {
            Some(value) => literal(&form(value)),
            None => match self.plan(schema) {
                Ok(plan) if is_flat(&plan) => form_template(&plan),
                // Objects stand in forms as JSON.
                Ok(plan) => literal(&form(&Sampler::new(u64::from(schema.0)).value(&plan))),
                Err(_) => String::new(),
            },
        }
    }

    /// XML; in specifications an example of it stands as text, or as a value.
    pub(crate) fn xml(&self, schema: SchemaId, given: &[Value]) -> String {
        let written = given.iter().filter_map(Value::as_str).find(|text| text.trim_start().starts_with('<'));
        match (written, self.given(schema, given)) {
            (Some(text), _) => literal(text),
            (None, Some(value)) => literal(&crate::request::xml_document(self.schemas, schema, value)),
            (None, None) => self.plan(schema).map(|plan| xml_template(&plan)).unwrap_or_default(),
        }
    }

    /// A text; nothing if it is something else.
    pub(crate) fn text(&self, schema: SchemaId, given: &[Value]) -> String {
        if let Some(value) = self.given(schema, given) {
            return value.as_str().map(literal).unwrap_or_default();
        }
        let plan = self.plan(schema).ok().filter(|plan| is_scalar(plan));
        plan.map(|plan| text_template(&plan, Escape::None)).unwrap_or_default()
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

    /// What a parameter is sent as: names and values. Those of which no example is given are drawn anew for each
    /// request, if there is a template that does so. Empty texts in paths are avoided, since a path without its variable is another path.
    pub(crate) fn parameter(&mut self, parameter: &Parameter) -> Option<Vec<(String, String)>> {
        let plain = parameter.media.is_none() && !matches!(parameter.style, Style::Label | Style::Matrix);
        if self.given(parameter.schema, &parameter.examples).is_none() {
            let plan = self.plan(parameter.schema).ok()?;
            if plain && is_scalar(&plan) {
                return Some(vec![(parameter.name.clone(), text_template(&plan, Escape::None))]);
            }
            if let Some(drawn) = super::drawn::drawn(parameter, &plan) {
                return Some(drawn);
            }
        }
        let value = self.value(parameter.schema, &parameter.examples).ok()?;
        let written = written(parameter, &value).into_iter();
        Some(written.map(|(name, value)| (name, literal(&value))).collect())
    }
}

/// An object of scalars and lists of scalars.
fn is_flat(plan: &Plan) -> bool {
    let is_flat = |plan: &Plan| match &plan.node {
        PlanNode::Array { prefix, item, .. } => prefix.iter().chain(item).all(|plan| is_scalar(plan)),
        PlanNode::Literal(Value::Array(items)) => {
            items.iter().all(|item| !item.is_object() && !item.is_array())
        }
        _ => is_scalar(plan),
    };
    match &plan.node {
        PlanNode::Object(members) => members.iter().all(|(_, plan)| is_flat(plan)),
        _ => true,
    }
}

fn is_scalar(plan: &Plan) -> bool {
    match &plan.node {
        PlanNode::Literal(value) => !value.is_object() && !value.is_array(),
        PlanNode::Choice(values) => values.iter().all(|value| !value.is_object() && !value.is_array()),
        PlanNode::Boolean | PlanNode::Integer { .. } | PlanNode::Fraction { .. } | PlanNode::Text(_) => true,
        PlanNode::Array { .. } | PlanNode::Object(_) | PlanNode::FreeObject => false,
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

/// An object as a form.
fn form(value: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| match value {
        Value::Array(items) => {
            let each =
                items.iter().map(|item| format!("{}={}", form_encoded(name), form_encoded(&plain(item))));
            each.collect::<Vec<_>>().join("&")
        }
        value => format!("{}={}", form_encoded(name), form_encoded(&plain(value))),
    };
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(pair)
        .filter(|pair| !pair.is_empty())
        .collect::<Vec<_>>()
        .join("&")
}

/// What stands between items.
pub(super) fn separator(style: Style, explode: bool) -> &'static str {
    match style {
        Style::Space => " ",
        Style::Pipe => "|",
        Style::Tab => "\t",
        Style::Label if explode => ".",
        Style::Matrix if explode => ";",
        _ => ",",
    }
}

/// A value in the style of its parameter.
pub(crate) fn written(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let name = parameter.name.clone();
    if parameter.media.is_some() {
        return vec![(name, value.to_string())];
    }
    let one = |text: String| vec![(name.clone(), text)];
    let separator = separator(parameter.style, parameter.explode);
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
