//! Loops, arithmetic, comparisons, and the count of requests.

use api_mock_template::{Context, FuncError, List, Map, Value};

use crate::coerce::{count, float, int, int_at, text_at};
use crate::entry::Entry;
use crate::state::state;

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["Iterate"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "the list 0, 1, … n-1 to range over",
        example: "{{range Iterate 3}}{{.}} {{end}}",
        gives: "0 1 2 ",
        code: iterate,
    },
    Entry {
        names: &["LastIter"],
        arguments: "i n",
        arity: (2, Some(2)),
        about: "whether i is the last of `Iterate n`",
        example: "{{range $i := Iterate 3}}{{$i}}{{if LastIter $i 3}}{{else}}, {{end}}{{end}}",
        gives: "0, 1, 2",
        code: |_, args| Ok((int_at(args, 0) == int_at(args, 1).saturating_sub(1)).into()),
    },
    Entry {
        names: &["Add"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "the sum of two integers",
        example: r#"{{Add 2 "1"}}"#,
        gives: "3",
        code: |_, args| Ok(int_at(args, 0).wrapping_add(int_at(args, 1)).into()),
    },
    Entry {
        names: &["Int"],
        arguments: "x",
        arity: (1, Some(1)),
        about: "x as an integer, 0 if it is none",
        example: r#"{{Int "42"}} {{Int 3.7}} {{Int "x"}}"#,
        gives: "42 3 0",
        code: |_, args| Ok(int_at(args, 0).into()),
    },
    Entry {
        names: &["Float"],
        arguments: "x",
        arity: (1, Some(1)),
        about: "x as a float, 0 if it is none",
        example: r#"{{Float "2.50"}}"#,
        gives: r"2\.5",
        code: |_, args| Ok(args.first().map_or(0.0, float).into()),
    },
    Entry {
        names: &["EQ"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether two numbers are equal; what is no number counts as 0",
        example: r#"{{EQ 10 "10.0"}}"#,
        gives: "true",
        code: |_, args| compare(args, |a, b| a == b),
    },
    Entry {
        names: &["GE"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether a is at least b",
        example: "{{GE 10 10}}",
        gives: "true",
        code: |_, args| compare(args, |a, b| a >= b),
    },
    Entry {
        names: &["GT"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether a is greater than b",
        example: "{{GT 10 10}}",
        gives: "false",
        code: |_, args| compare(args, |a, b| a > b),
    },
    Entry {
        names: &["LE"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether a is at most b",
        example: "{{LE 9 10}}",
        gives: "true",
        code: |_, args| compare(args, |a, b| a <= b),
    },
    Entry {
        names: &["LT"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether a is less than b",
        example: "{{LT 9 10}}",
        gives: "true",
        code: |_, args| compare(args, |a, b| a < b),
    },
    Entry {
        names: &["Nth"],
        arguments: "a b",
        arity: (2, Some(2)),
        about: "whether a is a multiple of b",
        example: "{{Nth 30 10}}",
        gives: "true",
        code: |_, args| Ok(is_multiple(int_at(args, 0), int_at(args, 1))?.into()),
    },
    Entry {
        names: &["NthRequest"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "whether the count of requests, the variable `_RequestCount`, is a multiple of n",
        example: "{{NthRequest 3}}",
        gives: "true",
        code: |context, args| {
            let by = int_at(args, 0);
            Ok(match request_count(context) {
                Some(count) => is_multiple(count, by)?,
                None => false,
            }
            .into())
        },
    },
    Entry {
        names: &["GERequest"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "whether the count of requests is at least n",
        example: "{{GERequest 10}}",
        gives: "false",
        code: |context, args| Ok(request_count(context).is_some_and(|n| n >= int_at(args, 0)).into()),
    },
    Entry {
        names: &["LTRequest"],
        arguments: "n",
        arity: (1, Some(1)),
        about: "whether the count of requests is less than n",
        example: "{{LTRequest 10}}",
        gives: "true",
        code: |context, args| Ok(request_count(context).is_some_and(|n| n < int_at(args, 0)).into()),
    },
    Entry {
        names: &["Dict"],
        arguments: "key value …",
        arity: (0, None),
        about: "a map of the pairs; print it with `JSON` to get JSON",
        example: r#"{{Dict "one" 1 "two" 2}} {{JSON (Dict "one" 1 "two" 2)}}"#,
        gives: r#"map\[one:1 two:2\] \{"one":1,"two":2\}"#,
        code: dict,
    },
    Entry {
        names: &["JSON", "ToJSON"],
        arguments: "value",
        arity: (1, Some(1)),
        about: "the value as JSON",
        example: r#"{{JSON "say \"hi\""}}"#,
        gives: r#""say \\"hi\\"""#,
        code: json,
    },
    Entry {
        names: &["Unescape"],
        arguments: "text",
        arity: (1, Some(1)),
        about: "the text as it is; nothing is ever escaped, so this is for older files",
        example: r#"{{Unescape "<b>"}}"#,
        gives: "<b>",
        code: |_, args| Ok(text_at(args, 0).into()),
    },
];

fn iterate(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let limit = state(context)?.limits.list_items;
    let end = count(int_at(args, 0), limit, "rounds")?;
    Ok((0..end).collect::<List>().into())
}

fn compare(args: &[Value], holds: fn(f64, f64) -> bool) -> Result<Value, FuncError> {
    let number = |at: usize| args.get(at).map_or(0.0, float);
    Ok(holds(number(0), number(1)).into())
}

fn is_multiple(number: i64, of: i64) -> Result<bool, FuncError> {
    match number.checked_rem(of) {
        Some(rest) => Ok(rest == 0),
        // The smallest integer is a multiple of -1, only that quotient does not fit.
        None if of == -1 => Ok(true),
        None => Err(FuncError::new("cannot count in steps of 0")),
    }
}

fn request_count(context: &Context<'_>) -> Option<i64> {
    let count = context.root().get("_RequestCount")?;
    Some(int(count)).filter(|count| *count >= 0)
}

fn dict(_context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let mut entries = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks(2) {
        let [key, value] = pair else {
            return Err(FuncError::new("wants pairs of keys and values, but the last key has no value"));
        };
        let key = key.as_str().ok_or_else(|| {
            FuncError::new(format!("wants strings as keys, not {} ({key})", key.type_name()))
        })?;
        entries.push((key, value.clone()));
    }
    Ok(entries.into_iter().collect::<Map>().into())
}

fn json(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
    let limit = state(context)?.limits.text_bytes;
    json_text(args.first().unwrap_or(&Value::Nil), limit).map(Value::from)
}

/// A value as JSON text of at most `limit` bytes.
pub(crate) fn json_text(value: &Value, limit: usize) -> Result<String, FuncError> {
    let mut text = String::new();
    write_json(&mut text, value, limit)?;
    Ok(text)
}

/// Written here rather than by way of a JSON value: templates can build values that share their
/// parts, and are small in memory but endless as text.
fn write_json(text: &mut String, value: &Value, limit: usize) -> Result<(), FuncError> {
    if text.len() > limit {
        return Err(FuncError::new(format!("JSON text is longer than the limit of {limit} bytes")));
    }
    match value {
        Value::List(list) => {
            text.push('[');
            for (position, item) in list.iter().enumerate() {
                text.push_str(if position > 0 { "," } else { "" });
                write_json(text, item, limit)?;
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for (position, (key, item)) in map.iter().enumerate() {
                text.push_str(if position > 0 { "," } else { "" });
                text.push_str(&serde_json::Value::from(key).to_string());
                text.push(':');
                write_json(text, item, limit)?;
            }
            text.push('}');
        }
        scalar => text.push_str(&serde_json::Value::from(scalar).to_string()),
    }
    Ok(())
}
