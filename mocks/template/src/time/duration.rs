//! Go's durations: `300ms`, `-1.5h`, `1m30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time in nanoseconds, negative ones too, read and written as Go does.
///
/// ```
/// use api_mock_template::time::GoDuration;
/// let wait: GoDuration = "1h15m30.918s".parse()?;
/// assert_eq!(wait.to_string(), "1h15m30.918s");
/// assert_eq!(GoDuration::from_nanoseconds(1_500_000).to_string(), "1.5ms");
/// assert_eq!("90s".parse::<GoDuration>()?.to_std(), Some(std::time::Duration::from_secs(90)));
/// assert!("90".parse::<GoDuration>().is_err());
/// # Ok::<(), api_mock_template::time::DurationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

impl GoDuration {
    /// A duration of that many nanoseconds.
    #[must_use]
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        GoDuration(nanoseconds)
    }

    /// The nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        self.0
    }

    /// The same as a standard duration; `None` if it is negative.
    #[must_use]
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// It has another form.
    #[error("{0:?} is not a duration such as 300ms, 1.5s or 1m30s")]
    Malformed(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?}: write for example {0}s")]
    MissingUnit(String),
    /// A unit other than ns, us, ms, s, m, h.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The duration.
        text: String,
        /// The unit.
        unit: String,
    },
    /// More than about 292 years.
    #[error("duration {0:?} is out of range")]
    OutOfRange(String),
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || DurationError::Malformed(text.to_owned());
        let too_large = || DurationError::OutOfRange(text.to_owned());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if unsigned == "0" {
            return Ok(GoDuration(0));
        }
        if unsigned.is_empty() {
            return Err(malformed());
        }
        let mut rest = unsigned;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (whole, after) = split_digits(rest);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => split_digits(after),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(malformed());
            }
            let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            if unit.is_empty() {
                return Err(DurationError::MissingUnit(text.to_owned()));
            }
            let size = unit_size(unit)
                .ok_or_else(|| DurationError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() })?;
            total =
                part(whole, fraction, size).and_then(|part| total.checked_add(part)).ok_or_else(too_large)?;
            if total > 1 << 63 {
                return Err(too_large());
            }
            rest = after;
        }
        if text.starts_with('-') {
            return 0_i64.checked_sub_unsigned(total).map(GoDuration).ok_or_else(too_large);
        }
        i64::try_from(total).map(GoDuration).map_err(|_| too_large())
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn unit_size(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter look alike.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` units of `size` nanoseconds.
fn part(whole: &str, fraction: &str, size: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let base = whole.checked_mul(size).filter(|base| *base <= 1 << 63)?;
    // Digits that do not fit change nothing that could be seen in nanoseconds.
    let mut value: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in fraction.bytes() {
        let Some(next) = value.checked_mul(10).and_then(|ten| ten.checked_add(u64::from(digit - b'0')))
        else {
            break;
        };
        if next > 1 << 63 {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rest = (value as f64 * (size as f64 / scale)) as u64;
    base.checked_add(rest)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match size {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{size}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(size, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(size, 1_000_000)),
            _ => {
                let minutes = size / 60_000_000_000;
                let seconds = decimal(size % 60_000_000_000, 1_000_000_000);
                match minutes {
                    0 => write!(f, "{seconds}s"),
                    1..60 => write!(f, "{minutes}m{seconds}s"),
                    _ => write!(f, "{}h{}m{seconds}s", minutes / 60, minutes % 60),
                }
            }
        }
    }
}

/// `size / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(size: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", size % unit);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", size / unit)
}
