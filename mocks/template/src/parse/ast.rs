//! What stands inside one action, between reading and compiling it.

/// Where something stands in the template, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn to(self, last: Span) -> Span {
        Span { start: self.start, end: last.end }
    }
}

/// An expression and where it stands.
pub(super) struct Expr<'t> {
    pub(super) kind: ExprKind<'t>,
    pub(super) span: Span,
}

pub(super) enum ExprKind<'t> {
    Constant(crate::Value),
    /// An integer constant that does not fit.
    Overflow(&'t str),
    Nil,
    Dot,
    Fields(Vec<Name<'t>>),
    Variable(&'t str, Vec<Name<'t>>),
    Function(&'t str),
    Pipeline(Pipeline<'t>),
    /// Fields of a function's result or of a pipeline in parentheses.
    Chain(Box<Expr<'t>>, Vec<Name<'t>>),
}

/// A field or variable; a variable's name has its dollar sign.
#[derive(Clone, Copy)]
pub(super) struct Name<'t> {
    pub(super) name: &'t str,
    pub(super) span: Span,
}

/// A value, or a function with arguments.
pub(super) struct Command<'t> {
    pub(super) first: Expr<'t>,
    pub(super) args: Vec<Expr<'t>>,
}

impl Command<'_> {
    pub(super) fn span(&self) -> Span {
        self.args.last().map_or(self.first.span, |last| self.first.span.to(last.span))
    }
}

pub(super) struct Pipeline<'t> {
    pub(super) span: Span,
    /// One or two variables before `:=` or `=`.
    pub(super) variables: Vec<Name<'t>>,
    /// `=` rather than `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command<'t>>,
}
