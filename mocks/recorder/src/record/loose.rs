//! JSON in a text that is not one document of it: documents line by line, events, what begins with a mark of its
//! encoding, what breaks off.

use std::ops::Range;

use super::redact::{end_of_string, number_length};

/// Names are not longer.
const LONGEST_NAME: usize = 128;

/// Where the values of the fields with these names are: texts, numbers, lists, objects.
pub(super) fn values(text: &[u8], is_wanted: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    // Each quote may begin a name: in such a text nobody knows which of them ends something.
    while let Some(quote) = next_quote(text, at) {
        at = quote + 1;
        let Some(begin) = after_name(text, quote, &is_wanted) else { continue };
        let end = end_of_value(text, begin);
        if end > begin {
            found.push(begin..end);
            at = end;
        }
    }
    found
}

fn next_quote(text: &[u8], from: usize) -> Option<usize> {
    text.get(from..)?.iter().position(|byte| *byte == b'"').map(|length| from + length)
}

/// Where the value begins, if a name that is wanted begins here.
fn after_name(text: &[u8], begin: usize, is_wanted: impl Fn(&str) -> bool) -> Option<usize> {
    let length = text.get(begin + 1..)?.iter().take(LONGEST_NAME).position(|byte| *byte == b'"')?;
    let end = begin + 1 + length;
    let colon = after_blanks(text, end + 1);
    if text.get(colon) != Some(&b':') {
        return None;
    }
    let name: String = serde_json::from_slice(text.get(begin..=end)?).ok()?;
    is_wanted(&name).then(|| after_blanks(text, colon + 1))
}

fn after_blanks(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn end_of_value(text: &[u8], begin: usize) -> usize {
    match text.get(begin) {
        Some(b'"') => end_of_line_or_string(text, begin),
        Some(b'-' | b'0'..=b'9') => begin + number_length(text, begin),
        Some(b'{' | b'[') => end_of_brackets(text, begin),
        _ => begin,
    }
}

/// A text has no line in it that ends: where its quote is missing, it is over there.
fn end_of_line_or_string(text: &[u8], begin: usize) -> usize {
    let end = end_of_string(text, begin);
    let inside = text.get(begin..end).unwrap_or_default();
    inside.iter().position(u8::is_ascii_control).map_or(end, |length| begin + length)
}

/// After the last bracket of a list or an object; the end of the text if it is missing.
fn end_of_brackets(text: &[u8], begin: usize) -> usize {
    let (mut at, mut depth) = (begin, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
