//! Formats and parses times by any layout, and parses durations.
#![no_main]

use api_mock_template::time::{CivilTime, GoDuration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i64, u32, i16, &str, &str)| {
    let (seconds, nanosecond, offset, layout, value) = input;
    let time = CivilTime::from_unix(seconds, nanosecond, i32::from(offset) * 2, "XYZ");
    let text = time.format(layout);
    // What was written may be ambiguous, but reading it must end well.
    let _ = CivilTime::parse(layout, &text);
    if let Ok(parsed) = CivilTime::parse(layout, value) {
        let _ = parsed.format(layout);
        let _ = (parsed.unix_seconds(), parsed.weekday(), parsed.day_of_year());
    }
    if let Ok(duration) = value.parse::<GoDuration>() {
        let text = duration.to_string();
        assert_eq!(text.parse::<GoDuration>(), Ok(duration), "{value} as {text}");
    }
    let duration = GoDuration::from_nanoseconds(seconds);
    assert_eq!(duration.to_string().parse::<GoDuration>(), Ok(duration));
});
