//! Functions that the caller gives to templates.

use std::collections::HashMap;
use std::fmt;
use std::ops::{RangeFrom, RangeInclusive};
use std::sync::Arc;

use crate::{Context, Value};

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;
type Callable = dyn Fn(&mut Context<'_>, &[Value]) -> Result<Value, FuncError> + Send + Sync;

/// Why a function of the caller failed; ends the rendering.
///
/// ```
/// use api_mock_template::FuncError;
/// let error = FuncError::new("the seed must not be negative");
/// assert_eq!(error.to_string(), "the seed must not be negative");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FuncError {
    message: String,
    #[source]
    source: Option<Cause>,
}

impl FuncError {
    /// An error that says `message`.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        FuncError { message: message.into(), source: None }
    }

    /// An error that says `message` and keeps its cause.
    #[must_use]
    pub fn with_source(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        FuncError { message: message.into(), source: Some(source.into()) }
    }
}

/// How many arguments a function takes. Made from a number, `1..=3` or `2..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    min: usize,
    max: Option<usize>,
}

impl Arity {
    /// The least number of arguments.
    #[must_use]
    pub fn min(self) -> usize {
        self.min
    }

    /// The greatest number of arguments; `None` without a limit.
    #[must_use]
    pub fn max(self) -> Option<usize> {
        self.max
    }

    pub(crate) fn accepts(self, count: usize) -> bool {
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            None => write!(f, "at least {}", self.min),
            Some(max) if max == self.min => write!(f, "{max}"),
            Some(max) => write!(f, "{} to {max}", self.min),
        }
    }
}

impl From<usize> for Arity {
    fn from(count: usize) -> Self {
        Arity { min: count, max: Some(count) }
    }
}

impl From<RangeInclusive<usize>> for Arity {
    fn from(counts: RangeInclusive<usize>) -> Self {
        Arity { min: *counts.start(), max: Some(*counts.end()) }
    }
}

impl From<RangeFrom<usize>> for Arity {
    fn from(counts: RangeFrom<usize>) -> Self {
        Arity { min: counts.start, max: None }
    }
}

/// A function with its arity. Clones share the code.
///
/// Usually made by [`Functions::add`]; on its own it can stand in the data, where the built-in
/// `call` finds it.
#[derive(Clone)]
pub struct Function {
    arity: Arity,
    code: Arc<Callable>,
}

impl Function {
    /// Wraps a closure. It is called only with a number of arguments that `arity` accepts.
    pub fn new<F>(arity: impl Into<Arity>, code: F) -> Self
    where
        F: Fn(&mut Context<'_>, &[Value]) -> Result<Value, FuncError> + Send + Sync + 'static,
    {
        Function { arity: arity.into(), code: Arc::new(code) }
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(&self) -> Arity {
        self.arity
    }

    pub(crate) fn call(&self, context: &mut Context<'_>, args: &[Value]) -> Result<Value, FuncError> {
        (self.code)(context, args)
    }

    pub(crate) fn same_as(&self, other: &Function) -> bool {
        Arc::ptr_eq(&self.code, &other.code)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("arity", &self.arity).finish_non_exhaustive()
    }
}

/// The functions that a template may name, beside the built-in ones.
///
/// A function added here hides a built-in of the same name.
///
/// ```
/// use api_mock_template::{FuncError, Functions, Template, Value};
///
/// let mut functions = Functions::new();
/// functions
///     .add("upper", 1, |_context, args| Ok(args[0].to_string().to_uppercase().into()))
///     .add("half", 1, |_context, args| match args[0].as_i64() {
///         Some(number) => Ok(Value::Int(number / 2)),
///         None => Err(FuncError::new("half wants an integer")),
///     });
/// let template = Template::parse("t", r#"{{upper "ok"}} {{half 8 | printf "%03d"}}"#, &functions)?;
/// assert_eq!(template.render(&Value::Nil)?, "OK 004");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Functions {
    by_name: HashMap<Box<str>, Function>,
}

impl Functions {
    /// No functions but the built-in ones.
    #[must_use]
    pub fn new() -> Self {
        Functions::default()
    }

    /// Adds a function, replacing one of the same name. `arity` is a number, `1..=3` or `2..`.
    ///
    /// A name that is not an identifier of the template language can never be called.
    pub fn add<F>(&mut self, name: &str, arity: impl Into<Arity>, code: F) -> &mut Self
    where
        F: Fn(&mut Context<'_>, &[Value]) -> Result<Value, FuncError> + Send + Sync + 'static,
    {
        self.insert(name, Function::new(arity, code))
    }

    /// Adds a function that is already wrapped, for example under a second name.
    pub fn insert(&mut self, name: &str, function: Function) -> &mut Self {
        self.by_name.insert(name.into(), function);
        self
    }

    /// Adds all functions of `other`; they replace those of the same name.
    pub fn extend(&mut self, other: &Functions) -> &mut Self {
        self.by_name.extend(other.by_name.iter().map(|(name, function)| (name.clone(), function.clone())));
        self
    }

    /// The function of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.by_name.get(name)
    }

    /// The names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }
}
