//! Patterns of schemas. They are written in the language of JavaScript, which differs a little from
//! that of our regular expressions.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange, parse::Parser};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Compiled patterns larger than this are not checked.
const MAX_COMPILED_BYTES: usize = 2 << 20;
/// Patterns of so many states at most are far from that.
const FEW_STATES: u64 = 4_000;
/// How much longer than it must be a repetition without an end gets when strings are generated.
const ENDLESS_EXTRA: u64 = 48;
/// How many rounds more than it must a repetition gets that was cut to a length.
const CUT_EXTRA: u64 = 24;

/// A pattern of a specification.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    /// `None` if it cannot be checked.
    matcher: OnceLock<Option<Regex>>,
    /// It is known without compiling it that it can be.
    is_small: bool,
    problem: Option<String>,
}

impl Pattern {
    pub(crate) fn new(source: &str) -> Pattern {
        let parsed = regex_syntax::parse(&translated(source, true));
        let is_small = parsed.as_ref().is_ok_and(|hir| most_states(hir) <= FEW_STATES);
        let problem = match parsed {
            Ok(_) => None,
            Err(_) if look_around(source).is_some() => {
                Some("it looks ahead or behind, which is not supported".to_owned())
            }
            Err(error) => Some(last_line(&error.to_string())),
        };
        Pattern { source: source.into(), matcher: OnceLock::new(), is_small, problem }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Why it cannot be checked.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn matcher(&self) -> Option<&Regex> {
        let compile = || {
            let text = translated(&self.source, true);
            RegexBuilder::new(&text).size_limit(MAX_COMPILED_BYTES).build().ok()
        };
        self.matcher.get_or_init(|| if self.problem.is_some() { None } else { compile() }).as_ref()
    }

    /// Whether it is checked at all. An import asks this of each pattern, and matches hardly any.
    pub(crate) fn is_checked(&self) -> bool {
        self.problem.is_none() && (self.is_small || self.matcher().is_some())
    }

    /// Whether it is found in the text; true if it cannot be checked.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.matcher().is_none_or(|matcher| matcher.is_match(text))
    }

    /// The expression to generate strings from whose length, in characters, lies in a range.
    pub(crate) fn fitted(&self, min: u64, max: Option<u64>) -> Option<Fitted> {
        let readable = if regex_syntax::parse(&self.source).is_ok() {
            self.source.to_string()
        } else {
            translated(&without_look_around(&self.source), false)
        };
        fit(&readable, min, max).or_else(|| padded(&readable, min, max))
    }
}

