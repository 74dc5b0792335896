//! From text to compiled templates.

mod ast;
mod emit;
mod expr;
mod lexer;
mod literal;

use ast::Span;
use emit::{Builder, EmitResult, Scope};
use expr::span_of;
use lexer::{Delimiters, Keyword, Kind, Token};

use crate::error::{Location, ParseError, ParseErrorKind};
use crate::functions::Functions;
use crate::program::{Builtin, Op, Unit};

/// What to parse, and how.
pub(crate) struct Input<'t, 'f> {
    pub(crate) name: &'t str,
    pub(crate) text: &'t str,
    /// The number of this text in its program.
    pub(crate) source: usize,
    pub(crate) functions: &'f Functions,
    pub(crate) open: &'t str,
    pub(crate) close: &'t str,
}

/// Compiles all templates of a text: those that it defines and, last, the text itself.
pub(crate) fn parse(input: &Input<'_, '_>) -> Result<Vec<Unit>, ParseError> {
    let tokens = lexer::tokenize(input.text, Delimiters { open: input.open, close: input.close });
    let main = Builder::new(input.name, input.source, input.functions);
    let mut parser = Parser {
        input,
        tokens,
        next: 0,
        parentheses: 0,
        levels: vec![Level { builder: main, open: Vec::new(), heading: None }],
        done: Vec::new(),
    };
    parser.run()?;
    Ok(parser.done)
}

fn error_at(input: &Input<'_, '_>, at: usize, kind: ParseErrorKind) -> ParseError {
    ParseError::new(Location::find(input.name, input.text, at), kind)
}

struct Parser<'t, 'f> {
    input: &'t Input<'t, 'f>,
    tokens: Vec<Token<'t>>,
    next: usize,
    parentheses: usize,
    /// The text itself and the definitions that are open; never empty.
    levels: Vec<Level<'t, 'f>>,
    done: Vec<Unit>,
}

/// A template that is being read.
struct Level<'t, 'f> {
    builder: Builder<'t, 'f>,
    open: Vec<Open>,
    /// The `{{define}}` or `{{block}}` that began it.
    heading: Option<(Keyword, Span)>,
}

/// An `{{if}}`, `{{with}}` or `{{range}}` whose end has not come yet.
struct Open {
    keyword: Keyword,
    span: Span,
    /// The variables before it.
    scope: Scope,
    /// The variables of its head included.
    branch: Scope,
    /// The jump to the next `{{else}}` or the end.
    to_else: Option<usize>,
    /// Jumps to the end.
    to_end: Vec<usize>,
    /// Jumps to the next round of a range.
    to_next: Vec<usize>,
    /// Shape and first operation of a range.
    body: (u32, usize),
    in_else: bool,
}

type ParseResult<T> = Result<T, ParseError>;

// Tokens.
impl<'t, 'f> Parser<'t, 'f> {
    fn peek(&self) -> &Token<'t> {
        const NONE: &Token<'static> = &Token { kind: Kind::End, text: "", at: 0 };
        // After the last token comes the last token again.
        self.tokens.get(self.next).or(self.tokens.last()).unwrap_or(NONE)
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn back(&mut self) {
        self.next -= 1;
    }

    fn token_before(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.next.checked_sub(1)?)
    }

    fn position(&self) -> usize {
        self.next
    }

    fn rewind(&mut self, position: usize) {
        self.next = position;
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn next_non_space(&mut self) -> Token<'t> {
        self.skip_space();
        self.next()
    }

    fn peek_non_space(&mut self) -> &Token<'t> {
        self.skip_space();
        self.peek()
    }

    fn source_text(&self, span: Span) -> &'t str {
        self.input.text.get(span.start..span.end).unwrap_or("")
    }

    fn error(&self, at: usize, kind: ParseErrorKind) -> ParseError {
        error_at(self.input, at, kind)
    }

    fn unexpected(&self, token: &Token<'_>, context: &'static str) -> ParseError {
        if let Kind::Error(kind) = &token.kind {
            return self.error(token.at, kind.clone());
        }
        let found = match token.kind {
            Kind::End => "end of text".to_owned(),
            Kind::Space => "space".to_owned(),
            _ => format!("<{}>", token.text),
        };
        self.error(token.at, ParseErrorKind::Unexpected { found, context })
    }

    fn knows_function(&self, name: &str) -> bool {
        self.input.functions.get(name).is_some() || Builtin::find(name).is_some()
    }
}

