//! Template directives in the text of a file, found without parsing them.

use std::ops::Range;

/// The places of `{{…}}` in a text, braces included. One that is not closed is none.
///
/// ```
/// let text = r#"a {{printf "}}"}} b {{/* c */}}"#;
/// let found: Vec<_> = api_mock_scenario::directives(text).into_iter().map(|at| &text[at]).collect();
/// assert_eq!(found, [r#"{{printf "}}"}}"#, "{{/* c */}}"]);
/// ```
#[must_use]
pub fn directives(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find("{{")).map(|at| from + at) {
        match end_of_directive(text.as_bytes(), start + 2) {
            Some(end) => {
                found.push(start..end);
                from = end;
            }
            None => from = start + 2,
        }
    }
    found
}

fn end_of_directive(bytes: &[u8], mut at: usize) -> Option<usize> {
    let rest = |at: usize| bytes.get(at..).unwrap_or_default();
    let comment_at = if rest(at).starts_with(b"-") {
        at + 1 + rest(at + 1).iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    } else {
        at
    };
    if rest(comment_at).starts_with(b"/*") {
        at = comment_at + 2 + find(rest(comment_at + 2), b"*/")? + 2;
        return Some(at + find(rest(at), b"}}")? + 2);
    }
    loop {
        match *bytes.get(at)? {
            b'}' if rest(at).starts_with(b"}}") => return Some(at + 2),
            b'`' => at += 2 + find(rest(at + 1), b"`")?,
            quote @ (b'"' | b'\'') => at = end_of_quote(bytes, at, quote)?,
            _ => at += 1,
        }
    }
}

