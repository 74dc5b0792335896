//! Times by Go's layouts, and Go's durations. There is no clock and no time zone database in here.
//!
//! ```
//! use api_mock_template::time::{CivilTime, GoDuration};
//!
//! let time = CivilTime::from_unix(1_136_214_245, 0, -7 * 3600, "MST");
//! assert_eq!(time.format("Jan 2 2006, 3:04PM (MST)"), "Jan 2 2006, 8:04AM (MST)");
//! assert_eq!("1m30s".parse::<GoDuration>()?.nanoseconds(), 90_000_000_000);
//! # Ok::<(), api_mock_template::time::DurationError>(())
//! ```

mod civil;
mod duration;
mod format;
mod layout;
mod parse;

pub use civil::{CivilTime, Weekday};
pub use duration::{DurationError, GoDuration};
pub use parse::TimeParseError;

/// `2006-01-02T15:04:05Z07:00`.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// `2006-01-02T15:04:05.999999999Z07:00`.
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";
/// `Mon, 02 Jan 2006 15:04:05 -0700`.
pub const RFC1123Z: &str = "Mon, 02 Jan 2006 15:04:05 -0700";
/// `Mon, 02 Jan 2006 15:04:05 MST`.
pub const RFC1123: &str = "Mon, 02 Jan 2006 15:04:05 MST";
/// `2006-01-02`.
pub const DATE_ONLY: &str = "2006-01-02";
/// `3:04PM`.
pub const KITCHEN: &str = "3:04PM";
