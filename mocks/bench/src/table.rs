//! Figures for people.

/// The one in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A line: what, its median, and all rounds.
pub(crate) fn line(what: &str, rounds: &[f64]) -> String {
    let all: Vec<String> = rounds.iter().map(|value| format!("{value:.0}")).collect();
    format!("{what:<34} {:>9.0} req/s   ({})", median(rounds), all.join(", "))
}

/// The median of the quotients of rounds, which were side by side.
pub(crate) fn ratio(of: &[f64], to: &[f64]) -> f64 {
    let quotients: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    median(&quotients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((ratio(&[2.0, 9.0, 8.0], &[4.0, 9.0, 2.0]) - 1.0).abs() < 1e-9);
        assert!((median(&[]) - 0.0).abs() < 1e-9);
    }
}
