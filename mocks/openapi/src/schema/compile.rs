//! From the text of schemas to the graph. Every schema is read once, however often it is referred
//! to, so the time is linear in the size of the specification.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::address::ByAddress;
use super::bound::stricter;
use super::parts::{Said, dependent_required, xml_hints};
use super::{
    ArrayRules, Bound, Contains, Discriminator, Logic, NumberRules, ObjectRules, Pattern, Schema, SchemaId,
    Schemas, StringRules, Types, Values,
};
use crate::documents::{Documents, Node};
use crate::problem::{Place, Problems};
use crate::spec::Version;

/// What `$ref` may stand beside and still be nothing but a reference.
const ANNOTATIONS: [&str; 9] = [
    "$ref",
    "description",
    "title",
    "summary",
    "deprecated",
    "externalDocs",
    "example",
    "examples",
    "$comment",
];

pub(crate) struct Compiler<'d> {
    documents: &'d Documents,
    problems: &'d Problems,
    version: Version,
    nodes: Vec<Schema>,
    /// By the address of the text.
    known: ByAddress<SchemaId>,
    waiting: VecDeque<(SchemaId, Node<'d>, Box<str>)>,
    patterns: HashMap<String, Arc<Pattern>>,
    /// How many references in a row are being followed.
    chain: usize,
}

impl<'d> Compiler<'d> {
    pub(crate) fn new(documents: &'d Documents, problems: &'d Problems, version: Version) -> Self {
        Compiler {
            documents,
            problems,
            version,
            nodes: Vec::new(),
            known: ByAddress::default(),
            waiting: VecDeque::new(),
            patterns: HashMap::new(),
            chain: 0,
        }
    }

    /// The number of a schema, which is read later.
    pub(crate) fn schema(&mut self, node: Node<'d>, place: &Place<'_>) -> SchemaId {
        if let Some(id) = self.known.get(&node.address()) {
            return *id;
        }
        if let Some(reference) = self.plain_reference(node.value) {
            return self.end_of(node, reference).unwrap_or_else(|why| {
                self.problems.add(place, format!("anything is allowed here: {why}"));
                self.add(Schema::any())
            });
        }
        let id = self.add(Schema::any());
        self.known.insert(node.address(), id);
        self.waiting.push_back((id, node, place.to_string().into()));
        id
    }

    /// The schema that a reference, or a chain of them, leads to.
    fn end_of(&mut self, node: Node<'d>, reference: &str) -> Result<SchemaId, String> {
        let target = self.documents.resolve(node.document, reference)?;
        if self.chain > 64 {
            return Err(format!("{reference} leads to itself"));
        }
        let document = self.documents.name(target.node.document);
        self.chain += 1;
        let id = self.schema(target.node, &Place::Start { document, pointer: &target.pointer });
        self.chain -= 1;
        self.name(id, &target.pointer);
        Ok(id)
    }

