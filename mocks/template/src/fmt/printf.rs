//! `printf`: formats, flags, widths, precisions and argument numbers.

use super::integer::Integer;
use super::{Sink, float, integer, quote};
use crate::Value;

/// Widths, precisions and argument numbers above this are refused, as in Go.
const MAX_NUMBER: usize = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%#v`.
    pub(super) go_syntax: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Writes `text` in the width that the flags ask for.
pub(super) fn pad(sink: &mut Sink, text: &[u8], flags: &Flags) {
    let Some(width) = flags.width else {
        return sink.push(text);
    };
    let padding = width.saturating_sub(count_characters(text));
    if flags.minus {
        sink.push(text);
        return sink.push_repeated(b' ', padding);
    }
    sink.push_repeated(if flags.zero { b'0' } else { b' ' }, padding);
    sink.push(text);
}

/// Characters, where each byte that is not UTF-8 counts as one.
fn count_characters(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// The first `count` characters.
fn truncate(text: &[u8], count: Option<usize>) -> &[u8] {
    let Some(mut left) = count else {
        return text;
    };
    let mut end = 0;
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        match valid.char_indices().nth(left) {
            Some((at, _)) => return text.get(..end + at).unwrap_or(text),
            None => left -= valid.chars().count(),
        }
        end += valid.len();
        let taken = chunk.invalid().len().min(left);
        left -= taken;
        end += taken;
        if taken < chunk.invalid().len() {
            break;
        }
    }
    text.get(..end).unwrap_or(text)
}

/// Writes `%!verb(type=value)`.
pub(super) fn bad_verb(sink: &mut Sink, value: Option<&Value>, verb: char, flags: &Flags) {
    sink.push(b"%!");
    sink.push_char(verb);
    match value {
        None | Some(Value::Nil) => sink.push(b"(<nil>)"),
        Some(value) => {
            sink.push(b"(");
            sink.push(value.type_name().as_bytes());
            sink.push(b"=");
            format(sink, value, 'v', flags);
            sink.push(b")");
        }
    }
}

/// Writes one value.
pub(super) fn format(sink: &mut Sink, value: &Value, verb: char, flags: &Flags) {
    match (verb, value) {
        ('T', Value::Nil) => return pad(sink, b"<nil>", flags),
        ('T', _) => return pad(sink, truncate(value.type_name().as_bytes(), flags.precision), flags),
        ('v', Value::Nil) => return pad(sink, b"<nil>", flags),
        // Go prints an address, which says no more.
        ('v', Value::Func(_)) => return pad(sink, b"func", flags),
        ('p' | 'w', _) => return bad_verb(sink, Some(value), verb, flags),
        _ => {}
    }
    let signed =
        |number: i64| Integer { magnitude: number.unsigned_abs(), negative: number < 0, unsigned: false };
    let unsigned = |number: u64| Integer { magnitude: number, negative: false, unsigned: true };
    match value {
        Value::Bool(truth) if matches!(verb, 't' | 'v') => pad(sink, truth.to_string().as_bytes(), flags),
        Value::Int(number) => integer::format(sink, value, signed(*number), verb, flags),
        Value::Uint(number) => integer::format(sink, value, unsigned(*number), verb, flags),
        Value::Byte(number) => integer::format(sink, value, unsigned((*number).into()), verb, flags),
        Value::Float(number) if float::accepts(verb) => float::format(sink, *number, verb, flags),
        Value::Complex(re, im) if float::accepts(verb) => complex(sink, *re, *im, verb, flags),
        Value::Str(_) | Value::Bytes(_) => string(sink, value, verb, flags),
        Value::List(list) => {
            let (open, separator, close) = brackets(value, flags);
            sink.push(open.as_bytes());
            for (position, item) in list.iter().enumerate() {
                if position > 0 {
                    sink.push(separator);
                }
                nested(sink, item, verb, flags);
            }
            sink.push(close);
        }
        Value::Map(map) => {
            let (open, separator, close) = brackets(value, flags);
            sink.push(open.as_bytes());
            for (position, (key, item)) in map.iter().enumerate() {
                if position > 0 {
                    sink.push(separator);
                }
                string_bytes(sink, &Value::from(key), key.as_bytes(), verb, flags);
                sink.push(b":");
                nested(sink, item, verb, flags);
            }
            sink.push(close);
        }
        _ => bad_verb(sink, Some(value), verb, flags),
    }
}