/// More states than an automaton of this has: a character of several bytes takes some, and repetitions are written out.
fn most_states(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().fold(1, |sum: u64, part| sum.saturating_add(most_states(part)));
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 16 * class.ranges().len() as u64 + 1,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64 + 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            most_states(&repetition.sub).saturating_add(2).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => most_states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

/// For patterns that are shorter than wanted and leave one side open: letters are added there.
fn padded(readable: &str, min: u64, max: Option<u64>) -> Option<Fitted> {
    let open_end = !readable.contains('$') && !readable.contains(r"\z");
    let open_start = !readable.contains('^') && !readable.contains(r"\A");
    let core = fit(readable, 0, max)?;
    let missing = min.saturating_sub(core.min);
    let room = max.map_or(u64::MAX, |max| max.saturating_sub(core.max));
    if missing == 0 || missing > room || !(open_end || open_start) {
        return None;
    }
    let most = room.min(missing.saturating_add(8));
    let group = if core.text.contains('|') { format!("(?:{})", core.text) } else { core.text };
    let letters = format!("[a-z]{{{missing},{most}}}");
    let text = if open_end { format!("{group}{letters}") } else { format!("{letters}{group}") };
    Some(Fitted { text, min: core.min + missing, max: core.max + most })
}

fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// A regular expression whose generated strings have lengths in a known range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub(crate) text: String,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// Narrows an expression until all strings generated from it have lengths in the range.
pub(crate) fn fit(readable: &str, min: u64, max: Option<u64>) -> Option<Fitted> {
    let ast = Parser::new().parse(readable).ok()?;
    let piece = Piece::of(&ast, readable);
    let (least, most) = piece.lengths();
    let generated = most.unwrap_or_else(|| piece.endless_most());
    if least >= min && max.is_none_or(|max| generated <= max) {
        return Some(Fitted { text: readable.to_owned(), min: least, max: generated });
    }
    let most = most.unwrap_or(u64::MAX).min(max.unwrap_or(u64::MAX)).min(min.max(least).saturating_add(256));
    let text = piece.cut(min, most)?;
    let ast = Parser::new().parse(&text).ok()?;
    let (least, longest) = Piece::of(&ast, &text).lengths();
    let longest = longest?;
    (least >= min && longest <= most).then_some(Fitted { text, min: least, max: longest })
}

/// What lengths are concerned with in an expression.
enum Piece<'s> {
    Atom(&'s str, u64),
    Group(&'s str, Box<Piece<'s>>),
    Repeat(Box<Piece<'s>>, u64, Option<u64>),
    Choice(Vec<Piece<'s>>),
    Sequence(Vec<Piece<'s>>),
}

impl<'s> Piece<'s> {
    fn of(ast: &Ast, source: &'s str) -> Piece<'s> {
        let text = |from: usize, to: usize| source.get(from..to).unwrap_or_default();
        let span = ast.span();
        let whole = text(span.start.offset, span.end.offset);
        match ast {
            Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => Piece::Atom(whole, 0),
            Ast::Literal(_)
            | Ast::Dot(_)
            | Ast::ClassUnicode(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_) => Piece::Atom(whole, 1),
            Ast::Group(group) => {
                let open = text(span.start.offset, group.ast.span().start.offset);
                Piece::Group(open, Box::new(Piece::of(&group.ast, source)))
            }
            Ast::Repetition(repetition) => {
                let (min, max) = match &repetition.op.kind {
                    RepetitionKind::ZeroOrOne => (0, Some(1)),
                    RepetitionKind::ZeroOrMore => (0, None),
                    RepetitionKind::OneOrMore => (1, None),
                    RepetitionKind::Range(RepetitionRange::Exactly(n)) => {
                        (u64::from(*n), Some(u64::from(*n)))
                    }
                    RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (u64::from(*n), None),
                    RepetitionKind::Range(RepetitionRange::Bounded(m, n)) => {
                        (u64::from(*m), Some(u64::from(*n)))
                    }
                };
                Piece::Repeat(Box::new(Piece::of(&repetition.ast, source)), min, max)
            }
            Ast::Alternation(choice) => {
                Piece::Choice(choice.asts.iter().map(|ast| Piece::of(ast, source)).collect())
            }
            Ast::Concat(parts) => {
                Piece::Sequence(parts.asts.iter().map(|ast| Piece::of(ast, source)).collect())
            }
        }
    }

    /// The shortest and the longest string; `None` if there is no longest.
    fn lengths(&self) -> (u64, Option<u64>) {
        self.lengths_with(None)
    }

    /// The longest string that is generated.
    fn endless_most(&self) -> u64 {
        self.lengths_with(Some(ENDLESS_EXTRA)).1.unwrap_or(u64::MAX)
    }

    fn lengths_with(&self, extra: Option<u64>) -> (u64, Option<u64>) {
        match self {
            Piece::Atom(_, length) => (*length, Some(*length)),
            Piece::Group(_, inner) => inner.lengths_with(extra),
            Piece::Repeat(inner, min, max) => {
                let (least, most) = inner.lengths_with(extra);
                let rounds = max.or(extra.map(|extra| min.saturating_add(extra)));
                let longest = match (most, rounds) {
                    (Some(0), _) | (_, Some(0)) => Some(0),
                    (Some(most), Some(rounds)) => Some(most.saturating_mul(rounds)),
                    _ => None,
                };
                (least.saturating_mul(*min), longest)
            }
            Piece::Choice(branches) => {
                let all: Vec<_> = branches.iter().map(|branch| branch.lengths_with(extra)).collect();
                let longest = all.iter().map(|(_, most)| *most).try_fold(0, |a: u64, b| b.map(|b| a.max(b)));
                (all.iter().map(|(least, _)| *least).min().unwrap_or(0), longest)
            }
            Piece::Sequence(parts) => parts.iter().fold((0, Some(0)), |(least, most), part| {
                let (more, longest) = part.lengths_with(extra);
                (least.saturating_add(more), most.zip(longest).map(|(a, b): (u64, u64)| a.saturating_add(b)))
            }),
        }
    }

    /// An expression for those strings that have such lengths, or for some of them.
    fn cut(&self, min: u64, max: u64) -> Option<String> {
        match self {
            Piece::Atom(text, length) => (min <= *length && *length <= max).then(|| (*text).to_owned()),
            Piece::Group(open, inner) => Some(format!("{open}{})", inner.cut(min, max)?)),
            Piece::Choice(branches) => {
                let cut: Vec<String> = branches.iter().filter_map(|branch| branch.cut(min, max)).collect();
                (!cut.is_empty()).then(|| cut.join("|"))
            }
            Piece::Sequence(parts) => cut_sequence(&parts.iter().collect::<Vec<_>>(), min, max),
            Piece::Repeat(inner, least, most) => cut_repeat(inner, *least, *most, min, max),
        }
    }
}

fn cut_repeat(inner: &Piece<'_>, least: u64, most: Option<u64>, min: u64, max: u64) -> Option<String> {
    let (shortest, longest) = inner.lengths();
    if longest == Some(shortest) && shortest > 0 {
        let low = least.max(min.div_ceil(shortest));
        let high = most.unwrap_or(u64::MAX).min(max / shortest).min(low.saturating_add(CUT_EXTRA));
        let text = inner.cut(shortest, shortest)?;
        return match (low, high) {
            (low, high) if low > high => None,
            (1, 1) => Some(text),
            (low, high) if low == high => Some(format!("{text}{{{low}}}")),
            (low, high) => Some(format!("{text}{{{low},{high}}}")),
        };
    }
    let rounds = least..=most.unwrap_or(u64::MAX).min(least.saturating_add(64));
    for count in rounds {
        let too_short = longest.is_some_and(|longest| longest.saturating_mul(count) < min);
        if shortest.saturating_mul(count) > max {
            return None;
        }
        if !too_short {
            let copies = usize::try_from(count).ok().filter(|count| *count <= 256)?;
            if let Some(text) = cut_sequence(&vec![inner; copies], min, max) {
                return Some(text);
            }
        }
    }
    None
}

fn cut_sequence(parts: &[&Piece<'_>], min: u64, max: u64) -> Option<String> {
    let ranges: Vec<(u64, u64)> = parts
        .iter()
        .map(|part| part.lengths())
        .map(|(least, most)| (least, most.unwrap_or(u64::MAX)))
        .collect();
    let mut low: Vec<u64> = ranges.iter().map(|(least, _)| *least).collect();
    let mut total = low.iter().fold(0_u64, |sum, least| sum.saturating_add(*least));
    let mut missing = min.saturating_sub(total);
    for (least, (_, most)) in low.iter_mut().zip(&ranges) {
        let more = missing.min(most - *least);
        *least += more;
        missing -= more;
    }
    total = low.iter().fold(0_u64, |sum, least| sum.saturating_add(*least));
    if missing > 0 || total > max {
        return None;
    }
    let mut spare = max - total;
    let mut flexible = low.iter().zip(&ranges).filter(|(least, (_, most))| *most > **least).count() as u64;
    let mut text = String::new();
    for ((part, least), (_, most)) in parts.iter().zip(&low).zip(&ranges) {
        let share = if most > least && flexible > 0 {
            let share = (most - least).min(spare / flexible);
            flexible -= 1;
            share
        } else {
            0
        };
        spare -= share;
        text.push_str(&part.cut(*least, least + share)?);
    }
    Some(text)
}

/// Where a group that looks ahead or behind begins.
fn look_around(source: &str) -> Option<usize> {
    ["(?=", "(?!", "(?<=", "(?<!"].into_iter().filter_map(|open| source.find(open)).min()
}

/// The expression without the groups that look around. Whatever matches the original matches this.
fn without_look_around(source: &str) -> String {
    let mut text = source.to_owned();
    while let Some(start) = look_around(&text) {
        let mut depth = 0_u32;
        let mut escaped = false;
        let end = text[start..].char_indices().find_map(|(at, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(start + at + 1)
        });
        text.replace_range(start..end.unwrap_or(text.len()), "");
    }
    text
}

/// An expression of JavaScript as one of ours. With `ascii`, classes such as `\d` mean what they
/// mean there.
pub(crate) fn translated(source: &str, ascii: bool) -> String {
    let mut text = String::with_capacity(source.len());
    let mut chars = source.char_indices().peekable();
    let mut in_class = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) => {
                    escape(&mut text, escaped, in_class, ascii);
                    // `\p{Lu}`, `\u{1F600}`
                    if matches!(escaped, 'p' | 'P' | 'u' | 'x') && chars.next_if(|(_, c)| *c == '{').is_some()
                    {
                        text.push('{');
                    }
                }
                None => text.push_str("\\\\"),
            },
            '[' if !in_class => {
                in_class = true;
                let negated = chars.next_if(|(_, c)| *c == '^').is_some();
                // `[]` matches nothing and `[^]` everything; ours want something in a class.
                if chars.next_if(|(_, c)| *c == ']').is_some() {
                    in_class = false;
                    text.push_str(if negated { r"[\s\S]" } else { r"[^\s\S]" });
                } else {
                    text.push_str(if negated { "[^" } else { "[" });
                }
            }
            '[' => text.push_str(r"\["),
            ']' if in_class => {
                in_class = false;
                text.push(']');
            }
            '&' | '~' if in_class => {
                text.push('\\');
                text.push(c);
            }
            '{' if !in_class && !is_repetition(&source[at..]) => text.push_str(r"\{"),
            c => text.push(c),
        }
    }
    text
}

fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.get(1..).and_then(|rest| rest.split_once('}')) else { return false };
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

fn escape(text: &mut String, escaped: char, in_class: bool, ascii: bool) {
    match (escaped, in_class) {
        ('d', false) if ascii => text.push_str("[0-9]"),
        ('d', true) if ascii => text.push_str("0-9"),
        ('D', _) if ascii => text.push_str("[^0-9]"),
        ('w', false) if ascii => text.push_str("[0-9A-Za-z_]"),
        ('w', true) if ascii => text.push_str("0-9A-Za-z_"),
        ('W', _) if ascii => text.push_str("[^0-9A-Za-z_]"),
        // The end of the text, in other languages.
        ('Z', false) => text.push('$'),
        ('b', true) => text.push_str(r"\x08"),
        ('0', _) => text.push_str(r"\x00"),
        ('<' | '>' | '"' | '\'' | '/' | '@' | ',' | ':' | ';' | '=' | '!' | '%' | '`' | '_' | ' ', _) => {
            text.push(escaped);
        }
        (other, _) if !other.is_ascii() => text.push(other),
        (other, _) => {
            text.push('\\');
            text.push(other);
        }
    }
}

/// An expression that finds whatever the pattern finds.
pub(crate) fn for_search(source: &str) -> String {
    if regex_syntax::parse(source).is_ok() { source.to_owned() } else { translated(source, false) }
}

/// Whether no string generated from the expression needs escapes between the quotes of JSON.
pub(crate) fn is_plain(readable: &str) -> bool {
    regex_syntax::parse(readable).is_ok_and(|hir| plain(&hir))
}

fn plain(hir: &Hir) -> bool {
    let good = |c: char| {
        !matches!(c, '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') && c >= ' '
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).is_ok_and(|text| text.chars().all(good)),
        HirKind::Class(Class::Unicode(class)) => {
            let has = |c: char| class.iter().any(|range| range.start() <= c && c <= range.end());
            // If there are printable ASCII characters, only those are generated.
            let readable = (' '..='~').any(has);
            if readable {
                !has('"') && !has('\\')
            } else {
                class.iter().all(|range| good(range.start()) && good(range.end()) && range.start() > '\u{ff}')
            }
        }
        HirKind::Class(Class::Bytes(_)) => false,
        HirKind::Repetition(repetition) => plain(&repetition.sub),
        HirKind::Capture(capture) => plain(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(plain),
    }
}

/// Whether all strings generated from the expression match it. Generators skip anchors and word
/// boundaries, so those must be where they hold anyway.
pub(crate) fn is_certain(readable: &str) -> bool {
    regex_syntax::parse(readable).is_ok_and(|hir| anchors_hold(&hir, true, true))
}

fn anchors_hold(hir: &Hir, at_start: bool, at_end: bool) -> bool {
    match hir.kind() {
        HirKind::Look(Look::Start | Look::StartLF) => at_start,
        HirKind::Look(Look::End | Look::EndLF) => at_end,
        HirKind::Look(_) => false,
        HirKind::Empty | HirKind::Literal(_) => true,
        // `[]` has nothing in it: nothing matches, whatever is generated.
        HirKind::Class(class) => !class.is_empty(),
        HirKind::Capture(capture) => anchors_hold(&capture.sub, at_start, at_end),
        HirKind::Repetition(repetition) => {
            let once = repetition.max.is_some_and(|max| max <= 1);
            anchors_hold(&repetition.sub, at_start && once, at_end && once)
        }
        HirKind::Alternation(branches) => {
            branches.iter().all(|branch| anchors_hold(branch, at_start, at_end))
        }
        HirKind::Concat(parts) => {
            let empty = |part: &Hir| part.properties().maximum_len() == Some(0);
            parts.iter().enumerate().all(|(at, part)| {
                let starts = at_start && parts.iter().take(at).all(empty);
                let ends = at_end && parts.iter().skip(at + 1).all(empty);
                anchors_hold(part, starts, ends)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_datagen::{PatternLimits, Rng};

    #[test]
    fn what_is_known_to_be_small_can_be_compiled() {
        for (source, is_small) in [
            ("^r1_[a-z0-9]{8}$", true),
            ("(a|[\\u4e00-\\u9fff]){1,40}", true),
            (r"^(?:[A-Z]{2}[0-9]{1,30}){3}(?:x|yz)*$", true),
            (r"\w{1,200}", false),
            ("(a{1000}){1000}", false),
            ("(?=x)y", false),
        ] {
            let pattern = Pattern::new(source);
            assert_eq!(pattern.is_small && pattern.problem.is_none(), is_small, "{source}");
            assert!(!is_small || pattern.matcher().is_some(), "{source}");
        }
        let too_large = Pattern::new("(a{1000}){1000}");
        assert!(!too_large.is_checked() && too_large.is_match("b"));
    }

    #[test]
    fn what_a_class_without_characters_makes_is_not_certain() {
        assert!(is_certain("^[a-z]{2}$") && is_certain("^a|b$"));
        for source in ["^[]-za+$", "[]", "a|[]b"] {
            let pattern = Pattern::new(source);
            let fitted = pattern.fitted(0, None);
            assert!(fitted.is_none_or(|fitted| !is_certain(&fitted.text)), "{source}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_javascript() {
        let matches = |source: &str, text: &str| {
            let pattern = Pattern::new(source);
            assert!(pattern.is_checked(), "{source}: {:?}", pattern.problem());
            pattern.is_match(text)
        };
        assert!(matches(r"^\d+$", "12") && !matches(r"^\d+$", "١٢"));
        assert!(matches(r"^[\w-]+$", "a-b") && !matches(r"^[\w-]+$", "é"));
        assert!(matches(r"^\/a\-b\_c$", "/a-b_c"));
        assert!(matches(r"^{[a-z]+}$", "{ab}"));
        assert!(matches(r"^[^]$", "\n") && matches(r"^[[a&&~~]+$", "[&~a"));
        assert!(matches(r"^\<a\>$", "<a>") && matches(r"a\Z", "ba") && !matches(r"a\Z", "ab"));
        assert!(matches(r"^[\W]$", "-") && matches("b", "abc"));
    }

    #[test]
    fn what_cannot_be_checked_says_why_and_passes() {
        let pattern = Pattern::new("^(?!x)[a-z]{3}$");
        assert!(pattern.problem().is_some_and(|why| why.contains("ahead")));
        assert!(pattern.is_match("xyz") && !pattern.is_checked());
        assert_eq!(pattern.fitted(0, None).unwrap().text, "^[a-z]{3}$");
        assert!(Pattern::new("a(").problem().is_some());
    }

    #[test]
    fn patterns_are_cut_to_lengths() {
        let cases: [(&str, u64, Option<u64>); 17] = [
            (r"\w", 2, Some(60)),
            ("a|b$", 3, Some(5)),
            ("^[A-Z]{2}", 10, None),
            ("^[A-Z]*$", 3, Some(5)),
            (r"\w+", 0, Some(3)),
            (r"^\w+$", 20, None),
            (r"^[a-z]+@[a-z]+\.com$", 10, Some(12)),
            (r"^([a-z]+\.)*[a-z]+$", 1, Some(8)),
            (r"^(a|bc|def)+$", 7, Some(9)),
            (r"^AC[0-9a-f]{32}$", 34, Some(34)),
            (r".*", 5, Some(10)),
            (r"^(?:\+[0-9]{1,3})?[0-9]{4,14}$", 0, Some(6)),
            (r"^.{1,255}$", 1, Some(64)),
            (r"^[^,]{2,}(,[^,]+)*$", 30, Some(40)),
            (r"x?y?z?", 2, Some(2)),
            (r"(?i)^[a-f]+$", 2, Some(2)),
            (r"^a|bcd$", 2, Some(5)),
        ];
        for (source, min, max) in cases {
            let pattern = Pattern::new(source);
            let fitted = pattern.fitted(min, max).unwrap_or_else(|| panic!("{source} {min} {max:?}"));
            let generator = api_mock_datagen::Pattern::parse(&fitted.text).unwrap();
            for seed in 0..100 {
                let text = generator.generate(&mut Rng::seeded(seed), &PatternLimits::default()).unwrap();
                let length = text.chars().count() as u64;
                assert!(pattern.is_match(&text), "{source} as {}: {text}", fitted.text);
                assert!(
                    length >= min && max.is_none_or(|max| length <= max),
                    "{source} as {}: {text}",
                    fitted.text
                );
                assert!(length >= fitted.min && length <= fitted.max, "{source} as {}: {text}", fitted.text);
            }
        }
        for (source, min, max) in [("^abc$", 4, None), ("^[a-z]{5}$", 0, Some(4)), ("^(ab)*$", 3, Some(3))] {
            assert_eq!(Pattern::new(source).fitted(min, max), None, "{source}");
        }
    }

    #[test]
    fn it_is_known_which_anchors_hold() {
        for source in ["^[a-z]+$", "^(a|^b)(c|d$)$", "^$", "abc", "(^a)?b"] {
            assert!(is_certain(source), "{source}");
        }
        for source in [r"\bab\b", "a^b", "(^a)+", "a$b", "x(^|,)y"] {
            assert!(!is_certain(source), "{source}");
        }
    }

    #[test]
    fn it_is_known_which_patterns_need_escapes() {
        for source in ["^[a-z]+$", r"^\w+-\d{3}$", "a b", r"\s", "[а-я]"] {
            assert!(is_plain(source), "{source}");
        }
        for source in ["a\"", r"\\", ".", "[^a]", r"[\x00-\x1f]"] {
            assert!(!is_plain(source), "{source}");
        }
    }
}
