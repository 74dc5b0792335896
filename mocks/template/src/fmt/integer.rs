//! Integers: `%d %b %o %O %x %X %c %q %U`.

use super::Sink;
use super::printf::{Flags, bad_verb, pad};
use super::quote;
use crate::Value;

/// Writes an integer in base ten.
pub(super) fn push_decimal(sink: &mut Sink, magnitude: u64, negative: bool) {
    let mut digits = [0; 20];
    let used = digits_of(magnitude, 10, false, &mut digits);
    if negative {
        sink.push(b"-");
    }
    sink.push(used);
}

/// The digits of a number, at the end of `buffer`, which must have room for 64.
fn digits_of(mut magnitude: u64, base: u64, upper: bool, buffer: &mut [u8]) -> &[u8] {
    let alphabet: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut start = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = alphabet.get((magnitude % base) as usize).copied().unwrap_or(b'?');
        magnitude /= base;
        start -= 1;
        if magnitude == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or(&[])
}

/// An integer's size, sign, and whether its Go type is unsigned.
#[derive(Clone, Copy)]
pub(super) struct Integer {
    pub(super) magnitude: u64,
    pub(super) negative: bool,
    pub(super) unsigned: bool,
}

pub(super) fn format(sink: &mut Sink, value: &Value, number: Integer, verb: char, flags: &Flags) {
    match verb {
        'v' if flags.go_syntax && number.unsigned => {
            let flags = Flags { sharp: true, ..flags.clone() };
            radix(sink, number, 16, verb, &flags);
        }
        'v' | 'd' => radix(sink, number, 10, verb, flags),
        'b' => radix(sink, number, 2, verb, flags),
        'o' | 'O' => radix(sink, number, 8, verb, flags),
        'x' | 'X' => radix(sink, number, 16, verb, flags),
        'c' => pad(sink, character(number).encode_utf8(&mut [0; 4]).as_bytes(), flags),
        'q' => pad(sink, quote::character(character(number), flags.plus).as_bytes(), flags),
        'U' => unicode(sink, number, flags),
        _ => bad_verb(sink, Some(value), verb, flags),
    }
}

/// The code point, or U+FFFD for what is none.
fn character(number: Integer) -> char {
    let code = if number.negative { None } else { u32::try_from(number.magnitude).ok() };
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn radix(sink: &mut Sink, number: Integer, base: u64, verb: char, flags: &Flags) {
    if flags.precision == Some(0) && number.magnitude == 0 {
        sink.push_repeated(b' ', flags.width.unwrap_or(0));
        return;
    }
    let mut buffer = [0; 64];
    let digits = digits_of(number.magnitude, base, verb == 'X', &mut buffer);
    let sign = sign_of(number, flags);
    let wanted = match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = wanted.saturating_sub(digits.len());
    let first_is_zero = zeros > 0 || digits.first() == Some(&b'0');
    let prefix = match (base, verb) {
        (2, _) if flags.sharp => "0b",
        (8, 'O') => "0o",
        (8, _) if flags.sharp && !first_is_zero => "0",
        (16, 'X') if flags.sharp => "0X",
        (16, _) if flags.sharp => "0x",
        _ => "",
    };
    // `%#O` writes both marks.
    let second = if verb == 'O' && flags.sharp && !first_is_zero { "0" } else { "" };
    let length = sign.len() + prefix.len() + second.len() + zeros + digits.len();
    let padding = flags.width.unwrap_or(0).saturating_sub(length);
    if !flags.minus {
        sink.push_repeated(b' ', padding);
    }
    sink.push(sign.as_bytes());
    sink.push(prefix.as_bytes());
    sink.push(second.as_bytes());
    sink.push_repeated(b'0', zeros);
    sink.push(digits);
    if flags.minus {
        sink.push_repeated(b' ', padding);
    }
}

fn sign_of(number: Integer, flags: &Flags) -> &'static str {
    match number.negative {
        true => "-",
        false if flags.plus => "+",
        false if flags.space => " ",
        false => "",
    }
}

/// `U+0078`, with `#` also `'x'`.
fn unicode(sink: &mut Sink, number: Integer, flags: &Flags) {
    // Go prints the number's 64 bits, so negative ones come out large.
    let bits = if number.negative { number.magnitude.wrapping_neg() } else { number.magnitude };
    let digits = format!("{bits:X}");
    let zeros = flags.precision.unwrap_or(0).max(4).saturating_sub(digits.len());
    let mut text = String::with_capacity(digits.len() + zeros + 10);
    text.push_str("U+");
    text.extend(std::iter::repeat_n('0', zeros));
    text.push_str(&digits);
    let shown = u32::try_from(bits).ok().and_then(char::from_u32);
    if let Some(shown) = shown.filter(|shown| flags.sharp && quote::is_printable(*shown)) {
        text.push_str(" '");
        text.push(shown);
        text.push('\'');
    }
    let flags = Flags { zero: false, ..flags.clone() };
    pad(sink, text.as_bytes(), &flags);
}
