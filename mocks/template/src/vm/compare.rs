//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;

use crate::Value;

/// The sorts of values that can be compared with each other.
#[derive(PartialEq)]
enum Sort<'v> {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Complex(f64, f64),
    Text(&'v [u8]),
    Nil,
    /// Lists, maps and functions.
    Other,
}

fn sort_of(value: &Value) -> Sort<'_> {
    match value {
        Value::Nil => Sort::Nil,
        Value::Bool(truth) => Sort::Bool(*truth),
        Value::Int(number) => Sort::Integer((*number).into()),
        Value::Uint(number) => Sort::Integer((*number).into()),
        Value::Byte(number) => Sort::Integer((*number).into()),
        Value::Float(number) => Sort::Float(*number),
        Value::Complex(re, im) => Sort::Complex(*re, *im),
        Value::Str(_) | Value::Bytes(_) => Sort::Text(value.string_bytes().unwrap_or_default()),
        Value::List(_) | Value::Map(_) | Value::Func(_) => Sort::Other,
    }
}

const DIFFERENT: &str = "values of different types cannot be compared";

/// Whether `first` equals one of `others`.
pub(super) fn equals_any<'v>(first: &Value, others: impl Iterator<Item = &'v Value>) -> Result<bool, String> {
    let mut any = false;
    for other in others {
        any = true;
        if equals(first, other)? {
            return Ok(true);
        }
    }
    if any { Ok(false) } else { Err("nothing to compare with".to_owned()) }
}

/// Whether two values are equal; nil equals nil only, and lists and maps can only be compared to nil.
pub(super) fn equals(a: &Value, b: &Value) -> Result<bool, String> {
    match (sort_of(a), sort_of(b)) {
        (Sort::Nil, other) | (other, Sort::Nil) => Ok(other == Sort::Nil),
        (Sort::Other, Sort::Other) => Err(format!("{} cannot be compared", a.type_name())),
        (a, b) if std::mem::discriminant(&a) == std::mem::discriminant(&b) => Ok(a == b),
        _ => Err(DIFFERENT.to_owned()),
    }
}

/// `lt`: numbers of one sort, and strings byte by byte.
pub(super) fn less(a: &Value, b: &Value) -> Result<bool, String> {
    let order = match (sort_of(a), sort_of(b)) {
        (Sort::Integer(a), Sort::Integer(b)) => Some(a.cmp(&b)),
        (Sort::Float(a), Sort::Float(b)) => a.partial_cmp(&b),
        (Sort::Text(a), Sort::Text(b)) => Some(a.cmp(b)),
        (a, b) if std::mem::discriminant(&a) == std::mem::discriminant(&b) => {
            return Err("values of this type have no order".to_owned());
        }
        _ => return Err(DIFFERENT.to_owned()),
    };
    Ok(order == Some(Ordering::Less))
}

/// `le` is "less or equal", which matters for NaN.
pub(super) fn less_or_equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(less(a, b)? || equals(a, b)?)
}
