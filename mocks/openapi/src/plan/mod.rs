//! What to generate for a schema. A plan promises that whatever is made by it is valid; all kinds of
//! output (templates, examples, patterns) come from plans.

mod arrays;
mod build;
mod check;
mod fitting;
mod flat;
mod form;
mod merge;
mod numbers;
mod objects;
mod sample;
mod template;
mod texts;
mod xml;

use std::sync::Arc;

use serde_json::Value;

use crate::schema::{Fitted, Format, Pattern, SchemaId, Xml};

pub(crate) use build::{PlanError, Planner};
pub(crate) use flat::{Flat, scalar_pattern};
pub(crate) use form::form_template;
pub(crate) use sample::Sampler;
pub(crate) use template::{Escape, escaped_text, form_encoded, json_template, list_template, text_template};
pub(crate) use xml::{xml_name, xml_template};

/// What to generate.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) node: PlanNode,
    /// How many values it consists of.
    pub(crate) size: u32,
    /// Nothing was left out because it is too deep.
    pub(crate) complete: bool,
    /// The schemas for which all its values are known to be valid.
    pub(crate) proven: Box<[SchemaId]>,
    pub(crate) xml: Option<Arc<Xml>>,
    /// What the schema is called.
    pub(crate) name: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) enum PlanNode {
    Literal(Value),
    /// One of these.
    Choice(Vec<Value>),
    Boolean,
    /// Both ends included.
    Integer {
        min: i64,
        max: i64,
    },
    /// Without the upper end.
    Fraction {
        min: f64,
        max: f64,
    },
    Text(Text),
    Array {
        prefix: Vec<Arc<Plan>>,
        item: Option<Arc<Plan>>,
        min: u64,
        max: u64,
    },
    Object(Vec<(Box<str>, Arc<Plan>)>),
    /// Some object, of which nothing is wanted.
    FreeObject,
}

/// A text, its length in characters, and what is known of it.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) source: TextSource,
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) pattern: Option<Arc<Pattern>>,
    pub(crate) format: Option<&'static Format>,
}

#[derive(Debug)]
pub(crate) enum TextSource {
    Format(&'static Format),
    Pattern(Fitted),
    /// Letters and digits, as many as the length of the text says.
    Characters,
    /// Three words.
    Words,
}

impl Plan {
    fn leaf(node: PlanNode) -> Plan {
        Plan { node, size: 1, complete: true, proven: Box::default(), xml: None, name: None }
    }

    fn literal(value: Value) -> Plan {
        let size = size_of(&value);
        Plan { size, ..Plan::leaf(PlanNode::Literal(value)) }
    }
}

fn size_of(value: &Value) -> u32 {
    match value {
        Value::Array(items) => items.iter().fold(1, |sum: u32, item| sum.saturating_add(size_of(item))),
        Value::Object(members) => {
            members.values().fold(1, |sum: u32, item| sum.saturating_add(size_of(item)))
        }
        _ => 1,
    }
}
