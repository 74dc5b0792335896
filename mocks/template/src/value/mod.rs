//! The values that templates compute with.

mod collections;
mod convert;
#[cfg(feature = "json")]
mod json;

use std::fmt;
use std::sync::Arc;

pub use collections::{List, Map};

use crate::functions::Function;

/// What a template computes with: data from the caller, constants, results of functions.
///
/// Cloning costs at most one reference count. Strings are UTF-8 ([`Value::Str`]); the few
/// operations of the language that can cut a character in two (`slice`, `"\xff"`) give
/// [`Value::Bytes`], which templates treat as a string of any bytes, like Go's own strings.
///
/// ```
/// use api_mock_template::{Map, Value};
///
/// let user: Map = [("name", Value::from("Ann")), ("age", Value::from(41))].into_iter().collect();
/// assert_eq!(Value::from(user).to_string(), "map[age:41 name:Ann]");
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Value {
    /// No value: JSON's null, Go's nil.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer; integer constants are of this type.
    Int(i64),
    /// An unsigned integer, for data that does not fit `Int`.
    Uint(u64),
    /// One byte of a string, as `index "abc" 0` gives it.
    Byte(u8),
    /// A floating-point number.
    Float(f64),
    /// A complex number, real and imaginary part: what the constant `1+2i` gives.
    Complex(f64, f64),
    /// Text.
    Str(Arc<str>),
    /// A string that is not valid UTF-8.
    Bytes(Arc<[u8]>),
    /// A list.
    List(List),
    /// A map with strings as keys.
    Map(Map),
    /// A function that the built-in `call` can call.
    Func(Function),
}

impl Value {
    /// The name of the type as `%T` prints it.
    ///
    /// ```
    /// use api_mock_template::Value;
    /// assert_eq!(Value::from(1.5).type_name(), "float64");
    /// assert_eq!(Value::Nil.type_name(), "<nil>");
    /// ```
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint64",
            Value::Byte(_) => "uint8",
            Value::Float(_) => "float64",
            Value::Complex(..) => "complex128",
            Value::Str(_) | Value::Bytes(_) => "string",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Func(_) => "func",
        }
    }

    /// Whether `if` takes the first branch: false for nil, false, zero, and empty strings, lists
    /// and maps.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Uint(number) => *number != 0,
            Value::Byte(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Func(_) => true,
        }
    }

    /// Whether this is [`Value::Nil`].
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// The integer, if this is one of any width that fits. Floats are not converted.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Uint(number) => i64::try_from(*number).ok(),
            Value::Byte(number) => Some(i64::from(*number)),
            _ => None,
        }
    }

    /// The number as a float, if this is a number; large integers are rounded.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Uint(number) => Some(*number as f64),
            Value::Byte(number) => Some(f64::from(*number)),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if this is a UTF-8 string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The list, if this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The map, if this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The entry `key` of a map; `None` for a missing key and for anything that is no map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// How many lists and maps stand inside one another: 0 for a scalar, 1 for a flat list.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Value::List(list) => list.depth(),
            Value::Map(map) => map.depth(),
            _ => 0,
        }
    }

    /// The bytes of a string, UTF-8 or not.
    pub(crate) fn string_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A string from bytes: `Str` where they are UTF-8.
    pub(crate) fn from_string_bytes(bytes: Vec<u8>) -> Value {
        match String::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(error) => Value::Bytes(error.into_bytes().into()),
        }
    }
}

/// The value as `{{print .}}` writes it; bytes that are not UTF-8 become U+FFFD.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sink = crate::fmt::Sink::new(usize::MAX);
        crate::fmt::write_value(&mut sink, self);
        f.write_str(&String::from_utf8_lossy(sink.bytes()))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("Nil"),
            Value::Bool(truth) => write!(f, "Bool({truth})"),
            Value::Int(number) => write!(f, "Int({number})"),
            Value::Uint(number) => write!(f, "Uint({number})"),
            Value::Byte(number) => write!(f, "Byte({number})"),
            Value::Float(number) => write!(f, "Float({number:?})"),
            Value::Complex(re, im) => write!(f, "Complex({re:?}, {im:?})"),
            Value::Str(text) => write!(f, "Str({text:?})"),
            Value::Bytes(bytes) => write!(f, "Bytes({bytes:?})"),
            Value::List(list) => f.debug_list().entries(list.iter()).finish(),
            Value::Map(map) => f.debug_map().entries(map.iter()).finish(),
            Value::Func(_) => f.write_str("Func"),
        }
    }
}

/// Equality of Rust values, not the language's `eq`: `Int(1)` and `Uint(1)` differ, lists and
/// maps are compared entry by entry, functions by identity.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Uint(a), Value::Uint(b)) => a == b,
            (Value::Byte(a), Value::Byte(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Func(a), Value::Func(b)) => a.same_as(b),
            _ => false,
        }
    }
}
