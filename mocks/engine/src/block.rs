//! What YAML makes of a text that was rendered in its place, without reading all of the file
//! again. Where that is not sure, nothing is said, and the file is read as a whole.

use api_mock_scenario::{TextPlace, TextStyle};

/// The value of a text that was rendered in its place.
pub(crate) fn decode(rendered: &str, place: &TextPlace) -> Option<Vec<u8>> {
    // All of them are looked at, which compilers turn into many at a time.
    let is_simple = rendered.bytes().fold(true, |all, byte| all & is_simple(byte));
    if !is_simple && has_special(rendered) {
        return None;
    }
    match place.style {
        TextStyle::Literal { strip } => literal(rendered, place, strip),
        TextStyle::Folded { strip } => folded(rendered, place, strip),
        TextStyle::SingleQuoted => single_quoted(rendered),
        TextStyle::DoubleQuoted => double_quoted(rendered),
        TextStyle::Plain => plain(rendered),
    }
}

fn is_simple(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\t' | 0x20..0x7f)
}

/// Characters that YAML does not show, or takes for line breaks.
fn has_special(text: &str) -> bool {
    text.chars().any(|c| match c {
        '\n' | '\t' => false,
        '\u{feff}' | '\u{2028}' | '\u{2029}' => true,
        c => c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c),
    })
}

/// The lines of a block without their indentation; blank ones are empty.
fn block_lines<'r>(rendered: &'r str, place: &TextPlace) -> Option<Vec<&'r str>> {
    let body = rendered.strip_suffix('\n').unwrap_or(rendered);
    let indent_of = |line: &str| line.bytes().take_while(|byte| *byte == b' ').count();
    let first = body.split('\n').find(|line| indent_of(line) < line.len()).map(indent_of)?;
    let indent = place.indent.unwrap_or(first);
    if indent <= place.key_indent {
        return None;
    }
    let mut lines = Vec::with_capacity(8 + body.len() / 24);
    for line in body.split('\n') {
        let spaces = indent_of(line);
        let is_blank = spaces == line.len();
        // A line of blanks that is longer than the indentation has content, or is an error.
        if is_blank && spaces > indent || !is_blank && spaces < indent {
            return None;
        }
        let content = if is_blank { "" } else { line.get(indent..)? };
        if !content.is_empty() && content.trim().is_empty() {
            return None;
        }
        lines.push(content);
    }
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    Some(lines)
}

fn literal(rendered: &str, place: &TextPlace, strip: bool) -> Option<Vec<u8>> {
    let lines = block_lines(rendered, place)?;
    let mut out = Vec::with_capacity(rendered.len());
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(line.as_bytes());
    }
    if !strip {
        out.push(b'\n');
    }
    Some(out)
}

/// Lines side by side are joined by a space; between empty lines, and beside lines that are
/// indented further, line breaks stay.
fn folded(rendered: &str, place: &TextPlace, strip: bool) -> Option<Vec<u8>> {
    let lines = block_lines(rendered, place)?;
    let mut out = Vec::with_capacity(rendered.len());
    let mut blanks = 0;
    let mut before: Option<bool> = None;
    for line in lines {
        if line.is_empty() {
            blanks += 1;
            continue;
        }
        let is_further = line.starts_with([' ', '\t']);
        match before {
            Some(before) if before || is_further => out.push(b'\n'),
            Some(_) if blanks == 0 => out.push(b' '),
            _ => {}
        }
        out.extend(std::iter::repeat_n(b'\n', blanks));
        out.extend_from_slice(line.as_bytes());
        (before, blanks) = (Some(is_further), 0);
    }
    if !strip {
        out.push(b'\n');
    }
    Some(out)
}

fn single_quoted(rendered: &str) -> Option<Vec<u8>> {
    if rendered.contains('\n') {
        return None;
    }
    if !rendered.contains('\'') {
        return Some(rendered.as_bytes().to_vec());
    }
    let without = rendered.replace("''", "\0");
    (!without.contains('\'')).then(|| without.replace('\0', "'").into_bytes())
}

fn double_quoted(rendered: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rendered.len());
    let mut bytes = rendered.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' | b'\n' => return None,
            b'\\' => out.push(match bytes.next()? {
                byte @ (b'"' | b'\\' | b'/') => byte,
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                _ => return None,
            }),
            byte => out.push(byte),
        }
    }
    Some(out)
}

fn plain(rendered: &str) -> Option<Vec<u8>> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b" _./-+=@();$%^".contains(&byte);
    let simple = rendered.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !rendered.ends_with(' ')
        && rendered.bytes().all(good);
    let null = rendered.eq_ignore_ascii_case("null");
    (simple && !null).then(|| rendered.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_datagen::Rng;
    use api_mock_scenario::Scenario;

    /// What YAML says.
    fn parsed(rendered: &str, place: &TextPlace) -> Option<Vec<u8>> {
        let number = if place.indent.is_some() { "2" } else { "" };
        let text = match place.style {
            TextStyle::Literal { strip } => format!("|{number}{}\n{rendered}", if strip { "-" } else { "" }),
            TextStyle::Folded { strip } => format!(">{number}{}\n{rendered}", if strip { "-" } else { "" }),
            TextStyle::SingleQuoted => format!("'{rendered}'\n"),
            TextStyle::DoubleQuoted => format!("\"{rendered}\"\n"),
            TextStyle::Plain => format!("{rendered}\n"),
        };
        let file =
            format!("method: GET\nname: n\npath: /\nresponse:\n  contents: {text}  status_code: 201\n");
        let scenario = Scenario::parse_rendered(&file).ok()?;
        (scenario.response.status_code.fixed() == Some(201))
            .then(|| scenario.response.contents.as_text().map(|text| text.as_bytes().to_vec()))
            .flatten()
    }

    /// Whatever is decoded, YAML reads the same; and most of it is decoded.
    #[test]
    fn decoding_agrees_with_yaml() {
        let words =
            ["a", "b c", "'", "''", "\"", "\\n", "\\\"", ": ", " #", "{", "é", "\t", "-", "  ", "null", "7"];
        let styles = [
            TextStyle::Literal { strip: true },
            TextStyle::Literal { strip: false },
            TextStyle::Folded { strip: true },
            TextStyle::Folded { strip: false },
            TextStyle::SingleQuoted,
            TextStyle::DoubleQuoted,
            TextStyle::Plain,
        ];
        let mut rng = Rng::seeded(11);
        let mut decoded = [0; 7];
        for _ in 0..30_000 {
            let which = rng.index(styles.len());
            let style = styles[which];
            let is_block = which < 4;
            let mut rendered = String::new();
            for _ in 0..if is_block { 1 + rng.index(6) } else { 1 } {
                if is_block && rng.index(5) > 0 {
                    rendered.extend(std::iter::repeat_n(' ', 2 + rng.index(4)));
                }
                for _ in 0..rng.index(4) {
                    rendered.push_str(rng.pick(&words).unwrap());
                }
                if is_block {
                    rendered.push('\n');
                }
            }
            let indent = (is_block && rng.coin()).then_some(4);
            let place = TextPlace { style, at: 0..0, key_indent: 2, indent };
            if let Some(value) = decode(&rendered, &place) {
                let wanted = parsed(&rendered, &place);
                assert_eq!(
                    wanted.as_deref().map(String::from_utf8_lossy),
                    Some(String::from_utf8_lossy(&value)),
                    "{place:?} {rendered:?}"
                );
                decoded[which] += 1;
            }
        }
        assert!(decoded.iter().all(|count| *count > 300), "{decoded:?}");
    }
}
