//! What stands on the machine's stack.

use crate::Value;

/// A value at hand: borrowed from data or template where possible.
#[derive(Clone, Debug)]
pub(super) enum Operand<'a> {
    /// No value at all, as a missing key gives; fields of it are missing too, while a field of a
    /// nil that is really there is an error.
    Missing,
    Ref(&'a Value),
    Own(Value),
}

impl<'a> Operand<'a> {
    pub(super) fn value(&self) -> &Value {
        const NIL: &Value = &Value::Nil;
        match self {
            Operand::Missing => NIL,
            Operand::Ref(value) => value,
            Operand::Own(value) => value,
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Operand::Missing => Value::Nil,
            Operand::Ref(value) => value.clone(),
            Operand::Own(value) => value,
        }
    }

    /// The value at the end of a pipeline, where nil is no value.
    pub(super) fn settled(self) -> Self {
        if self.value().is_nil() { Operand::Missing } else { self }
    }
}

impl<'a> From<Option<&'a Value>> for Operand<'a> {
    fn from(value: Option<&'a Value>) -> Self {
        value.map_or(Operand::Missing, Operand::Ref)
    }
}
