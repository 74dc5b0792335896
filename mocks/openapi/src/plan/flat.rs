//! Schemas as flat maps of typed patterns: `{"id": "__number__…", "owner.name": "__string__…"}`.
//! Whatever a schema allows, its map allows too.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value;

use super::merge::{Chosen, Merged};
use crate::schema::{Direction, SchemaId, Schemas, Types, pattern_for_search};

/// How deep objects are looked into.
const MAX_DEPTH: u32 = 4;
/// How many keys a map has at most.
const MAX_KEYS: usize = 100;

const INTEGER: &str = "__number__[+-]?[0-9]{1,10}";
const NUMBER: &str = r"__number__[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10}))";
const BOOLEAN: &str = "__boolean__(false|true)";

/// What a schema says, as far as it matters here.
enum Step<'s> {
    Nothing,
    /// A pattern as a text of JSON.
    Scalar(Rc<str>),
    /// Of what kind the items are.
    Items(Box<[SchemaId]>),
    /// The members, each with all that is said of it.
    Members(Box<[(&'s str, Said)]>),
}

/// The schemas that speak of a member: nearly always one.
enum Said {
    One(SchemaId),
    Several(Box<[SchemaId]>),
}

impl Said {
    fn ids(&self) -> &[SchemaId] {
        match self {
            Said::One(id) => std::slice::from_ref(id),
            Said::Several(ids) => ids,
        }
    }
}

/// Collects the patterns of schemas. What it found out about a schema it remembers, since many bodies hold the same.
pub(crate) struct Flat<'s> {
    schemas: &'s Schemas,
    direction: Direction,
    /// By their numbers.
    steps: Vec<Option<Rc<Step<'s>>>>,
}

/// The patterns of one body, in order.
type Found = Vec<(String, Rc<str>)>;

impl<'s> Flat<'s> {
    pub(crate) fn new(schemas: &'s Schemas, direction: Direction) -> Self {
        Flat { schemas, direction, steps: vec![None; schemas.len()] }
    }

    /// The map for a body, as JSON text; empty if there is nothing to say. With `branch`, for a body that is
    /// this one of several.
    pub(crate) fn of(&mut self, id: SchemaId, branch: Option<usize>) -> String {
        let mut found = Found::new();
        let open = Merged::of(self.schemas, &[id], &[]).open;
        match branch.and_then(|branch| open.and_then(|open| Some((open.key, *open.branches.get(branch)?)))) {
            Some((key, branch)) => {
                let step = self.step(&[id, branch], &[Chosen { key, branch }]);
                self.collect(&step, &mut String::new(), 0, &mut found);
            }
            None => self.below(&[id], &mut String::new(), 0, &mut found),
        }
        written(&found)
    }

    /// Adds what schemas say about what stands at a key.
    fn below(&mut self, ids: &[SchemaId], key: &mut String, depth: u32, found: &mut Found) {
        if depth > MAX_DEPTH || found.len() >= MAX_KEYS {
            return;
        }
        let step = match ids {
            [id] => match self.steps.get(id.0 as usize) {
                Some(Some(known)) => Rc::clone(known),
                _ => {
                    let step = Rc::new(self.step(ids, &[]));
                    if let Some(place) = self.steps.get_mut(id.0 as usize) {
                        *place = Some(Rc::clone(&step));
                    }
                    step
                }
            },
            ids => Rc::new(self.step(ids, &[])),
        };
        self.collect(&step, key, depth, found);
    }

    fn collect(&mut self, step: &Step<'s>, key: &mut String, depth: u32, found: &mut Found) {
        match step {
            Step::Nothing => {}
            Step::Scalar(_) if key.is_empty() => {}
            Step::Scalar(pattern) => found.push((key.clone(), Rc::clone(pattern))),
            Step::Items(ids) => self.below(ids, key, depth + 1, found),
            Step::Members(members) => {
                let length = key.len();
                for (name, said) in members {
                    if length > 0 {
                        key.push('.');
                    }
                    key.push_str(name);
                    self.below(said.ids(), key, depth + 1, found);
                    key.truncate(length);
                }
            }
        }
    }

    fn step(&self, ids: &[SchemaId], chosen: &[Chosen]) -> Step<'s> {
        let merged = Merged::of(self.schemas, ids, chosen);
        // Where something is still to be chosen, a value may be of any of several kinds.
        if merged.open.is_some() || merged.never {
            return Step::Nothing;
        }
        if let Some(pattern) = scalar(&merged) {
            return Step::Scalar(Value::String(pattern).to_string().into());
        }
        if merged.types == Types::ARRAY || (merged.types.is_any() && !merged.arrays.is_empty()) {
            let mut items: Vec<SchemaId> = merged.arrays.iter().filter_map(|rules| rules.items).collect();
            items.dedup();
            // All items have one key, so they must be of one kind.
            let is_uniform = merged.arrays.iter().all(|rules| rules.prefix.is_empty());
            return if is_uniform && !items.is_empty() { Step::Items(items.into()) } else { Step::Nothing };
        }
        let mut members = Vec::new();
        for rules in &merged.objects {
            for (name, id) in &rules.properties {
                if self.direction.leaves_out(self.schemas.get(self.schemas.follow(*id))) {
                    continue;
                }
                let mut all = merged.objects.iter().filter_map(|rules| rules.property(name));
                // Several schemas may speak of one member; the first of them speaks for all.
                if all.next() != Some(*id) {
                    continue;
                }
                let others: Vec<SchemaId> = all.collect();
                let said = if others.is_empty() {
                    Said::One(*id)
                } else {
                    Said::Several([&[*id], others.as_slice()].concat().into())
                };
                members.push((&**name, said));
            }
        }
        Step::Members(members.into())
    }
}

