//! How far the simulation agrees with queueing theory, as a page and a table: every expected metric with what came out.

use super::numbers::{count, counted};
use super::table::{Align, Cell, Table};
use super::terminal::Tone;

/// Everything that the page says.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    pub cases: Vec<Case>,
    /// The service times were made this much longer, in percent: cases are then to fail.
    pub slower: f64,
    /// That makes it again.
    pub command: String,
}

#[derive(Clone, Debug, Default)]
pub struct Case {
    pub id: String,
    /// Of the file that was run.
    pub stem: String,
    pub title: String,
    /// As the file of the cases has it.
    pub model: String,
    pub formula: String,
    pub source: String,
    pub metrics: Vec<Metric>,
    pub runs: u64,
    pub records: u64,
    /// Runs the first run again, and what its digest must be.
    pub again: Option<(String, u128)>,
    /// The file that was run.
    pub scenario: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    pub unit: String,
    pub expected: f64,
    pub tolerance: String,
    pub result: MetricResult,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MetricResult {
    Judged {
        got: f64,
        passes: bool,
        z: Option<f64>,
    },
    /// The simulation has no counterpart, for this reason.
    NotExpressible(String),
    /// The case or its run is wrong, for this reason.
    Invalid(String),
    /// Printed beside, not judged.
    Reference,
}

/// How a case stands as a whole: its worst metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Passes,
    NotExpressible,
    Fails,
    Invalid,
}

impl Case {
    pub fn standing(&self) -> Standing {
        let of_metric = |metric: &Metric| match metric.result {
            MetricResult::Judged { passes: true, .. } | MetricResult::Reference => Standing::Passes,
            MetricResult::Judged { passes: false, .. } => Standing::Fails,
            MetricResult::NotExpressible(_) => Standing::NotExpressible,
            MetricResult::Invalid(_) => Standing::Invalid,
        };
        self.metrics.iter().map(of_metric).max().unwrap_or(Standing::Passes)
    }
}

impl Validation {
    pub fn count(&self, standing: Standing) -> u64 {
        self.cases.iter().filter(|case| case.standing() == standing).count() as u64
    }

    pub fn tone(&self) -> Tone {
        match self.cases.iter().map(Case::standing).max() {
            None | Some(Standing::Passes) => Tone::Holds,
            Some(Standing::NotExpressible) => Tone::Vacuous,
            Some(Standing::Fails | Standing::Invalid) => Tone::Violated,
        }
    }

    /// What the simulation is worth, in a sentence.
    pub fn answer(&self) -> String {
        let all = self.cases.len() as u64;
        let slower = match self.slower {
            0.0 => String::new(),
            percent => format!("With every service time {percent} % longer, "),
        };
        let passing = format!("{} of {} of queueing theory", count(self.count(Standing::Passes)), counted(all, "case"));
        let mut answer = format!("{slower}{passing} come out of the simulation within their tolerance");
        for (standing, what) in [
            (Standing::Fails, "fail"),
            (Standing::NotExpressible, "cannot be expressed"),
            (Standing::Invalid, "could not be run"),
        ] {
            match self.count(standing) {
                0 => {}
                number => answer += &format!(", {} {what}", count(number)),
            }
        }
        answer
    }

    /// One row for each expected metric.
    pub fn table(&self) -> Table {
        let (left, right) = (Align::Left, Align::Right);
        let mut table = Table::new(&[
            ("case", left),
            ("metric", left),
            ("expected", right),
            ("got", right),
            ("tolerance", left),
            ("z", right),
            ("verdict", left),
        ]);
        for case in &self.cases {
            for metric in &case.metrics {
                let (got, z, verdict) = match &metric.result {
                    MetricResult::Judged { got, passes, z } => {
                        let z = z.map_or(String::new(), |z| format!("{z:.2}"));
                        let verdict = match passes {
                            true => Cell::new(Tone::Holds, "passes"),
                            false => Cell::new(Tone::Violated, "FAILS"),
                        };
                        (significant(*got), z, verdict)
                    }
                    MetricResult::NotExpressible(why) => {
                        (String::new(), String::new(), Cell::new(Tone::Vacuous, format!("not expressible: {why}")))
                    }
                    MetricResult::Invalid(why) => {
                        (String::new(), String::new(), Cell::new(Tone::Violated, format!("INVALID: {why}")))
                    }
                    MetricResult::Reference => {
                        (String::new(), String::new(), Cell::new(Tone::Muted, "beside, not judged"))
                    }
                };
                let unit = if metric.unit == "1" { "" } else { metric.unit.as_str() };
                table.push(vec![
                    Cell::from(&case.id),
                    Cell::from(&metric.name),
                    Cell::from(format!("{} {unit}", significant(metric.expected)).trim_end()),
                    Cell::from(got),
                    Cell::from(&metric.tolerance),
                    Cell::from(z),
                    verdict,
                ]);
            }
        }
        table
    }
}

/// Six significant digits, without zeros at their end.
pub fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_enough() {
        assert_eq!(significant(0.219_101_33), "0.219101");
        assert_eq!(significant(120.0), "120");
        assert_eq!(significant(5_400_000.0), "5400000");
        assert_eq!(significant(-0.5), "-0.5");
        assert_eq!(significant(0.0), "0");
    }

    #[test]
    fn the_worst_metric_of_a_case_counts() {
        let metric =
            |result| Metric { name: "m".into(), unit: "s".into(), expected: 1.0, tolerance: "±1%".into(), result };
        let judged = |passes| metric(MetricResult::Judged { got: 1.0, passes, z: None });
        let case = |metrics| Case { id: "A".into(), metrics, ..Case::default() };
        let beyond = metric(MetricResult::NotExpressible("no".into()));
        let validation = Validation {
            cases: vec![
                case(vec![judged(true), metric(MetricResult::Reference)]),
                case(vec![judged(true), judged(false)]),
                case(vec![judged(true), beyond]),
            ],
            ..Validation::default()
        };
        let standings: Vec<Standing> = validation.cases.iter().map(Case::standing).collect();
        assert_eq!(standings, [Standing::Passes, Standing::Fails, Standing::NotExpressible]);
        let answer = validation.answer();
        assert!(answer.starts_with("1 of 3 cases") && answer.ends_with("1 fail, 1 cannot be expressed"), "{answer}");
    }
}
