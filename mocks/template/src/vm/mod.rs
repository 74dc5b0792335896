//! The stack machine that renders compiled templates.

mod access;
mod builtins;
mod compare;
mod operand;

use operand::Operand;

use crate::error::{Limit, Location, RenderError, RenderErrorKind};
use crate::fmt::{self, Sink};
use crate::program::{Op, Program, ROOT, Shape, Unit};
use crate::{Context, List, Map, Value};

/// How deep lists and maps may stand inside one another: printing and dropping them recurses.
const MAX_VALUE_DEPTH: usize = 400;

type VmResult<T> = Result<T, Box<RenderErrorKind>>;

/// Renders a template of the program; gives the output, also what there was before an error.
pub(crate) fn render(
    program: &Program,
    unit: usize,
    data: &Value,
    context: &mut Context<'_>,
    sink: Sink,
) -> (Sink, Result<(), RenderError>) {
    context.set_root(if program.has_calls { data.clone() } else { Value::Nil });
    let limits = context.current_limits();
    let mut machine = Machine {
        program,
        sink,
        steps: limits.steps,
        max_depth: limits.depth,
        string_limit: limits.output_bytes,
        stack: Vec::new(),
        variables: Vec::new(),
        root: Operand::Missing,
        dot: Operand::Missing,
        dots: Vec::new(),
        loops: Vec::new(),
        frames: Vec::new(),
        args: Vec::new(),
    };
    let result = match program.units.get(unit) {
        Some(unit) => machine.run(unit, data, context),
        None => Ok(()),
    };
    (machine.sink, result)
}

/// A call of a template that has not returned.
struct Frame<'a> {
    unit: &'a Unit,
    /// The operation to go on with.
    at: usize,
    /// The first variable of the caller.
    base: usize,
    root: Operand<'a>,
    dot: Operand<'a>,
    dots: usize,
    loops: usize,
}

/// A range that has not ended.
enum Loop<'a> {
    List { list: &'a List, next: usize },
    OwnedList { list: List, next: usize },
    Map { map: &'a Map, next: usize },
    OwnedMap { map: Map, next: usize },
    Integer { next: i64, end: i64 },
}

struct Machine<'a> {
    program: &'a Program,
    sink: Sink,
    steps: u64,
    max_depth: usize,
    string_limit: usize,
    stack: Vec<Operand<'a>>,
    variables: Vec<Operand<'a>>,
    /// What `$` stands for.
    root: Operand<'a>,
    dot: Operand<'a>,
    /// The dots that `with` and `range` have replaced.
    dots: Vec<Operand<'a>>,
    loops: Vec<Loop<'a>>,
    frames: Vec<Frame<'a>>,
    /// Arguments of the call that is being made; kept to reuse its memory.
    args: Vec<Value>,
}