    /// A schema that no text stands for.
    pub(crate) fn add(&mut self, schema: Schema) -> SchemaId {
        self.nodes.push(schema);
        SchemaId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    /// Reads all schemas that were asked for, and what they consist of.
    pub(crate) fn run(&mut self) {
        while let Some((id, node, place)) = self.waiting.pop_front() {
            let (document, pointer) = place.split_once('#').unwrap_or(("", &place));
            let schema = self.read(node, &Place::Start { document, pointer });
            if let Some(slot) = self.nodes.get_mut(id.0 as usize) {
                let name = slot.name.take();
                *slot = schema;
                slot.name = name;
            }
        }
    }

    pub(crate) fn finish(mut self) -> Schemas {
        self.run();
        // It stays, and what grew is half empty.
        self.nodes.shrink_to_fit();
        Schemas { nodes: self.nodes }
    }

    fn plain_reference<'v>(&self, value: &'v Value) -> Option<&'v str> {
        let members = value.as_object()?;
        let reference = members.get("$ref")?.as_str()?;
        // Before 3.1 whatever stands beside a reference is ignored.
        let alone = self.version < Version::V3_1
            || members.keys().all(|key| ANNOTATIONS.contains(&key.as_str()) || key.starts_with("x-"));
        alone.then_some(reference)
    }

    fn name(&mut self, id: SchemaId, pointer: &str) {
        let Some((folder, name)) = pointer.rsplit_once('/') else { return };
        let named = folder.ends_with("/schemas") || folder.ends_with("/definitions") || folder.is_empty();
        if let (true, Some(schema)) = (named, self.nodes.get_mut(id.0 as usize)) {
            schema.name.get_or_insert_with(|| name.replace("~1", "/").replace("~0", "~").into());
        }
    }

    fn read(&mut self, node: Node<'d>, place: &Place<'_>) -> Schema {
        match node.value {
            Value::Object(members) => self.object_schema(node, members, place),
            Value::Bool(true) => Schema::any(),
            Value::Bool(false) => Schema { never: true, ..Schema::any() },
            _ => {
                self.problems.add(place, "not a schema; anything is allowed here");
                Schema::any()
            }
        }
    }

    fn object_schema(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        place: &Place<'_>,
    ) -> Schema {
        let flag = |key: &str| members.get(key).and_then(Value::as_bool).unwrap_or(false);
        let mut schema = Schema {
            types: self.types(members, place),
            nullable: self.version < Version::V3_1 && (flag("nullable") || flag("x-nullable")),
            read_only: flag("readOnly"),
            write_only: flag("writeOnly"),
            ..Schema::any()
        };
        if let Some(Value::String(reference)) = members.get("$ref").or_else(|| members.get("$dynamicRef")) {
            schema.reference = self.referred(node, reference, place);
        }
        // Most schemas say little, so it is worth while to see first of what they speak.
        let said = Said::of(members);
        if said.string {
            schema.string = self.string_rules(members, place);
        }
        if said.number {
            schema.number = self.number_rules(members, &schema, place);
        }
        if said.array {
            schema.array = self.array_rules(node, members, place);
        }
        if said.object {
            schema.object = self.object_rules(node, members, place);
        }
        if said.logic {
            schema.logic = self.logic(node, members, place);
        }
        if said.values {
            schema.values = self.values(members, schema.types, place);
        }
        schema.xml = members.get("xml").and_then(Value::as_object).map(|xml| Box::new(xml_hints(xml)));
        // A file of Swagger 2.0 is bytes.
        if members.get("type").is_some_and(|name| name == "file") {
            schema.string.get_or_insert_default().format = Some("binary".into());
        }
        schema
    }

    fn referred(&mut self, node: Node<'d>, reference: &str, place: &Place<'_>) -> Option<SchemaId> {
        match self.documents.target(node.document, reference) {
            Ok(target) => {
                let document = self.documents.name(target.node.document);
                let id = self.schema(target.node, &Place::Start { document, pointer: &target.pointer });
                self.name(id, &target.pointer);
                Some(id)
            }
            Err(why) => {
                self.problems.add(place, format!("the reference is left out: {why}"));
                None
            }
        }
    }

    fn types(&self, members: &Map<String, Value>, place: &Place<'_>) -> Types {
        let one = |name: &str| {
            Types::named(name).or((name == "file").then_some(Types::STRING)).or_else(|| {
                let known = Types::named(&name.to_ascii_lowercase());
                if known.is_none() && name != "any" {
                    self.problems.add(place, format!("there is no type {name:?}; it is left out"));
                }
                known
            })
        };
        match members.get("type") {
            Some(Value::String(name)) => one(name).unwrap_or(Types::ANY),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).filter_map(one).fold(Types::ANY, Types::or)
            }
            Some(Value::Null) | None => Types::ANY,
            Some(_) => {
                self.problems.add(place, "the type is neither a name nor a list of names; it is left out");
                Types::ANY
            }
        }
    }

    fn pattern(&mut self, source: &str, place: &Place<'_>) -> Arc<Pattern> {
        if let Some(known) = self.patterns.get(source) {
            return known.clone();
        }
        let pattern = Arc::new(Pattern::new(source));
        if let Some(why) = pattern.problem() {
            self.problems.add(place, format!("the pattern {source:?} is not checked: {why}"));
        }
        self.patterns.insert(source.to_owned(), pattern.clone());
        pattern
    }

    fn string_rules(&mut self, members: &Map<String, Value>, place: &Place<'_>) -> Option<Box<StringRules>> {
        let rules = StringRules {
            min: self.count(members, "minLength", place).unwrap_or(0),
            max: self.count(members, "maxLength", place),
            pattern: members.get("pattern").and_then(Value::as_str).map(|source| self.pattern(source, place)),
            format: members.get("format").and_then(Value::as_str).map(Into::into),
        };
        let said = rules.min > 0 || rules.max.is_some() || rules.pattern.is_some() || rules.format.is_some();
        said.then(|| Box::new(rules))
    }

    fn number_rules(
        &self,
        members: &Map<String, Value>,
        schema: &Schema,
        place: &Place<'_>,
    ) -> Option<Box<NumberRules>> {
        let bound = |key: &str, exclusive_key: &str, larger_is_stricter: bool| {
            let inclusive = self.number(members, key, place).map(|value| Bound::new(&value, false));
            match members.get(exclusive_key) {
                None | Some(Value::Bool(false)) => inclusive,
                Some(Value::Bool(true)) => inclusive.map(Bound::excluded),
                Some(_) => {
                    let exclusive = self.number(members, exclusive_key, place);
                    let exclusive = exclusive.map(|value| Bound::new(&value, true));
                    stricter(inclusive, exclusive, larger_is_stricter)
                }
            }
        };
        let mut rules = NumberRules {
            min: bound("minimum", "exclusiveMinimum", true),
            max: bound("maximum", "exclusiveMaximum", false),
            multiple_of: self
                .number(members, "multipleOf", place)
                .and_then(|multiple| multiple.as_f64())
                .filter(|multiple| *multiple > 0.0),
            is_int64: false,
        };
        let format = members.get("format").and_then(Value::as_str);
        rules.is_int64 = format == Some("int64") && schema.types == Types::INTEGER;
        if format == Some("int32") && schema.types == Types::INTEGER {
            let limit = |value: i32| Some(Bound::Whole { value: value.into(), exclusive: false });
            rules.min = stricter(rules.min, limit(i32::MIN), true);
            rules.max = stricter(rules.max, limit(i32::MAX), false);
        }
        let said =
            rules.min.is_some() || rules.max.is_some() || rules.multiple_of.is_some() || rules.is_int64;
        said.then(|| Box::new(rules))
    }

    fn array_rules(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        place: &Place<'_>,
    ) -> Option<Box<ArrayRules>> {
        let mut rules = ArrayRules {
            min: self.count(members, "minItems", place).unwrap_or(0),
            max: self.count(members, "maxItems", place),
            unique: members.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false),
            ..ArrayRules::default()
        };
        rules.prefix = self.list(node, members, "prefixItems", place);
        match members.get("items") {
            // The way to write `prefixItems` before it had that name.
            Some(Value::Array(_)) => {
                rules.prefix = self.list(node, members, "items", place);
                rules.items = self.child(node, members, "additionalItems", place);
            }
            Some(_) => rules.items = self.child(node, members, "items", place),
            None => {}
        }
        rules.contains = self.child(node, members, "contains", place).map(|schema| Contains {
            schema,
            min: self.count(members, "minContains", place).unwrap_or(1),
            max: self.count(members, "maxContains", place),
        });
        let said = rules.min > 0
            || rules.max.is_some()
            || rules.unique
            || rules.items.is_some()
            || !rules.prefix.is_empty()
            || rules.contains.is_some();
        said.then(|| Box::new(rules))
    }

    fn object_rules(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        place: &Place<'_>,
    ) -> Option<Box<ObjectRules>> {
        let properties = self.map(node, members, "properties", place);
        let index = if properties.len() < 16 {
            HashMap::new()
        } else {
            let entry =
                |(at, (name, _)): (usize, &(Box<str>, _))| (name.clone(), u32::try_from(at).unwrap_or(0));
            properties.iter().enumerate().map(entry).collect()
        };
        Some(Box::new(ObjectRules {
            properties,
            index,
            required: self.required(members, place),
            patterns: self
                .map(node, members, "patternProperties", place)
                .into_iter()
                .map(|(source, id)| (self.pattern(&source, place), id))
                .collect(),
            additional: self.child(node, members, "additionalProperties", place),
            min: self.count(members, "minProperties", place).unwrap_or(0),
            max: self.count(members, "maxProperties", place),
            names: self.child(node, members, "propertyNames", place),
            dependent_required: dependent_required(members),
            dependent_schemas: self.map(node, members, "dependentSchemas", place),
        }))
    }

    fn required(&self, members: &Map<String, Value>, place: &Place<'_>) -> Vec<Box<str>> {
        match members.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(Into::into).collect(),
            None => Vec::new(),
            // Parameters of Swagger 2.0 are schemas and say so whether they are required.
            Some(Value::Bool(_)) if self.version == Version::V2 => Vec::new(),
            Some(_) => {
                self.problems.add(place, "`required` is not a list of names; it is left out");
                Vec::new()
            }
        }
    }

    fn logic(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        place: &Place<'_>,
    ) -> Option<Box<Logic>> {
        let mut logic = Logic {
            all_of: self.list(node, members, "allOf", place),
            any_of: self.list(node, members, "anyOf", place),
            one_of: self.list(node, members, "oneOf", place),
            not: self.child(node, members, "not", place),
            condition: self.child(node, members, "if", place),
            ..Logic::default()
        };
        if logic.condition.is_some() {
            logic.then = self.child(node, members, "then", place);
            logic.otherwise = self.child(node, members, "else", place);
        }
        logic.discriminator = members
            .get("discriminator")
            .and_then(|value| self.discriminator(node.with(value), &logic, place));
        Some(Box::new(logic))
    }

    fn discriminator(&mut self, node: Node<'d>, logic: &Logic, place: &Place<'_>) -> Option<Discriminator> {
        // In Swagger 2.0 it is the name of the property, without anything around it.
        if let Value::String(property) = node.value {
            return Some(Discriminator { property: property.as_str().into(), mapping: Vec::new() });
        }
        let property = node.value.get("propertyName").and_then(Value::as_str)?.into();
        let mut mapping: Vec<(Box<str>, SchemaId)> = Vec::new();
        let given = node.value.get("mapping").and_then(Value::as_object);
        for (value, target) in given.into_iter().flatten() {
            let Some(target) = target.as_str() else { continue };
            let by_name = format!("#/components/schemas/{target}");
            let bare = !target.contains(['/', '#']) && self.documents.target(node.document, &by_name).is_ok();
            let reference = if bare { &by_name } else { target };
            if let Some(id) = self.referred(node, reference, place) {
                mapping.push((value.as_str().into(), id));
            }
        }
        // Schemas that the mapping leaves out go by their names.
        for id in logic.one_of.iter().chain(&logic.any_of) {
            let name = self.nodes.get(id.0 as usize).and_then(|schema| schema.name.clone());
            if let (Some(name), false) = (name, mapping.iter().any(|(_, known)| known == id)) {
                mapping.push((name, *id));
            }
        }
        Some(Discriminator { property, mapping })
    }

    fn values(&self, members: &Map<String, Value>, types: Types, place: &Place<'_>) -> Option<Box<Values>> {
        let mut values = Values {
            enumeration: self.enumeration(members, types, place),
            constant: members.get("const").cloned(),
            default: members.get("default").cloned(),
            examples: Vec::new(),
        };
        values.examples.extend(members.get("example").or_else(|| members.get("x-example")).cloned());
        if let Some(Value::Array(examples)) = members.get("examples") {
            values.examples.extend(examples.iter().cloned());
        }
        let said = values.enumeration.is_some()
            || values.constant.is_some()
            || values.default.is_some()
            || !values.examples.is_empty();
        said.then(|| Box::new(values))
    }

    fn enumeration(
        &self,
        members: &Map<String, Value>,
        types: Types,
        place: &Place<'_>,
    ) -> Option<Vec<Value>> {
        let Some(Value::Array(given)) = members.get("enum") else { return None };
        if given.is_empty() {
            self.problems.add(place, "the list of allowed values is empty; it is left out");
            return None;
        }
        // YAML makes numbers and truth values of texts that lack quotes.
        let as_text = types == Types::STRING;
        Some(
            given
                .iter()
                .map(|value| match value {
                    Value::Number(_) | Value::Bool(_) if as_text => Value::String(value.to_string()),
                    value => value.clone(),
                })
                .collect(),
        )
    }

    fn child(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        key: &str,
        place: &Place<'_>,
    ) -> Option<SchemaId> {
        let value = members.get(key)?;
        Some(self.schema(node.with(value), &place.key(key)))
    }

    fn list(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        key: &str,
        place: &Place<'_>,
    ) -> Vec<SchemaId> {
        let place = place.key(key);
        match members.get(key) {
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.schema(node.with(item), &place.index(index)))
                .collect(),
            Some(_) => {
                self.problems.add(&place, "not a list; it is left out");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn map(
        &mut self,
        node: Node<'d>,
        members: &'d Map<String, Value>,
        key: &str,
        place: &Place<'_>,
    ) -> Vec<(Box<str>, SchemaId)> {
        let place = place.key(key);
        match members.get(key) {
            Some(Value::Object(entries)) => entries
                .iter()
                .map(|(name, value)| (name.as_str().into(), self.schema(node.with(value), &place.key(name))))
                .collect(),
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                self.problems.add(&place, "not an object; it is left out");
                Vec::new()
            }
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are small and not negative"
    )]
    fn count(&self, members: &Map<String, Value>, key: &str, place: &Place<'_>) -> Option<u64> {
        let number = self.number(members, key, place)?.as_f64()?;
        if number >= 0.0 && number.fract() == 0.0 {
            return Some(number as u64);
        }
        self.problems.add(place, format!("`{key}` is not a count; it is left out"));
        None
    }

    fn number(&self, members: &Map<String, Value>, key: &str, place: &Place<'_>) -> Option<Number> {
        let value = match members.get(key)? {
            Value::Number(number) => Some(number.clone()),
            Value::String(text) => number_of(text.trim()),
            Value::Null => return None,
            _ => None,
        };
        if value.is_none() {
            self.problems.add(place, format!("`{key}` is not a number; it is left out"));
        }
        value
    }
}

/// A number that stands there as a text.
fn number_of(text: &str) -> Option<Number> {
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole
        .or_else(|| text.parse::<u64>().ok().map(Number::from))
        .or_else(|| Number::from_f64(text.parse().ok()?))
}
