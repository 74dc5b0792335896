//! Small parts of schemas, and which of them there are.

use serde_json::{Map, Value};

use super::Xml;

/// Of what a schema speaks.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct Said {
    pub(super) string: bool,
    pub(super) number: bool,
    pub(super) array: bool,
    pub(super) object: bool,
    pub(super) logic: bool,
    pub(super) values: bool,
}

impl Said {
    pub(super) fn of(members: &Map<String, Value>) -> Said {
        let mut said = Said::default();
        for key in members.keys() {
            match key.as_str() {
                "minLength" | "maxLength" | "pattern" => said.string = true,
                "format" => (said.string, said.number) = (true, true),
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                    said.number = true;
                }
                "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains" => {
                    said.array = true;
                }
                "properties"
                | "required"
                | "patternProperties"
                | "additionalProperties"
                | "minProperties"
                | "maxProperties"
                | "propertyNames"
                | "dependentRequired"
                | "dependentSchemas" => {
                    said.object = true;
                }
                "allOf" | "anyOf" | "oneOf" | "not" | "if" | "discriminator" => said.logic = true,
                "enum" | "const" | "default" | "example" | "examples" | "x-example" => said.values = true,
                _ => {}
            }
        }
        said
    }
}

pub(super) fn dependent_required(members: &Map<String, Value>) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let given = members.get("dependentRequired").and_then(Value::as_object);
    let names = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
    };
    given.into_iter().flatten().map(|(name, value)| (name.as_str().into(), names(value))).collect()
}

pub(super) fn xml_hints(xml: &Map<String, Value>) -> Xml {
    let text = |key: &str| xml.get(key).and_then(Value::as_str).map(Into::into);
    let flag = |key: &str| xml.get(key).and_then(Value::as_bool).unwrap_or(false);
    Xml {
        name: text("name"),
        namespace: text("namespace"),
        prefix: text("prefix"),
        attribute: flag("attribute"),
        wrapped: flag("wrapped"),
    }
}
