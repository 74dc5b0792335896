//! Delays drawn from their distributions.

use std::f64::consts::TAU;
use std::time::Duration;

use api_mock_datagen::Rng;
use api_mock_scenario::Delay;

/// A delay.
pub(crate) fn delay(delay: &Delay, rng: &mut Rng) -> Duration {
    match delay {
        Delay::Fixed(delay) => *delay,
        Delay::Uniform { min, max } => between(*min, *max, rng.float_between(0.0, 1.0)),
        Delay::Normal { mean, stddev } => seconds(mean.as_secs_f64() + stddev.as_secs_f64() * normal(rng)),
        Delay::LogNormal { median, sigma } => seconds(median.as_secs_f64() * (sigma * normal(rng)).exp()),
        Delay::Percentiles(points) => percentile(points, rng.float_between(0.0, 100.0)),
    }
}

/// From the standard normal distribution, by Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    // Never 0, whose logarithm is none.
    let radius = (-2.0 * (1.0 - rng.float_between(0.0, 1.0)).ln()).sqrt();
    radius * (TAU * rng.float_between(0.0, 1.0)).cos()
}

/// Negative ones are none, endless ones are as long as can be.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

fn between(min: Duration, max: Duration, part: f64) -> Duration {
    min.saturating_add(seconds(max.saturating_sub(min).as_secs_f64() * part))
}

fn percentile(points: &[(f64, Duration)], percent: f64) -> Duration {
    let above = points.iter().position(|(point, _)| *point >= percent);
    let last = points.last().map_or(Duration::ZERO, |(_, delay)| *delay);
    let Some((high, upper)) = above.and_then(|at| points.get(at)) else { return last };
    let below = above.and_then(|at| at.checked_sub(1)).and_then(|at| points.get(at));
    below.map_or(*upper, |(low, lower)| between(*lower, *upper, (percent - low) / (high - low)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_scenario::FaultRule;

    /// Many draws in order, in milliseconds.
    fn draws(text: &str) -> Vec<f64> {
        let rule = FaultRule::parse(text).unwrap().delay.unwrap();
        let mut rng = Rng::seeded(7);
        let mut all: Vec<f64> = (0..20_000).map(|_| delay(&rule, &mut rng).as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= wanted * 0.06, "{found} is not about {wanted}");
    }

    #[test]
    fn distributions_have_the_shape_that_they_are_named_after() {
        let uniform = draws("delay=10ms..30ms");
        assert!(uniform[0] >= 10.0 && uniform[19_999] <= 30.0);
        near(uniform[10_000], 20.0);
        near(uniform[5_000], 15.0);

        let normal = draws(r#"{"delay": {"distribution": "normal", "mean": "100ms", "stddev": "20ms"}}"#);
        near(normal[10_000], 100.0);
        // One standard deviation on each side.
        near(normal[3_173], 80.0);
        near(normal[16_827], 120.0);
        let wide = draws(r#"{"delay": {"distribution": "normal", "mean": "1ms", "stddev": "20ms"}}"#);
        assert_eq!(wide[0], 0.0);

        let long = draws(r#"{"delay": {"distribution": "lognormal", "median": "80ms", "sigma": 0.5}}"#);
        near(long[10_000], 80.0);
        near(long[16_827], 80.0 * 0.5_f64.exp());

        let measured = draws(
            r#"{"delay": {"distribution": "percentiles", "p50": "20ms", "p90": "100ms", "p99": "1s"}}"#,
        );
        near(measured[0], 20.0);
        near(measured[9_990], 20.0);
        near(measured[14_000], 60.0);
        near(measured[18_000], 100.0);
        near(measured[19_999], 1_000.0);
    }
}
