//! Schemas as flat maps of typed patterns: `{"id": "__number__…", "owner.name": "__string__…"}`.
//! Whatever a schema allows, its map allows too.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::merge::{Chosen, Merged};
use crate::schema::{Direction, SchemaId, Schemas, Types, pattern_for_search};

/// How deep objects are looked into.
const MAX_DEPTH: u32 = 4;
/// How many keys a map has at most.
const MAX_KEYS: usize = 100;

const INTEGER: &str = "__number__[+-]?[0-9]{1,10}";
const NUMBER: &str = r"__number__[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10}))";
const BOOLEAN: &str = "__boolean__(false|true)";

/// Collects the patterns of a schema.
pub(crate) struct Flat<'s> {
    schemas: &'s Schemas,
    direction: Direction,
    patterns: Map<String, Value>,
    /// Keys that two different members have: nothing can be said of them.
    twice: HashSet<String>,
}

impl<'s> Flat<'s> {
    /// The map for a body, as JSON text; empty if there is nothing to say. With `branch`, for a body that is
    /// this one of several.
    pub(crate) fn of(
        schemas: &'s Schemas,
        id: SchemaId,
        branch: Option<usize>,
        direction: Direction,
    ) -> String {
        let mut flat = Flat { schemas, direction, patterns: Map::new(), twice: HashSet::new() };
        let mut ids = vec![id];
        let mut chosen = Vec::new();
        let open = Merged::of(schemas, &ids, &[]).open;
        if let (Some(open), Some(branch)) = (open, branch)
            && let Some(branch) = open.branches.get(branch)
        {
            ids.push(*branch);
            chosen.push(Chosen { key: open.key, branch: *branch });
        }
        flat.collect(&ids, &chosen, "", 0);
        for key in &flat.twice {
            flat.patterns.remove(key);
        }
        if flat.patterns.is_empty() { String::new() } else { Value::Object(flat.patterns).to_string() }
    }

    fn collect(&mut self, ids: &[SchemaId], chosen: &[Chosen], key: &str, depth: u32) {
        if depth > MAX_DEPTH || self.patterns.len() >= MAX_KEYS {
            return;
        }
        let merged = Merged::of(self.schemas, ids, chosen);
        // Where something is still to be chosen, a value may be of any of several kinds.
        if merged.open.is_some() || merged.never {
            return;
        }
        if let Some(pattern) = scalar(&merged) {
            if !key.is_empty() && self.patterns.insert(key.to_owned(), Value::String(pattern)).is_some() {
                self.twice.insert(key.to_owned());
            }
            return;
        }
        if merged.types == Types::ARRAY || (merged.types.is_any() && !merged.arrays.is_empty()) {
            let mut items: Vec<SchemaId> = merged.arrays.iter().filter_map(|rules| rules.items).collect();
            items.dedup();
            // All items have one key, so they must be of one kind.
            if merged.arrays.iter().all(|rules| rules.prefix.is_empty()) && !items.is_empty() {
                self.collect(&items, &[], key, depth + 1);
            }
            return;
        }
        for rules in &merged.objects {
            for (name, id) in &rules.properties {
                if self.direction.leaves_out(self.schemas.get(self.schemas.follow(*id))) {
                    continue;
                }
                let below = if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
                let all: Vec<SchemaId> =
                    merged.objects.iter().filter_map(|rules| rules.property(name)).collect();
                // Several schemas may speak of one member; the first of them speaks for all.
                if all.first() == Some(id) {
                    self.collect(&all, &[], &below, depth + 1);
                }
            }
        }
    }
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
