//! Conversions from plain Rust values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{List, Map, Value};
use crate::functions::Function;

macro_rules! convert {
    ($($from:ty => |$name:ident| $make:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $make
            }
        })*
    };
}

convert! {
    bool => |truth| Value::Bool(truth);
    i8 => |number| Value::Int(number.into());
    i16 => |number| Value::Int(number.into());
    i32 => |number| Value::Int(number.into());
    i64 => |number| Value::Int(number);
    u8 => |number| Value::Int(number.into());
    u16 => |number| Value::Int(number.into());
    u32 => |number| Value::Int(number.into());
    u64 => |number| i64::try_from(number).map_or(Value::Uint(number), Value::Int);
    usize => |number| i64::try_from(number).map_or(Value::Uint(number as u64), Value::Int);
    f32 => |number| Value::Float(number.into());
    f64 => |number| Value::Float(number);
    &str => |text| Value::Str(text.into());
    String => |text| Value::Str(text.into());
    Arc<str> => |text| Value::Str(text);
    char => |character| Value::Str(Arc::from(&*character.encode_utf8(&mut [0; 4])));
    List => |list| Value::List(list);
    Map => |map| Value::Map(map);
    Function => |function| Value::Func(function);
    () => |_unit| Value::Nil;
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Value::Nil, Into::into)
    }
}

impl<V: Into<Value>> From<Vec<V>> for Value {
    fn from(items: Vec<V>) -> Self {
        Value::List(items.into_iter().collect())
    }
}

impl<V: Into<Value>, const N: usize> From<[V; N]> for Value {
    fn from(items: [V; N]) -> Self {
        Value::List(items.into_iter().collect())
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>> From<BTreeMap<K, V>> for Value {
    fn from(entries: BTreeMap<K, V>) -> Self {
        Value::Map(entries.into_iter().collect())
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>, S> From<HashMap<K, V, S>> for Value {
    fn from(entries: HashMap<K, V, S>) -> Self {
        Value::Map(entries.into_iter().collect())
    }
}
