//! Every seed's recovery, as the share that was done by each time: the worst one is named, so that it can be run again. The dashed
//! curve is what queueing theory expects: the first passage of a drained queue is inverse Gaussian (Whitt 2002).

use super::Figure;
use super::axis::Axis;
use super::frame::subtitle;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use crate::report::numbers::{count, counted, percent, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct SeedsChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// Seed, and seconds until nothing was left; nothing when that was not seen.
    pub samples: Vec<(u64, Option<f64>)>,
    /// Mean and deviation of one run by the closed form.
    pub model: Option<(f64, f64)>,
    pub footer: String,
}

impl SeedsChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("seeds", title(self), description(self), table(self))
    }

    fn sorted(&self) -> Vec<(u64, f64)> {
        let mut known: Vec<(u64, f64)> =
            self.samples.iter().filter_map(|(seed, time)| Some((*seed, (*time)?))).collect();
        known.sort_by(|one, other| one.1.total_cmp(&other.1));
        known
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let model = if self.model.is_some() { "; dashed: queueing theory" } else { "" };
        let plotted = format!("Share of {} recovered by each time{model}", counted(self.samples.len() as u64, "run"));
        let top = page.header(&title(self), &subtitle(&self.subject, &plotted)) + 30.0;
        let bounds = Bounds { left: MARGIN + 52.0, top, right: WIDTH - MARGIN - 96.0, bottom: HEIGHT - MARGIN - 66.0 };
        let known = self.sorted();
        let (low, high) = match (known.first(), known.last()) {
            (Some(first), Some(last)) => (first.1, last.1),
            _ => (0.0, 1.0),
        };
        let (low, high) = match self.model {
            Some((mean, deviation)) => (low.min(mean - 3.0 * deviation), high.max(mean + 3.0 * deviation)),
            None => (low, high),
        };
        let margin = ((high - low) * 0.06).max(high * 0.01).max(0.001);
        let x = Axis::time((low - margin).max(0.0), high + margin);
        let mut y = Axis::multiples(0.0, 1.0);
        y.ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|value| super::axis::Tick { value, label: percent(value) }).into();
        let at = |time: f64, share: f64| {
            let across = bounds.left + x.fraction(time).clamp(0.0, 1.0) * (bounds.right - bounds.left);
            (across, bounds.bottom - share * (bounds.bottom - bounds.top))
        };
        page.text((MARGIN, bounds.top - 20.0), "share of runs", Lettering::NOTE);
        page.axes(bounds, &x, "time to recover", &y);
        if let Some((mean, deviation)) = self.model {
            let times = (0..=200).map(|step| x.low + (x.high - x.low) * f64::from(step) / 200.0);
            let curve: Vec<(f64, f64)> = times.map(|time| at(time, inverse_gaussian(time, mean, deviation))).collect();
            page.line(&curve, Token::Category2, 2.0, Dash::Dashed);
        }
        let all = self.samples.len().max(1) as f64;
        let mut steps = vec![at(x.low, 0.0)];
        for (number, (_, time)) in known.iter().enumerate() {
            steps.push(at(*time, number as f64 / all));
            steps.push(at(*time, (number + 1) as f64 / all));
            let (rug, _) = at(*time, 0.0);
            page.line(&[(rug, bounds.bottom), (rug, bounds.bottom - 8.0)], Token::Category1, 1.0, Dash::Solid);
        }
        steps.push(at(x.high, known.len() as f64 / all));
        page.line(&steps, Token::Category1, 2.5, Dash::Solid);
        if let Some((seed, time)) = known.last() {
            let worst = at(*time, known.len() as f64 / all);
            page.disc(worst, 4.0, Token::Category1);
            let text = format!("worst: seed {seed}, {}", seconds(*time));
            let lettering = Lettering::LABEL.token(Token::Category1).halo();
            let _ = page.text_if_free((worst.0, worst.1 - 14.0), &text, lettering)
                || page.text_if_free((worst.0 - 10.0, worst.1 - 14.0), &text, lettering.align(Align::Right));
        }
        page.footer(&self.footer);
        page
    }
}

