//! Compiled templates: short lists of operations for a stack machine.

use std::collections::HashMap;

use crate::error::RenderErrorKind;
use crate::functions::{Arity, Function};
use crate::{MissingKey, Value};

/// One operation. "Top" is the top of the stack of operands; numbers are indices into the tables
/// of the [`Unit`] or, for jumps, into its operations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Writes a part of the source.
    Text {
        start: u32,
        end: u32,
    },
    /// Push a value.
    Constant(u32),
    Nil,
    Dot,
    /// `$`, the data of the template.
    Root,
    Variable(u32),
    /// Pushes a field of the dot.
    DotField(u32),
    /// Replaces top by a field of it.
    Field(u32),
    /// The same for a field that is given arguments, which only missing values survive.
    FieldWithArguments(u32),
    /// Turns nil into a missing value, as the end of a pipeline does.
    Settle,
    /// Replace the arguments by the result. With `piped` the last argument stands below the others.
    Call {
        function: u32,
        count: u16,
        piped: bool,
    },
    Builtin {
        builtin: Builtin,
        count: u16,
        piped: bool,
    },
    /// Jumps and keeps top if it decides the result, else drops it.
    And(u32),
    Or(u32),
    /// Drops the value below top.
    Nip,
    Pop,
    /// Writes top and drops it.
    Print,
    /// Writes a field of the dot.
    PrintField(u32),
    /// Copies top to a variable.
    Store(u32),
    Jump(u32),
    JumpIfFalse(u32),
    /// Makes top the dot if it is true, else drops it and jumps.
    With(u32),
    EndWith,
    /// Starts a loop over top, or jumps if there is nothing to loop over.
    Range {
        shape: u32,
        exit: u32,
    },
    /// Goes on to the next element, or ends the loop.
    Next {
        shape: u32,
        body: u32,
    },
    EndRange,
    /// Calls another template with top or nothing as its data.
    Template {
        target: u32,
        argument: bool,
    },
    /// Ends the rendering with one of the failures that were foreseen.
    Fail(u32),
    Return,
}

/// The number of `$` among the variables, which is kept apart since all templates have it.
pub(crate) const ROOT: u32 = u32::MAX;

/// The variables of a loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) index: Option<u32>,
    pub(crate) element: Option<u32>,
}

/// What Go reports only when the faulty part is reached.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    NotAFunction,
    ArgumentCount { function: String, want: String, got: usize },
    UndefinedVariable(String),
    IntegerOverflow(String),
    NilCommand,
}

impl Failure {
    pub(crate) fn to_error(&self) -> RenderErrorKind {
        match self.clone() {
            Failure::NotAFunction => RenderErrorKind::NotAFunction,
            Failure::ArgumentCount { function, want, got } => {
                RenderErrorKind::ArgumentCount { function, want, got }
            }
            Failure::UndefinedVariable(name) => RenderErrorKind::UndefinedVariable(name),
            Failure::IntegerOverflow(text) => RenderErrorKind::IntegerOverflow(text),
            Failure::NilCommand => RenderErrorKind::NilCommand,
        }
    }
}

/// One template: the main one of a text, or a defined one.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) name: Box<str>,
    /// Which of the program's texts it stands in.
    pub(crate) source: usize,
    pub(crate) ops: Vec<Op>,
    /// Start and end of the part of the source that each operation came from.
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) constants: Vec<Value>,
    pub(crate) symbols: Vec<Box<str>>,
    pub(crate) functions: Vec<(Box<str>, Function)>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) failures: Vec<Failure>,
    /// Names of templates it calls, and which they are once all are known.
    pub(crate) targets: Vec<(Box<str>, Option<usize>)>,
    /// How many variables exist at most at one time, `$` apart.
    pub(crate) slots: usize,
    /// It holds white space at most.
    pub(crate) is_empty: bool,
}

/// A text that templates were parsed from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Box<str>,
    pub(crate) text: Box<str>,
}

/// All templates that know each other.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) sources: Vec<Source>,
    pub(crate) units: Vec<Unit>,
    pub(crate) by_name: HashMap<Box<str>, usize>,
    pub(crate) missing_key: MissingKey,
    pub(crate) no_value: Box<str>,
    /// Whether anything of the caller's is called, which may look at the data.
    pub(crate) has_calls: bool,
}

impl Program {
    /// Adds a template; one that holds white space only does not replace another.
    pub(crate) fn add(&mut self, unit: Unit) {
        match self.by_name.get(&unit.name) {
            Some(&at) => {
                if let Some(old) = self.units.get_mut(at)
                    && (old.is_empty || !unit.is_empty)
                {
                    *old = unit;
                }
            }
            None => {
                self.by_name.insert(unit.name.clone(), self.units.len());
                self.units.push(unit);
            }
        }
    }

    /// Resolves the names in `{{template}}` actions.
    pub(crate) fn link(&mut self) {
        for unit in &mut self.units {
            for (name, target) in &mut unit.targets {
                *target = self.by_name.get(name).copied();
            }
            let calls_value = |op: &Op| matches!(op, Op::Builtin { builtin: Builtin::Call, .. });
            self.has_calls |= !unit.functions.is_empty() || unit.ops.iter().any(calls_value);
        }
    }
}

/// The functions of the language itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    Urlquery,
}

const BUILTINS: [(&str, Builtin); 19] = [
    ("and", Builtin::And),
    ("call", Builtin::Call),
    ("eq", Builtin::Eq),
    ("ge", Builtin::Ge),
    ("gt", Builtin::Gt),
    ("html", Builtin::Html),
    ("index", Builtin::Index),
    ("js", Builtin::Js),
    ("le", Builtin::Le),
    ("len", Builtin::Len),
    ("lt", Builtin::Lt),
    ("ne", Builtin::Ne),
    ("not", Builtin::Not),
    ("or", Builtin::Or),
    ("print", Builtin::Print),
    ("printf", Builtin::Printf),
    ("println", Builtin::Println),
    ("slice", Builtin::Slice),
    ("urlquery", Builtin::Urlquery),
];

impl Builtin {
    pub(crate) fn find(name: &str) -> Option<Self> {
        BUILTINS.iter().find(|(known, _)| *known == name).map(|(_, builtin)| *builtin)
    }

    pub(crate) fn name(self) -> &'static str {
        BUILTINS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn arity(self) -> Arity {
        match self {
            Builtin::Not | Builtin::Len => 1.into(),
            Builtin::Ne | Builtin::Lt | Builtin::Le | Builtin::Gt | Builtin::Ge => 2.into(),
            Builtin::And | Builtin::Or | Builtin::Call => (1..).into(),
            Builtin::Eq | Builtin::Index | Builtin::Slice | Builtin::Printf => (1..).into(),
            Builtin::Html | Builtin::Js | Builtin::Urlquery => (0..).into(),
            Builtin::Print | Builtin::Println => (0..).into(),
        }
    }
}
