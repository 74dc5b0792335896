//! Arguments as the functions want them: numbers from numbers and from numeric texts, else zero.

use api_mock_template::{FuncError, Value};

/// The integer that an argument stands for; 0 if it stands for none. Fractions are cut off.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn int(value: &Value) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    if let Some(text) = value.as_str().map(str::trim)
        && let Ok(number) = text.parse()
    {
        return number;
    }
    float(value) as i64
}

/// The number that an argument stands for; 0 if it stands for none.
pub(crate) fn float(value: &Value) -> f64 {
    number(value).unwrap_or(0.0)
}

/// The number that an argument stands for, if any.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A count, not negative and not above `limit`.
pub(crate) fn count(value: i64, limit: usize, what: &str) -> Result<usize, FuncError> {
    match usize::try_from(value.max(0)) {
        Ok(count) if count <= limit => Ok(count),
        _ => Err(FuncError::new(format!("{value} {what} are more than the limit of {limit}"))),
    }
}

/// The integer argument at a position; 0 if it is missing.
pub(crate) fn int_at(args: &[Value], at: usize) -> i64 {
    args.get(at).map_or(0, int)
}

/// The text of the argument at a position.
pub(crate) fn text_at(args: &[Value], at: usize) -> String {
    match args.get(at) {
        Some(Value::Nil) | None => String::new(),
        Some(value) => value.to_string(),
    }
}