/// The template, the next operation and the first variable while running.
struct Cursor<'a> {
    unit: &'a Unit,
    at: usize,
    base: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self, unit: &'a Unit, data: &'a Value, context: &mut Context<'_>) -> Result<(), RenderError> {
        let mut cursor = Cursor { unit, at: 0, base: 0 };
        self.dot = Operand::settled(Operand::Ref(data));
        self.root = self.dot.clone();
        self.enter(&cursor);
        if data.depth() > MAX_VALUE_DEPTH {
            return Err(self.locate(&cursor, Limit::ValueDepth.into()));
        }
        loop {
            let Some(op) = cursor.unit.ops.get(cursor.at) else {
                return Ok(());
            };
            cursor.at += 1;
            match self.step(*op, &mut cursor, context) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(kind) => {
                    cursor.at -= 1;
                    return Err(self.locate(&cursor, kind));
                }
            }
        }
    }

    /// Makes room for the variables of a template.
    fn enter(&mut self, cursor: &Cursor<'a>) {
        self.variables.truncate(cursor.base);
        self.variables.resize(cursor.base + cursor.unit.slots, Operand::Missing);
    }

    /// Does one operation; false when the outermost template is done.
    fn step(&mut self, op: Op, cursor: &mut Cursor<'a>, context: &mut Context<'_>) -> VmResult<bool> {
        self.spend(1)?;
        let unit = cursor.unit;
        match op {
            Op::Text { start, end } => self.text(unit, start as usize, end as usize)?,
            Op::Constant(at) => self.stack.push(unit.constants.get(at as usize).into()),
            Op::Nil => self.stack.push(Operand::Own(Value::Nil)),
            Op::Dot => self.stack.push(self.dot.clone()),
            Op::Root => self.stack.push(self.root.clone()),
            Op::Variable(slot) => {
                let variable = self.variables.get(cursor.base + slot as usize);
                self.stack.push(variable.cloned().unwrap_or(Operand::Missing));
            }
            Op::DotField(symbol) => {
                let field = access::field(&self.dot, symbol_of(unit, symbol), self.program.missing_key)?;
                self.stack.push(field);
            }
            Op::Field(symbol) => {
                let base = self.pop();
                let field = access::field(&base, symbol_of(unit, symbol), self.program.missing_key)?;
                self.stack.push(field);
            }
            Op::FieldWithArguments(symbol) => {
                let base = self.pop();
                let name = symbol_of(unit, symbol);
                self.stack.push(access::field_with_arguments(&base, name, self.program.missing_key)?);
            }
            Op::Settle => {
                let value = self.pop();
                self.stack.push(value.settled());
            }
            Op::Call { function, count, piped } => self.call(unit, function, count.into(), piped, context)?,
            Op::Builtin { builtin, count, piped } => {
                self.builtin(builtin, count.into(), piped, context)?;
            }
            Op::And(target) => self.decide(false, target, cursor),
            Op::Or(target) => self.decide(true, target, cursor),
            Op::Nip => {
                let top = self.pop();
                self.pop();
                self.stack.push(top);
            }
            Op::Pop => {
                self.pop();
            }
            Op::Print => {
                let operand = self.pop();
                self.print(&operand)?;
            }
            Op::PrintField(symbol) => {
                let name = symbol_of(unit, symbol);
                let operand = access::field(&self.dot, name, self.program.missing_key)?;
                self.print(&operand)?;
            }
            Op::Store(slot) => {
                let value = self.stack.last().cloned().unwrap_or(Operand::Missing).settled();
                self.set(cursor, Some(slot), value);
            }
            Op::Jump(target) => cursor.at = target as usize,
            Op::JumpIfFalse(target) => {
                if !self.pop().value().is_true() {
                    cursor.at = target as usize;
                }
            }
            Op::With(target) => {
                let value = self.pop();
                if value.value().is_true() {
                    self.dots.push(std::mem::replace(&mut self.dot, value));
                } else {
                    cursor.at = target as usize;
                }
            }
            Op::EndWith => self.restore_dot(),
            Op::Range { shape, exit } => self.range(shape_of(unit, shape), exit, cursor)?,
            Op::Next { shape, body } => {
                if self.next_round(shape_of(unit, shape), cursor) {
                    cursor.at = body as usize;
                } else {
                    self.end_range();
                }
            }
            Op::EndRange => self.end_range(),
            Op::Template { target, argument } => self.template(target, argument, cursor)?,
            Op::Fail(at) => {
                if let Some(failure) = unit.failures.get(at as usize) {
                    return Err(Box::new(failure.to_error()));
                }
            }
            Op::Return => return Ok(self.leave(cursor)),
        }
        Ok(true)
    }

    fn spend(&mut self, steps: u64) -> Result<(), Limit> {
        self.steps = self.steps.checked_sub(steps).ok_or(Limit::Steps)?;
        Ok(())
    }

    fn pop(&mut self) -> Operand<'a> {
        self.stack.pop().unwrap_or(Operand::Missing)
    }

    fn set(&mut self, cursor: &Cursor<'a>, slot: Option<u32>, value: Operand<'a>) {
        match slot {
            Some(ROOT) => self.root = value,
            Some(slot) => {
                if let Some(variable) = self.variables.get_mut(cursor.base + slot as usize) {
                    *variable = value;
                }
            }
            None => {}
        }
    }

    fn text(&mut self, unit: &'a Unit, start: usize, end: usize) -> VmResult<()> {
        let source =
            self.program.sources.get(unit.source).map_or(b"".as_slice(), |source| source.text.as_bytes());
        self.sink.push(source.get(start..end).unwrap_or_default());
        self.check_output()
    }

    fn check_output(&self) -> VmResult<()> {
        if self.sink.is_full() { Err(Limit::Output.into()) } else { Ok(()) }
    }

    fn print(&mut self, operand: &Operand<'a>) -> VmResult<()> {
        match operand.value() {
            Value::Nil => self.sink.push(self.program.no_value.as_bytes()),
            Value::Func(_) => return Err(Box::new(RenderErrorKind::NotPrintable("func"))),
            value => fmt::write_value(&mut self.sink, value),
        }
        self.check_output()
    }

    /// For `and` and `or`: keeps the value on top and jumps if it decides.
    fn decide(&mut self, deciding: bool, target: u32, cursor: &mut Cursor<'a>) {
        if self.stack.last().is_some_and(|top| top.value().is_true() == deciding) {
            cursor.at = target as usize;
        } else {
            self.pop();
        }
    }

    /// Takes the arguments of a call off the stack, in order.
    fn take_args(&mut self, count: usize, piped: bool) -> std::vec::Drain<'_, Operand<'a>> {
        let from = self.stack.len().saturating_sub(count);
        if piped && let Some(args) = self.stack.get_mut(from..) {
            args.rotate_left(1);
        }
        self.stack.drain(from..)
    }

    fn call(
        &mut self,
        unit: &'a Unit,
        function: u32,
        count: usize,
        piped: bool,
        context: &mut Context<'_>,
    ) -> VmResult<()> {
        let Some((name, function)) = unit.functions.get(function as usize) else {
            return Ok(());
        };
        let result = match count {
            0 => function.call(context, &[]),
            1 => function.call(context, &[self.pop().into_value()]),
            _ => {
                let mut args = std::mem::take(&mut self.args);
                args.extend(self.take_args(count, piped).map(Operand::into_value));
                let result = function.call(context, &args);
                args.clear();
                self.args = args;
                result
            }
        };
        let value = result.map_err(|source| RenderErrorKind::Function { name: name.to_string(), source })?;
        self.push_result(value)
    }

    /// Pushes what a function gave back, after weighing it.
    fn push_result(&mut self, value: Value) -> VmResult<()> {
        if value.depth() > MAX_VALUE_DEPTH {
            return Err(Limit::ValueDepth.into());
        }
        let size = value.string_bytes().map_or(0, <[u8]>::len);
        self.spend(size as u64 / 64)?;
        self.stack.push(Operand::Own(value));
        Ok(())
    }

    fn restore_dot(&mut self) {
        self.dot = self.dots.pop().unwrap_or(Operand::Missing);
    }

    fn range(&mut self, shape: Shape, exit: u32, cursor: &mut Cursor<'a>) -> VmResult<()> {
        let operand = self.pop();
        let started = match operand {
            Operand::Missing => None,
            Operand::Ref(Value::List(list)) => Some(Loop::List { list, next: 0 }),
            Operand::Ref(Value::Map(map)) => Some(Loop::Map { map, next: 0 }),
            Operand::Own(Value::List(list)) => Some(Loop::OwnedList { list, next: 0 }),
            Operand::Own(Value::Map(map)) => Some(Loop::OwnedMap { map, next: 0 }),
            other => match other.value() {
                Value::Nil => None,
                value => Some(count_loop(value, shape)?),
            },
        };
        self.dots.push(self.dot.clone());
        if let Some(started) = started {
            self.loops.push(started);
            if self.next_round(shape, cursor) {
                return Ok(());
            }
            self.loops.pop();
        }
        self.restore_dot();
        cursor.at = exit as usize;
        Ok(())
    }

    /// Sets dot and variables to the next element of the innermost loop; false at its end.
    fn next_round(&mut self, shape: Shape, cursor: &Cursor<'a>) -> bool {
        let next = self.loops.last_mut().and_then(|innermost| innermost.advance(shape.index.is_some()));
        let Some((index, element)) = next else {
            return false;
        };
        self.set(cursor, shape.index, index);
        if shape.element.is_some() {
            self.set(cursor, shape.element, element.clone());
        }
        self.dot = element;
        true
    }

    fn end_range(&mut self) {
        self.loops.pop();
        self.restore_dot();
    }

    fn template(&mut self, target: u32, argument: bool, cursor: &mut Cursor<'a>) -> VmResult<()> {
        let dot = if argument { self.pop().settled() } else { Operand::Missing };
        let Some((name, target)) = cursor.unit.targets.get(target as usize) else {
            return Ok(());
        };
        let Some(unit) = target.and_then(|target| self.program.units.get(target)) else {
            return Err(Box::new(RenderErrorKind::UndefinedTemplate(name.to_string())));
        };
        if self.frames.len() >= self.max_depth {
            return Err(Limit::Depth.into());
        }
        self.frames.push(Frame {
            unit: cursor.unit,
            at: cursor.at,
            base: cursor.base,
            root: std::mem::replace(&mut self.root, dot.clone()),
            dot: std::mem::replace(&mut self.dot, dot),
            dots: self.dots.len(),
            loops: self.loops.len(),
        });
        *cursor = Cursor { unit, at: 0, base: cursor.base + cursor.unit.slots };
        self.enter(cursor);
        Ok(())
    }

    /// Returns from a template; false from the outermost one.
    fn leave(&mut self, cursor: &mut Cursor<'a>) -> bool {
        let Some(frame) = self.frames.pop() else {
            return false;
        };
        self.variables.truncate(cursor.base);
        self.dots.truncate(frame.dots);
        self.loops.truncate(frame.loops);
        self.root = frame.root;
        self.dot = frame.dot;
        *cursor = Cursor { unit: frame.unit, at: frame.at, base: frame.base };
        true
    }

    fn locate(&self, cursor: &Cursor<'a>, kind: Box<RenderErrorKind>) -> RenderError {
        let (start, end) = cursor.unit.spans.get(cursor.at).copied().unwrap_or_default();
        let source = self.program.sources.get(cursor.unit.source);
        let (name, text) = source.map_or(("", ""), |source| (&*source.name, &*source.text));
        let snippet = text.get(start as usize..end as usize).unwrap_or_default();
        RenderError::new(Location::find(name, text, start as usize), shorten(snippet), kind)
    }
}

