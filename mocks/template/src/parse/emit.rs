//! From expressions to operations.

use super::ast::{Command, Expr, ExprKind, Name, Pipeline, Span};
use crate::Value;
use crate::error::ParseErrorKind;
use crate::functions::{Function, Functions};
use crate::program::{Builtin, Failure, Op, ROOT, Shape, Unit};

/// An error and the offset of what caused it.
pub(super) type EmitResult<T> = Result<T, (usize, ParseErrorKind)>;

/// A template being compiled: its operations so far and the variables in scope.
pub(super) struct Builder<'t, 'f> {
    pub(super) unit: Unit,
    functions: &'f Functions,
    /// Variables in scope; the position of each is its slot.
    scope: Vec<&'t str>,
    /// Names that Go finds undefined only when they are reached: variables whose first value is
    /// being computed, and those of the other branch of an `{{if}}`.
    ghosts: Vec<&'t str>,
}

/// Which variables there are at some point.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    variables: usize,
    ghosts: usize,
}

impl<'t, 'f> Builder<'t, 'f> {
    pub(super) fn new(name: &str, source: usize, functions: &'f Functions) -> Self {
        let unit = Unit { name: name.into(), source, is_empty: true, ..Unit::default() };
        Builder { unit, functions, scope: Vec::new(), ghosts: Vec::new() }
    }

    /// The operation that will be emitted next.
    pub(super) fn here(&self) -> usize {
        self.unit.ops.len()
    }

    pub(super) fn emit(&mut self, op: Op, span: Span) -> EmitResult<usize> {
        let at = self.here();
        self.unit.ops.push(op);
        self.unit.spans.push((small(span.start, span.start)?, small(span.end, span.start)?));
        Ok(at)
    }

    /// Lets the jump at `at` go to the operation that will be emitted next.
    pub(super) fn patch(&mut self, at: usize) {
        // More than u32::MAX operations are refused by `emit`: each comes from a byte of the source.
        let here = u32::try_from(self.here()).unwrap_or(u32::MAX);
        if let Some(
            Op::Jump(target)
            | Op::JumpIfFalse(target)
            | Op::And(target)
            | Op::Or(target)
            | Op::With(target)
            | Op::Range { exit: target, .. },
        ) = self.unit.ops.get_mut(at)
        {
            *target = here;
        }
    }

    pub(super) fn scope(&self) -> Scope {
        Scope { variables: self.scope.len(), ghosts: self.ghosts.len() }
    }

    /// Forgets the variables declared since `scope`.
    pub(super) fn leave(&mut self, scope: Scope) {
        self.scope.truncate(scope.variables);
        self.ghosts.truncate(scope.ghosts);
    }

    /// Makes the variables declared since `scope` ghosts.
    pub(super) fn leave_branch(&mut self, scope: Scope) {
        let gone = self.scope.split_off(scope.variables.min(self.scope.len()));
        self.ghosts.extend(gone);
    }

    pub(super) fn symbol(&mut self, name: &str) -> u32 {
        index_of(&mut self.unit.symbols, |known| **known == *name, || name.into())
    }

    /// Emits a pipeline; its value is left on top. Gives the slots of the variables it sets.
    pub(super) fn pipeline(&mut self, pipeline: &Pipeline<'t>) -> EmitResult<Vec<u32>> {
        let ghosts = self.ghosts.len();
        self.ghosts.extend(pipeline.variables.iter().map(|variable| variable.name));
        for (position, command) in pipeline.commands.iter().enumerate() {
            self.command(command, position > 0)?;
        }
        self.ghosts.truncate(ghosts);
        let mut slots = Vec::with_capacity(pipeline.variables.len());
        for variable in &pipeline.variables {
            let slot = if pipeline.assigns { self.assigned(variable)? } else { self.declared(variable)? };
            self.emit(Op::Store(slot), variable.span)?;
            slots.push(slot);
        }
        Ok(slots)
    }

    /// Emits an action that is printed, unless it sets a variable.
    pub(super) fn action(&mut self, pipeline: &Pipeline<'t>) -> EmitResult<()> {
        self.unit.is_empty = false;
        if let Some(field) = lone_field(pipeline) {
            let symbol = self.symbol(field.name);
            self.emit(Op::PrintField(symbol), field.span)?;
            return Ok(());
        }
        let silent = !self.pipeline(pipeline)?.is_empty();
        self.emit(if silent { Op::Pop } else { Op::Print }, pipeline.span)?;
        Ok(())
    }

    fn declared(&mut self, variable: &Name<'t>) -> EmitResult<u32> {
        let slot = small(self.scope.len(), variable.span.start)?;
        self.scope.push(variable.name);
        self.unit.slots = self.unit.slots.max(self.scope.len());
        Ok(slot)
    }