/// How lists and maps begin, go on and end.
fn brackets(value: &Value, flags: &Flags) -> (String, &'static [u8], &'static [u8]) {
    match (value, flags.go_syntax) {
        (_, true) => (format!("{}{{", value.type_name()), b", ", b"}"),
        (Value::List(_), false) => ("[".to_owned(), b" ", b"]"),
        (_, false) => ("map[".to_owned(), b" ", b"]"),
    }
}

/// Writes an element of a list or map; there nil is nil whatever the verb.
fn nested(sink: &mut Sink, value: &Value, verb: char, flags: &Flags) {
    if sink.is_full() {
        return;
    }
    match value {
        Value::Nil if flags.go_syntax => sink.push(b"interface {}(nil)"),
        Value::Nil => sink.push(b"<nil>"),
        _ => format(sink, value, verb, flags),
    }
}

fn complex(sink: &mut Sink, re: f64, im: f64, verb: char, flags: &Flags) {
    sink.push(b"(");
    float::format(sink, re, verb, flags);
    let flags = Flags { plus: true, ..flags.clone() };
    float::format(sink, im, verb, &flags);
    sink.push(b"i)");
}

fn string(sink: &mut Sink, value: &Value, verb: char, flags: &Flags) {
    string_bytes(sink, value, value.string_bytes().unwrap_or_default(), verb, flags);
}

fn string_bytes(sink: &mut Sink, value: &Value, bytes: &[u8], verb: char, flags: &Flags) {
    match verb {
        'v' if flags.go_syntax => quoted(sink, bytes, flags),
        'v' | 's' => pad(sink, truncate(bytes, flags.precision), flags),
        'q' => quoted(sink, bytes, flags),
        'x' | 'X' => hexadecimal(sink, bytes, verb, flags),
        _ => bad_verb(sink, Some(value), verb, flags),
    }
}

fn quoted(sink: &mut Sink, bytes: &[u8], flags: &Flags) {
    let bytes = truncate(bytes, flags.precision);
    if flags.sharp && quote::can_back_quote(bytes) {
        let mut text = vec![b'`'];
        text.extend_from_slice(bytes);
        text.push(b'`');
        return pad(sink, &text, flags);
    }
    pad(sink, quote::string(bytes, flags.plus).as_bytes(), flags);
}

/// Two digits a byte; `#` puts `0x` in front, a space stands between the bytes if asked for.
fn hexadecimal(sink: &mut Sink, bytes: &[u8], verb: char, flags: &Flags) {
    let bytes = bytes.get(..flags.precision.unwrap_or(bytes.len())).unwrap_or(bytes);
    // What would be cut off anyway need not be computed.
    let mut text = Vec::new();
    let mark: &[u8] = if verb == 'x' { b"0x" } else { b"0X" };
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 && flags.space {
            text.push(b' ');
        }
        if flags.sharp && (flags.space || position == 0) {
            text.extend_from_slice(mark);
        }
        for digit in [byte >> 4, byte & 0xf] {
            let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
            text.push(if verb == 'x' { digit as u8 } else { digit.to_ascii_uppercase() as u8 });
        }
    }
    pad(sink, &text, flags);
}

/// Writes what `printf` makes of a format and its arguments.
pub(crate) fn sprintf(sink: &mut Sink, format: &[u8], args: &[&Value]) {
    let mut printer = Printer {
        format,
        at: 0,
        args,
        argument: 0,
        reordered: false,
        good_number: true,
        after_number: false,
    };
    while !sink.is_full() && printer.literal(sink) {
        printer.directive(sink);
    }
    if !printer.reordered && printer.argument < args.len() {
        printer.extra(sink);
    }
}

struct Printer<'p> {
    format: &'p [u8],
    at: usize,
    args: &'p [&'p Value],
    /// The argument that comes next.
    argument: usize,
    /// An argument number was given somewhere, so leftover arguments are fine.
    reordered: bool,
    /// The argument number of this directive, if any, is one.
    good_number: bool,
    /// An argument number was just read.
    after_number: bool,
}

