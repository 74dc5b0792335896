//! Little sums: medians, percentiles, times in milliseconds.

/// Nanoseconds of the clock that all processes of this machine share (`CLOCK_MONOTONIC`).
pub(crate) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// The value below which this share (0 to 1) of the values lies; 0 of none.
pub(crate) fn percentile(values: &[i64], share: f64) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
}

pub(crate) fn median(values: &[i64]) -> i64 {
    percentile(values, 0.5)
}

pub(crate) fn millis(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// A small generator whose numbers are the same in each run, for pauses and keys.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_where_they_should() {
        let values: Vec<i64> = (0..=100).rev().collect();
        assert_eq!(median(&values), 50);
        assert_eq!(percentile(&values, 0.99), 99);
        assert_eq!(percentile(&values, 1.0), 100);
        assert_eq!(median(&[]), 0);
    }

    #[test]
    fn dice_stay_within_their_bounds() {
        let mut dice = Dice::new();
        assert!((0..1_000).map(|_| dice.between(3, 7)).all(|n| (3..=7).contains(&n)));
    }
}
