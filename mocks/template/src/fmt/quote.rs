//! Quoted strings and characters, escaped as Go escapes them.

/// Whether Go prints the character as it is: letters, marks, numbers, punctuation, symbols and the
/// ASCII space.
pub(crate) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    // The standard library keeps the same tables but does not offer the question itself. After
    // another character, debug output escapes only what is not printable.
    let mut text = [0; 5];
    text[0] = b'a';
    let length = 1 + character.encode_utf8(&mut text[1..]).len();
    let text = std::str::from_utf8(text.get(..length).unwrap_or(b"")).unwrap_or("");
    text.escape_debug().nth(1) == Some(character)
}

/// A double-quoted string; with `ascii` everything else is escaped.
pub(super) fn string(bytes: &[u8], ascii: bool) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| escape(&mut quoted, character, '"', ascii));
        chunk.invalid().iter().for_each(|byte| push_escape(&mut quoted, 'x', u32::from(*byte), 2));
    }
    quoted.push('"');
    quoted
}

/// A single-quoted character.
pub(super) fn character(character: char, ascii: bool) -> String {
    let mut quoted = String::from('\'');
    escape(&mut quoted, character, '\'', ascii);
    quoted.push('\'');
    quoted
}

/// Whether the string can stand between back quotes on one line.
pub(super) fn can_back_quote(bytes: &[u8]) -> bool {
    let fits = |character: char| match character {
        '\u{feff}' | '`' | '\u{7f}' => false,
        '\t' => true,
        _ => character >= ' ',
    };
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(fits))
}

fn escape(quoted: &mut String, character: char, quote: char, ascii: bool) {
    if character == quote || character == '\\' {
        quoted.push('\\');
        quoted.push(character);
        return;
    }
    if is_printable(character) && (!ascii || character.is_ascii()) {
        quoted.push(character);
        return;
    }
    let code = u32::from(character);
    match character {
        '\u{7}' => quoted.push_str("\\a"),
        '\u{8}' => quoted.push_str("\\b"),
        '\u{c}' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\u{b}' => quoted.push_str("\\v"),
        _ if code < 0x20 || code == 0x7f => push_escape(quoted, 'x', code, 2),
        _ if code < 0x10000 => push_escape(quoted, 'u', code, 4),
        _ => push_escape(quoted, 'U', code, 8),
    }
}

fn push_escape(quoted: &mut String, letter: char, code: u32, digits: u32) {
    quoted.push('\\');
    quoted.push(letter);
    for place in (0..digits).rev() {
        quoted.push(char::from_digit(code >> (4 * place) & 0xf, 16).unwrap_or('0'));
    }
}
