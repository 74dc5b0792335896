//! Functions that look at the data of the rendering, mostly for assertions on responses.

use api_mock_template::{Context, FuncError, List, Value};

use crate::cache;
use crate::coerce::{int_at, number, text_at};
use crate::entry::Entry;
use crate::xml;

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["VariableContains", "PropertyContains", "PropertyMatches"],
        arguments: "name regex …",
        arity: (2, None),
        about: "whether each of the regular expressions is found in the variable; false if it is missing",
        example: r#"{{VariableContains "contents.id" "^1"}}"#,
        gives: "true",
        code: contains,
    },
    Entry {
        names: &["VariableEquals", "PropertyEquals"],
        arguments: "name value",
        arity: (2, Some(2)),
        about: "whether the variable reads like the value",
        example: r#"{{VariableEquals "contents.id" 10}}"#,
        gives: "true",
        code: |context, args| {
            let value = lookup(context.root(), &text_at(args, 0));
            Ok(value.is_some_and(|value| value.to_string() == text_at(args, 1)).into())
        },
    },
    Entry {
        names: &["VariableSizeEQ", "PropertyLenEQ"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable has n elements or characters; a missing one counts as -1",
        example: r#"{{VariableSizeEQ "contents.tags" 2}}"#,
        gives: "true",
        code: |context, args| Ok((size(context, args) == int_at(args, 1)).into()),
    },
    Entry {
        names: &["VariableSizeGE", "PropertyLenGE"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable has n elements or characters at least",
        example: r#"{{VariableSizeGE "contents.tags" 3}}"#,
        gives: "false",
        code: |context, args| Ok((size(context, args) >= int_at(args, 1)).into()),
    },
    Entry {
        names: &["VariableSizeLE", "PropertyLenLE"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable has n elements or characters at most",
        example: r#"{{VariableSizeLE "no.such" 0}}"#,
        gives: "true",
        code: |context, args| Ok((size(context, args) <= int_at(args, 1)).into()),
    },
    Entry {
        names: &["NumPropertyEQ"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable is a number equal to n",
        example: r#"{{NumPropertyEQ "contents.id" 10.0}}"#,
        gives: "true",
        code: |context, args| compare(context, args, |a, b| a == b),
    },
    Entry {
        names: &["NumPropertyGE"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable is a number and at least n",
        example: r#"{{NumPropertyGE "contents.id" 11}}"#,
        gives: "false",
        code: |context, args| compare(context, args, |a, b| a >= b),
    },
    Entry {
        names: &["NumPropertyLE"],
        arguments: "name n",
        arity: (2, Some(2)),
        about: "whether the variable is a number and at most n",
        example: r#"{{NumPropertyLE "contents.id" 11}}"#,
        gives: "true",
        code: |context, args| compare(context, args, |a, b| a <= b),
    },
    Entry {
        names: &["HasProperty"],
        arguments: "name",
        arity: (1, Some(1)),
        about: "whether there is such a variable",
        example: r#"{{HasProperty "contents.id"}} {{HasProperty "contents.no"}}"#,
        gives: "true false",
        code: |context, args| Ok(lookup(context.root(), &text_at(args, 0)).is_some().into()),
    },
    Entry {
        names: &["JsonHasProperty"],
        arguments: "name",
        arity: (1, Some(1)),
        about: "whether there is such a variable, or `contents` has such a property",
        example: r#"{{JsonHasProperty "id"}} {{JsonHasProperty "contents.no"}}"#,
        gives: "true false",
        code: |context, args| {
            let name = text_at(args, 0);
            let inside = || lookup(context.root().get("contents")?, &name);
            Ok(lookup(context.root(), &name).or_else(inside).is_some().into())
        },
    },
    Entry {
        names: &["XmlHasElement"],
        arguments: "name [text]",
        arity: (1, Some(2)),
        about: "whether the text, else the variable `contents`, is XML with an element of this name, or of these, one in the other: `order/id`",
        example: r#"{{XmlHasElement "order/id" "<order><id>5</id></order>"}} {{XmlHasElement "id"}}"#,
        gives: "true false",
        code: |context, args| {
            let text = args.get(1).cloned().or_else(|| lookup(context.root(), "contents"));
            let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
            Ok(xml::has_element(text, &text_at(args, 0)).into())
        },
    },
    Entry {
        names: &["StatusInRange"],
        arguments: "low high",
        arity: (2, Some(2)),
        about: "whether the variable `status` is a number from low to high, both included",
        example: "{{StatusInRange 200 299}} {{StatusInRange 400 599}}",
        gives: "true false",
        code: |context, args| {
            let status = lookup(context.root(), "status").as_ref().and_then(number);
            let [low, high] = [0, 1].map(|at| args.get(at).and_then(number).unwrap_or(0.0));
            Ok(status.is_some_and(|status| (low..=high).contains(&status)).into())
        },
    },
    Entry {
        names: &["ResponseStatusMatches"],
        arguments: "regex …",
        arity: (1, None),
        about: "whether one of the regular expressions is found in the variable `status`",
        example: r#"{{ResponseStatusMatches "404" "^2"}}"#,
        gives: "true",
        code: |context, args| {
            let Some(status) = lookup(context.root(), "status").map(|status| status.to_string()) else {
                return Ok(false.into());
            };
            for at in 0..args.len() {
                if cache::regex(&text_at(args, at))?.is_match(&status) {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        },
    },
    Entry {
        names: &["ResponseTimeMillisLE"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "whether the variable `elapsed`, in milliseconds, is at most n",
        example: "{{ResponseTimeMillisLE 1000}}",
        gives: "true",
        code: |context, args| {
            let limit = args.first().and_then(number).unwrap_or(0.0);
            let elapsed = lookup(context.root(), "elapsed").as_ref().and_then(number);
            Ok(elapsed.is_some_and(|elapsed| elapsed <= limit).into())
        },
    },
    Entry {
        names: &["ResponseTimeUnder"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "whether the variable `elapsed`, in milliseconds, is less than n",
        example: "{{ResponseTimeUnder 1000}} {{ResponseTimeUnder 12}}",
        gives: "true false",
        code: |context, args| {
            let limit = args.first().and_then(number).unwrap_or(0.0);
            let elapsed = lookup(context.root(), "elapsed").as_ref().and_then(number);
            Ok(elapsed.is_some_and(|elapsed| elapsed < limit).into())
        },
    },
];

fn contains(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let Some(value) = lookup(context.root(), &text_at(args, 0)) else {
        return Ok(false.into());
    };
    let text = value.to_string();
    for at in 1..args.len() {
        if !cache::regex(&text_at(args, at))?.is_match(&text) {
            return Ok(false.into());
        }
    }
    Ok(true.into())
}

fn compare(context: &Context<'_>, args: &[Value], holds: fn(f64, f64) -> bool) -> Result<Value, FuncError> {
    let found = lookup(context.root(), &text_at(args, 0)).as_ref().and_then(number);
    let other = args.get(1).and_then(number).unwrap_or(0.0);
    Ok(found.is_some_and(|found| holds(found, other)).into())
}

/// The number of elements or characters, -1 if there is nothing that has any.
fn size(context: &Context<'_>, args: &[Value]) -> i64 {
    let size = match lookup(context.root(), &text_at(args, 0)) {
        Some(Value::List(list)) => list.len(),
        Some(Value::Map(map)) => map.len(),
        Some(Value::Str(text)) => text.chars().count(),
        _ => return -1,
    };
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The value at a dotted path. A key that holds points itself comes first; a number is an index
/// into a list, any other name gives the list of that field of all elements that have it.
pub(crate) fn lookup(data: &Value, path: &str) -> Option<Value> {
    if let Some(value) = data.get(path) {
        return Some(value.clone());
    }
    match data {
        Value::Map(map) => {
            // The longest key first, so that `headers.X.Y` finds a header with a point in its name.
            let points = path.rmatch_indices('.').map(|(at, _)| at);
            points.into_iter().find_map(|at| {
                let (key, rest) = (path.get(..at)?, path.get(at + 1..)?);
                lookup(map.get(key)?, rest)
            })
        }
        Value::List(list) => {
            let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
            if let Ok(at) = name.parse::<usize>() {
                let item = list.get(at)?;
                return rest.map_or_else(|| Some(item.clone()), |rest| lookup(item, rest));
            }
            let found: List = list.iter().filter_map(|item| lookup(item, path)).collect();
            if found.is_empty() { None } else { Some(found.into()) }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_go_through_maps_and_lists() {
        let data = Value::from(json!({
            "a": {"b": {"c": 1}}, "a.b": {"d": 2}, "l": [{"x": 1}, {"x": [2, 3]}, {"y": 4}], "n": null
        }));
        let at = |path: &str| lookup(&data, path).map(|value| value.to_string());
        assert_eq!(at("a.b.c").as_deref(), Some("1"));
        assert_eq!(at("a.b.d").as_deref(), Some("2"));
        assert_eq!(at("l.x").as_deref(), Some("[1 [2 3]]"));
        assert_eq!(at("l.1.x.0").as_deref(), Some("2"));
        assert_eq!(at("l.2").as_deref(), Some("map[y:4]"));
        assert_eq!(at("n").as_deref(), Some("<nil>"));
        for missing in ["", "x", "a.x", "l.z", "l.9", "a.b.c.d", "n.x", "."] {
            assert_eq!(at(missing), None, "{missing}");
        }
    }
}