// Actions.
impl<'t, 'f> Parser<'t, 'f> {
    fn run(&mut self) -> ParseResult<()> {
        loop {
            let token = self.next();
            match token.kind {
                Kind::Text => self.text(&token)?,
                Kind::Open => self.action(token.at)?,
                Kind::End => return self.finish(),
                _ => return Err(self.unexpected(&token, "input")),
            }
        }
    }

    /// The level that is being read.
    fn level(&mut self) -> ParseResult<&mut Level<'t, 'f>> {
        let input = self.input;
        // There is always one: the first is removed only by `finish`.
        self.levels.last_mut().ok_or_else(|| error_at(input, 0, ParseErrorKind::TooLarge))
    }

    /// Runs one step of compilation and gives its error a place.
    fn build<T>(&mut self, step: impl FnOnce(&mut Builder<'t, 'f>) -> EmitResult<T>) -> ParseResult<T> {
        let result = step(&mut self.level()?.builder);
        result.map_err(|(at, kind)| self.error(at, kind))
    }

    fn text(&mut self, token: &Token<'t>) -> ParseResult<()> {
        let span = Span { start: token.at, end: token.at + token.text.len() };
        let blank = token.text.trim().is_empty();
        self.build(|builder| {
            builder.unit.is_empty &= blank;
            let too_large = |_| (span.start, ParseErrorKind::TooLarge);
            let start = u32::try_from(span.start).map_err(too_large)?;
            let end = u32::try_from(span.end).map_err(too_large)?;
            builder.emit(Op::Text { start, end }, span)
        })?;
        Ok(())
    }

    fn action(&mut self, at: usize) -> ParseResult<()> {
        let token = self.next_non_space();
        let Kind::Keyword(keyword) = token.kind else {
            self.back();
            return self.command_action();
        };
        let span = Span { start: at, end: token.at + token.text.len() };
        if !matches!(keyword, Keyword::Define | Keyword::End) {
            self.level()?.builder.unit.is_empty = false;
        }
        match keyword {
            Keyword::If | Keyword::With | Keyword::Range => self.open(keyword, span),
            Keyword::Else => self.else_action(span),
            Keyword::End => self.end_action(span),
            Keyword::Break | Keyword::Continue => self.leave_round(keyword, span),
            Keyword::Template => self.template_action(span),
            Keyword::Define => self.define_action(span),
            Keyword::Block => self.block_action(span),
        }
    }

    /// `{{pipeline}}`, which is printed unless it sets a variable.
    fn command_action(&mut self) -> ParseResult<()> {
        let pipeline = self.pipeline("command", &Kind::Close)?;
        self.build(|builder| builder.action(&pipeline))
    }

    fn close(&mut self, context: &'static str) -> ParseResult<()> {
        let token = self.next_non_space();
        if token.kind == Kind::Close { Ok(()) } else { Err(self.unexpected(&token, context)) }
    }

    /// `{{if}}`, `{{with}}` or `{{range}}`.
    fn open(&mut self, keyword: Keyword, span: Span) -> ParseResult<()> {
        let scope = self.level()?.builder.scope();
        let mut open = Open {
            keyword,
            span,
            scope,
            branch: scope,
            to_else: None,
            to_end: Vec::new(),
            to_next: Vec::new(),
            body: (0, 0),
            in_else: false,
        };
        self.head(&mut open)?;
        self.level()?.open.push(open);
        Ok(())
    }

