//! Printing as Go prints: `print`, `println`, `printf`, and the text of a value.

mod float;
mod integer;
mod printf;
mod quote;
mod sink;

pub(crate) use printf::sprintf;
pub(crate) use quote::is_printable;
pub(crate) use sink::Sink;

use crate::Value;
use printf::{Flags, format};

/// Writes a value as `%v` does.
pub(crate) fn write_value(sink: &mut Sink, value: &Value) {
    match value {
        Value::Str(text) => sink.push(text.as_bytes()),
        Value::Int(number) => integer::push_decimal(sink, number.unsigned_abs(), *number < 0),
        Value::Bool(truth) => sink.push(if *truth { b"true" } else { b"false" }),
        Value::Nil => sink.push(b"<nil>"),
        other => format(sink, other, 'v', &Flags::default()),
    }
}

/// What `print` makes of its arguments: spaces only between two that are not strings.
pub(crate) fn sprint<'v>(sink: &mut Sink, values: impl Iterator<Item = &'v Value>) {
    let mut after_string = true;
    for value in values {
        let is_string = value.string_bytes().is_some();
        if !is_string && !after_string {
            sink.push(b" ");
        }
        write_value(sink, value);
        after_string = is_string;
    }
}

/// What `println` makes of its arguments: spaces between all, and a line end.
pub(crate) fn sprintln<'v>(sink: &mut Sink, values: impl Iterator<Item = &'v Value>) {
    for (position, value) in values.enumerate() {
        if position > 0 {
            sink.push(b" ");
        }
        write_value(sink, value);
    }
    sink.push(b"\n");
}