impl Printer<'_> {
    /// Writes the text up to the next directive; false at the end.
    fn literal(&mut self, sink: &mut Sink) -> bool {
        let rest = self.format.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        sink.push(rest.get(..length).unwrap_or_default());
        self.at += length + 1;
        length < rest.len()
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn directive(&mut self, sink: &mut Sink) {
        self.good_number = true;
        self.after_number = false;
        let mut flags = self.flags();
        self.argument_number();
        self.width(&mut flags, sink);
        self.precision(&mut flags, sink);
        if !self.after_number {
            self.argument_number();
        }
        let Some(verb) = self.verb() else {
            return sink.push(b"%!(NOVERB)");
        };
        if verb == '%' {
            return sink.push(b"%");
        }
        if !self.good_number {
            return problem(sink, verb, b"(BADINDEX)");
        }
        let Some(value) = self.args.get(self.argument) else {
            return problem(sink, verb, b"(MISSING)");
        };
        self.argument += 1;
        if matches!(verb, 'v' | 'w') {
            flags.go_syntax = std::mem::take(&mut flags.sharp);
            flags.plus = false;
        }
        self::format(sink, value, verb, &flags);
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b'#') => flags.sharp = true,
                Some(b' ') => flags.space = true,
                Some(b'0') => flags.zero = true,
                _ => break,
            }
            self.at += 1;
        }
        flags
    }

    fn width(&mut self, flags: &mut Flags, sink: &mut Sink) {
        if self.take(b'*') {
            match self.integer_argument() {
                Some(width) => {
                    flags.width = Some(width.unsigned_abs() as usize);
                    flags.minus |= width < 0;
                }
                None => sink.push(b"%!(BADWIDTH)"),
            }
            self.after_number = false;
            return;
        }
        flags.width = self.number();
        if self.after_number && flags.width.is_some() {
            self.good_number = false;
        }
    }

    fn precision(&mut self, flags: &mut Flags, sink: &mut Sink) {
        // A point at the very end is the verb.
        if self.at + 1 >= self.format.len() || !self.take(b'.') {
            return;
        }
        if self.after_number {
            self.good_number = false;
        }
        self.argument_number();
        if self.take(b'*') {
            match self.integer_argument() {
                Some(precision) if precision >= 0 => flags.precision = usize::try_from(precision).ok(),
                _ => sink.push(b"%!(BADPREC)"),
            }
            self.after_number = false;
            return;
        }
        flags.precision = Some(self.number().unwrap_or(0));
    }

    /// Reads digits. A number that is too large swallows the rest of the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            if number.is_some_and(|number: usize| number > MAX_NUMBER) {
                self.at = self.format.len();
                return None;
            }
            number = Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    /// Takes an argument as a width or precision.
    fn integer_argument(&mut self) -> Option<i64> {
        let value = self.args.get(self.argument)?;
        self.argument += 1;
        let number = value.as_i64()?;
        (number.unsigned_abs() <= MAX_NUMBER as u64).then_some(number)
    }

    /// Reads `[n]` if it stands here.
    fn argument_number(&mut self) {
        self.after_number = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        // `[n]` takes three bytes at least.
        let close = rest.iter().position(|byte| *byte == b']').filter(|_| rest.len() >= 3);
        let Some(close) = close else {
            self.good_number = false;
            self.at += 1;
            return;
        };
        let digits = rest.get(1..close).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("");
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = if plain { digits.parse::<usize>().ok() } else { None };
        self.at += close + 1;
        match number {
            Some(number) if number >= 1 && number <= self.args.len() => {
                self.argument = number - 1;
                self.after_number = true;
            }
            _ => {
                self.good_number = false;
                self.after_number = number.is_some_and(|number| number <= MAX_NUMBER);
            }
        }
    }

    fn verb(&mut self) -> Option<char> {
        let rest = self.format.get(self.at..).unwrap_or_default();
        let chunk = rest.utf8_chunks().next()?;
        match chunk.valid().chars().next() {
            Some(verb) => {
                self.at += verb.len_utf8();
                Some(verb)
            }
            None => {
                self.at += 1;
                Some(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn extra(&self, sink: &mut Sink) {
        sink.push(b"%!(EXTRA ");
        for (position, value) in self.args.iter().skip(self.argument).enumerate() {
            if position > 0 {
                sink.push(b", ");
            }
            if !value.is_nil() {
                sink.push(value.type_name().as_bytes());
                sink.push(b"=");
            }
            self::format(sink, value, 'v', &Flags::default());
        }
        sink.push(b")");
    }
}

fn problem(sink: &mut Sink, verb: char, what: &[u8]) {
    sink.push(b"%!");
    sink.push_char(verb);
    sink.push(what);
}
