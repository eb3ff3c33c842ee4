//! The few numbers a row of measurements comes down to. Pure.

/// Measurements of one thing in several rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one, or the mean of the two in the middle; not a number without any.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// What this share of them does not exceed; not a number without any.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The median with the range it comes from.
    pub(crate) fn show(&self, unit: &str) -> String {
        let low = self.0.iter().copied().fold(f64::NAN, f64::min);
        let high = self.0.iter().copied().fold(f64::NAN, f64::max);
        format!("{:.1} {unit} ({low:.1} to {high:.1})", self.median())
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples(values.to_vec())
    }

    #[test]
    fn one_wild_round_does_not_move_the_median() {
        assert_eq!(samples(&[3.0, 1.0, 1000.0]).median(), 3.0);
        assert_eq!(samples(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
    }

    #[test]
    fn one_in_a_hundred_is_beyond_the_99th() {
        let hundred: Samples = (1..=100).map(f64::from).collect();
        assert_eq!((hundred.quantile(0.99), hundred.quantile(0.5)), (99.0, 50.0));
        assert!(samples(&[]).quantile(0.99).is_nan());
    }

    #[test]
    fn the_range_is_shown_beside_the_median() {
        assert_eq!(samples(&[2.0, 1.0, 9.0]).show("µs"), "2.0 µs (1.0 to 9.0)");
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(samples(&[]).median().is_nan());
    }
}
