//! A date and time of day as people write it, with its distance from UTC.

use std::sync::Arc;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Weekday {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

impl Weekday {
    const ALL: [Weekday; 7] = [
        Weekday::Sunday,
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
    ];

    /// The English name.
    #[must_use]
    pub fn name(self) -> &'static str {
        super::layout::DAYS.get(self as usize).copied().unwrap_or_default()
    }
}

/// A time in the Gregorian calendar together with the zone it is told in.
///
/// ```
/// use api_mock_template::time::{CivilTime, RFC3339, Weekday};
///
/// let time = CivilTime::new(2024, 2, 29, 23, 59, 58, 0).unwrap().in_zone(3600, "CET");
/// assert_eq!(time.format(RFC3339), "2024-02-29T23:59:58+01:00");
/// assert_eq!(time.weekday(), Weekday::Thursday);
/// assert_eq!(CivilTime::new(2023, 2, 29, 0, 0, 0, 0), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CivilTime {
    pub(super) year: i32,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) nanosecond: u32,
    pub(super) offset_seconds: i32,
    pub(super) zone: Arc<str>,
}

impl CivilTime {
    /// A time in UTC; `None` if there is no such time (leap seconds are not known).
    #[must_use]
    pub fn new(
        year: i32,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        nanosecond: u32,
    ) -> Option<Self> {
        let real = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && nanosecond < 1_000_000_000;
        let zone = Arc::from("UTC");
        real.then_some(CivilTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            nanosecond,
            offset_seconds: 0,
            zone,
        })
    }

    /// The time `seconds` and `nanosecond` after 1970-01-01 00:00 UTC, told in a zone that is
    /// `offset_seconds` ahead of UTC. Times beyond the years of an `i32` are cut off there.
    #[must_use]
    pub fn from_unix(seconds: i64, nanosecond: u32, offset_seconds: i32, zone: &str) -> Self {
        let nanosecond = nanosecond.min(999_999_999);
        let bound = i64::from(i32::MAX) * 365 * 86_400;
        let local = seconds.clamp(-bound, bound) + i64::from(offset_seconds);
        let (year, month, day) = date_of(local.div_euclid(86_400));
        let of_day = local.rem_euclid(86_400);
        let part = |number: i64| u8::try_from(number).unwrap_or(0);
        CivilTime {
            year,
            month,
            day,
            hour: part(of_day / 3600),
            minute: part(of_day / 60 % 60),
            second: part(of_day % 60),
            nanosecond,
            offset_seconds,
            zone: zone.into(),
        }
    }

    /// The same date and time of day in another zone: `offset_seconds` ahead of UTC, `zone` as its
    /// abbreviation (may be empty).
    #[must_use]
    pub fn in_zone(mut self, offset_seconds: i32, zone: &str) -> Self {
        self.offset_seconds = offset_seconds;
        self.zone = zone.into();
        self
    }

    /// Seconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        let of_day = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days_since_epoch(self.year, self.month, self.day) * 86_400 + of_day - i64::from(self.offset_seconds)
    }

    /// Year, negative before the year 0.
    #[must_use]
    pub fn year(&self) -> i32 {
        self.year
    }

    /// Month, January is 1.
    #[must_use]
    pub fn month(&self) -> u8 {
        self.month
    }

    /// Day of the month, from 1.
    #[must_use]
    pub fn day(&self) -> u8 {
        self.day
    }

    /// Hour, minute and second.
    #[must_use]
    pub fn time_of_day(&self) -> (u8, u8, u8) {
        (self.hour, self.minute, self.second)
    }

    /// Nanoseconds since the last full second.
    #[must_use]
    pub fn nanosecond(&self) -> u32 {
        self.nanosecond
    }

    /// How many seconds the zone is ahead of UTC.
    #[must_use]
    pub fn offset_seconds(&self) -> i32 {
        self.offset_seconds
    }

    /// The abbreviation of the zone; may be empty.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The day of the week.
    #[must_use]
    pub fn weekday(&self) -> Weekday {
        // 1970-01-01 was a Thursday.
        let days = days_since_epoch(self.year, self.month, self.day) + 4;
        let at = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
        Weekday::ALL.get(at).copied().unwrap_or(Weekday::Sunday)
    }

    /// The day of the year, from 1.
    #[must_use]
    pub fn day_of_year(&self) -> u16 {
        let before: u16 = (1..self.month).map(|month| u16::from(days_in(self.year, month))).sum();
        before + u16::from(self.day)
    }
}

pub(super) fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_in(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years begin in March here, so that a leap day is the last of its year.
fn days_since_epoch(year: i32, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    let year = i64::from(year) - i64::from(month <= 2);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let of_era = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100;
    year.div_euclid(400) * 146_097 + of_era + of_year - 719_468
}

/// The date that many days after 1970-01-01.
fn date_of(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = days.div_euclid(146_097) * 400 + year_of_era + i64::from(month <= 2);
    let year = year.clamp(i32::MIN.into(), i32::MAX.into());
    (i32::try_from(year).unwrap_or(0), u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-1_000_000..1_000_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_since_epoch(year, month, day), days);
            assert!((1..=12).contains(&month) && day >= 1 && day <= days_in(year, month));
        }
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(19_782), (2024, 2, 29));
    }

    #[test]
    fn unix_time_goes_through_zones() {
        let time = CivilTime::from_unix(-1, 5, -3600, "");
        assert_eq!((time.year(), time.day(), time.time_of_day()), (1969, 31, (22, 59, 59)));
        assert_eq!(time.unix_seconds(), -1);
        assert_eq!(time.day_of_year(), 365);
    }
}