impl<'a> Loop<'a> {
    /// The next index (if wanted) and element.
    fn advance(&mut self, indexed: bool) -> Option<(Operand<'a>, Operand<'a>)> {
        let number = |at: usize| Operand::Own(Value::from(at));
        let key = |key: &std::sync::Arc<str>| match indexed {
            true => Operand::Own(Value::Str(key.clone())),
            false => Operand::Missing,
        };
        match self {
            Loop::List { list, next } => {
                let element = list.get(*next)?;
                *next += 1;
                Some((number(*next - 1), Operand::Ref(element)))
            }
            Loop::OwnedList { list, next } => {
                let element = list.get(*next)?.clone();
                *next += 1;
                Some((number(*next - 1), Operand::Own(element)))
            }
            Loop::Map { map, next } => {
                let (name, element) = map.entry_at(*next)?;
                *next += 1;
                Some((key(name), Operand::Ref(element)))
            }
            Loop::OwnedMap { map, next } => {
                let (name, element) = map.entry_at(*next)?;
                *next += 1;
                Some((key(name), Operand::Own(element.clone())))
            }
            Loop::Integer { next, end } => {
                let element = (*next < *end).then_some(*next)?;
                *next += 1;
                Some((Operand::Missing, Operand::Own(Value::Int(element))))
            }
        }
    }
}

/// A range over an integer counts from zero.
fn count_loop<'a>(value: &Value, shape: Shape) -> VmResult<Loop<'a>> {
    let end = match value {
        Value::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        other => other.as_i64().ok_or(RenderErrorKind::NotIterable(value.type_name()))?,
    };
    if shape.index.is_some() {
        return Err(Box::new(RenderErrorKind::TwoVariables));
    }
    Ok(Loop::Integer { next: 0, end })
}

fn symbol_of(unit: &Unit, symbol: u32) -> &str {
    unit.symbols.get(symbol as usize).map_or("", |name| name)
}

fn shape_of(unit: &Unit, shape: u32) -> Shape {
    unit.shapes.get(shape as usize).copied().unwrap_or(Shape { index: None, element: None })
}

/// At most a line's worth of a template's text.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// An error of the whole rendering rather than of one part of the template.
pub(crate) fn error_without_place(template: &str, what: String, kind: RenderErrorKind) -> RenderError {
    let location = Location { template: template.to_owned(), line: 1, column: 1 };
    RenderError::new(location, what, Box::new(kind))
}