    /// The pipeline of an `{{if}}`, `{{with}}` or `{{range}}` and the jump that depends on it.
    fn head(&mut self, open: &mut Open) -> ParseResult<()> {
        let pipeline = self.pipeline(open.keyword.name(), &Kind::Close)?;
        let keyword = open.keyword;
        let (jump, body, branch) = self.build(|builder| {
            let slots = builder.pipeline(&pipeline)?;
            let span = pipeline.span;
            let (jump, shape) = match keyword {
                Keyword::Range => builder.range(&slots, span)?,
                Keyword::With => (builder.emit(Op::With(0), span)?, 0),
                _ => (builder.emit(Op::JumpIfFalse(0), span)?, 0),
            };
            Ok((jump, (shape, builder.here()), builder.scope()))
        })?;
        open.branch = branch;
        open.to_else = Some(jump);
        open.body = body;
        Ok(())
    }

    /// Ends the part of `open` that was being read; what follows is its `{{else}}` or its end.
    fn end_part(&mut self, open: &mut Open, another_follows: bool) -> ParseResult<()> {
        if open.in_else {
            return Ok(());
        }
        let span = open.span;
        let to_next = std::mem::take(&mut open.to_next);
        let (keyword, (shape, body)) = (open.keyword, open.body);
        let skip = self.build(|builder| {
            match keyword {
                Keyword::With => {
                    builder.emit(Op::EndWith, span)?;
                }
                Keyword::Range => {
                    to_next.into_iter().for_each(|jump| builder.patch(jump));
                    let body = u32::try_from(body).map_err(|_| (span.start, ParseErrorKind::TooLarge))?;
                    builder.emit(Op::Next { shape, body }, span)?;
                }
                _ => {}
            }
            if another_follows { builder.emit(Op::Jump(0), span).map(Some) } else { Ok(None) }
        })?;
        open.to_end.extend(skip);
        let to_else = open.to_else.take();
        let builder = &mut self.level()?.builder;
        to_else.into_iter().for_each(|jump| builder.patch(jump));
        Ok(())
    }

    fn else_action(&mut self, span: Span) -> ParseResult<()> {
        let Some(mut open) = self.level()?.open.pop() else {
            return Err(self.error(span.start, ParseErrorKind::Unopened("else")));
        };
        if open.in_else {
            return Err(self.error(span.start, ParseErrorKind::SecondElse));
        }
        self.end_part(&mut open, true)?;
        self.level()?.builder.leave_branch(open.branch);
        let token = self.next_non_space();
        match token.kind {
            Kind::Close => open.in_else = true,
            Kind::Keyword(keyword)
                if keyword == open.keyword && matches!(keyword, Keyword::If | Keyword::With) =>
            {
                self.head(&mut open)?;
            }
            _ => return Err(self.unexpected(&token, "else")),
        }
        self.level()?.open.push(open);
        Ok(())
    }

    fn end_action(&mut self, span: Span) -> ParseResult<()> {
        self.close("end")?;
        if let Some(mut open) = self.level()?.open.pop() {
            self.end_part(&mut open, false)?;
            let builder = &mut self.level()?.builder;
            open.to_end.into_iter().for_each(|jump| builder.patch(jump));
            builder.leave(open.scope);
            return Ok(());
        }
        if self.levels.len() < 2 {
            return Err(self.error(span.start, ParseErrorKind::Unopened("end")));
        }
        self.end_level(span)
    }

