//! Reading pipelines.

use super::ast::{Command, Expr, ExprKind, Name, Pipeline, Span};
use super::lexer::{Kind, Token};
use super::{Parser, literal};
use crate::error::ParseErrorKind;
use crate::{ParseError, Value};

/// How deep parentheses may stand inside one another.
const MAX_PARENTHESES: usize = 200;

type ParseResult<T> = Result<T, ParseError>;

impl<'t> Parser<'t, '_> {
    /// Reads a pipeline and the token `end` after it.
    pub(super) fn pipeline(&mut self, context: &'static str, end: &Kind) -> ParseResult<Pipeline<'t>> {
        let start = self.peek_non_space().at;
        let (variables, assigns) = self.declarations(context)?;
        let mut commands: Vec<Command<'t>> = Vec::new();
        loop {
            let token = self.next_non_space();
            if token.kind == *end {
                let Some(last) = commands.last() else {
                    return Err(self.error(token.at, ParseErrorKind::MissingValue(context)));
                };
                let span = Span { start, end: last.span().end };
                return Ok(Pipeline { span, variables, assigns, commands });
            }
            if !starts_operand(&token.kind) {
                return Err(self.unexpected(&token, context));
            }
            self.back();
            let command = self.command()?;
            if !commands.is_empty() && !takes_argument(&command.first.kind) {
                let kind = ParseErrorKind::NotExecutable(commands.len() + 1);
                return Err(self.error(command.first.span.start, kind));
            }
            commands.push(command);
        }
    }

    /// Reads `$x :=`, `$x =`, or for a range `$i, $x :=`, if one stands here.
    fn declarations(&mut self, context: &'static str) -> ParseResult<(Vec<Name<'t>>, bool)> {
        let mut variables = Vec::new();
        loop {
            let mark = self.position();
            let variable = self.next_non_space();
            if variable.kind != Kind::Variable {
                self.rewind(mark);
                return Ok((variables, false));
            }
            let name = Name { name: variable.text, span: span_of(&variable) };
            let follower = self.next_non_space();
            match follower.kind {
                Kind::Assign | Kind::Declare => {
                    variables.push(name);
                    return Ok((variables, follower.kind == Kind::Assign));
                }
                Kind::Comma if context == "range" && variables.is_empty() => {
                    variables.push(name);
                    if !matches!(self.peek_non_space().kind, Kind::Variable) {
                        let token = self.next_non_space();
                        return Err(self.unexpected(&token, "range"));
                    }
                }
                Kind::Comma => {
                    return Err(self.error(follower.at, ParseErrorKind::TooManyDeclarations(context)));
                }
                _ => {
                    self.rewind(mark);
                    return Ok((variables, false));
                }
            }
        }
    }

    /// Reads operands up to a pipe (taken) or the end of the pipeline (left).
    fn command(&mut self) -> ParseResult<Command<'t>> {
        let mut operands: Vec<Expr<'t>> = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::Pipe => break,
                Kind::Close | Kind::CloseParen => {
                    self.back();
                    break;
                }
                _ => return Err(self.unexpected(&token, "operand")),
            }
        }
        let at = self.peek().at;
        let mut operands = operands.into_iter();
        match operands.next() {
            Some(first) => Ok(Command { first, args: operands.collect() }),
            None => Err(self.error(at, ParseErrorKind::EmptyCommand)),
        }
    }

    /// Reads a term and the fields after it, if a term stands here.
    fn operand(&mut self) -> ParseResult<Option<Expr<'t>>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(field_name(&self.next()));
        }
        let Some(last) = fields.last() else {
            return Ok(Some(term));
        };
        let span = term.span.to(last.span);
        let kind = match term.kind {
            ExprKind::Fields(mut names) => {
                names.extend(fields);
                ExprKind::Fields(names)
            }
            ExprKind::Variable(name, _) => ExprKind::Variable(name, fields),
            ExprKind::Function(_) | ExprKind::Pipeline(_) => ExprKind::Chain(Box::new(term), fields),
            _ => {
                let text = self.source_text(term.span).to_owned();
                return Err(self.error(term.span.start, ParseErrorKind::FieldOfConstant(text)));
            }
        };
        Ok(Some(Expr { kind, span }))
    }

    fn term(&mut self) -> ParseResult<Option<Expr<'t>>> {
        let token = self.next_non_space();
        let span = span_of(&token);
        let kind = match &token.kind {
            Kind::Identifier => {
                if !self.knows_function(token.text) {
                    let kind = ParseErrorKind::UnknownFunction(token.text.to_owned());
                    return Err(self.error(token.at, kind));
                }
                ExprKind::Function(token.text)
            }
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable => ExprKind::Variable(token.text, Vec::new()),
            Kind::Field => {
                let name = field_name(&token);
                return Ok(Some(Expr { kind: ExprKind::Fields(vec![name]), span: name.span }));
            }
            Kind::Bool(truth) => ExprKind::Constant(Value::Bool(*truth)),
            Kind::Char => {
                let code = literal::character(token.text).map_err(|kind| self.error(token.at, kind))?;
                ExprKind::Constant(Value::Int(code))
            }
            Kind::Str => {
                let text = literal::string(token.text).map_err(|kind| self.error(token.at, kind))?;
                ExprKind::Constant(text)
            }
            Kind::Number => match literal::number(token.text).map_err(|kind| self.error(token.at, kind))? {
                literal::Constant::Value(value) => ExprKind::Constant(value),
                literal::Constant::Overflow => ExprKind::Overflow(token.text),
            },
            Kind::OpenParen => return self.parenthesis(token.at).map(Some),
            _ => {
                self.back();
                return Ok(None);
            }
        };
        Ok(Some(Expr { kind, span }))
    }

    fn parenthesis(&mut self, start: usize) -> ParseResult<Expr<'t>> {
        self.parentheses += 1;
        if self.parentheses > MAX_PARENTHESES {
            return Err(self.error(start, ParseErrorKind::TooDeep));
        }
        let pipeline = self.pipeline("parentheses", &Kind::CloseParen)?;
        self.parentheses -= 1;
        let end = self.token_before().map_or(start, |token| token.at + token.text.len());
        Ok(Expr { kind: ExprKind::Pipeline(pipeline), span: Span { start, end } })
    }
}

pub(super) fn span_of(token: &Token<'_>) -> Span {
    Span { start: token.at, end: token.at + token.text.len() }
}

fn field_name<'t>(token: &Token<'t>) -> Name<'t> {
    Name { name: token.text.trim_start_matches('.'), span: span_of(token) }
}

fn starts_operand(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Bool(_)
            | Kind::Char
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Nil
            | Kind::Number
            | Kind::Str
            | Kind::Variable
            | Kind::OpenParen
    )
}

/// Whether a value may be piped into it, as far as can be told before rendering.
fn takes_argument(kind: &ExprKind<'_>) -> bool {
    !matches!(kind, ExprKind::Constant(_) | ExprKind::Overflow(_) | ExprKind::Nil | ExprKind::Dot)
}