/// The message: the worst seed, and what theory says of the slowest of a hundred.
pub fn title(chart: &SeedsChart) -> String {
    let known = chart.sorted();
    let all = chart.samples.len() as u64;
    let lasting = all - known.len() as u64;
    match known.last() {
        _ if 0 < lasting => format!("{} of {} did not recover", count(lasting), counted(all, "run")),
        None => "No run was watched while it recovered".to_string(),
        Some((seed, time)) => {
            let model = match chart.model {
                Some((mean, deviation)) => {
                    let p99 = quantile(0.99, mean, deviation);
                    format!("; by theory, 99 % of all runs take less than {}", seconds(p99))
                }
                None => String::new(),
            };
            match all {
                1 => format!("Recovered in {}{model}", seconds(*time)),
                _ => {
                    format!("The worst of {} recovers in {} (seed {seed}){model}", counted(all, "run"), seconds(*time))
                }
            }
        }
    }
}

/// Share of first passages by then, with the mean and the deviation of the inverse Gaussian.
fn inverse_gaussian(time: f64, mean: f64, deviation: f64) -> f64 {
    if time <= 0.0 {
        return 0.0;
    }
    if deviation <= 0.0 {
        return if time < mean { 0.0 } else { 1.0 };
    }
    let shape = mean * mean * mean / (deviation * deviation);
    let normal = |at: f64| 0.5 * libm::erfc(-at / core::f64::consts::SQRT_2);
    let root = (shape / time).sqrt();
    let second = 2.0 * shape / mean;
    let (first, other) = (normal(root * (time / mean - 1.0)), normal(-root * (time / mean + 1.0)));
    // The factor overflows long before its product with the tail matters.
    let tail = if 0.0 < other { libm::exp((second + libm::log(other)).min(0.0)) } else { 0.0 };
    (first + tail).clamp(0.0, 1.0)
}

/// The reverse, by bisection.
fn quantile(share: f64, mean: f64, deviation: f64) -> f64 {
    let (mut low, mut high) = (0.0, mean + 40.0 * deviation + 1e-9);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        match inverse_gaussian(middle, mean, deviation) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

fn description(chart: &SeedsChart) -> String {
    let known = chart.sorted();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) => format!(
            "{} of {} recovered, between {} (seed {}) and {} (seed {}).",
            known.len(),
            counted(chart.samples.len() as u64, "run"),
            seconds(first.1),
            first.0,
            seconds(last.1),
            last.0
        ),
        _ => format!("None of {} recovered.", counted(chart.samples.len() as u64, "run")),
    }
}

fn table(chart: &SeedsChart) -> String {
    let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let rows = chart.samples.iter().map(|(seed, time)| vec![seed.to_string(), text(*time)]);
    super::csv(&["seed", "recovery_seconds"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_a_distribution_with_its_mean_and_deviation() {
        let (mean, deviation) = (120.0, 11.0);
        let share = |time| inverse_gaussian(time, mean, deviation);
        assert!(share(60.0) < 1e-6 && 1.0 - share(200.0) < 1e-6);
        // The mean is the integral of the tail, the second moment that of twice the time times the tail.
        let steps = (0..400_000).map(|step| f64::from(step) * 0.001 + 0.0005);
        let (first, second) = steps.fold((0.0, 0.0), |(first, second), time| {
            let tail = 1.0 - share(time);
            (first + tail * 0.001, second + 2.0 * time * tail * 0.001)
        });
        assert!((first - mean).abs() < 0.01, "{first}");
        assert!(((second - first * first).sqrt() - deviation).abs() < 0.01);
        assert!((share(quantile(0.99, mean, deviation)) - 0.99).abs() < 1e-6);
    }
}
