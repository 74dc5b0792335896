//! The zone in which templates tell the time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds east of Greenwich, and the name, such as `-28800` and `PST`: those of now. `TZ` says which zone, or else the
/// system; UTC if neither does.
pub(crate) fn here() -> (i32, String) {
    let utc = || (0, "UTC".to_owned());
    TimeZone::try_system().ok().filter(|zone| !zone.is_unknown()).map_or_else(utc, |zone| of(&zone))
}

fn of(zone: &TimeZone) -> (i32, String) {
    let now = zone.to_offset_info(Timestamp::now());
    (now.offset().seconds(), now.abbreviation().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_offset_and_its_abbreviation() {
        assert_eq!(of(&TimeZone::posix("XYZ-5:30").unwrap()), (19_800, "XYZ".to_owned()));
        assert_eq!(of(&TimeZone::UTC), (0, "UTC".to_owned()));
    }
}
