//! Numbers and the ends of their ranges, compared exactly: floats cannot tell integers beyond 2^53 apart.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// Beyond this, floats cannot tell an integer from its neighbour.
pub(crate) const EXACT: i128 = 1 << 53;
/// All floats below this are told exactly by an `i128`.
const LARGEST_WHOLE: f64 = 1e30;

/// A number as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    Whole(i128),
    Float(f64),
}

impl Amount {
    pub(crate) fn of(number: &Number) -> Amount {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map_or_else(|| Amount::Float(number.as_f64().unwrap_or(0.0)), Amount::Whole)
    }

    /// Which of two is greater.
    pub(crate) fn compare(self, other: Amount) -> Ordering {
        match (self, other) {
            (Amount::Whole(a), Amount::Whole(b)) => a.cmp(&b),
            (Amount::Float(a), Amount::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Amount::Whole(a), Amount::Float(b)) => whole_to_float(a, b),
            (Amount::Float(a), Amount::Whole(b)) => whole_to_float(b, a).reverse(),
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it has no fraction, and is small enough")]
fn whole_to_float(whole: i128, float: f64) -> Ordering {
    if float.abs() >= LARGEST_WHOLE {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    let below = float.floor();
    whole.cmp(&(below as i128)).then(if float > below { Ordering::Less } else { Ordering::Equal })
}

/// One end of a range of numbers. The variants hold all there is so that it takes no more memory than a float and
/// a flag would.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Whole {
        value: i64,
        exclusive: bool,
    },
    /// Greater than all of those.
    Large {
        value: u64,
        exclusive: bool,
    },
    Float {
        value: f64,
        exclusive: bool,
    },
}

impl Bound {
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction, and is small enough")]
    pub(crate) fn new(number: &Number, exclusive: bool) -> Bound {
        if let Some(value) = number.as_i64() {
            return Bound::Whole { value, exclusive };
        }
        if let Some(value) = number.as_u64() {
            return Bound::Large { value, exclusive };
        }
        let value = number.as_f64().unwrap_or(0.0);
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Bound::Whole { value: value as i64, exclusive };
        }
        Bound::Float { value, exclusive }
    }

    pub(crate) fn exclusive(self) -> bool {
        let (Bound::Whole { exclusive, .. }
        | Bound::Large { exclusive, .. }
        | Bound::Float { exclusive, .. }) = self;
        exclusive
    }

    pub(crate) fn amount(self) -> Amount {
        match self {
            Bound::Whole { value, .. } => Amount::Whole(value.into()),
            Bound::Large { value, .. } => Amount::Whole(value.into()),
            Bound::Float { value, .. } => Amount::Float(value),
        }
    }

    /// About where it is.
    #[allow(clippy::cast_precision_loss, reason = "where that matters, the amount is asked for")]
    pub(crate) fn float(self) -> f64 {
        match self {
            Bound::Whole { value, .. } => value as f64,
            Bound::Large { value, .. } => value as f64,
            Bound::Float { value, .. } => value,
        }
    }

    /// The same with the end itself left out.
    pub(crate) fn excluded(self) -> Bound {
        let exclusive = true;
        match self {
            Bound::Whole { value, .. } => Bound::Whole { value, exclusive },
            Bound::Large { value, .. } => Bound::Large { value, exclusive },
            Bound::Float { value, .. } => Bound::Float { value, exclusive },
        }
    }

    /// Whether a number lies beyond it, where `outside` is the side that is.
    pub(crate) fn refuses(self, number: Amount, outside: Ordering) -> bool {
        let side = number.compare(self.amount());
        side == outside || (self.exclusive() && side == Ordering::Equal)
    }

    /// The integer nearest to it that it allows; `None` if that is far out.
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction, and is small enough")]
    pub(crate) fn integer(self, is_lower: bool) -> Option<i128> {
        let step = if is_lower { 1 } else { -1 };
        match self.amount() {
            Amount::Whole(whole) => Some(if self.exclusive() { whole + step } else { whole }),
            Amount::Float(float) if float.abs() >= LARGEST_WHOLE => None,
            Amount::Float(float) => {
                let whole = if is_lower { float.ceil() } else { float.floor() };
                let is_end = self.exclusive() && whole == float;
                Some(whole as i128 + if is_end { step } else { 0 })
            }
        }
    }

    /// As it stands in the specification, for programs.
    pub(crate) fn told(self) -> Value {
        match self {
            Bound::Whole { value, .. } => value.into(),
            Bound::Large { value, .. } => value.into(),
            Bound::Float { value, .. } => value.into(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Whole { value, .. } => value.fmt(f),
            Bound::Large { value, .. } => value.fmt(f),
            Bound::Float { value, .. } => value.fmt(f),
        }
    }
}

/// The one of two that allows less.
pub(crate) fn stricter(one: Option<Bound>, other: Option<Bound>, larger: bool) -> Option<Bound> {
    let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
    Some(match a.amount().compare(b.amount()) {
        Ordering::Equal if b.exclusive() => a.excluded(),
        Ordering::Equal => a,
        order if (order == Ordering::Greater) == larger => a,
        _ => b,
    })
}

/// Whether a number is a multiple of another, as far as binary fractions can tell.
pub(crate) fn is_multiple(value: f64, of: f64) -> bool {
    let times = value / of;
    times.is_finite() && (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
}

/// The same for a number as it is: of integers it is exact.
pub(crate) fn is_multiple_of(number: &Number, of: f64) -> bool {
    match (Amount::of(number), whole(of)) {
        (Amount::Whole(value), Some(of)) if of != 0 => value % of == 0,
        _ => is_multiple(number.as_f64().unwrap_or(0.0), of),
    }
}

/// A float as the integer that it is.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked to be exact")]
pub(crate) fn whole(float: f64) -> Option<i128> {
    (float.fract() == 0.0 && float.abs() <= EXACT as f64).then_some(float as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_are_compared_exactly() {
        let whole = 9_007_199_254_740_993;
        let float = Amount::Float(9_007_199_254_740_992.0);
        assert_eq!(Amount::Whole(whole).compare(float), Ordering::Greater);
        assert_eq!(float.compare(Amount::Whole(whole - 1)), Ordering::Equal);
        assert_eq!(Amount::Whole(-1).compare(Amount::Float(-0.5)), Ordering::Less);
        assert_eq!(Amount::Whole(0).compare(Amount::Float(-0.5)), Ordering::Greater);
        assert_eq!(Amount::Whole(i128::from(u64::MAX)).compare(Amount::Float(1e300)), Ordering::Less);
        assert_eq!(Amount::Float(-1e300).compare(Amount::Whole(0)), Ordering::Less);
    }

    #[test]
    fn bounds_take_no_more_memory_than_floats_with_a_flag() {
        assert_eq!(size_of::<Option<Bound>>(), 16);
        assert!(size_of::<super::super::NumberRules>() <= 56);
    }
}
