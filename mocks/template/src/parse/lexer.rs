//! From text to tokens.

use crate::error::ParseErrorKind;

/// The words that are no function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Keyword {
    pub(super) fn name(self) -> &'static str {
        match self {
            Keyword::Block => "block",
            Keyword::Break => "break",
            Keyword::Continue => "continue",
            Keyword::Define => "define",
            Keyword::Else => "else",
            Keyword::End => "end",
            Keyword::If => "if",
            Keyword::Range => "range",
            Keyword::Template => "template",
            Keyword::With => "with",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [
            Keyword::Block,
            Keyword::Break,
            Keyword::Continue,
            Keyword::Define,
            Keyword::Else,
            Keyword::End,
            Keyword::If,
            Keyword::Range,
            Keyword::Template,
            Keyword::With,
        ];
        all.into_iter().find(|keyword| keyword.name() == word)
    }
}

/// What a token is. The words of it stand in [`Token::text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text between actions, already trimmed; never empty.
    Text,
    Open,
    Close,
    /// White space inside an action; it separates arguments.
    Space,
    Assign,
    Declare,
    Pipe,
    OpenParen,
    CloseParen,
    Comma,
    Dot,
    /// `.name`, with the dot.
    Field,
    /// `$name` or `$`, with the dollar sign.
    Variable,
    Identifier,
    Keyword(Keyword),
    Bool(bool),
    Nil,
    /// A quoted string with its quotes, of either sort.
    Str,
    /// A character constant with its quotes.
    Char,
    Number,
    End,
    /// Always the last token.
    Error(ParseErrorKind),
}

#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Offset of the token's first byte in the template.
    pub(super) at: usize,
}

/// The marks around actions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delimiters<'d> {
    pub(super) open: &'d str,
    pub(super) close: &'d str,
}

const TRIMMED: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits `text` into tokens; the last one is `End` or `Error`.
pub(super) fn tokenize<'t>(text: &'t str, delimiters: Delimiters<'_>) -> Vec<Token<'t>> {
    let mut lexer = Lexer { text, at: 0, delimiters, depth: 0, tokens: Vec::new() };
    let (at, last) = match lexer.run() {
        Ok(()) => (text.len(), Kind::End),
        Err((at, error)) => (at, Kind::Error(error)),
    };
    lexer.tokens.push(Token { kind: last, text: "", at });
    lexer.tokens
}

type LexResult<T> = Result<T, (usize, ParseErrorKind)>;

struct Lexer<'t, 'd> {
    text: &'t str,
    at: usize,
    delimiters: Delimiters<'d>,
    /// Open parentheses of the current action.
    depth: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t, '_> {
    fn run(&mut self) -> LexResult<()> {
        let mut trim_left = false;
        loop {
            let rest = self.rest();
            let Some(found) = rest.find(self.delimiters.open) else {
                let shown = if trim_left { rest.trim_start_matches(TRIMMED) } else { rest };
                self.push_text(shown, self.text.len() - shown.len());
                return Ok(());
            };
            let (mut before, after) = rest.split_at(found);
            let mut text_at = self.at;
            if trim_left {
                let shown = before.trim_start_matches(TRIMMED);
                text_at += before.len() - shown.len();
                before = shown;
            }
            let inside = after.get(self.delimiters.open.len()..).unwrap_or("");
            let trim_right = has_left_trim(inside);
            if trim_right {
                before = before.trim_end_matches(TRIMMED);
            }
            self.push_text(before, text_at);
            let open_at = self.at + found;
            self.at = open_at + self.delimiters.open.len() + if trim_right { 2 } else { 0 };
            trim_left = if self.rest().starts_with("/*") {
                self.comment(open_at)?
            } else {
                self.tokens.push(Token {
                    kind: Kind::Open,
                    text: self.delimiters_text(open_at),
                    at: open_at,
                });
                self.action(open_at)?
            };
        }
    }

