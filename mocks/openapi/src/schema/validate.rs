//! Whether a JSON value is what a schema wants.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Number, Value, json};

use super::bound::{Amount, is_multiple_of};
use super::{
    ArrayRules, Bound, Format, Logic, NumberRules, ObjectRules, Schema, SchemaId, Schemas, StringRules, Types,
};

/// Something about a value that its schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which part of the value, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
    /// The keyword of the schema that it breaks: `type`, `minimum`, `required` and so on.
    pub keyword: &'static str,
    /// What that keyword wants: the types, the least number, the name of the missing member.
    pub expected: Value,
}

/// Which way a value goes. Members that are only read need not be sent, and those that are only
/// written need not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

impl Direction {
    /// Whether a member of that schema stays out in this direction.
    pub(crate) fn leaves_out(self, schema: &Schema) -> bool {
        match self {
            Direction::Request => schema.read_only,
            Direction::Response => schema.write_only,
        }
    }
}

/// More violations than this are not told.
const MAX_VIOLATIONS: usize = 1000;
/// Of a list of allowed values, so many are told.
const MAX_TOLD: usize = 100;
/// Pointers into what somebody sent are cut here, in characters.
const LONGEST_POINTER: usize = 1000;
/// How many schemas are applied to one value and its parts.
const MAX_STEPS: u32 = 2_000_000;
/// How deep schemas apply schemas.
const MAX_DEPTH: usize = 300;

impl Schemas {
    /// Everything about a value that its schema does not allow, up to a thousand violations.
    #[must_use]
    pub fn validate(&self, id: SchemaId, value: &Value, direction: Direction) -> Vec<Violation> {
        let mut check = Check::new(self, direction);
        check.apply(id, value, &mut String::new());
        check.violations
    }

    /// Whether a value is what a schema wants.
    #[must_use]
    pub fn is_valid(&self, id: SchemaId, value: &Value, direction: Direction) -> bool {
        let mut check = Check::new(self, direction);
        check.quiet(|check| check.apply(id, value, &mut String::new()))
    }
}

struct Check<'s> {
    schemas: &'s Schemas,
    direction: Direction,
    violations: Vec<Violation>,
    /// Within `quiet`, only whether there are violations is of interest.
    silent: u32,
    failed: bool,
    steps: u32,
    /// What is being checked: which value by which schema, the innermost last.
    under_way: Vec<(SchemaId, *const Value)>,
}

impl<'s> Check<'s> {
    fn new(schemas: &'s Schemas, direction: Direction) -> Self {
        Check {
            schemas,
            direction,
            violations: Vec::new(),
            silent: 0,
            failed: false,
            steps: 0,
            under_way: Vec::new(),
        }
    }

    fn fail(&mut self, at: &str, keyword: &'static str, told: impl FnOnce() -> (String, Value)) {
        self.failed = true;
        if self.silent == 0 && self.violations.len() < MAX_VIOLATIONS {
            let (what, expected) = told();
            let at = at.char_indices().nth(LONGEST_POINTER).map_or(at, |(end, _)| &at[..end]);
            self.violations.push(Violation { at: at.to_owned(), what, keyword, expected });
        }
    }

    /// Whether what is done gives no violations.
    fn quiet(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let before = std::mem::replace(&mut self.failed, false);
        self.silent += 1;
        work(self);
        self.silent -= 1;
        !std::mem::replace(&mut self.failed, before)
    }

    fn fits(&mut self, id: SchemaId, value: &Value) -> bool {
        self.quiet(|check| check.apply(id, value, &mut String::new()))
    }

    fn apply(&mut self, id: SchemaId, value: &Value, at: &mut String) {
        if self.silent > 0 && self.failed {
            return;
        }
        self.steps += 1;
        if self.steps > MAX_STEPS || self.under_way.len() > MAX_DEPTH {
            self.fail(at, "", || ("the schema takes too long to check".to_owned(), Value::Null));
            return;
        }
        let this = std::ptr::from_ref(value);
        let mut of_this = self.under_way.iter().rev().take_while(|(_, value)| std::ptr::eq(*value, this));
        // A schema that leads to itself says no more of the same value than it says anyway.
        if of_this.any(|(under_way, _)| *under_way == id) {
            return;
        }
        self.under_way.push((id, this));
        self.schema(self.schemas.get(id), value, at);
        self.under_way.pop();
    }

