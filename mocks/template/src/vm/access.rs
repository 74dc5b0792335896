//! Fields, `index`, `slice` and `len`.

use super::VmResult;
use super::operand::Operand;
use crate::error::RenderErrorKind;
use crate::{List, MissingKey, Value};

/// The field `name` of a value.
#[inline]
pub(super) fn field<'a>(base: &Operand<'a>, name: &str, missing: MissingKey) -> VmResult<Operand<'a>> {
    let found = match base {
        Operand::Ref(Value::Map(map)) => map.get(name).map(Operand::Ref),
        Operand::Own(Value::Map(map)) => map.get(name).cloned().map(Operand::Own),
        Operand::Missing if missing != MissingKey::Error => return Ok(Operand::Missing),
        Operand::Missing => None,
        other => {
            let type_name = other.value().type_name();
            return Err(Box::new(RenderErrorKind::NoField { field: name.to_owned(), type_name }));
        }
    };
    match (found, missing) {
        (Some(value), _) => Ok(value),
        (None, MissingKey::Default) => Ok(Operand::Missing),
        (None, MissingKey::Zero) => Ok(Operand::Own(Value::Nil)),
        (None, MissingKey::Error) => Err(Box::new(RenderErrorKind::MissingKey(name.to_owned()))),
    }
}

/// A field that is given arguments: an error, unless there is nothing that it is a field of.
pub(super) fn field_with_arguments<'a>(
    base: &Operand<'a>,
    name: &str,
    missing: MissingKey,
) -> VmResult<Operand<'a>> {
    match base {
        Operand::Missing => field(base, name, missing),
        other if other.value().as_map().is_some() => Err(Box::new(RenderErrorKind::NotAFunction)),
        other => field(other, name, missing),
    }
}

/// `index item i j …`.
pub(super) fn index(args: &[Operand<'_>]) -> Result<Value, String> {
    let Some((item, indices)) = args.split_first() else {
        return Ok(Value::Nil);
    };
    if item.value().is_nil() {
        return Err("cannot index nil".to_owned());
    }
    let mut current = item.value().clone();
    for index in indices {
        current = index_once(&current, index.value())?;
    }
    Ok(current)
}

fn index_once(item: &Value, index: &Value) -> Result<Value, String> {
    match item {
        Value::Map(map) => {
            let key = index.as_str().or(index.string_bytes().map(|_| ""));
            let key =
                key.ok_or_else(|| format!("a map wants a string as its key, not {}", index.type_name()))?;
            Ok(if index.as_str().is_some() { map.get(key).cloned().unwrap_or_default() } else { Value::Nil })
        }
        Value::List(list) => {
            let at = position(index, list.len(), false)?;
            list.get(at).cloned().ok_or_else(|| format!("index {at} is out of range"))
        }
        _ => {
            let Some(bytes) = item.string_bytes() else {
                return Err(format!("cannot index {}", item.type_name()));
            };
            let at = position(index, bytes.len(), false)?;
            bytes.get(at).map(|byte| Value::Byte(*byte)).ok_or_else(|| format!("index {at} is out of range"))
        }
    }
}

/// An index as a number; `past_end` allows the position after the last element.
fn position(index: &Value, len: usize, past_end: bool) -> Result<usize, String> {
    let at = match index {
        Value::Int(_) | Value::Uint(_) | Value::Byte(_) => index.as_i64(),
        other => return Err(format!("an index must be an integer, not {}", other.type_name())),
    };
    let at = at.and_then(|at| usize::try_from(at).ok());
    match at {
        Some(at) if at < len || (past_end && at == len) => Ok(at),
        _ => Err(format!("index {index} is out of range")),
    }
}

/// `slice item i j k`, and how many elements were copied.
pub(super) fn slice(args: &[Operand<'_>]) -> Result<(Value, usize), String> {
    let Some((item, indices)) = args.split_first() else {
        return Ok((Value::Nil, 0));
    };
    let item = item.value();
    if indices.len() > 3 {
        return Err(format!("takes at most 3 indices, got {}", indices.len()));
    }
    let len = match item {
        Value::Nil => return Err("cannot slice nil".to_owned()),
        Value::List(list) => list.len(),
        other => match other.string_bytes() {
            Some(_) if indices.len() == 3 => return Err("a string takes at most 2 indices".to_owned()),
            Some(bytes) => bytes.len(),
            None => return Err(format!("cannot slice {}", item.type_name())),
        },
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indices) {
        *bound = position(index.value(), len, true)?;
    }
    let [start, end, limit] = bounds;
    if start > end || end > limit {
        return Err(format!("bounds {start}, {end}, {limit} are not in order"));
    }
    let whole = start == 0 && end == len;
    let part = match item {
        _ if whole => item.clone(),
        Value::List(list) => Value::List(List::from(list.get(start..end).unwrap_or_default().to_vec())),
        other => {
            let bytes = other.string_bytes().unwrap_or_default();
            Value::from_string_bytes(bytes.get(start..end).unwrap_or_default().to_vec())
        }
    };
    Ok((part, if whole { 0 } else { end - start }))
}

/// `len item`.
pub(super) fn len(item: &Value) -> Result<Value, String> {
    let len = match item {
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => match other.string_bytes() {
            Some(bytes) => bytes.len(),
            None => return Err(format!("{} has no length", with_article(other.type_name()))),
        },
    };
    Ok(Value::from(len))
}

fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {type_name}")
}
