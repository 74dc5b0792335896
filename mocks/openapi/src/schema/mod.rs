//! Schemas as a graph: every schema of the specification once, references resolved to numbers.

mod address;
mod bound;
mod compile;
mod formats;
mod parts;
mod pattern;
mod validate;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use bound::{Amount, Bound, EXACT, is_multiple, stricter, whole};
pub(crate) use compile::Compiler;
pub(crate) use formats::{Format, is_integral};
pub(crate) use pattern::{
    Fitted, Pattern, fit, for_search as pattern_for_search, is_certain as pattern_is_certain,
    is_plain as pattern_is_plain,
};
pub(crate) use validate::equal;
pub use validate::{Direction, Violation};

/// A schema of an [`crate::Api`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub(crate) u32);

/// All schemas of a specification.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    pub(crate) nodes: Vec<Schema>,
}

impl Schemas {
    pub(crate) fn get(&self, id: SchemaId) -> &Schema {
        static ANY: Schema = Schema::any();
        self.nodes.get(id.0 as usize).unwrap_or(&ANY)
    }

    /// How many schemas there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether anything is only read or only written.
    pub(crate) fn have_directions(&self) -> bool {
        self.nodes.iter().any(|schema| schema.read_only || schema.write_only)
    }

    /// What the specification calls a schema, if it has a name there.
    #[must_use]
    pub fn name(&self, id: SchemaId) -> Option<&str> {
        self.get(id).name.as_deref()
    }

    /// The schema that others only refer to.
    pub(crate) fn follow(&self, mut id: SchemaId) -> SchemaId {
        for _ in 0..64 {
            match self.get(id) {
                Schema { reference: Some(next), logic: None, .. } => id = *next,
                _ => break,
            }
        }
        id
    }
}

/// A set of JSON types; the empty one stands for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const ANY: Types = Types(0);
    pub(crate) const NULL: Types = Types(1);
    pub(crate) const BOOLEAN: Types = Types(2);
    pub(crate) const INTEGER: Types = Types(4);
    /// Numbers that are not integers.
    pub(crate) const FRACTION: Types = Types(8);
    pub(crate) const NUMBER: Types = Types(12);
    pub(crate) const STRING: Types = Types(16);
    pub(crate) const ARRAY: Types = Types(32);
    pub(crate) const OBJECT: Types = Types(64);
    const ALL: u8 = 127;

    pub(crate) fn named(name: &str) -> Option<Types> {
        Some(match name {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER,
            "string" => Types::STRING,
            "array" => Types::ARRAY,
            "object" => Types::OBJECT,
            _ => return None,
        })
    }

    pub(crate) fn of(value: &Value) -> Types {
        match value {
            Value::Null => Types::NULL,
            Value::Bool(_) => Types::BOOLEAN,
            Value::Number(number) if is_integral(number) => Types::INTEGER,
            Value::Number(_) => Types::FRACTION,
            Value::String(_) => Types::STRING,
            Value::Array(_) => Types::ARRAY,
            Value::Object(_) => Types::OBJECT,
        }
    }

    pub(crate) fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `other` is among these.
    pub(crate) fn allows(self, other: Types) -> bool {
        self.is_any() || self.0 & other.0 != 0
    }

    /// Whether all of `other` are among these.
    pub(crate) fn allows_all(self, other: Types) -> bool {
        self.is_any() || (!other.is_any() && self.0 & other.0 == other.0)
    }

    pub(crate) fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// What both allow; `None` if that is nothing.
    pub(crate) fn and(self, other: Types) -> Option<Types> {
        let bits = |types: Types| if types.is_any() { Types::ALL } else { types.0 };
        match bits(self) & bits(other) {
            0 => None,
            Types::ALL => Some(Types::ANY),
            both => Some(Types(both)),
        }
    }

    /// The same without null; all types but null if these are all.
    pub(crate) fn without_null(self) -> Types {
        Types(self.0 & !Types::NULL.0)
    }

    /// The names, for messages.
    pub(crate) fn names(self) -> String {
        let all = [
            (Types::NULL, "null"),
            (Types::BOOLEAN, "boolean"),
            (Types::NUMBER, "number"),
            (Types::INTEGER, "integer"),
            (Types::STRING, "string"),
            (Types::ARRAY, "array"),
            (Types::OBJECT, "object"),
        ];
        let mut left = self;
        let mut names = Vec::new();
        for (types, name) in all {
            if left.0 & types.0 == types.0 {
                left = Types(left.0 & !types.0);
                names.push(name);
            }
        }
        names.join(" or ")
    }
}

