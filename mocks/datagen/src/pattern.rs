//! Strings that match a regular expression.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Repetition};

use crate::{Rng, internet, text};

/// What a generated string may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternLimits {
    /// How many rounds `*`, `+` and `{n,}` go beyond what they must.
    pub extra_rounds: u32,
    /// The longest string, in bytes.
    pub max_bytes: usize,
}

impl Default for PatternLimits {
    /// Eight rounds more, 64 KiB.
    fn default() -> Self {
        PatternLimits { extra_rounds: 8, max_bytes: 64 << 10 }
    }
}

/// Why there is no string for a pattern.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is no regular expression, or has parts without which strings cannot be generated
    /// (look-around, back references).
    #[error("not a regular expression to generate from: {0}")]
    Syntax(#[from] Box<regex_syntax::Error>),
    /// Nothing matches it.
    #[error("nothing can match the regular expression")]
    Impossible,
    /// Its strings are longer than the limit.
    #[error("strings of the regular expression are longer than {0} bytes")]
    TooLong(usize),
}

/// A regular expression, ready to make strings that it matches.
///
/// Where the expression leaves a choice, readable strings are preferred: printable ASCII if the
/// class has some, a word for `\w+`, a few words for `.+`, an e-mail address for the usual
/// expressions for those. Type tags such as `__number__` are skipped.
///
/// ```
/// use api_mock_datagen::{Pattern, Rng};
///
/// let pattern = Pattern::parse(r"^AC[0-9a-f]{6}(-x)?$")?;
/// let text = pattern.generate(&mut Rng::seeded(0), &Default::default())?;
/// assert!(text.starts_with("AC") && matches!(text.len(), 8 | 10));
/// # Ok::<(), api_mock_datagen::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Nothing,
    Literal(Box<str>),
    /// Ranges of characters, never empty.
    Class(Box<[(char, char)]>),
    /// A word of five to nine letters, for `\w+`.
    Word,
    /// Some words, for `.+`.
    Words,
    /// A sign that separates words, for `.?`.
    Separator,
    Email {
        name_has_point: bool,
    },
    Sequence(Box<[Node]>),
    Choice(Box<[Node]>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
}

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// It is none, or nothing can match it.
    pub fn parse(regex: &str) -> Result<Pattern, PatternError> {
        let regex = strip_type_tags(regex);
        if let Some(root) = email_node(&regex) {
            return Ok(Pattern { root });
        }
        let hir = regex_syntax::Parser::new().parse(&regex).map_err(Box::new)?;
        Ok(Pattern { root: node(&hir).ok_or(PatternError::Impossible)? })
    }

    /// Makes a string.
    ///
    /// # Errors
    /// It would be longer than the limit.
    pub fn generate(&self, rng: &mut Rng, limits: &PatternLimits) -> Result<String, PatternError> {
        let mut writer = Writer { rng, limits, text: String::new(), steps: limits.max_bytes };
        writer.node(&self.root).ok_or(PatternError::TooLong(limits.max_bytes))?;
        Ok(writer.text)
    }
}

/// The names that say of which JSON type a generated value is to be, and that it must be there.
const TYPE_TAGS: [&str; 7] =
    ["__string__", "__number__", "__boolean__", "__object__", "__array__", "__example__", "__present__"];

/// The expression without type tags, which mean nothing to matching.
///
/// ```
/// use api_mock_datagen::strip_type_tags;
/// assert_eq!(strip_type_tags(r"(__number__\d+)"), r"(\d+)");
/// ```
#[must_use]
pub fn strip_type_tags(regex: &str) -> String {
    let mut stripped = regex.to_owned();
    if regex.contains("__") {
        for tag in TYPE_TAGS {
            stripped = stripped.replace(tag, "");
        }
    }
    stripped
}

/// The expressions that recordings write for e-mail addresses.
fn email_node(regex: &str) -> Option<Node> {
    let inner = regex.trim_start_matches(['^', '(']).trim_end_matches(['$', ')']);
    let name_has_point = match inner {
        r"\w+.?\w+@\w+.?\w+" | r"\w+.\w+@\w+.\w+" | r"\w+\.\w+@\w+\.\w+" => true,
        r"\w+@\w+.?\w+" | r"\w+@\w+.\w+" | r"\w+@\w+\.\w+" => false,
        _ => return None,
    };
    Some(Node::Email { name_has_point })
}

/// `\w`, with and without the letters of all scripts.
static WORD_CLASSES: LazyLock<Vec<ClassUnicode>> =
    LazyLock::new(|| [r"\w", "[0-9A-Za-z_]"].into_iter().filter_map(class_of).collect());