    fn assigned(&mut self, variable: &Name<'t>) -> EmitResult<u32> {
        if let Some(slot) = self.find(variable.name) {
            return small(slot, variable.span.start);
        }
        if variable.name == "$" {
            return Ok(ROOT);
        }
        // Go accepts this until it is reached.
        self.fail(Failure::UndefinedVariable(variable.name.to_owned()), variable.span)?;
        self.declared(variable)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|known| *known == name)
    }

    fn fail(&mut self, failure: Failure, span: Span) -> EmitResult<()> {
        let at = small(self.unit.failures.len(), span.start)?;
        self.unit.failures.push(failure);
        self.emit(Op::Fail(at), span)?;
        Ok(())
    }

    fn command(&mut self, command: &Command<'t>, piped: bool) -> EmitResult<()> {
        let Command { first, args } = command;
        let span = command.span();
        if let ExprKind::Function(name) = first.kind {
            return self.call(name, args, piped, span);
        }
        if args.is_empty() && !piped {
            return match first.kind {
                ExprKind::Nil => self.fail(Failure::NilCommand, first.span),
                _ => self.value(first),
            };
        }
        let (fields, start) = match &first.kind {
            ExprKind::Fields(fields) => (fields, None),
            ExprKind::Variable(_, fields) if !fields.is_empty() => (fields, Some(first)),
            ExprKind::Chain(_, fields) => (fields, Some(first)),
            _ => {
                self.fail(Failure::NotAFunction, first.span)?;
                // Never reached, but checked.
                self.value(first)?;
                return self.values(args);
            }
        };
        match start {
            None => {
                self.emit(Op::Dot, first.span)?;
            }
            Some(expr) => self.start_of_chain(expr)?,
        }
        let Some((last, before)) = fields.split_last() else {
            return Ok(());
        };
        self.fields(before)?;
        let symbol = self.symbol(last.name);
        self.emit(Op::FieldWithArguments(symbol), last.span)?;
        if piped {
            self.emit(Op::Nip, span)?;
        }
        // Go checks the arguments but never computes them.
        let skip = self.emit(Op::Jump(0), span)?;
        self.values(args)?;
        self.patch(skip);
        Ok(())
    }

    /// Pushes the value of an expression without arguments.
    fn value(&mut self, expr: &Expr<'t>) -> EmitResult<()> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Constant(value) => {
                let at = self.constant(value, span)?;
                self.emit(Op::Constant(at), span)?;
            }
            ExprKind::Overflow(text) => {
                self.fail(Failure::IntegerOverflow((*text).to_owned()), span)?;
            }
            ExprKind::Nil => {
                self.emit(Op::Nil, span)?;
            }
            ExprKind::Dot => {
                self.emit(Op::Dot, span)?;
            }
            ExprKind::Fields(fields) => {
                if let Some((first, rest)) = fields.split_first() {
                    let symbol = self.symbol(first.name);
                    self.emit(Op::DotField(symbol), first.span)?;
                    self.fields(rest)?;
                }
            }
            ExprKind::Variable(_, fields) | ExprKind::Chain(_, fields) => {
                self.start_of_chain(expr)?;
                self.fields(fields)?;
            }
            ExprKind::Function(name) => self.call(name, &[], false, span)?,
            ExprKind::Pipeline(pipeline) => {
                self.pipeline(pipeline)?;
            }
        }
        Ok(())
    }

    /// Pushes what the fields of a chain are taken of.
    fn start_of_chain(&mut self, expr: &Expr<'t>) -> EmitResult<()> {
        match &expr.kind {
            ExprKind::Variable(name, _) => self.variable(name, expr.span),
            ExprKind::Chain(inner, _) => {
                self.value(inner)?;
                if matches!(inner.kind, ExprKind::Pipeline(_)) {
                    self.emit(Op::Settle, inner.span)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fields(&mut self, fields: &[Name<'t>]) -> EmitResult<()> {
        for field in fields {
            let symbol = self.symbol(field.name);
            self.emit(Op::Field(symbol), field.span)?;
        }
        Ok(())
    }

    fn variable(&mut self, name: &'t str, span: Span) -> EmitResult<()> {
        if name == "$" && self.find(name).is_none() {
            self.emit(Op::Root, span)?;
            return Ok(());
        }
        if let Some(slot) = self.find(name) {
            let slot = small(slot, span.start)?;
            self.emit(Op::Variable(slot), span)?;
            return Ok(());
        }
        if self.ghosts.contains(&name) {
            return self.fail(Failure::UndefinedVariable(name.to_owned()), span);
        }
        Err((span.start, ParseErrorKind::UndefinedVariable(name.to_owned())))
    }

    fn constant(&mut self, value: &Value, span: Span) -> EmitResult<u32> {
        // Numbers may be equal and yet differ (0 and -0), so only strings are shared.
        let known = match value {
            Value::Str(_) => self.unit.constants.iter().position(|known| known == value),
            _ => None,
        };
        let at = known.unwrap_or(self.unit.constants.len());
        if known.is_none() {
            self.unit.constants.push(value.clone());
        }
        small(at, span.start)
    }

    fn call(&mut self, name: &str, args: &[Expr<'t>], piped: bool, span: Span) -> EmitResult<()> {
        let count = u16::try_from(args.len() + usize::from(piped))
            .map_err(|_| (span.start, ParseErrorKind::TooLarge))?;
        let function = self.functions.get(name);
        let builtin = Builtin::find(name);
        let arity = function.map(Function::arity).or(builtin.map(Builtin::arity));
        if let Some(arity) = arity.filter(|arity| !arity.accepts(count.into())) {
            let (want, got) = (arity.to_string(), count.into());
            self.fail(Failure::ArgumentCount { function: name.to_owned(), want, got }, span)?;
            return self.values(args);
        }
        if let Some(function) = function {
            let known = &mut self.unit.functions;
            let function = index_of(known, |(known, _)| **known == *name, || (name.into(), function.clone()));
            self.values(args)?;
            self.emit(Op::Call { function, count, piped }, span)?;
            return Ok(());
        }
        let Some(builtin) = builtin else {
            return Err((span.start, ParseErrorKind::UnknownFunction(name.to_owned())));
        };
        if matches!(builtin, Builtin::And | Builtin::Or) {
            return self.short_circuit(builtin, args, piped, span);
        }
        self.values(args)?;
        self.emit(Op::Builtin { builtin, count, piped }, span)?;
        Ok(())
    }

    fn values(&mut self, args: &[Expr<'t>]) -> EmitResult<()> {
        args.iter().try_for_each(|arg| self.value(arg))
    }

    /// `and` and `or` stop at the argument that decides. A piped argument is the last one, but its
    /// value is there from the beginning, below the others.
    fn short_circuit(
        &mut self,
        builtin: Builtin,
        args: &[Expr<'t>],
        piped: bool,
        span: Span,
    ) -> EmitResult<()> {
        let mut deciding = Vec::new();
        for (position, arg) in args.iter().enumerate() {
            self.value(arg)?;
            if piped || position + 1 < args.len() {
                let op = if builtin == Builtin::And { Op::And(0) } else { Op::Or(0) };
                deciding.push(self.emit(op, span)?);
            }
        }
        let skip = if piped { Some(self.emit(Op::Jump(0), span)?) } else { None };
        for jump in deciding {
            self.patch(jump);
        }
        if let Some(skip) = skip {
            self.emit(Op::Nip, span)?;
            self.patch(skip);
        }
        Ok(())
    }

    /// Emits the head of a loop over the value on top.
    pub(super) fn range(&mut self, slots: &[u32], span: Span) -> EmitResult<(usize, u32)> {
        let shape = match *slots {
            [index, element] => Shape { index: Some(index), element: Some(element) },
            [element] => Shape { index: None, element: Some(element) },
            _ => Shape { index: None, element: None },
        };
        let at = small(self.unit.shapes.len(), span.start)?;
        self.unit.shapes.push(shape);
        Ok((self.emit(Op::Range { shape: at, exit: 0 }, span)?, at))
    }

    /// Emits the call of another template.
    pub(super) fn template(&mut self, name: &str, argument: bool, span: Span) -> EmitResult<()> {
        let known = &mut self.unit.targets;
        let target = index_of(known, |(known, _)| **known == *name, || (name.into(), None));
        self.emit(Op::Template { target, argument }, span)?;
        Ok(())
    }
}

/// The field, if the pipeline is nothing but one, as most are.
fn lone_field<'p, 't>(pipeline: &'p Pipeline<'t>) -> Option<&'p Name<'t>> {
    let [Command { first: Expr { kind: ExprKind::Fields(fields), .. }, args }] = &*pipeline.commands else {
        return None;
    };
    match &**fields {
        [field] if args.is_empty() && pipeline.variables.is_empty() => Some(field),
        _ => None,
    }
}

/// The index of the element that `is` finds, which is made and appended if there is none.
fn index_of<T>(table: &mut Vec<T>, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> u32 {
    let at = table.iter().position(is).unwrap_or_else(|| {
        table.push(make());
        table.len() - 1
    });
    // Tables are never longer than the source, which is below 4 GiB.
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn small(number: usize, at: usize) -> EmitResult<u32> {
    u32::try_from(number).map_err(|_| (at, ParseErrorKind::TooLarge))
}
