//! Reading a time by a layout.

use super::CivilTime;
use super::civil::{days_in, is_leap};
use super::layout::{DAYS, Element, Fill, MONTHS, Offset, next_element};

/// A text that is not a time of the given layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {value:?} as {layout:?}: {reason}")]
pub struct TimeParseError {
    layout: String,
    value: String,
    reason: String,
}

impl CivilTime {
    /// Reads a time written by `layout`. What the layout does not say is January, the 1st, year 0,
    /// midnight, UTC. Zone abbreviations other than `UTC` and `GMT+3` are kept, but nothing is
    /// known about their distance from UTC: it is taken as zero, as in Go.
    ///
    /// ```
    /// use api_mock_template::time::{CivilTime, RFC3339};
    /// let time = CivilTime::parse(RFC3339, "2023-07-04T15:04:05.25+02:00")?;
    /// assert_eq!((time.year(), time.nanosecond(), time.offset_seconds()), (2023, 250_000_000, 7200));
    /// assert!(CivilTime::parse("2006-01-02", "2023-02-30").is_err());
    /// # Ok::<(), api_mock_template::time::TimeParseError>(())
    /// ```
    ///
    /// # Errors
    /// What part of the text does not fit.
    pub fn parse(layout: &str, value: &str) -> Result<CivilTime, TimeParseError> {
        let error = |reason: String| TimeParseError { layout: layout.into(), value: value.into(), reason };
        let mut reader = Reader { rest: value, ..Reader::default() };
        let mut layout_rest = layout;
        while let Some((before, element, after)) = next_element(layout_rest) {
            reader.literal(before).map_err(error)?;
            reader.element(element, after).map_err(error)?;
            layout_rest = after;
        }
        reader.literal(layout_rest).map_err(error)?;
        if !reader.rest.is_empty() {
            return Err(error(format!("{:?} is left over", reader.rest)));
        }
        reader.finish().map_err(error)
    }
}

type Step<T> = Result<T, String>;

#[derive(Default)]
struct Reader<'v> {
    rest: &'v str,
    year: i32,
    month: Option<u8>,
    day: Option<u8>,
    day_of_year: Option<u16>,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    afternoon: Option<bool>,
    utc: bool,
    offset_seconds: Option<i32>,
    zone: &'v str,
}

impl<'v> Reader<'v> {
    /// Skips the text between two elements; a run of spaces stands for any number of them.
    fn literal(&mut self, mut text: &str) -> Step<()> {
        while let Some(first) = text.chars().next() {
            if first == ' ' {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return Err(format!("expected a space before {:?}", self.rest));
                }
                text = text.trim_start_matches(' ');
                self.rest = self.rest.trim_start_matches(' ');
                continue;
            }
            self.rest = self
                .rest
                .strip_prefix(first)
                .ok_or_else(|| format!("expected {text:?} at {:?}", self.rest))?;
            text = text.get(first.len_utf8()..).unwrap_or_default();
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Step<&'v str> {
        let taken = self.rest.get(..length).ok_or_else(|| format!("{:?} is too short", self.rest))?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(taken)
    }

