//! Which data the directives of a file can ask for.

use std::collections::BTreeSet;

/// What directives ask for.
#[derive(Debug, Default)]
pub(crate) struct Needs<'t> {
    /// All words in them, those of texts included: the names that they may mean.
    pub(crate) words: BTreeSet<&'t str>,
    /// All fields may be meant: the data as such is used, as in `{{.}}` and `{{range $k, $v := .}}`, or its key is computed.
    pub(crate) all_fields: bool,
    /// All headers, too: the key of an `index` is computed.
    pub(crate) all_headers: bool,
}

/// A part of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// `.` or `$` alone.
    Root,
    /// A constant text.
    Text,
    /// `$name`, or what brackets hold.
    Computed,
    Index,
    Other,
}

impl<'t> Needs<'t> {
    pub(crate) fn of(directives: impl IntoIterator<Item = &'t str>) -> Self {
        let mut needs = Needs::default();
        for directive in directives {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            needs.words.extend(directive.split(|c| !is_word(c)).filter(|word| !word.is_empty()));
            needs.add(&tokens(directive));
        }
        needs.all_headers &= needs.all_fields;
        needs
    }

    fn add(&mut self, tokens: &[Token]) {
        for (number, token) in tokens.iter().enumerate() {
            let after = |by: usize| tokens.get(number + by).copied();
            let is_of_index =
                number.checked_sub(1).and_then(|before| tokens.get(before)) == Some(&Token::Index);
            match token {
                // The words tell this key.
                Token::Root if is_of_index && after(1) == Some(Token::Text) => {}
                Token::Root => self.all_fields = true,
                // The data may have got another name.
                Token::Index => {
                    self.all_headers |= matches!(after(1), Some(Token::Root | Token::Computed))
                        && after(2) != Some(Token::Text);
                }
                _ => {}
            }
        }
    }
}

/// The tokens of a directive, white space left out.
fn tokens(directive: &str) -> Vec<Token> {
    let inner = directive.trim_start_matches("{{").trim_start_matches('-').trim_start();
    if inner.starts_with("/*") {
        return Vec::new();
    }
    let mut tokens = Vec::new();
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => (Some(Token::Text), quoted(rest, first)),
            '`' => (
                Some(Token::Text),
                rest.get(1..).and_then(|rest| rest.find('`')).map_or(rest.len(), |at| at + 2),
            ),
            _ if is_of_name(first) => named(rest),
            '(' | ')' => (Some(Token::Computed), 1),
            _ if first.is_whitespace() => (None, first.len_utf8()),
            _ => (Some(Token::Other), first.len_utf8()),
        };
        tokens.extend(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// Names, numbers and chains of fields.
fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$')
}

fn named(rest: &str) -> (Option<Token>, usize) {
    let word = rest.find(|c| !is_of_name(c)).and_then(|end| rest.get(..end)).unwrap_or(rest);
    let token = match word {
        "." | "$" => Token::Root,
        "index" => Token::Index,
        _ if word.starts_with('$') && !word.contains('.') => Token::Computed,
        _ => Token::Other,
    };
    (Some(token), word.len())
}

/// The length of a text in quotes, in which `\` takes the quote's meaning away.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(directives: &[&str]) -> (bool, bool) {
        let needs = Needs::of(directives.iter().copied());
        (needs.all_fields, needs.all_headers)
    }

    #[test]
    fn what_names_its_data_does_not_ask_for_all_of_it() {
        for directive in [
            "{{.a}}",
            "{{$.a.b}}",
            "{{index . \"User-Agent\"}}",
            "{{- index $ `a` -}}",
            "{{printf \". $ \\\" .\" .a}}",
            "{{/* . */}}",
            "{{- /* index . $x */ -}}",
            "{{if GE .n 1.5}}",
            "{{range $i, $v := .list}}",
            "{{index .list $i}}",
            "{{(index .list 1).name}}",
            "{{'.'}}",
        ] {
            assert_eq!(needs(&[directive]), (false, false), "{directive}");
        }
    }

    #[test]
    fn the_data_as_such_and_computed_keys_are_all_of_it() {
        for directive in
            ["{{.}}", "{{ $ }}", "{{range $k,$v := .}}", "{{with .}}", "{{printf \"%v\" .}}", "{{-.-}}"]
        {
            assert_eq!(needs(&[directive]), (true, false), "{directive}");
        }
        for directive in [
            "{{index . .k}}",
            "{{index $ (print `a`)}}",
            "{{\"a\" | index .}}",
            "{{if (index . $n)}}",
            "{{(.k | index .)}}",
        ] {
            assert_eq!(needs(&[directive]), (true, true), "{directive}");
        }
        assert_eq!(needs(&["{{$d := .}}", "{{index $d .k}}"]), (true, true));
    }
}
