//! The built-ins `html`, `js` and `urlquery`.

use crate::fmt::{Sink, is_printable};

/// Escapes for the text of an HTML element or a quoted attribute.
pub(crate) fn html(sink: &mut Sink, text: &[u8]) {
    replace(sink, text, |byte| match byte {
        0 => Some("\u{fffd}".as_bytes()),
        b'"' => Some(b"&#34;"),
        b'\'' => Some(b"&#39;"),
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        _ => None,
    });
}

/// Writes `text`, with the bytes that `with` knows replaced.
fn replace(sink: &mut Sink, text: &[u8], with: impl Fn(u8) -> Option<&'static [u8]>) {
    let mut written = 0;
    for (at, byte) in text.iter().enumerate() {
        if let Some(replacement) = with(*byte) {
            sink.push(text.get(written..at).unwrap_or_default());
            sink.push(replacement);
            written = at + 1;
        }
    }
    sink.push(text.get(written..).unwrap_or_default());
}

/// Escapes for a quoted JavaScript string.
pub(crate) fn js(sink: &mut Sink, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => sink.push(b"\\\\"),
                '\'' => sink.push(b"\\'"),
                '"' => sink.push(b"\\\""),
                '<' | '>' | '&' | '=' => push_unicode(sink, character),
                _ if character < ' ' => push_unicode(sink, character),
                _ if character.is_ascii() || is_printable(character) => sink.push_char(character),
                _ => push_unicode(sink, character),
            }
        }
        sink.push(chunk.invalid());
    }
}

fn push_unicode(sink: &mut Sink, character: char) {
    sink.push(format!("\\u{:04X}", u32::from(character)).as_bytes());
}

/// Escapes for a query component of a URL.
pub(crate) fn urlquery(sink: &mut Sink, text: &[u8]) {
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => sink.push(&[*byte]),
            b' ' => sink.push(b"+"),
            _ => {
                let digit = |half: u8| b"0123456789ABCDEF".get(usize::from(half)).copied().unwrap_or(b'0');
                sink.push(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}
