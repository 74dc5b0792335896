//! What a text looks like: words, numbers by their digits, and the signs between them.

use std::fmt::{self, Display, Formatter};

/// Longer runs of digits are no number that a pattern should spell out.
const MOST_DIGITS: usize = 256;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'t> {
    /// `\w+`
    Words,
    /// So many digits.
    Digits(usize),
    /// A point and so many digits.
    Decimals(usize),
    /// A sign that may be there.
    Sign,
    Dash,
    /// Any character that may be there.
    Any,
    Literal(&'t str),
}

/// The shape of a text.
#[derive(Debug)]
pub(super) struct Shape<'t>(Vec<Piece<'t>>);

impl Display for Shape<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Words => f.write_str(r"\w+"),
            Piece::Digits(count) => write!(f, "[0-9]{{{count},{count}}}"),
            Piece::Decimals(count) => write!(f, r"\.[0-9]{{{count},{count}}}"),
            Piece::Sign => f.write_str("[+-]?"),
            Piece::Dash => f.write_str("[-]"),
            Piece::Any => f.write_str(".?"),
            Piece::Literal(text) => f.write_str(&regex::escape(text)),
        })
    }
}

impl<'t> Shape<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match c {
                '0'..='9' => number(rest, &mut pieces),
                '-' if pieces.is_empty() && rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    pieces.push(Piece::Sign);
                    1
                }
                '-' => {
                    pieces.push(Piece::Dash);
                    1
                }
                '.' => {
                    pieces.push(Piece::Any);
                    1
                }
                '@' | '%' | '(' | ')' | '#' | '$' | '*' => {
                    pieces.push(Piece::Literal(rest.get(..1).unwrap_or_default()));
                    1
                }
                _ => words(rest, &mut pieces),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Shape(pieces)
    }

    /// Whether it says both words and digits, of which nobody could read much.
    pub(super) fn is_mixed(&self) -> bool {
        let is_number = |piece: &Piece<'_>| matches!(piece, Piece::Digits(_) | Piece::Decimals(_));
        self.0.contains(&Piece::Words) && self.0.iter().any(is_number)
    }

    /// Whether it is found in a text. No expression is compiled for that, which would take a hundred times as long as
    /// all else that is done with a short text. What it does not know for sure is not found.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        // Where a part may begin: at first, everywhere.
        let mut begins: Vec<bool> = (0..=bytes.len()).map(|at| text.is_char_boundary(at)).collect();
        for piece in &self.0 {
            begins = piece.ends(text, &begins);
            if !begins.contains(&true) {
                return false;
            }
        }
        true
    }
}

impl Piece<'_> {
    /// Where it may end, if it begins at one of these places.
    fn ends(&self, text: &str, begins: &[bool]) -> Vec<bool> {
        let mut ends = vec![false; begins.len()];
        let mut is_in_word = false;
        for (at, begins_here) in begins.iter().enumerate().filter(|(at, _)| text.is_char_boundary(*at)) {
            let rest = text.get(at..).unwrap_or_default();
            let next = rest.chars().next();
            let mut end = |length: usize| {
                if let Some(end) = ends.get_mut(at + length) {
                    *end = true;
                }
            };
            if *self == Piece::Words {
                match next.filter(|c| (is_in_word || *begins_here) && is_word(*c)) {
                    Some(c) => {
                        is_in_word = true;
                        end(c.len_utf8());
                    }
                    None => is_in_word = false,
                }
                continue;
            }
            if !begins_here {
                continue;
            }
            let found = match self {
                Piece::Words => None,
                Piece::Digits(count) => has_digits(rest, *count).then_some(*count),
                Piece::Decimals(count) => {
                    rest.strip_prefix('.').filter(|rest| has_digits(rest, *count)).map(|_| count + 1)
                }
                Piece::Dash => next.filter(|c| *c == '-').map(|_| 1),
                Piece::Sign => {
                    end(0);
                    next.filter(|c| matches!(c, '+' | '-')).map(|_| 1)
                }
                Piece::Any => {
                    end(0);
                    next.filter(|c| *c != '\n').map(char::len_utf8)
                }
                Piece::Literal(literal) => rest.starts_with(literal).then_some(literal.len()),
            };
            found.into_iter().for_each(end);
        }
        ends
    }
}

fn has_digits(text: &str, count: usize) -> bool {
    count <= MOST_DIGITS
        && text.as_bytes().get(..count).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

/// What `\w` surely takes.
fn is_word(c: char) -> bool {
    c.is_alphabetic() || c.is_ascii_digit() || c == '_'
}

/// Digits by their number, with decimals.
fn number(rest: &str, pieces: &mut Vec<Piece<'_>>) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    pieces.push(Piece::Digits(whole));
    let after = rest.get(whole..).unwrap_or_default();
    let decimals = after.strip_prefix('.').map_or(0, digits);
    // `1.2.3` is a version, not a number.
    let again = after.get(1 + decimals..).is_some_and(|rest| rest.starts_with('.'));
    if decimals == 0 || again {
        return whole;
    }
    pieces.push(Piece::Decimals(decimals));
    whole + 1 + decimals
}

/// A run of letters and signs that mean nothing here.
fn words<'t>(rest: &'t str, pieces: &mut Vec<Piece<'t>>) -> usize {
    let ends = |c: char| c.is_ascii_digit() || "-.@%()#$*".contains(c);
    let length = rest.find(ends).unwrap_or(rest.len());
    let run = rest.get(..length).unwrap_or_default();
    if !run.chars().any(|c| c.is_alphanumeric() || c == '_') {
        pieces.push(Piece::Literal(run));
    } else if pieces.last() != Some(&Piece::Words) {
        pieces.push(Piece::Words);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found must be what the expression finds.
    #[test]
    fn what_is_found_the_expression_finds_too() {
        let parts = ["a", "é", "7", "42", "-", ".", "@", " ", "\n", "²", "!", "_", "日"];
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut found = 0;
        for _ in 0..3_000 {
            let count = next(8);
            let text: String = (0..count).map(|_| parts[next(parts.len())]).collect();
            let shape = Shape::of(&text);
            let regex = regex::Regex::new(&shape.to_string()).unwrap();
            if shape.is_in(&text) {
                found += 1;
                assert!(regex.is_match(&text), "{text:?}: {shape}");
            }
            // In another text, too.
            let other: String = (0..count).map(|_| parts[next(parts.len())]).collect();
            assert!(!shape.is_in(&other) || regex.is_match(&other), "{other:?}: {shape}");
        }
        assert!(found > 1_500, "{found}");
    }
}