    fn delimiters_text(&self, open_at: usize) -> &'t str {
        self.text.get(open_at..open_at + self.delimiters.open.len()).unwrap_or("")
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push_text(&mut self, text: &'t str, at: usize) {
        if !text.is_empty() {
            self.tokens.push(Token { kind: Kind::Text, text, at });
        }
    }

    /// Takes what stands between `start` and the current position as a token.
    fn push(&mut self, kind: Kind, start: usize) {
        let text = self.text.get(start..self.at).unwrap_or("");
        self.tokens.push(Token { kind, text, at: start });
    }

    /// Skips a comment; says whether the following text is to be trimmed.
    fn comment(&mut self, open_at: usize) -> LexResult<bool> {
        self.at += 2;
        let Some(end) = self.rest().find("*/") else {
            return Err((open_at, ParseErrorKind::UnclosedComment));
        };
        self.at += end + 2;
        match self.close_here() {
            Some((length, trim)) => {
                self.at += length;
                Ok(trim)
            }
            None => Err((self.at, ParseErrorKind::CommentEnd)),
        }
    }

    /// Whether the closing delimiter stands here: its length with trim marker, and whether it has one.
    fn close_here(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        let close = self.delimiters.close;
        if has_right_trim(rest) && rest.get(2..).is_some_and(|after| after.starts_with(close)) {
            return Some((2 + close.len(), true));
        }
        rest.starts_with(close).then_some((close.len(), false))
    }

    /// Reads the tokens of one action; says whether the following text is to be trimmed.
    fn action(&mut self, open_at: usize) -> LexResult<bool> {
        self.depth = 0;
        loop {
            if let Some((length, trim)) = self.close_here() {
                if self.depth > 0 {
                    return Err((self.at, ParseErrorKind::UnclosedParenthesis));
                }
                let start = self.at;
                self.at += length;
                self.push(Kind::Close, start);
                return Ok(trim);
            }
            let Some(next) = self.peek() else {
                return Err((open_at, ParseErrorKind::UnclosedAction));
            };
            self.token(next)?;
        }
    }

    fn token(&mut self, next: char) -> LexResult<()> {
        let start = self.at;
        match next {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '"' => self.quoted('"', "quoted string", Kind::Str)?,
            '\'' => self.quoted('\'', "character constant", Kind::Char)?,
            '`' => self.raw()?,
            '$' => {
                self.at += 1;
                self.skip_word();
                self.push(Kind::Variable, start);
                self.check_terminator()?;
            }
            '.' => self.dot()?,
            '+' | '-' | '0'..='9' => self.number()?,
            _ if is_word(next) => self.word()?,
            _ => self.punctuation(next)?,
        }
        Ok(())
    }

    fn punctuation(&mut self, next: char) -> LexResult<()> {
        let start = self.at;
        self.at += next.len_utf8();
        let kind = match next {
            '=' => Kind::Assign,
            '|' => Kind::Pipe,
            ',' => Kind::Comma,
            ':' => {
                if self.peek() != Some('=') {
                    return Err((start, ParseErrorKind::ExpectedDeclare));
                }
                self.at += 1;
                Kind::Declare
            }
            '(' => {
                self.depth += 1;
                Kind::OpenParen
            }
            ')' => {
                let Some(depth) = self.depth.checked_sub(1) else {
                    return Err((start, ParseErrorKind::UnopenedParenthesis));
                };
                self.depth = depth;
                Kind::CloseParen
            }
            other => return Err((start, ParseErrorKind::BadCharacter(other))),
        };
        self.push(kind, start);
        Ok(())
    }

    fn space(&mut self) {
        let start = self.at;
        loop {
            // The space of a closing trim marker belongs to the delimiter.
            if self.close_here().is_some() || !self.peek().is_some_and(|next| TRIMMED.contains(&next)) {
                break;
            }
            self.at += 1;
        }
        self.push(Kind::Space, start);
    }