    fn element(&mut self, element: Element, after: &str) -> Step<()> {
        match element {
            Element::LongMonth => self.month = Some(self.name(&MONTHS, false)? + 1),
            Element::ShortMonth => self.month = Some(self.name(&MONTHS, true)? + 1),
            Element::LongWeekday => drop(self.name(&DAYS, false)?),
            Element::ShortWeekday => drop(self.name(&DAYS, true)?),
            Element::Month(fill) => self.month = Some(self.number(fill, 1, 12, "month")?),
            Element::Day(fill) => {
                self.skip_fill(fill);
                self.day = Some(self.number(fill, 0, 99, "day")?);
            }
            Element::DayOfYear(fill) => self.day_of_year = Some(self.day_of_year(fill)?),
            Element::Hour => self.hour = self.number(Fill::None, 0, 23, "hour")?,
            Element::Hour12(fill) => self.hour = self.number(fill, 0, 12, "hour")?,
            Element::Minute(fill) => self.minute = self.number(fill, 0, 59, "minute")?,
            Element::Second(fill) => {
                self.second = self.number(fill, 0, 59, "second")?;
                self.unasked_fraction(after)?;
            }
            Element::LongYear => self.year = digits(self.take(4)?)?,
            Element::ShortYear => {
                let year: i32 = digits(self.take(2)?)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Element::UpperPm => self.half_day("AM", "PM")?,
            Element::LowerPm => self.half_day("am", "pm")?,
            Element::Zone => self.zone_name()?,
            Element::Offset(form) => self.offset(form)?,
            Element::Fraction { digits: count, trim: false, .. } => {
                let text = self.take(1 + count)?;
                self.fraction(text)?;
            }
            Element::Fraction { .. } => self.optional_fraction()?,
        }
        Ok(())
    }

    /// One of the names, or its first three letters, in upper or lower case.
    fn name(&mut self, names: &[&str], short: bool) -> Step<u8> {
        for (at, name) in (0..).zip(names) {
            let name = if short { name.get(..3).unwrap_or_default() } else { name };
            let found = self.rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
            if found {
                self.take(name.len())?;
                return Ok(at);
            }
        }
        Err(format!("no name at {:?}", self.rest))
    }

    /// One or two digits; two if filled up with zeros.
    fn number(&mut self, fill: Fill, min: u8, max: u8, what: &str) -> Step<u8> {
        let is_digit = |at: usize| self.rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let length = match (is_digit(0), is_digit(1)) {
            (true, true) => 2,
            (true, false) if fill != Fill::Zero => 1,
            _ => return Err(format!("no {what} at {:?}", self.rest)),
        };
        let number = digits(self.take(length)?)?;
        if (min..=max).contains(&number) { Ok(number) } else { Err(format!("{what} out of range")) }
    }

    fn skip_fill(&mut self, fill: Fill) {
        if fill == Fill::Space {
            self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        }
    }

    fn day_of_year(&mut self, fill: Fill) -> Step<u16> {
        if fill == Fill::Space {
            self.skip_fill(fill);
            self.skip_fill(fill);
        }
        let available = self.rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
        if available == 0 || (fill == Fill::Zero && available < 3) {
            return Err(format!("no day of the year at {:?}", self.rest));
        }
        digits(self.take(available)?)
    }

    fn half_day(&mut self, morning: &str, afternoon: &str) -> Step<()> {
        let text = self.take(2)?;
        self.afternoon = Some(match text {
            _ if text == morning => false,
            _ if text == afternoon => true,
            _ => return Err(format!("{text:?} is neither {morning} nor {afternoon}")),
        });
        Ok(())
    }

    /// A fraction after the seconds is read even if the layout does not mention one.
    fn unasked_fraction(&mut self, after: &str) -> Step<()> {
        let asked = next_element(after).is_some_and(|(_, next, _)| matches!(next, Element::Fraction { .. }));
        if asked { Ok(()) } else { self.optional_fraction() }
    }

    fn optional_fraction(&mut self) -> Step<()> {
        let after_separator = self.rest.strip_prefix(['.', ',']).unwrap_or_default();
        let count = after_separator.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Ok(());
        }
        let text = self.take(1 + count)?;
        self.fraction(text)
    }

