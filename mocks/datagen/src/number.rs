//! Numbers with the defaults that templates expect.

use crate::Rng;

/// The upper bound if none is given.
pub const DEFAULT_MAX: i64 = 100_000;

/// An integer from `min` up to but not including `max`; a `max` of 0 stands for [`DEFAULT_MAX`].
/// `min` if both are equal, and the other way round if `min` is the greater.
///
/// ```
/// use api_mock_datagen::{Rng, number};
/// let mut rng = Rng::seeded(0);
/// assert!((5..10).contains(&number::integer(&mut rng, 5, 10)));
/// assert!((0..100_000).contains(&number::integer(&mut rng, 0, 0)));
/// ```
pub fn integer(rng: &mut Rng, min: i64, max: i64) -> i64 {
    rng.between(min, if max == 0 { DEFAULT_MAX } else { max })
}

/// A float from `min` up to `max`, rounded to six digits after the point; a `max` of 0 stands for
/// [`DEFAULT_MAX`].
///
/// ```
/// use api_mock_datagen::{Rng, number};
/// assert!((1.5..2.5).contains(&number::float(&mut Rng::seeded(0), 1.5, 2.5)));
/// ```
#[allow(clippy::cast_precision_loss)]
pub fn float(rng: &mut Rng, min: f64, max: f64) -> f64 {
    let max = if max == 0.0 { DEFAULT_MAX as f64 } else { max };
    let (min, max) = (min.min(max), min.max(max));
    let number = rng.float_between(min, max);
    let rounded = (number * 1e6).round() / 1e6;
    // Large numbers have no six digits left to round to, and rounding must not leave the range.
    if rounded.is_finite() && rounded >= min && rounded < max { rounded } else { number }
}

/// A list of integers: from `min` up to but not including `max` of them, each in the same range.
/// A `max` of 0 stands for ten more than `min`.
///
/// ```
/// use api_mock_datagen::{Rng, number};
/// let list = number::integers(&mut Rng::seeded(0), 1, 10);
/// assert!((1..10).contains(&list.len()) && list.iter().all(|number| (1..10).contains(number)));
/// ```
pub fn integers(rng: &mut Rng, min: i64, max: i64) -> Vec<i64> {
    let max = if max == 0 { min.saturating_add(10) } else { max };
    let count = rng.between(min, max).max(0);
    (0..count).map(|_| rng.between(min, max)).collect()
}