fn end_of_quote(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' => return None,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A text as it must stand in a file for braces in it to mean nothing.
///
/// ```
/// assert_eq!(api_mock_scenario::literal("a {{b}}"), "a {{`{{`}}b}}");
/// ```
#[must_use]
pub fn literal(text: &str) -> String {
    text.replace("{{", "{{`{{`}}")
}

/// What stands between the braces, without trim markers and white space.
fn inner(directive: &str) -> &str {
    let inner = directive.strip_prefix("{{").unwrap_or(directive);
    let inner = inner.strip_suffix("}}").unwrap_or(inner);
    let inner = inner.strip_prefix("- ").unwrap_or(inner);
    inner.strip_suffix(" -").unwrap_or(inner).trim()
}

/// The text that a directive prints, if it is nothing but a string.
///
/// ```
/// use api_mock_scenario::constant;
/// assert_eq!(constant("{{`{{`}}"), Some("{{"));
/// assert_eq!(constant(r#"{{ "a" }}"#), Some("a"));
/// assert_eq!(constant("{{.a}}"), None);
/// ```
#[must_use]
pub fn constant(directive: &str) -> Option<&str> {
    let inner = inner(directive);
    let quoted = |quote: char| {
        let text = inner.strip_prefix(quote)?.strip_suffix(quote)?;
        (!text.contains([quote, '\\'])).then_some(text)
    };
    quoted('`').or_else(|| quoted('"'))
}

fn first_word(directive: &str) -> &str {
    inner(directive).split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// By how much a directive changes the number of those that want an `end`: 1, -1 or 0.
///
/// ```
/// use api_mock_scenario::nesting;
/// assert_eq!([nesting("{{if .x}}"), nesting("{{else}}"), nesting("{{- end}}")], [1, 0, -1]);
/// ```
#[must_use]
pub fn nesting(directive: &str) -> i32 {
    match first_word(directive) {
        "if" | "range" | "with" | "define" | "block" => 1,
        "end" => -1,
        _ => 0,
    }
}

/// How many directives of a text are not closed in it.
pub(crate) fn open_directives(text: &str) -> i32 {
    directives(text).into_iter().filter_map(|at| text.get(at)).map(nesting).sum()
}

/// Whether a directive steers rather than prints.
pub(crate) fn is_control(directive: &str) -> bool {
    let inner = inner(directive);
    let steers = matches!(
        first_word(directive),
        "if" | "else" | "end" | "range" | "with" | "define" | "block" | "template" | "break" | "continue"
    );
    steers || inner.starts_with("/*") || is_assignment(inner)
}

fn is_assignment(inner: &str) -> bool {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    inner.strip_prefix('$').is_some_and(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start();
        name(rest) > 0 && (after.starts_with(":=") || after.starts_with('='))
    })
}

/// A text whose directives are replaced by harmless characters, byte for byte, so that YAML can
/// be read from it.
#[derive(Debug)]
pub(crate) struct Neutral {
    pub(crate) text: String,
    /// Directives that are replaced by [`Neutral::mark`] and `x`s.
    pub(crate) tokens: Vec<Range<usize>>,
    /// Directives that steer and stand alone on their lines: replaced by line breaks.
    pub(crate) blanked: Vec<Range<usize>>,
    pub(crate) mark: char,
}

impl Neutral {
    /// A text in which directives are text.
    pub(crate) fn without_directives(source: &str) -> Self {
        Neutral { text: source.to_owned(), tokens: vec![], blanked: vec![], mark: '\u{0}' }
    }

    pub(crate) fn new(source: &str) -> Self {
        let found = directives(source);
        // Characters for private use, three bytes long and allowed anywhere in YAML.
        let mark = ('\u{e000}'..'\u{e100}').find(|mark| !source.contains(*mark)).unwrap_or('\u{e000}');
        let mut neutral =
            Neutral { text: String::with_capacity(source.len()), tokens: vec![], blanked: vec![], mark };
        let mut from = 0;
        for (index, at) in found.iter().enumerate() {
            neutral.text.push_str(source.get(from..at.start).unwrap_or_default());
            let directive = source.get(at.clone()).unwrap_or_default();
            if is_control(directive) && stands_alone(source, &found, index) {
                // Empty lines mean the least; one of spaces could be taken for indentation.
                let spaces = neutral.text.len() - neutral.text.trim_end_matches([' ', '\t']).len();
                neutral.text.truncate(neutral.text.len() - spaces);
                neutral.text.extend(std::iter::repeat_n('\n', spaces + directive.len()));
                neutral.blanked.push(at.clone());
            } else {
                neutral.text.push(mark);
                neutral.text.extend(std::iter::repeat_n('x', at.len() - mark.len_utf8()));
                neutral.tokens.push(at.clone());
            }
            from = at.end;
        }
        neutral.text.push_str(source.get(from..).unwrap_or_default());
        neutral
    }
}

/// Whether the lines of a directive hold nothing but directives that steer.
fn stands_alone(source: &str, found: &[Range<usize>], index: usize) -> bool {
    let directive = |at: &Range<usize>| source.get(at.clone()).unwrap_or_default();
    let blank = |from: usize, to: usize| source.get(from..to).is_some_and(|gap| gap.trim().is_empty());
    let ends_line = |from: usize, to: usize| {
        source
            .get(from..to)
            .is_some_and(|gap| gap.split('\n').next().is_some_and(|end| end.trim().is_empty()))
            && source.get(from..to).is_some_and(|gap| gap.contains('\n') || to == source.len())
    };
    let starts_line = |from: usize, to: usize| {
        source.get(from..to).is_some_and(|gap| {
            gap.rsplit('\n').next().is_some_and(|begin| begin.trim().is_empty())
                && (gap.contains('\n') || from == 0)
        })
    };
    // To the left, over directives of the same line.
    let mut left = index;
    loop {
        let Some(at) = found.get(left) else { return false };
        let before = left.checked_sub(1).and_then(|left| found.get(left));
        let from = before.map_or(0, |before| before.end);
        if starts_line(from, at.start) {
            break;
        }
        match before {
            Some(before) if blank(from, at.start) && is_control(directive(before)) => left -= 1,
            _ => return false,
        }
    }
    let mut right = index;
    loop {
        let Some(at) = found.get(right) else { return false };
        let after = found.get(right + 1);
        let to = after.map_or(source.len(), |after| after.start);
        if ends_line(at.end, to) {
            return true;
        }
        match after {
            Some(after) if blank(at.end, to) && is_control(directive(after)) => right += 1,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_comments_and_open_ends() {
        let found =
            |text: &'static str| -> Vec<&str> { directives(text).into_iter().map(|at| &text[at]).collect() };
        assert_eq!(found("{{`}}`}}x}}"), ["{{`}}`}}"]);
        assert_eq!(found(r#"{{"\"}}"}}"#), [r#"{{"\"}}"}}"#]);
        assert_eq!(found("{{- /* }} */ -}}"), ["{{- /* }} */ -}}"]);
        assert_eq!(found("{{'}'}}{{"), ["{{'}'}}"]);
        assert_eq!(found("{{ \"open\n {{.x}}"), ["{{.x}}"]);
        assert!(found("{{ {").is_empty());
    }

    #[test]
    fn neutral_text_has_as_many_bytes() {
        let source = "a: {{.x}}\n{{- range .l }}\n  {{if .y}} {{end}}\nb: {{if .z}}1{{end}}\n{{.only}}\n";
        let neutral = Neutral::new(source);
        assert_eq!(neutral.text.len(), source.len());
        assert!(!neutral.text.contains("{{"));
        let lines: Vec<&str> = neutral.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!((neutral.blanked.len(), neutral.tokens.len()), (3, 4));
    }

    #[test]
    fn what_steers_and_what_prints() {
        for steers in
            ["{{end}}", "{{- if .x -}}", "{{else if .y}}", "{{/* c */}}", "{{$x := 1}}", "{{ $x = 2 }}"]
        {
            assert!(is_control(steers), "{steers}");
        }
        for prints in ["{{.end}}", "{{$x}}", "{{endless}}", "{{`end`}}", "{{if2}}"] {
            assert!(!is_control(prints), "{prints}");
        }
    }
}
