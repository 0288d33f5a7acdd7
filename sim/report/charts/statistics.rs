//! The few statistics that charts need. Runs that did not recover are censored: larger than everything, never a number.

/// Summary of the recovery times at one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub runs: usize,
    pub recovered: usize,
    /// Mean and half the width of its 95 % confidence interval (zero for a single run). Missing unless every run recovered:
    /// the mean of the lucky ones would flatter.
    pub mean: Option<(f64, f64)>,
    /// The quantile at 5 %; missing when it lies beyond the horizon.
    pub low: Option<f64>,
    /// The quantile at 95 %; missing when it lies beyond the horizon.
    pub high: Option<f64>,
}

impl Summary {
    pub fn of(samples: &[Option<f64>]) -> Summary {
        let mut known: Vec<f64> = samples.iter().copied().flatten().collect();
        known.sort_by(f64::total_cmp);
        let all = known.len() == samples.len() && !known.is_empty();
        Summary {
            runs: samples.len(),
            recovered: known.len(),
            mean: all.then(|| mean_and_half_width(&known)),
            low: quantile(&known, samples.len(), 0.05),
            high: quantile(&known, samples.len(), 0.95),
        }
    }

    pub fn recovered_always(&self) -> bool {
        self.mean.is_some()
    }
}

fn mean_and_half_width(values: &[f64]) -> (f64, f64) {
    let number = values.len() as f64;
    let mean = values.iter().sum::<f64>() / number;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (number - 1.0);
    (mean, student(values.len() - 1) * (variance / number).sqrt())
}

/// Quantile of sorted values of which those beyond the end are censored: linear between neighbours (Hyndman and Fan, type 7).
fn quantile(known: &[f64], total: usize, share: f64) -> Option<f64> {
    let place = share * (total.max(1) - 1) as f64;
    let below = place as usize;
    let lower = *known.get(below)?;
    match place - below as f64 {
        rest if rest > 1e-9 => Some(lower + rest * (known.get(below + 1)? - lower)),
        _ => Some(lower),
    }
}

/// Student's t at 97.5 %.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond the table, the first two terms of the expansion at infinity.
    TABLE.get(freedom - 1).copied().unwrap_or(1.960 + 2.37 / freedom as f64)
}

/// Upper end of the 95 % Wilson interval of a share: "0 of 500" is still compatible with 0.8 %.
pub fn wilson_upper(hits: u64, of: u64) -> f64 {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return 1.0;
    }
    let (number, share) = (of as f64, hits as f64 / of as f64);
    let middle = share + Z * Z / (2.0 * number);
    let spread = Z * (share * (1.0 - share) / number + Z * Z / (4.0 * number * number)).sqrt();
    ((middle + spread) / (1.0 + Z * Z / number)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_did_not_recover_leaves_no_mean() {
        let summary = Summary::of(&[Some(10.0), None, Some(30.0)]);
        assert_eq!((summary.runs, summary.recovered, summary.mean, summary.high), (3, 2, None, None));
        assert_eq!(summary.low, Some(12.0));
        assert_eq!(Summary::of(&[]).mean, None);
        assert_eq!(Summary::of(&[Some(7.0)]).mean, Some((7.0, 0.0)));
    }

    #[test]
    fn the_interval_is_students() {
        let (mean, half) = Summary::of(&[Some(1.0), Some(2.0), Some(3.0)]).mean.unwrap();
        assert_eq!(mean, 2.0);
        assert!((half - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn zero_of_many_has_an_upper_bound() {
        assert!((wilson_upper(0, 500) - 0.007_624).abs() < 1e-5);
        assert_eq!(wilson_upper(0, 0), 1.0);
        assert!(wilson_upper(500, 500) <= 1.0);
    }
}
