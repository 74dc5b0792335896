//! Constants: numbers, characters and strings as Go writes them.

use crate::Value;
use crate::error::ParseErrorKind;

/// A number or character constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Value(Value),
    /// An integer that fits 64 bits only without a sign; using it is an error.
    Overflow,
}

/// The value of a number token.
pub(super) fn number(text: &str) -> Result<Constant, ParseErrorKind> {
    if let Some(imaginary) = text.strip_suffix('i') {
        return complex(text, imaginary);
    }
    let bad = || ParseErrorKind::BadNumber(text.to_owned());
    let looks_float = text.contains(['.', 'e', 'E', 'p', 'P']);
    if let Some(integer) = signed(text) {
        return Ok(Constant::Value(if looks_float && !is_hex_integer(text) {
            // Go takes the e of -0x1e for an exponent when it chooses the type.
            Value::Float(integer as f64)
        } else {
            Value::Int(integer)
        }));
    }
    if unsigned(text).is_some() {
        return Ok(Constant::Overflow);
    }
    match float(text) {
        Some(_) if !looks_float => Err(ParseErrorKind::IntegerOverflow(text.to_owned())),
        Some(number) => Ok(Constant::Value(Value::Float(number))),
        None => Err(bad()),
    }
}

/// `2i`, `1+2i`, `-1.5e3-0x1p2i`.
fn complex(text: &str, without_i: &str) -> Result<Constant, ParseErrorKind> {
    let bad = || ParseErrorKind::BadNumber(text.to_owned());
    let split = without_i.char_indices().skip(1).find(|(at, sign)| {
        // The sign of an exponent does not separate the parts.
        let before = without_i.as_bytes().get(at.wrapping_sub(1)).copied().unwrap_or(b' ');
        let hex = without_i.trim_start_matches(['+', '-']).starts_with(['0'])
            && without_i.trim_start_matches(['+', '-']).get(1..2).is_some_and(|x| x == "x" || x == "X");
        let exponent = matches!(before, b'p' | b'P') || (!hex && matches!(before, b'e' | b'E'));
        matches!(sign, '+' | '-') && !exponent
    });
    let (re, im) = match split {
        Some((at, _)) => without_i.split_at(at),
        None => ("0", without_i),
    };
    let re = float(re).ok_or_else(bad)?;
    let im = float(im).ok_or_else(bad)?;
    Ok(Constant::Value(Value::Complex(re, im)))
}

fn is_hex_integer(text: &str) -> bool {
    (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P'])
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => 0_i64.checked_sub_unsigned(unsigned(digits)?),
        None => i64::try_from(unsigned(text.strip_prefix('+').unwrap_or(text))?).ok(),
    }
}

fn unsigned(text: &str) -> Option<u64> {
    let prefix = text.get(..2).unwrap_or("").to_ascii_lowercase();
    let (radix, digits) = match prefix.as_str() {
        "0x" => (16, text.get(2..)?),
        "0o" => (8, text.get(2..)?),
        "0b" => (2, text.get(2..)?),
        _ if text.len() > 1 && text.starts_with('0') => (8, text.get(1..)?),
        _ => (10, text),
    };
    let digits = without_underscores(digits, digits.len() < text.len())?;
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

/// Underscores may only stand between digits, or between the base prefix and a digit.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let leading = digits.starts_with('_') && !prefixed;
    if leading || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    Some(digits.replace('_', ""))
}

/// A decimal or hexadecimal float; `None` also for one that is too large.
fn float(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => hex_float(hex)?,
        None => decimal_float(digits)?,
    };
    Some(if negative { -number } else { number })
}

fn decimal_float(text: &str) -> Option<f64> {
    for (at, byte) in text.bytes().enumerate() {
        let digit =
            |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
        match byte {
            b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' => {}
            b'_' if digit(at.checked_sub(1)) && digit(at.checked_add(1)) => {}
            _ => return None,
        }
    }
    let number: f64 = text.replace('_', "").parse().ok()?;
    number.is_finite().then_some(number)
}

/// `1.8p3`, without the `0x`. The exponent must be there.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent = exponent_of_two(exponent)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = without_underscores(whole, true)?;
    let fraction = without_underscores(fraction, false)?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut bits: u64 = 0;
    let mut scale = exponent - 4 * i64::try_from(fraction.len()).ok()?;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            // Beyond 64 bits only whether there was anything matters, for rounding.
            bits |= u64::from(digit != 0);
            scale += 4;
        }
    }
    scale_to_float(bits, scale)
}

/// The exponent, or a number far beyond what a float can have.
fn exponent_of_two(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = without_underscores(digits, false)?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().map_or(100_000, |size| size.min(100_000));
    Some(if text.starts_with('-') { -size } else { size })
}

/// `bits` times two to the power of `scale`, rounded to nearest, ties to even.
fn scale_to_float(bits: u64, scale: i64) -> Option<f64> {
    if bits == 0 {
        return Some(0.0);
    }
    let leading = i64::from(bits.leading_zeros());
    let bits = bits << leading;
    let scale = scale - leading;
    let top = scale + 63;
    let kept = if top >= -1022 { 53 } else { 53 + 1022 + top };
    if kept < 0 {
        return Some(0.0);
    }
    let dropped = 64 - kept;
    let half = 1_u128 << (dropped - 1);
    let wide = u128::from(bits);
    let (mut rounded, rest) = (wide >> dropped, wide & ((1 << dropped) - 1));
    if rest > half || (rest == half && rounded & 1 == 1) {
        rounded += 1;
    }
    let number = power_of_two_times(u64::try_from(rounded).ok()? as f64, scale + dropped);
    number.is_finite().then_some(number)
}