    fn schema(&mut self, schema: &'s Schema, value: &Value, at: &mut String) {
        if schema.nullable && value.is_null() {
            return;
        }
        if schema.never {
            self.fail(at, "false", || ("nothing is allowed here".to_owned(), json!(false)));
            return;
        }
        let types = Types::of(value);
        if !schema.types.allows(types) {
            self.fail(at, "type", || {
                let names = schema.types.names();
                (format!("is {}, not {names}", types.names_or("a number")), json!(names))
            });
            return;
        }
        if let Some(id) = schema.reference {
            self.apply(id, value, at);
        }
        self.values(schema, value, at);
        match value {
            Value::String(text) => {
                schema.string.iter().for_each(|rules| self.string(rules, text, at));
            }
            Value::Number(number) => {
                schema.number.iter().for_each(|rules| self.number(rules, number, at));
            }
            Value::Array(items) => {
                schema.array.iter().for_each(|rules| self.array(rules, items, at));
            }
            Value::Object(members) => {
                schema.object.iter().for_each(|rules| self.object(rules, members, value, at));
            }
            _ => {}
        }
        if let Some(logic) = &schema.logic {
            self.logic(logic, value, at);
        }
    }

    fn values(&mut self, schema: &Schema, value: &Value, at: &str) {
        let Some(values) = &schema.values else { return };
        if let Some(allowed) = &values.enumeration
            && !allowed.iter().any(|one| equal(one, value))
        {
            self.fail(at, "enum", || {
                let told: Vec<&Value> = allowed.iter().take(MAX_TOLD).collect();
                (format!("is none of {}", shown(allowed)), json!(told))
            });
        }
        if let Some(constant) = &values.constant
            && !equal(constant, value)
        {
            self.fail(at, "const", || (format!("is not {constant}"), constant.clone()));
        }
    }

    fn string(&mut self, rules: &StringRules, text: &str, at: &str) {
        if rules.min > 0 || rules.max.is_some() {
            let length = text.chars().count() as u64;
            if length < rules.min {
                self.fail(at, "minLength", || {
                    (format!("has {length} characters, {} at least are wanted", rules.min), json!(rules.min))
                });
            }
            if let Some(max) = rules.max.filter(|max| length > *max) {
                self.fail(at, "maxLength", || {
                    (format!("has {length} characters, {max} at most are allowed"), json!(max))
                });
            }
        }
        if let Some(pattern) = &rules.pattern
            && !pattern.is_match(text)
        {
            let source = pattern.source();
            self.fail(at, "pattern", || (format!("does not match {source}"), json!(source)));
        }
        let check = rules.format.as_deref().and_then(Format::named).and_then(|format| format.check);
        if check.is_some_and(|check| !check(text)) {
            let name = rules.format.as_deref().unwrap_or_default();
            self.fail(at, "format", || (format!("is not of the format {name}"), json!(name)));
        }
    }

    fn number(&mut self, rules: &NumberRules, number: &Number, at: &str) {
        let amount = Amount::of(number);
        if let Some(min) = rules.min.filter(|min| min.refuses(amount, Ordering::Less)) {
            let keyword = if min.exclusive() { "exclusiveMinimum" } else { "minimum" };
            self.fail(at, keyword, || (format!("is less than {}", min.shown("or equal to ")), min.told()));
        }
        if let Some(max) = rules.max.filter(|max| max.refuses(amount, Ordering::Greater)) {
            let keyword = if max.exclusive() { "exclusiveMaximum" } else { "maximum" };
            self.fail(at, keyword, || (format!("is greater than {}", max.shown("or equal to ")), max.told()));
        }
        let fits = match amount {
            Amount::Whole(_) => number.is_i64(),
            Amount::Float(value) => value.abs() < 9_223_372_036_854_775_808.0,
        };
        if rules.is_int64 && !fits {
            self.fail(at, "format", || ("is not of the format int64".to_owned(), json!("int64")));
        }
        if let Some(multiple) = rules.multiple_of.filter(|multiple| !is_multiple_of(number, *multiple)) {
            self.fail(at, "multipleOf", || {
                (format!("is not a multiple of {multiple}"), told_number(multiple))
            });
        }
    }