    fn leave_round(&mut self, keyword: Keyword, span: Span) -> ParseResult<()> {
        let name = keyword.name();
        self.close(name)?;
        let open = &self.level()?.open;
        let is_range = |open: &Open| open.keyword == Keyword::Range;
        let around = open.iter().rposition(|open| is_range(open) && !open.in_else);
        let Some(mut around) = around else {
            return Err(self.error(span.start, ParseErrorKind::OutsideRange(name)));
        };
        if keyword == Keyword::Break {
            // In the else of a range that stands in a loop, Go's break ends that range only.
            around = open.iter().rposition(is_range).unwrap_or(around);
        }
        let withs = open.iter().skip(around).filter(|open| open.keyword == Keyword::With && !open.in_else);
        let withs = withs.count();
        let looping = open.get(around).is_some_and(|range| !range.in_else);
        let jump = self.build(|builder| {
            for _ in 0..withs {
                builder.emit(Op::EndWith, span)?;
            }
            if keyword == Keyword::Break && looping {
                builder.emit(Op::EndRange, span)?;
            }
            builder.emit(Op::Jump(0), span)
        })?;
        if let Some(range) = self.level()?.open.get_mut(around) {
            if keyword == Keyword::Break { &mut range.to_end } else { &mut range.to_next }.push(jump);
        }
        Ok(())
    }

    /// The name after `{{template`, `{{define` or `{{block`.
    fn template_name(&mut self, context: &'static str) -> ParseResult<(String, Span)> {
        let token = self.next_non_space();
        if token.kind != Kind::Str {
            return Err(self.unexpected(&token, context));
        }
        let name = literal::string(token.text).map_err(|kind| self.error(token.at, kind))?;
        Ok((name.to_string(), span_of(&token)))
    }

    fn template_action(&mut self, span: Span) -> ParseResult<()> {
        let (name, name_span) = self.template_name("template clause")?;
        let span = span.to(name_span);
        if self.peek_non_space().kind == Kind::Close {
            self.next();
            return self.build(|builder| builder.template(&name, false, span));
        }
        let pipeline = self.pipeline("template clause", &Kind::Close)?;
        let span = span.to(pipeline.span);
        self.build(|builder| {
            builder.pipeline(&pipeline)?;
            builder.template(&name, true, span)
        })
    }

    fn define_action(&mut self, span: Span) -> ParseResult<()> {
        let inside = self.levels.len() > 1 || !self.level()?.open.is_empty();
        if inside {
            return Err(self.error(span.start, ParseErrorKind::NestedDefine));
        }
        let (name, _) = self.template_name("define clause")?;
        self.close("define clause")?;
        self.begin_level(&name, Keyword::Define, span);
        Ok(())
    }

    fn block_action(&mut self, span: Span) -> ParseResult<()> {
        let (name, _) = self.template_name("block clause")?;
        let pipeline = self.pipeline("block clause", &Kind::Close)?;
        let whole = span.to(pipeline.span);
        self.build(|builder| {
            builder.pipeline(&pipeline)?;
            builder.template(&name, true, whole)
        })?;
        self.begin_level(&name, Keyword::Block, span);
        Ok(())
    }

    fn begin_level(&mut self, name: &str, keyword: Keyword, span: Span) {
        let builder = Builder::new(name, self.input.source, self.input.functions);
        self.levels.push(Level { builder, open: Vec::new(), heading: Some((keyword, span)) });
    }

    /// Finishes the innermost template.
    fn end_level(&mut self, span: Span) -> ParseResult<()> {
        self.build(|builder| builder.emit(Op::Return, span))?;
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        let unit = level.builder.unit;
        match self.done.iter_mut().find(|known| known.name == unit.name) {
            None => self.done.push(unit),
            Some(known) if known.is_empty => *known = unit,
            Some(_) if unit.is_empty => {}
            Some(_) => {
                let at = level.heading.map_or(0, |(_, span)| span.start);
                return Err(self.error(at, ParseErrorKind::DefinedTwice(unit.name.into())));
            }
        }
        Ok(())
    }

    /// Finishes the text itself; nothing may be open any more.
    fn finish(&mut self) -> ParseResult<()> {
        let level = self.level()?;
        let unclosed = level.open.last().map(|open| (open.keyword, open.span)).or(level.heading);
        if let Some((keyword, span)) = unclosed {
            let kind = ParseErrorKind::Unclosed { action: keyword.name() };
            return Err(self.error(span.start, kind));
        }
        let end = self.input.text.len();
        self.end_level(Span { start: end, end })
    }
}
