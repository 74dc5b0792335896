//! Go's layouts: the reference time, Mon Jan 2 15:04:05 MST 2006, taken apart.

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// How a number is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    None,
    Space,
    Zero,
}

/// How an offset is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// UTC is written `Z`.
    pub(super) z: bool,
    pub(super) colon: bool,
    pub(super) minutes: bool,
    pub(super) seconds: bool,
}

/// One element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    ShortMonth,
    Month(Fill),
    LongWeekday,
    ShortWeekday,
    Day(Fill),
    DayOfYear(Fill),
    Hour,
    Hour12(Fill),
    Minute(Fill),
    Second(Fill),
    LongYear,
    ShortYear,
    UpperPm,
    LowerPm,
    Zone,
    Offset(Offset),
    /// Separator, digits, and whether trailing zeros are left out.
    Fraction {
        separator: char,
        digits: usize,
        trim: bool,
    },
}

/// Splits off the text before the first element, and the element.
pub(super) fn next_element(layout: &str) -> Option<(&str, Element, &str)> {
    for at in 0..layout.len() {
        let Some(rest) = layout.get(at..) else {
            continue;
        };
        if let Some((skipped, element, length)) = element_at(rest) {
            let before = layout.get(..at + skipped)?;
            let after = layout.get(at + skipped + length..)?;
            return Some((before, element, after));
        }
    }
    None
}

const FIXED: [(&str, Element); 22] = [
    ("January", Element::LongMonth),
    ("Monday", Element::LongWeekday),
    ("MST", Element::Zone),
    ("002", Element::DayOfYear(Fill::Zero)),
    ("01", Element::Month(Fill::Zero)),
    ("02", Element::Day(Fill::Zero)),
    ("03", Element::Hour12(Fill::Zero)),
    ("04", Element::Minute(Fill::Zero)),
    ("05", Element::Second(Fill::Zero)),
    ("06", Element::ShortYear),
    ("15", Element::Hour),
    ("1", Element::Month(Fill::None)),
    ("2006", Element::LongYear),
    ("2", Element::Day(Fill::None)),
    ("__2", Element::DayOfYear(Fill::Space)),
    ("3", Element::Hour12(Fill::None)),
    ("4", Element::Minute(Fill::None)),
    ("5", Element::Second(Fill::None)),
    ("PM", Element::UpperPm),
    ("pm", Element::LowerPm),
    ("Jan", Element::ShortMonth),
    ("Mon", Element::ShortWeekday),
];

/// The element at the beginning of `rest`: what to skip before it, and its length.
fn element_at(rest: &str) -> Option<(usize, Element, usize)> {
    if rest.starts_with("_2006") {
        return Some((1, Element::LongYear, 4));
    }
    if rest.starts_with("_2") {
        return Some((0, Element::Day(Fill::Space), 2));
    }
    if rest.starts_with(['-', 'Z']) {
        return offset_at(rest);
    }
    if rest.starts_with(['.', ',']) {
        return fraction_at(rest);
    }
    let (text, element) = FIXED.iter().find(|(text, _)| rest.starts_with(text))?;
    let followed_by_lower = rest.as_bytes().get(text.len()).is_some_and(u8::is_ascii_lowercase);
    if matches!(element, Element::ShortMonth | Element::ShortWeekday) && followed_by_lower {
        return None;
    }
    Some((0, *element, text.len()))
}

fn offset_at(rest: &str) -> Option<(usize, Element, usize)> {
    let z = rest.starts_with('Z');
    let digits = rest.get(1..)?;
    let forms = [
        ("070000", false, true, true),
        ("07:00:00", true, true, true),
        ("0700", false, true, false),
        ("07:00", true, true, false),
        ("07", false, false, false),
    ];
    let (text, colon, minutes, seconds) = forms.into_iter().find(|(text, ..)| digits.starts_with(text))?;
    Some((0, Element::Offset(Offset { z, colon, minutes, seconds }), 1 + text.len()))
}

/// `.000` or `,999`: a run of one digit that no other digit follows.
fn fraction_at(rest: &str) -> Option<(usize, Element, usize)> {
    let mut characters = rest.chars();
    let separator = characters.next()?;
    let digit = characters.next().filter(|digit| matches!(digit, '0' | '9'))?;
    let run = rest.get(1..)?;
    let digits = run.len() - run.trim_start_matches(digit).len();
    if run.as_bytes().get(digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some((0, Element::Fraction { separator, digits, trim: digit == '9' }, 1 + digits))
}
