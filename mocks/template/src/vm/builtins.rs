//! The functions of the language.

use super::operand::Operand;
use super::{Machine, VmResult, access, compare};
use crate::error::RenderErrorKind;
use crate::fmt::{self, Sink};
use crate::program::Builtin;
use crate::{Context, Value, escape};

impl<'a> Machine<'a> {
    /// Calls a built-in with the arguments on the stack and pushes its result.
    pub(super) fn builtin(
        &mut self,
        builtin: Builtin,
        count: usize,
        piped: bool,
        context: &mut Context<'_>,
    ) -> VmResult<()> {
        let args: Vec<Operand<'a>> = self.take_args(count, piped).collect();
        let [first, second] = [args.first(), args.get(1)].map(|arg| arg.map_or(NIL, Operand::value));
        let result = match builtin {
            Builtin::Not => Ok(Value::Bool(!first.is_true())),
            Builtin::Eq => {
                compare::equals_any(first, args.iter().skip(1).map(Operand::value)).map(Value::Bool)
            }
            Builtin::Ne => compare::equals(first, second).map(|equal| Value::Bool(!equal)),
            Builtin::Lt => compare::less(first, second).map(Value::Bool),
            Builtin::Le => compare::less_or_equal(first, second).map(Value::Bool),
            Builtin::Gt => compare::less_or_equal(first, second).map(|less| Value::Bool(!less)),
            Builtin::Ge => compare::less(first, second).map(|less| Value::Bool(!less)),
            Builtin::Index => access::index(&args),
            Builtin::Len => access::len(first),
            Builtin::Slice => match access::slice(&args) {
                Ok((part, copied)) => {
                    self.spend(copied as u64 / 4)?;
                    Ok(part)
                }
                Err(message) => Err(message),
            },
            Builtin::Printf if first.string_bytes().is_none() => {
                Err(format!("the format must be a string, not {}", first.type_name()))
            }
            Builtin::Call => return self.call_value(&args, context),
            // These are compiled to jumps.
            Builtin::And | Builtin::Or => Ok(Value::Nil),
            Builtin::Print
            | Builtin::Printf
            | Builtin::Println
            | Builtin::Html
            | Builtin::Js
            | Builtin::Urlquery => return self.write_string(builtin, &args),
        };
        self.push_or_fail(builtin, result)
    }

    fn push_or_fail(&mut self, builtin: Builtin, result: Result<Value, String>) -> VmResult<()> {
        match result {
            Ok(value) => self.push_result(value),
            Err(message) => Err(Box::new(RenderErrorKind::Builtin { name: builtin.name(), message })),
        }
    }

    /// The built-ins that make strings.
    fn write_string(&mut self, builtin: Builtin, args: &[Operand<'a>]) -> VmResult<()> {
        let mut sink = Sink::new(self.string_limit);
        let values: Vec<&Value> = args.iter().map(Operand::value).collect();
        match (builtin, values.split_first()) {
            (Builtin::Print, _) => fmt::sprint(&mut sink, values.into_iter()),
            (Builtin::Println, _) => fmt::sprintln(&mut sink, values.into_iter()),
            (Builtin::Printf, Some((format, rest))) => {
                fmt::sprintf(&mut sink, format.string_bytes().unwrap_or_default(), rest);
            }
            _ => self.escape(builtin, &values, &mut sink),
        }
        if sink.is_full() {
            return Err(crate::error::Limit::Output.into());
        }
        self.push_result(Value::from_string_bytes(sink.into_bytes()))
    }

    fn escape(&self, builtin: Builtin, values: &[&Value], sink: &mut Sink) {
        let mut plain = Sink::new(self.string_limit);
        let text = match values {
            [one] if one.string_bytes().is_some() => one.string_bytes().unwrap_or_default(),
            _ => {
                let no_value = Value::from("<no value>");
                let shown = values.iter().map(|value| if value.is_nil() { &no_value } else { *value });
                fmt::sprint(&mut plain, shown);
                plain.bytes()
            }
        };
        match builtin {
            Builtin::Html => escape::html(sink, text),
            Builtin::Js => escape::js(sink, text),
            _ => escape::urlquery(sink, text),
        }
    }

    /// `call f args…`.
    fn call_value(&mut self, args: &[Operand<'a>], context: &mut Context<'_>) -> VmResult<()> {
        let (callee, rest) = match args.split_first() {
            Some((callee, rest)) => (callee.value(), rest),
            None => (NIL, args),
        };
        let Value::Func(function) = callee else {
            let message = format!("cannot call {}", callee.type_name());
            return self.push_or_fail(Builtin::Call, Err(message));
        };
        if !function.arity().accepts(rest.len()) {
            let (want, got) = (function.arity().to_string(), rest.len());
            return Err(Box::new(RenderErrorKind::ArgumentCount { function: "call".to_owned(), want, got }));
        }
        let values: Vec<Value> = rest.iter().map(|arg| arg.value().clone()).collect();
        match function.call(context, &values) {
            Ok(value) => self.push_result(value),
            Err(source) => Err(Box::new(RenderErrorKind::Function { name: "call".to_owned(), source })),
        }
    }
}

const NIL: &Value = &Value::Nil;
