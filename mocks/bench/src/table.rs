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
    median(&quotients(of, to))
}

/// The same for people, with the quartiles.
pub(crate) fn ratio_line(what: &str, of: &[f64], to: &[f64]) -> String {
    let mut all = quotients(of, to);
    all.sort_by(f64::total_cmp);
    let at = |part: usize| all.get(all.len() * part / 4).copied().unwrap_or_default();
    format!("{what:<34} {:.2}   ({:.2} to {:.2})", at(2), at(1), at(3))
}

fn quotients(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((ratio(&[2.0, 9.0, 8.0], &[4.0, 9.0, 2.0]) - 1.0).abs() < 1e-9);
        assert!((median(&[]) - 0.0).abs() < 1e-9);
        let to = [1.0; 5];
        assert!(ratio_line("x", &[1.0, 2.0, 3.0, 4.0, 5.0], &to).ends_with("3.00   (2.00 to 4.00)"));
    }
}