static DOT_CLASSES: LazyLock<Vec<ClassUnicode>> =
    LazyLock::new(|| [".", "(?s:.)"].into_iter().filter_map(class_of).collect());

fn class_of(regex: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(regex).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        _ => None,
    }
}

fn is_one_of(hir: &Hir, classes: &[ClassUnicode]) -> bool {
    matches!(hir.kind(), HirKind::Class(Class::Unicode(class)) if classes.contains(class))
}

/// What to generate for a part of the expression; `None` if nothing matches it.
fn node(hir: &Hir) -> Option<Node> {
    Some(match hir.kind() {
        // Anchors and word boundaries add nothing; that they hold is up to the rest.
        HirKind::Empty | HirKind::Look(_) => Node::Nothing,
        HirKind::Literal(literal) => Node::Literal(std::str::from_utf8(&literal.0).ok()?.into()),
        HirKind::Class(class) => class_node(class)?,
        HirKind::Capture(capture) => node(&capture.sub)?,
        HirKind::Concat(parts) => Node::Sequence(parts.iter().map(node).collect::<Option<_>>()?),
        HirKind::Alternation(branches) => {
            let branches: Box<[Node]> = branches.iter().filter_map(node).collect();
            if branches.is_empty() {
                return None;
            }
            Node::Choice(branches)
        }
        HirKind::Repetition(repetition) => repeat_node(repetition)?,
    })
}

fn repeat_node(repetition: &Repetition) -> Option<Node> {
    let Repetition { min, max, sub, .. } = repetition;
    let (min, max) = (*min, *max);
    match max {
        None if min <= 5 && is_one_of(sub, &WORD_CLASSES) => return Some(Node::Word),
        None if min <= 1 && is_one_of(sub, &DOT_CLASSES) => return Some(Node::Words),
        Some(1) if min == 0 && is_one_of(sub, &DOT_CLASSES) => return Some(Node::Separator),
        _ => {}
    }
    match node(sub) {
        Some(node) => Some(Node::Repeat { node: Box::new(node), min, max }),
        // No round at all is still possible.
        None if min == 0 => Some(Node::Nothing),
        None => None,
    }
}

fn class_node(class: &Class) -> Option<Node> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) if DOT_CLASSES.contains(class) || WORD_CLASSES.contains(class) => {
            vec![('0', '9'), ('A', 'Z'), ('a', 'z')]
        }
        Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => {
            let ascii = |byte: u8| char::from(byte.min(0x7f));
            let ranges = class.iter().filter(|range| range.start() < 0x80);
            ranges.map(|range| (ascii(range.start()), ascii(range.end()))).collect()
        }
    };
    let printable = ranges
        .iter()
        .map(|(low, high)| ((*low).max(' '), (*high).min('~')))
        .filter(|(low, high)| low <= high)
        .collect::<Vec<_>>();
    let chosen = if printable.is_empty() { ranges } else { printable };
    if chosen.is_empty() { None } else { Some(Node::Class(chosen.into())) }
}

struct Writer<'w> {
    rng: &'w mut Rng,
    limits: &'w PatternLimits,
    text: String,
    /// What is left of the work that a string may cost.
    steps: usize,
}