    /// Separator and digits; those after the ninth are ignored.
    fn fraction(&mut self, text: &str) -> Step<()> {
        let bad = || format!("{text:?} is not a fraction of a second");
        let fraction = text.strip_prefix(['.', ',']).ok_or_else(bad)?;
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(bad());
        }
        let shown = fraction.get(..9.min(fraction.len())).unwrap_or_default();
        self.nanosecond = format!("{shown:0<9}").parse().map_err(|_| bad())?;
        Ok(())
    }

    fn offset(&mut self, form: Offset) -> Step<()> {
        if form.z && self.rest.starts_with('Z') {
            self.take(1)?;
            self.utc = true;
            return Ok(());
        }
        let sign = match self.take(1)? {
            "+" => 1,
            "-" => -1,
            other => return Err(format!("{other:?} is no sign of an offset")),
        };
        let mut part = |colon: bool, max: i32| -> Step<i32> {
            if colon && self.take(1)? != ":" {
                return Err("an offset wants a colon".to_owned());
            }
            let number = digits(self.take(2)?)?;
            if number <= max { Ok(number) } else { Err("offset out of range".to_owned()) }
        };
        let mut seconds = part(false, 24)? * 3600;
        if form.minutes {
            seconds += part(form.colon, 60)? * 60;
        }
        if form.seconds {
            seconds += part(form.colon, 60)?;
        }
        self.offset_seconds = Some(sign * seconds);
        Ok(())
    }

    fn zone_name(&mut self) -> Step<()> {
        if self.rest.starts_with("UTC") {
            self.take(3)?;
            self.utc = true;
            return Ok(());
        }
        let length = zone_length(self.rest).ok_or_else(|| format!("no zone at {:?}", self.rest))?;
        self.zone = self.take(length)?;
        Ok(())
    }

    fn finish(self) -> Step<CivilTime> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (month, day) = self.date()?;
        let time = CivilTime::new(self.year, month, day, hour, self.minute, self.second, self.nanosecond);
        let time = time.ok_or("day out of range")?;
        if self.utc {
            return Ok(time);
        }
        Ok(match self.offset_seconds {
            Some(0) if self.zone.is_empty() => time,
            Some(offset) => time.in_zone(offset, self.zone),
            None if self.zone.is_empty() => time,
            None => {
                let hours = self.zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok());
                time.in_zone(hours.unwrap_or(0) * 3600, self.zone)
            }
        })
    }

    /// Month and day, which a day of the year can give too but must not contradict.
    fn date(&self) -> Step<(u8, u8)> {
        let Some(mut left) = self.day_of_year else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        if left < 1 || left > 365 + u16::from(is_leap(self.year)) {
            return Err("day of the year out of range".to_owned());
        }
        let mut month = 1;
        while left > u16::from(days_in(self.year, month)) {
            left -= u16::from(days_in(self.year, month));
            month += 1;
        }
        let day = u8::try_from(left).unwrap_or(1);
        if self.month.is_some_and(|given| given != month) || self.day.is_some_and(|given| given != day) {
            return Err("day of the year does not match the date".to_owned());
        }
        Ok((month, day))
    }
}

fn digits<N: std::str::FromStr>(text: &str) -> Step<N> {
    let bad = || format!("{text:?} is no number");
    if text.bytes().all(|digit| digit.is_ascii_digit()) {
        text.parse().map_err(|_| bad())
    } else {
        Err(bad())
    }
}

/// How much of the text looks like the abbreviation of a zone.
fn zone_length(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(after) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours_length(after));
    }
    if text.starts_with(['+', '-']) {
        return Some(signed_hours_length(text)).filter(|length| *length > 0 && text.len() >= 3);
    }
    let upper = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let name = text.get(..upper)?;
    match upper {
        3 => Some(3),
        4 if name.ends_with('T') || name == "WITA" => Some(4),
        5 if name.ends_with('T') => Some(5),
        _ => None,
    }
}

/// The length of `+3` or `-11`, or zero.
fn signed_hours_length(text: &str) -> usize {
    let Some(after) = text.strip_prefix(['+', '-']) else {
        return 0;
    };
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    let hours = after.get(..count).and_then(|hours| hours.parse::<u64>().ok());
    if hours.is_some_and(|hours| hours <= 23) { 1 + count } else { 0 }
}