    fn array(&mut self, rules: &ArrayRules, items: &[Value], at: &mut String) {
        let count = items.len() as u64;
        if count < rules.min {
            self.fail(at, "minItems", || {
                (format!("has {count} items, {} at least are wanted", rules.min), json!(rules.min))
            });
        }
        if let Some(max) = rules.max.filter(|max| count > *max) {
            self.fail(at, "maxItems", || {
                (format!("has {count} items, {max} at most are allowed"), json!(max))
            });
        }
        for (index, item) in items.iter().enumerate() {
            if let Some(id) = rules.prefix.get(index).copied().or(rules.items) {
                self.below(at, &index.to_string(), |check, at| check.apply(id, item, at));
            }
        }
        if rules.unique && !all_different(items) {
            self.fail(at, "uniqueItems", || ("has the same item twice".to_owned(), json!(true)));
        }
        if let Some(contains) = rules.contains {
            let found = items.iter().filter(|item| self.fits(contains.schema, item)).count() as u64;
            if found < contains.min || contains.max.is_some_and(|max| found > max) {
                self.fail(at, "contains", || {
                    (format!("has {found} items of those of which it must contain some"), json!(contains.min))
                });
            }
        }
    }

    fn below(&mut self, at: &mut String, key: &str, work: impl FnOnce(&mut Self, &mut String)) {
        let length = at.len();
        if self.silent == 0 {
            at.push('/');
            at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        }
        work(self, at);
        at.truncate(length);
    }

    fn object(
        &mut self,
        rules: &'s ObjectRules,
        members: &Map<String, Value>,
        value: &Value,
        at: &mut String,
    ) {
        for name in &rules.required {
            if !members.contains_key(&**name) && !self.may_be_missing(rules, name) {
                self.fail(at, "required", || (format!("lacks {name:?}"), json!(name)));
            }
        }
        let count = members.len() as u64;
        if count < rules.min {
            self.fail(at, "minProperties", || {
                (format!("has {count} members, {} at least are wanted", rules.min), json!(rules.min))
            });
        }
        if let Some(max) = rules.max.filter(|max| count > *max) {
            self.fail(at, "maxProperties", || {
                (format!("has {count} members, {max} at most are allowed"), json!(max))
            });
        }
        for (name, member) in members {
            self.member(rules, name, member, at);
        }
        for (name, wanted) in &rules.dependent_required {
            if members.contains_key(&**name) {
                for missing in wanted.iter().filter(|wanted| !members.contains_key(&***wanted)) {
                    self.fail(at, "dependentRequired", || {
                        (format!("has {name:?} and so must have {missing:?}"), json!(missing))
                    });
                }
            }
        }
        for (name, id) in &rules.dependent_schemas {
            if members.contains_key(&**name) {
                self.apply(*id, value, at);
            }
        }
    }

    /// Whether a member that is required need not be there in this direction.
    fn may_be_missing(&self, rules: &ObjectRules, name: &str) -> bool {
        let id = rules.property(name);
        id.is_some_and(|id| self.direction.leaves_out(self.schemas.get(self.schemas.follow(id))))
    }

    fn member(&mut self, rules: &'s ObjectRules, name: &str, member: &Value, at: &mut String) {
        let mut known = false;
        if let Some(id) = rules.property(name) {
            known = true;
            self.below(at, name, |check, at| check.apply(id, member, at));
        }
        for (pattern, id) in &rules.patterns {
            // A pattern that cannot be checked speaks of no name.
            if pattern.is_checked() && pattern.is_match(name) {
                known = true;
                self.below(at, name, |check, at| check.apply(*id, member, at));
            }
        }
        if let (false, Some(id)) = (known, rules.additional) {
            if self.schemas.get(id).never {
                self.fail(at, "additionalProperties", || {
                    (format!("must not have {:?}", cut(name)), json!(false))
                });
            } else {
                self.below(at, name, |check, at| check.apply(id, member, at));
            }
        }
        if let Some(id) = rules.names
            && !self.fits(id, &Value::String(name.to_owned()))
        {
            self.fail(at, "propertyNames", || {
                (format!("must not have a member called {:?}", cut(name)), Value::Null)
            });
        }
    }

