//! Floating-point numbers: `%v %g %G %e %E %f %F %b %x %X`.

use super::Sink;
use super::printf::{Flags, pad};

/// Whether a verb can print a float.
pub(super) fn accepts(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F')
}

/// Writes a float with the precision that the verb has if none is given.
pub(super) fn format(sink: &mut Sink, number: f64, verb: char, flags: &Flags) {
    let default = if matches!(verb, 'e' | 'E' | 'f' | 'F') { Some(6) } else { None };
    let precision = flags.precision.or(default);
    let magnitude = number.abs();
    let negative = number.is_sign_negative() && !number.is_nan();
    let sign = match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    if !number.is_finite() {
        let name = if number.is_nan() { "NaN" } else { "Inf" };
        // Go always shows the sign of an infinity.
        let sign = if sign.is_empty() && number.is_infinite() { "+" } else { sign };
        let flags = Flags { zero: false, ..flags.clone() };
        pad(sink, format!("{sign}{name}").as_bytes(), &flags);
        return;
    }
    let mut digits = match verb {
        'e' | 'E' => exponential(magnitude, precision),
        'f' | 'F' => fixed(magnitude, precision),
        'x' | 'X' => hexadecimal(magnitude, precision),
        'b' => binary(magnitude),
        _ => general(magnitude, precision),
    };
    if flags.sharp && verb != 'b' {
        digits = with_point(&digits, verb, precision);
    }
    if verb.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    write_signed(sink, sign, &digits, flags);
}

/// Zeros stand between sign and digits. Go pads by zeros even where no sign is shown.
fn write_signed(sink: &mut Sink, sign: &str, digits: &str, flags: &Flags) {
    let length = sign.len() + digits.len();
    let padding = flags.width.unwrap_or(0).saturating_sub(length);
    let zeros = flags.zero && !flags.minus;
    if !flags.minus && !zeros {
        sink.push_repeated(b' ', padding);
    }
    sink.push(sign.as_bytes());
    if zeros {
        sink.push_repeated(b'0', padding);
    }
    sink.push(digits.as_bytes());
    if flags.minus {
        sink.push_repeated(b' ', padding);
    }
}

/// Decimal digits `d.ddd…` and exponent of ten; without a precision the fewest digits that
/// read back as the same number.
fn scientific(magnitude: f64, precision: Option<usize>) -> (String, i32) {
    let text = match precision {
        None => shortest(magnitude),
        // Below 2^-1074 there is nothing more to print, and `write!` has its own limit.
        Some(precision) => format!("{magnitude:.*e}", precision.min(1100)),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    if let Some(missing) = precision.map(|precision| (precision + 1).saturating_sub(digits.len())) {
        digits.extend(std::iter::repeat_n('0', missing));
    }
    (digits, exponent.parse().unwrap_or(0))
}

/// The fewest digits. Where two such numbers are equally near, Go takes the even one, and the
/// standard library the greater one; that needs at least fifteen digits.
fn shortest(magnitude: f64) -> String {
    let text = format!("{magnitude:e}");
    let digits = text.find('e').unwrap_or(0).saturating_sub(1);
    if digits < 15 {
        return text;
    }
    let even = format!("{magnitude:.*e}", digits - 1);
    if even.parse() == Ok(magnitude) { even } else { text }
}

fn exponential(magnitude: f64, precision: Option<usize>) -> String {
    let (digits, exponent) = scientific(magnitude, precision);
    push_exponent(&digits, exponent)
}

/// `1.5e+07`, at least two digits in the exponent.
fn push_exponent(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

fn fixed(magnitude: f64, precision: Option<usize>) -> String {
    let precision = precision.unwrap_or(6);
    let shown = precision.min(1100);
    let mut text = format!("{magnitude:.shown$}");
    text.extend(std::iter::repeat_n('0', precision - shown));
    text
}

/// The shorter of the two forms, without trailing zeros.
fn general(magnitude: f64, precision: Option<usize>) -> String {
    // More digits are all zeros, which would only be made to be taken off again.
    let precision = precision.map(|precision| precision.min(1100));
    let (mut digits, exponent) = match precision {
        None => scientific(magnitude, None),
        Some(precision) => scientific(magnitude, Some(precision.max(1) - 1)),
    };
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let limit = match precision {
        // A whole number is shown without exponent as long as its digits are all known.
        Some(precision) => {
            let precision = precision.max(1);
            let whole = usize::try_from(exponent).is_ok_and(|exponent| digits.len() > exponent);
            if precision > digits.len() && whole { digits.len() } else { precision }
        }
        None => 6,
    };
    if exponent < -4 || usize::try_from(exponent).is_ok_and(|exponent| exponent >= limit) {
        return push_exponent(&digits, exponent);
    }
    positional(&digits, exponent)
}

/// `123.45` from digits and exponent.
fn positional(digits: &str, exponent: i32) -> String {
    let Ok(exponent) = usize::try_from(exponent) else {
        let zeros = exponent.unsigned_abs() as usize - 1;
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    if digits.len() <= exponent + 1 {
        return format!("{digits}{}", "0".repeat(exponent + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(exponent + 1);
    format!("{whole}.{fraction}")
}

/// `0x1.8p+01`.
fn hexadecimal(magnitude: f64, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(magnitude);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One bit before the point, 60 behind it: fifteen digits.
        let shift = mantissa.leading_zeros() - 3;
        mantissa <<= shift;
        exponent += 60 - i32::try_from(shift).unwrap_or(0);
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let dropped = 4 * (15 - precision);
        let half = 1_u64 << (dropped - 1);
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        if rest > half || (rest == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= dropped;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let length = precision.unwrap_or_else(|| fraction.trim_end_matches('0').len());
    // Not by a width of `format!`, which has a limit of its own and panics beyond.
    fraction.extend(std::iter::repeat_n('0', length.saturating_sub(fraction.len())));
    fraction.truncate(length);
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 60, exponent.unsigned_abs())
}

/// `4503599627370496p-52`.
fn binary(magnitude: f64) -> String {
    let (mantissa, exponent) = parts(magnitude);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}p{sign}{}", exponent.unsigned_abs())
}

/// The integer and the power of two whose product the number is.
fn parts(magnitude: f64) -> (u64, i32) {
    let bits = magnitude.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) }
}

/// What the flag `#` adds: a point always, and for `%g` the zeros that were removed.
fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let mark = if matches!(verb, 'x' | 'X') { 'p' } else { 'e' };
    let (body, tail) = match digits.find(mark) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let mut text = body.to_owned();
    // Go fills up %x but not %X.
    let filled = matches!(verb, 'v' | 'g' | 'G' | 'x');
    let mut missing = if filled { precision.unwrap_or(6) } else { 0 };
    let leading = body.trim_start_matches(['0', '.']);
    let significant = leading.chars().filter(|digit| *digit != '.').count();
    missing = missing.saturating_sub(significant);
    if !body.contains('.') {
        if body == "0" {
            missing = missing.saturating_sub(1);
        }
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', missing));
    text + tail
}