/// The map as JSON text. Of keys that two different members have nothing can be said.
fn written(found: &Found) -> String {
    let mut known: HashSet<&str> = HashSet::with_capacity(found.len());
    let twice: HashSet<&str> =
        found.iter().map(|(key, _)| key.as_str()).filter(|key| !known.insert(key)).collect();
    let mut text = String::new();
    for (key, pattern) in found.iter().filter(|(key, _)| !twice.contains(key.as_str())) {
        let key = Value::from(key.as_str());
        let _ = write!(text, "{}{key}:{pattern}", if text.is_empty() { '{' } else { ',' });
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

/// The pattern of a scalar, with its type tag; `None` if it need not be one, or if nothing is known.
pub(crate) fn scalar_pattern(schemas: &Schemas, id: SchemaId) -> Option<String> {
    let merged = Merged::of(schemas, &[id], &[]);
    if merged.open.is_some() { None } else { scalar(&merged) }
}

fn scalar(merged: &Merged<'_>) -> Option<String> {
    let types = merged.types.without_null();
    match types {
        Types::BOOLEAN => Some(BOOLEAN.to_owned()),
        Types::INTEGER => Some(INTEGER.to_owned()),
        Types::NUMBER => Some(NUMBER.to_owned()),
        Types::STRING => text(merged).map(|pattern| format!("__string__{pattern}")),
        _ => None,
    }
}

fn text(merged: &Merged<'_>) -> Option<String> {
    let listed: Option<Vec<&str>> = match (merged.constants.first(), merged.allowed.first()) {
        (Some(constant), _) => Some(constant.as_str().into_iter().collect()),
        (None, Some(values)) => Some(values.iter().filter_map(Value::as_str).collect()),
        (None, None) => None,
    };
    if let Some(listed) = listed {
        let escaped: Vec<String> = listed.iter().map(|text| regex_syntax::escape(text)).collect();
        return (!escaped.is_empty()).then(|| format!("^({})$", escaped.join("|")));
    }
    if let Some(pattern) = merged.strings.iter().find_map(|rules| rules.pattern.as_deref()) {
        return pattern.is_checked().then(|| pattern_for_search(pattern.source()));
    }
    let format = merged.strings.iter().find_map(|rules| rules.format.as_deref());
    if let Some(pattern) = format.and_then(format_pattern) {
        return Some(pattern.to_owned());
    }
    let min = merged.strings.iter().map(|rules| rules.min).max().unwrap_or(0);
    let max = merged.strings.iter().filter_map(|rules| rules.max).min().filter(|max| *max <= 255);
    Some(match (min, max) {
        (min, Some(max)) if min <= max => format!("(?s)^.{{{min},{max}}}$"),
        (0, _) => ".*".to_owned(),
        _ => "(?s).+".to_owned(),
    })
}

/// What all texts of a format have.
fn format_pattern(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "date-time" => "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}",
        "uuid" => "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "email" => r"\S+@\S+",
        "ipv4" => r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}",
        "uri" | "url" => "[A-Za-z][A-Za-z0-9+.-]*:.*",
        _ => return None,
    })
}