/// Exact as long as the result is a float: multiplies in steps that are powers of two.
fn power_of_two_times(mut number: f64, mut exponent: i64) -> f64 {
    while exponent != 0 && number != 0.0 && number.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        number *= 2_f64.powi(i32::try_from(step).unwrap_or(0));
        exponent -= step;
    }
    number
}

/// The code point of a character constant with its quotes.
pub(super) fn character(text: &str) -> Result<i64, ParseErrorKind> {
    let bad = || ParseErrorKind::BadConstant(text.to_owned());
    let inside = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).ok_or_else(bad)?;
    let mut rest = inside;
    let code = match next_character(&mut rest, '\'').ok_or_else(bad)? {
        Unit::Char(character) => i64::from(u32::from(character)),
        Unit::Byte(byte) => i64::from(byte),
    };
    if rest.is_empty() { Ok(code) } else { Err(bad()) }
}

/// The value of a string constant with its quotes, raw or not.
pub(super) fn string(text: &str) -> Result<Value, ParseErrorKind> {
    if let Some(raw) = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        // As in Go, a raw string drops carriage returns.
        return Ok(Value::from(raw.replace('\r', "")));
    }
    let bad = || ParseErrorKind::BadConstant(text.to_owned());
    let mut rest = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(bad)?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        match next_character(&mut rest, '"').ok_or_else(bad)? {
            Unit::Char(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
    }
    Ok(Value::from_string_bytes(bytes))
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// Takes one character or escape sequence off `rest`.
fn next_character(rest: &mut &str, quote: char) -> Option<Unit> {
    let mut characters = rest.chars();
    let first = characters.next()?;
    *rest = characters.as_str();
    if first == quote {
        return None;
    }
    if first != '\\' {
        return Some(Unit::Char(first));
    }
    let escape = characters.next()?;
    *rest = characters.as_str();
    Some(match escape {
        'a' => Unit::Char('\u{7}'),
        'b' => Unit::Char('\u{8}'),
        'f' => Unit::Char('\u{c}'),
        'n' => Unit::Char('\n'),
        'r' => Unit::Char('\r'),
        't' => Unit::Char('\t'),
        'v' => Unit::Char('\u{b}'),
        '\\' => Unit::Char('\\'),
        'x' => Unit::Byte(u8::try_from(digits(rest, 2, 16)?).ok()?),
        'u' => Unit::Char(char::from_u32(digits(rest, 4, 16)?)?),
        'U' => Unit::Char(char::from_u32(digits(rest, 8, 16)?)?),
        '0'..='7' => {
            let low = digits(rest, 2, 8)?;
            Unit::Byte(u8::try_from(escape.to_digit(8)? * 64 + low).ok()?)
        }
        _ if escape == quote => Unit::Char(quote),
        _ => return None,
    })
}

fn digits(rest: &mut &str, count: usize, radix: u32) -> Option<u32> {
    let digits = rest.get(..count)?;
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    *rest = rest.get(count..)?;
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        match number(text).unwrap() {
            Constant::Value(value) => value,
            Constant::Overflow => panic!("{text} overflows"),
        }
    }

    #[test]
    fn integers_of_all_bases() {
        for (text, want) in [
            ("0", 0),
            ("-7", -7),
            ("+5", 5),
            ("0x1F", 31),
            ("0b1_01", 5),
            ("0o17", 15),
            ("017", 15),
            ("0x_f", 15),
        ] {
            assert_eq!(value(text), Value::Int(want), "{text}");
        }
        assert_eq!(value("-9223372036854775808"), Value::Int(i64::MIN));
        assert_eq!(number("9223372036854775808"), Ok(Constant::Overflow));
        assert!(number("1__0").is_err());
        assert!(number("08").is_err());
    }

    #[test]
    fn floats_round_to_nearest_even() {
        for (text, want) in [
            ("1e3", 1e3),
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000081p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0X.8P0", 0.5),
        ] {
            assert_eq!(value(text), Value::Float(want), "{text}");
        }
        for text in ["0x1p1024", "1e999", "0x1.8", "0xp1", "1e", "0x1p", "1_e5"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn complex_numbers_split_at_the_right_sign() {
        assert_eq!(value("1+2i"), Value::Complex(1.0, 2.0));
        assert_eq!(value("-1e-3-2e+2i"), Value::Complex(-1e-3, -200.0));
        assert_eq!(value("0x1p1+1i"), Value::Complex(2.0, 1.0));
    }

    #[test]
    fn strings_and_characters() {
        assert_eq!(string(r#""a\tb\"\u00e9\x41\101""#), Ok(Value::from("a\tb\"éAA")));
        assert_eq!(string("`a\\n\r\nb`"), Ok(Value::from("a\\n\nb")));
        assert_eq!(string(r#""\xff""#), Ok(Value::Bytes(vec![0xff].into())));
        assert!(string(r#""\q""#).is_err() && string(r#""\'""#).is_err() && string(r#""\ud800""#).is_err());
        assert_eq!(character("'a'"), Ok(97));
        assert_eq!(character(r"'\''"), Ok(39));
        assert!(character("''").is_err() && character("'ab'").is_err());
    }
}
