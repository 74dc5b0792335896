//! Comparisons for templates of scenarios: their variables are mostly texts of the request, so a
//! text that reads like a number is compared with a number as one.

use std::cmp::Ordering;

use api_mock_template::{FuncError, Functions, Value};

/// Replaces the language's own comparisons, which refuse to compare texts with numbers.
pub(crate) fn add_to(functions: &mut Functions) {
    functions
        .add("eq", 2.., |_, args| {
            let (first, rest) = args.split_first().ok_or_else(|| FuncError::new("wants two values"))?;
            Ok(rest.iter().any(|value| is_equal(first, value)).into())
        })
        .add("ne", 2, |_, args| Ok(args.first().zip(args.get(1)).is_none_or(|(a, b)| !is_equal(a, b)).into()))
        .add("lt", 2, |_, args| order(args, Ordering::is_lt))
        .add("le", 2, |_, args| order(args, Ordering::is_le))
        .add("gt", 2, |_, args| order(args, Ordering::is_gt))
        .add("ge", 2, |_, args| order(args, Ordering::is_ge));
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    }
}

fn is_number(value: &Value) -> bool {
    value.as_f64().is_some()
}

fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (a, b) if is_number(a) || is_number(b) => match (a.as_i64(), b.as_i64(), number(a), number(b)) {
            (Some(a), Some(b), ..) => a == b,
            (_, _, Some(a), Some(b)) => a.total_cmp(&b).is_eq() || a == b,
            _ => false,
        },
        // A variable that is not there is an empty text.
        (Value::Nil, Value::Str(text)) | (Value::Str(text), Value::Nil) => text.is_empty(),
        (Value::Bool(truth), Value::Str(text)) | (Value::Str(text), Value::Bool(truth)) => {
            **text == *truth.to_string()
        }
        (a, b) => a == b,
    }
}

fn order(args: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, FuncError> {
    let [a, b] = args else { return Err(FuncError::new("wants two values")) };
    let empty = Value::from("");
    let text = |value| if matches!(value, &Value::Nil) { &empty } else { value };
    let ordering = match (text(a), text(b)) {
        (a, b) if is_number(a) || is_number(b) => {
            let simple = |value: &Value| matches!(value, Value::Str(_)) || is_number(value);
            match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ if simple(a) && simple(b) => {
                    number(a).unwrap_or_default().partial_cmp(&number(b).unwrap_or_default())
                }
                _ => None,
            }
        }
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let ordering = ordering
        .ok_or_else(|| FuncError::new(format!("cannot compare {} with {}", a.type_name(), b.type_name())))?;
    Ok(holds(ordering).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_template::{Map, Template};

    #[test]
    fn texts_of_requests_compare_with_numbers() {
        let mut functions = Functions::new();
        add_to(&mut functions);
        let data: Map = [("n", "9"), ("w", "word"), ("t", "true")].into_iter().collect();
        let data = Value::from(data);
        let holds = |test: &str| {
            let text = format!("{{{{if {test}}}}}yes{{{{else}}}}no{{{{end}}}}");
            Template::parse("t", &text, &functions).unwrap().render(&data).unwrap() == "yes"
        };
        for test in [
            "lt .n 10",
            "eq .n 9",
            "eq 9.0 .n",
            "ge .n 8.5",
            "eq .w `x` `word`",
            "eq .missing ``",
            "lt .missing 1",
            "ne .n 10",
            "gt .w `wor`",
            "eq .t true",
            "eq 1 1.0",
            "lt .w 1",
        ] {
            assert!(holds(test), "{test}");
        }
        for test in ["eq .w 0", "lt .n 9", "ne 1 1", "eq .missing 0", "gt `10` `9`"] {
            assert!(!holds(test), "{test}");
        }
        let bad = Template::parse("t", "{{lt . 1}}", &functions).unwrap().render(&data);
        assert!(bad.unwrap_err().to_string().contains("cannot compare map[string]interface {} with int"));
    }
}
