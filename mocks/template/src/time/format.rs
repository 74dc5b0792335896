//! Writing a time by a layout.

use std::fmt::Write;

use super::CivilTime;
use super::layout::{Element, Fill, MONTHS, Offset, next_element};

impl CivilTime {
    /// Writes the time as Go writes the reference time `Mon Jan 2 15:04:05 MST 2006` in `layout`.
    ///
    /// ```
    /// use api_mock_template::time::CivilTime;
    /// let time = CivilTime::new(2023, 7, 4, 15, 4, 5, 120_000_000).unwrap();
    /// assert_eq!(time.format("3:04PM"), "3:04PM");
    /// assert_eq!(time.format("Monday, 02-Jan-06 15:04:05.999 MST"), "Tuesday, 04-Jul-23 15:04:05.12 UTC");
    /// ```
    #[must_use]
    pub fn format(&self, layout: &str) -> String {
        let mut text = String::with_capacity(layout.len() + 10);
        let mut rest = layout;
        while let Some((before, element, after)) = next_element(rest) {
            text.push_str(before);
            self.element(&mut text, element);
            rest = after;
        }
        text.push_str(rest);
        text
    }

    fn element(&self, text: &mut String, element: Element) {
        let month = MONTHS.get(usize::from(self.month) - 1).copied().unwrap_or_default();
        let day = self.weekday().name();
        let afternoon = self.hour >= 12;
        let hour12 = (self.hour + 11) % 12 + 1;
        match element {
            Element::LongMonth => text.push_str(month),
            Element::ShortMonth => text.push_str(month.get(..3).unwrap_or_default()),
            Element::Month(fill) => number(text, self.month.into(), 2, fill),
            Element::LongWeekday => text.push_str(day),
            Element::ShortWeekday => text.push_str(day.get(..3).unwrap_or_default()),
            Element::Day(fill) => number(text, self.day.into(), 2, fill),
            Element::DayOfYear(fill) => number(text, self.day_of_year().into(), 3, fill),
            Element::Hour => number(text, self.hour.into(), 2, Fill::Zero),
            Element::Hour12(fill) => number(text, hour12.into(), 2, fill),
            Element::Minute(fill) => number(text, self.minute.into(), 2, fill),
            Element::Second(fill) => number(text, self.second.into(), 2, fill),
            Element::LongYear => {
                text.push_str(if self.year < 0 { "-" } else { "" });
                number(text, self.year.unsigned_abs(), 4, Fill::Zero);
            }
            Element::ShortYear => number(text, self.year.unsigned_abs() % 100, 2, Fill::Zero),
            Element::UpperPm => text.push_str(if afternoon { "PM" } else { "AM" }),
            Element::LowerPm => text.push_str(if afternoon { "pm" } else { "am" }),
            Element::Zone if !self.zone.is_empty() => text.push_str(&self.zone),
            Element::Zone => {
                self.offset(text, Offset { z: false, colon: false, minutes: true, seconds: false });
            }
            Element::Offset(offset) => self.offset(text, offset),
            Element::Fraction { separator, digits, trim } => self.fraction(text, separator, digits, trim),
        }
    }

    fn offset(&self, text: &mut String, form: Offset) {
        if form.z && self.offset_seconds == 0 {
            text.push('Z');
            return;
        }
        // The sign is that of the whole minutes, so a few seconds west of Greenwich count as east.
        let minutes = self.offset_seconds / 60;
        text.push(if minutes < 0 { '-' } else { '+' });
        let colon = if form.colon { ":" } else { "" };
        let size = minutes.unsigned_abs();
        number(text, size / 60, 2, Fill::Zero);
        if form.minutes {
            text.push_str(colon);
            number(text, size % 60, 2, Fill::Zero);
        }
        if form.seconds {
            text.push_str(colon);
            number(text, self.offset_seconds.unsigned_abs() % 60, 2, Fill::Zero);
        }
    }

    fn fraction(&self, text: &mut String, separator: char, digits: usize, trim: bool) {
        let all = format!("{:09}", self.nanosecond);
        let mut shown = all.get(..digits.min(9)).unwrap_or_default();
        if trim {
            shown = shown.trim_end_matches('0');
            if shown.is_empty() {
                return;
            }
        }
        text.push(separator);
        text.push_str(shown);
    }
}

fn number(text: &mut String, number: u32, width: usize, fill: Fill) {
    // Writing to a string does not fail.
    let _ = match fill {
        Fill::None => write!(text, "{number}"),
        Fill::Space => write!(text, "{number:width$}"),
        Fill::Zero => write!(text, "{number:0width$}"),
    };
}