/// What values have to be like. Rules about types that a value does not have do not concern it.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) types: Types,
    /// Nothing is allowed.
    pub(crate) never: bool,
    /// Null is allowed, whatever else is said.
    pub(crate) nullable: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) name: Option<Box<str>>,
    pub(crate) reference: Option<SchemaId>,
    pub(crate) string: Option<Box<StringRules>>,
    pub(crate) number: Option<Box<NumberRules>>,
    pub(crate) array: Option<Box<ArrayRules>>,
    pub(crate) object: Option<Box<ObjectRules>>,
    pub(crate) logic: Option<Box<Logic>>,
    pub(crate) values: Option<Box<Values>>,
    pub(crate) xml: Option<Box<Xml>>,
}

impl Schema {
    pub(crate) const fn any() -> Schema {
        Schema {
            types: Types::ANY,
            never: false,
            nullable: false,
            read_only: false,
            write_only: false,
            name: None,
            reference: None,
            string: None,
            number: None,
            array: None,
            object: None,
            logic: None,
            values: None,
            xml: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StringRules {
    /// In characters.
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) pattern: Option<Arc<Pattern>>,
    /// As the specification spells it.
    pub(crate) format: Option<Box<str>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NumberRules {
    pub(crate) min: Option<Bound>,
    pub(crate) max: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    /// Whether it is to fit into 64 bits; floats cannot tell the bounds of those.
    pub(crate) is_int64: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ArrayRules {
    pub(crate) prefix: Vec<SchemaId>,
    pub(crate) items: Option<SchemaId>,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) unique: bool,
    pub(crate) contains: Option<Contains>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Contains {
    pub(crate) schema: SchemaId,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectRules {
    /// In the order of the specification.
    pub(crate) properties: Vec<(Box<str>, SchemaId)>,
    /// Where each name stands in `properties`, if there are many.
    pub(crate) index: std::collections::HashMap<Box<str>, u32>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) patterns: Vec<(Arc<Pattern>, SchemaId)>,
    pub(crate) additional: Option<SchemaId>,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    pub(crate) names: Option<SchemaId>,
    pub(crate) dependent_required: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(crate) dependent_schemas: Vec<(Box<str>, SchemaId)>,
}

impl ObjectRules {
    pub(crate) fn property(&self, name: &str) -> Option<SchemaId> {
        if self.properties.len() < 16 {
            return self.properties.iter().find(|(known, _)| **known == *name).map(|(_, id)| *id);
        }
        let at = *self.index.get(name)?;
        self.properties.get(at as usize).map(|(_, id)| *id)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Logic {
    pub(crate) all_of: Vec<SchemaId>,
    pub(crate) any_of: Vec<SchemaId>,
    pub(crate) one_of: Vec<SchemaId>,
    pub(crate) not: Option<SchemaId>,
    pub(crate) condition: Option<SchemaId>,
    pub(crate) then: Option<SchemaId>,
    pub(crate) otherwise: Option<SchemaId>,
    pub(crate) discriminator: Option<Discriminator>,
}

/// Which schema an object is of, told by one of its members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Discriminator {
    pub(crate) property: Box<str>,
    /// Values and the schemas that they stand for.
    pub(crate) mapping: Vec<(Box<str>, SchemaId)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) enumeration: Option<Vec<Value>>,
    pub(crate) constant: Option<Value>,
    pub(crate) default: Option<Value>,
    pub(crate) examples: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Xml {
    pub(crate) name: Option<Box<str>>,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) prefix: Option<Box<str>>,
    pub(crate) attribute: bool,
    pub(crate) wrapped: bool,
}