    fn quoted(&mut self, quote: char, name: &'static str, kind: Kind) -> LexResult<()> {
        let start = self.at;
        let mut escaped = false;
        for (offset, next) in self.rest().char_indices().skip(1) {
            match next {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if next == quote => {
                    self.at = start + offset + 1;
                    self.push(kind, start);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err((start, ParseErrorKind::UnclosedQuote(name)))
    }

    fn raw(&mut self) -> LexResult<()> {
        let start = self.at;
        let Some(end) = self.rest().get(1..).and_then(|inside| inside.find('`')) else {
            return Err((start, ParseErrorKind::UnclosedQuote("raw string")));
        };
        self.at += end + 2;
        self.push(Kind::Str, start);
        Ok(())
    }

    /// A lone dot, `.field`, or a number such as `.5`.
    fn dot(&mut self) -> LexResult<()> {
        let start = self.at;
        let follower = self.rest().chars().nth(1);
        if follower.is_some_and(|next| next.is_ascii_digit()) {
            return self.number();
        }
        self.at += 1;
        self.skip_word();
        if self.at == start + 1 {
            self.push(Kind::Dot, start);
        } else {
            self.push(Kind::Field, start);
        }
        self.check_terminator()
    }

    fn word(&mut self) -> LexResult<()> {
        let start = self.at;
        self.skip_word();
        let word = self.text.get(start..self.at).unwrap_or("");
        let kind = match word {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "nil" => Kind::Nil,
            _ => Keyword::parse(word).map_or(Kind::Identifier, Kind::Keyword),
        };
        self.push(kind, start);
        self.check_terminator()
    }

    fn skip_word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|next| !is_word(next)).unwrap_or(rest.len());
        self.at += length;
    }

    /// After a word, field or variable only certain characters may follow.
    fn check_terminator(&self) -> LexResult<()> {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            _ if self.rest().starts_with(self.delimiters.close) => Ok(()),
            Some(other) => Err((self.at, ParseErrorKind::BadCharacter(other))),
        }
    }

    /// A number, or two for a complex constant such as `1+2i`.
    fn number(&mut self) -> LexResult<()> {
        let start = self.at;
        self.scan_number(start)?;
        if matches!(self.peek(), Some('+' | '-')) {
            self.scan_number(start)?;
            if !self.text.get(start..self.at).is_some_and(|text| text.ends_with('i')) {
                return Err(self.bad_number(start));
            }
        }
        self.push(Kind::Number, start);
        Ok(())
    }

    fn bad_number(&self, start: usize) -> (usize, ParseErrorKind) {
        (start, ParseErrorKind::BadNumber(self.text.get(start..self.at).unwrap_or("").to_owned()))
    }

    fn scan_number(&mut self, start: usize) -> LexResult<()> {
        self.skip_one("+-");
        let mut digits = "0123456789_";
        if self.skip_one("0") {
            if self.skip_one("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.skip_one("oO") {
                digits = "01234567_";
            } else if self.skip_one("bB") {
                digits = "01_";
            }
        }
        self.skip_all(digits);
        if self.skip_one(".") {
            self.skip_all(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.skip_one(exponent) {
            self.skip_one("+-");
            self.skip_all("0123456789_");
        }
        self.skip_one("i");
        if let Some(next) = self.peek().filter(|next| is_word(*next)) {
            self.at += next.len_utf8();
            return Err(self.bad_number(start));
        }
        Ok(())
    }

    fn skip_one(&mut self, accepted: &str) -> bool {
        let found = self.peek().is_some_and(|next| accepted.contains(next));
        if found {
            self.at += 1;
        }
        found
    }

    fn skip_all(&mut self, accepted: &str) {
        while self.skip_one(accepted) {}
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn has_left_trim(inside: &str) -> bool {
    let mut characters = inside.chars();
    characters.next() == Some('-') && characters.next().is_some_and(|next| TRIMMED.contains(&next))
}

fn has_right_trim(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next().is_some_and(|next| TRIMMED.contains(&next)) && characters.next() == Some('-')
}