    fn logic(&mut self, logic: &'s Logic, value: &Value, at: &mut String) {
        for id in &logic.all_of {
            self.apply(*id, value, at);
        }
        if let Some(chosen) = logic.chosen(value) {
            self.apply(chosen, value, at);
        } else {
            if !logic.any_of.is_empty() && !logic.any_of.iter().any(|id| self.fits(*id, value)) {
                self.none_fits("anyOf", &logic.any_of, value, at);
            }
            if !logic.one_of.is_empty() {
                match logic.one_of.iter().filter(|id| self.fits(**id, value)).count() {
                    0 => self.none_fits("oneOf", &logic.one_of, value, at),
                    1 => {}
                    count => self.fail(at, "oneOf", || {
                        (format!("fits {count} of the schemas of which it must fit one"), json!(1))
                    }),
                }
            }
        }
        if logic.not.is_some_and(|id| self.fits(id, value)) {
            self.fail(at, "not", || ("is what is excluded".to_owned(), Value::Null));
        }
        if let Some(condition) = logic.condition {
            let next = if self.fits(condition, value) { logic.then } else { logic.otherwise };
            if let Some(id) = next {
                self.apply(id, value, at);
            }
        }
    }

    /// Tells what is wrong with the only schema that the value could be meant for, if there is one.
    fn none_fits(&mut self, keyword: &'static str, ids: &[SchemaId], value: &Value, at: &mut String) {
        let types = Types::of(value);
        let mut possible = ids.iter().filter(|id| {
            let schema = self.schemas.get(self.schemas.follow(**id));
            schema.types.allows(types)
        });
        match (possible.next(), possible.next()) {
            (Some(id), None) => self.apply(*id, value, at),
            _ => self.fail(at, keyword, || (format!("fits none of {} schemas", ids.len()), Value::Null)),
        }
    }
}

impl Logic {
    /// The branch that the discriminator names.
    pub(crate) fn chosen(&self, value: &Value) -> Option<SchemaId> {
        let discriminator = self.discriminator.as_ref()?;
        let told = value.get(&*discriminator.property)?.as_str()?;
        let (_, id) = discriminator.mapping.iter().find(|(name, _)| **name == *told)?;
        (self.one_of.contains(id) || self.any_of.contains(id)).then_some(*id)
    }
}

impl Bound {
    fn shown(&self, or_equal: &str) -> String {
        format!("{}{self}", if self.exclusive() { or_equal } else { "" })
    }
}

impl Types {
    fn names_or(self, other: &str) -> String {
        let names = self.names();
        if names.is_empty() { other.to_owned() } else { names }
    }
}

/// A whole number without a point.
fn told_number(number: f64) -> Value {
    // Whole numbers up to 2^53 are exact.
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction, and is small enough")]
    if number.fract() == 0.0 && number.abs() < 9e15 { json!(number as i64) } else { json!(number) }
}

/// A name that somebody sent, as far as it is needed to know it again.
fn cut(name: &str) -> &str {
    name.char_indices().nth(80).map_or(name, |(end, _)| &name[..end])
}

fn shown(values: &[Value]) -> String {
    let mut text: String = values.iter().take(20).map(Value::to_string).collect::<Vec<_>>().join(", ");
    if values.len() > 20 {
        text.push_str(", …");
    }
    text
}

/// Equality of JSON: 1 and 1.0 are the same, and the order of members does not matter.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => Amount::of(a).compare(Amount::of(b)) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (one, other) => one == other,
    }
}

fn all_different(items: &[Value]) -> bool {
    if items.len() < 2 {
        return true;
    }
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| seen.insert(canonical(item)))
}

/// A text that two values share exactly if they are equal.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            if number.is_f64() && is_integral_f64(number) {
                format!("{:.0}", number.as_f64().unwrap_or(0.0))
            } else {
                number.to_string()
            }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => {
            let mut texts: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            texts.sort();
            format!("{{{}}}", texts.join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn is_integral_f64(number: &Number) -> bool {
    number.as_f64().is_some_and(|float| float.fract() == 0.0 && float.abs() < 1e18)
}