impl Writer<'_> {
    /// Adds to the text; `None` if it becomes too long.
    fn node(&mut self, node: &Node) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        match node {
            Node::Nothing => {}
            Node::Literal(text) => self.text.push_str(text),
            Node::Class(ranges) => {
                let character = self.pick(ranges);
                self.text.push(character);
            }
            Node::Word => self.text.push_str(text::word_between(self.rng, 5, 10)),
            Node::Words => {
                let count = self.rng.index(3) + 1;
                let words = text::words(self.rng, count, " ");
                self.text.push_str(&words);
            }
            Node::Separator => {
                let separator = self.rng.pick(&["", ".", "-", "_"]).copied().unwrap_or_default();
                self.text.push_str(separator);
            }
            Node::Email { name_has_point: true } => {
                let address = internet::email(self.rng);
                self.text.push_str(&address);
            }
            Node::Email { name_has_point: false } => {
                let name = text::word_between(self.rng, 3, 9);
                let host = internet::host(self.rng);
                self.text.push_str(&format!("{name}@{host}"));
            }
            Node::Sequence(parts) => parts.iter().try_for_each(|part| self.node(part))?,
            Node::Choice(branches) => {
                let branch = self.rng.index(branches.len());
                self.node(branches.get(branch)?)?;
            }
            Node::Repeat { node, min, max } => {
                let most = max.unwrap_or(min.saturating_add(self.limits.extra_rounds));
                let rounds = self.rng.between(i64::from(*min), i64::from(most) + 1);
                for _ in 0..rounds {
                    self.node(node)?;
                }
            }
        }
        (self.text.len() <= self.limits.max_bytes).then_some(())
    }

    /// A character of the ranges, each as likely as any other.
    fn pick(&mut self, ranges: &[(char, char)]) -> char {
        let size = |(low, high): &(char, char)| u64::from(u32::from(*high) - u32::from(*low) + 1);
        let mut at = self.rng.below(ranges.iter().map(size).sum());
        for range in ranges {
            if at < size(range) {
                let code = u32::from(range.0) + u32::try_from(at).unwrap_or(0);
                // Between the ends of a range there may be the gap of the surrogates.
                return char::from_u32(code).unwrap_or(range.0);
            }
            at -= size(range);
        }
        ' '
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATCHED: [&str; 36] = [
        r"^AC[0-9a-fA-F]{32}$",
        r"\d{3}-\d{4}",
        r"\w+",
        r"\w",
        r"\w{3}",
        r"^\w{2,}$",
        r".+",
        r".*",
        r".",
        r"a.?b",
        r"[+-]?[0-9]{1,10}",
        r"[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10}))",
        r"(false|true)",
        r"[\x20-\x7F]{1,128}",
        r"Bearer sk_test_[0-9a-fA-F]{10}$",
        r"\w+.?\w+@\w+.?\w+",
        r"^\w+@\w+\.\w+$",
        r"[a-z]{1,10}",
        r"[а-я]{3}",
        r"(?i)hello",
        r"\p{Greek}{2}",
        r"[^a-z]",
        r"[^ -~]",
        r"^$",
        r"",
        r"(a|b|)c",
        r"x{0}",
        r"(ab){3,5}c*d+",
        r"[0-9]{4}[-][0-9]{2}[-][0-9]{2}",
        r"\S+\s\S*",
        r"\D\W",
        r"a{1000}",
        r"((x|y){2}z)+?",
        r"(?P<name>q+)\b",
        r"[[:alpha:]][[:digit:]]",
        r"(?s).\n?.",
    ];

    #[test]
    fn strings_match_their_expressions() {
        for regex in MATCHED {
            let whole = regex::Regex::new(&format!("^(?:{regex})$")).unwrap();
            let pattern = Pattern::parse(regex).unwrap();
            for seed in 0..200 {
                let text = pattern.generate(&mut Rng::seeded(seed), &PatternLimits::default()).unwrap();
                assert!(whole.is_match(&text), "{regex} does not match {text:?}");
            }
        }
    }

    #[test]
    fn what_is_free_is_readable() {
        let make = |regex: &str, seed| {
            Pattern::parse(regex)
                .unwrap()
                .generate(&mut Rng::seeded(seed), &PatternLimits::default())
                .unwrap()
        };
        for seed in 0..100 {
            assert!((5..=9).contains(&make(r"__string__\w+", seed).len()));
            assert!(make(r".{20}[^a-z]\d", seed).chars().all(|c| (' '..='~').contains(&c)));
            assert!(make(r"(__string__\w+.?\w+@\w+.?\w+)", seed).contains('@'));
        }
    }

    #[test]
    fn a_seed_determines_the_string() {
        for regex in MATCHED {
            let pattern = Pattern::parse(regex).unwrap();
            let make = || pattern.generate(&mut Rng::seeded(0), &PatternLimits::default()).unwrap();
            assert_eq!(make(), make());
        }
    }

    #[test]
    fn long_strings_and_much_work_are_refused() {
        for regex in ["(((a{1000}){1000}){1000}){1000}", "(()){1000000000}", "(|){4000000000}"] {
            let pattern = Pattern::parse(regex).unwrap();
            let result = pattern.generate(&mut Rng::seeded(0), &PatternLimits::default());
            assert!(matches!(result, Err(PatternError::TooLong(65_536)) | Ok(_)), "{regex}");
        }
        let short = PatternLimits { max_bytes: 10, ..PatternLimits::default() };
        assert!(Pattern::parse("a{11}").unwrap().generate(&mut Rng::seeded(0), &short).is_err());
    }

    #[test]
    fn what_cannot_be_generated_is_an_error() {
        assert!(matches!(Pattern::parse("(?=a)b"), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::parse("a("), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::parse(r"[^\s\S]"), Err(PatternError::Impossible)));
        assert!(Pattern::parse(r"x|[^\s\S]").is_ok());
        assert!(Pattern::parse(r"(?:[^\s\S])*").is_ok());
    }
}
