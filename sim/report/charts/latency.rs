//! How long events took, by when they arrived: median, 99th percentile and maximum, on a logarithm, so that a pause of a minute and the
//! milliseconds before it are both seen.

use super::Figure;
use super::axis::Axis;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Frame, subtitle};
use super::page::{EndLabel, Page};
use super::palette::Token;
use super::sheet::Dash;
use crate::report::numbers::{capitalised, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct LatencyChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// What is timed: "from arrival to done by booking".
    pub timed: String,
    pub points: Vec<LatencyPoint>,
    pub faults: Vec<FaultBand>,
    pub horizon: f64,
    pub footer: String,
}

/// Of the events that arrived in one stretch of time; all in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyPoint {
    /// Middle of the stretch.
    pub at: f64,
    pub events: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// What the 99th percentile must rise to, as a multiple, to count as raised.
const RAISED: f64 = 1.5;

impl LatencyChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("latency", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let plotted = format!("Time {}, by arrival, logarithmic", self.timed);
        let values = || self.points.iter().flat_map(|point| [point.p50, point.max]).filter(|value| 0.0 < *value);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let (low, high) = if low.is_finite() { (low, high) } else { (0.001, 1.0) };
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "time",
            faults: &self.faults,
            footer: &self.footer,
        };
        let frame = Frame::over_time(&around, (0.0, self.horizon), Axis::durations(low * 0.9, high * 1.2), 190.0);
        let lines: [(&str, fn(&LatencyPoint) -> f64, Token, Dash, f64); 3] = [
            ("maximum", |point| point.max, Token::Category4, Dash::Dotted, 1.5),
            ("99 %", |point| point.p99, Token::Category2, Dash::Solid, 2.0),
            ("half", |point| point.p50, Token::Category1, Dash::Dashed, 2.0),
        ];
        let mut labels = Vec::new();
        for (name, value, token, dash, width) in lines {
            let points: Vec<(f64, f64)> = self.points.iter().map(|point| (point.at, value(point))).collect();
            frame.line(&points, token, width, dash);
            if let Some((at, end)) = points.last() {
                let worst = points.iter().map(|point| point.1).fold(0.0, f64::max);
                let text = format!("{name}: at most {}", seconds(worst));
                labels.push(EndLabel { at: frame.at((*at, *end)), text, token });
            }
        }
        frame.page.end_labels(&labels, frame.bounds);
        frame.page
    }

    /// The highest 99th percentile of what was over before the first fault: what is usual, with its noise.
    fn before(&self) -> Option<f64> {
        let first = self.faults.iter().map(|fault| fault.from).fold(f64::INFINITY, f64::min);
        let half = self.points.windows(2).next().map_or(0.0, |pair| (pair[1].at - pair[0].at) / 2.0);
        self.points.iter().filter(|point| point.at + half + point.max <= first).map(|point| point.p99).reduce(f64::max)
    }
}

/// The message: from what to what, and for how long.
pub fn title(chart: &LatencyChart) -> String {
    let highest = chart.points.iter().map(|point| point.p99).fold(0.0, f64::max);
    if chart.points.is_empty() {
        return "Nothing was timed".to_string();
    }
    let end = chart.faults.iter().map(|fault| fault.to).fold(f64::NEG_INFINITY, f64::max);
    let text = match chart.before() {
        Some(before) if !chart.faults.is_empty() && before * RAISED < highest => {
            let behind = || chart.points.iter().filter(|point| end < point.at);
            let after = behind().filter(|point| before * RAISED < point.p99);
            let stays = match after.map(|point| point.at).reduce(f64::max) {
                Some(last) if chart.points.last().is_some_and(|point| point.at <= last) => {
                    "and that stays high to the end".to_string()
                }
                Some(last) => format!("and that stays high until {} after the last fault", seconds(last - end)),
                None => match behind().map(|point| point.p99).reduce(f64::max) {
                    Some(rest) => format!("and up to {} once the faults are over", seconds(rest)),
                    None => "and the run ends with the fault".to_string(),
                },
            };
            format!(
                "99 % of the events take up to {} before the fault, then up to {}, {stays}",
                seconds(before),
                seconds(highest)
            )
        }
        Some(_) if !chart.faults.is_empty() => {
            format!("faults do not slow events down: 99 % take at most {}", seconds(highest))
        }
        _ => format!("99 % of the events take at most {}", seconds(highest)),
    };
    capitalised(&text)
}

fn description(chart: &LatencyChart) -> String {
    let worst = |value: fn(&LatencyPoint) -> f64| seconds(chart.points.iter().map(value).fold(0.0, f64::max));
    format!(
        "At most, in a stretch of time: half {}, 99 % {}, maximum {}. {}",
        worst(|point| point.p50),
        worst(|point| point.p99),
        worst(|point| point.max),
        fault_band::described(&chart.faults)
    )
}

fn table(chart: &LatencyChart) -> String {
    let rows = chart.points.iter().map(|point| {
        let LatencyPoint { at, events, p50, p99, max } = point;
        vec![at.to_string(), events.to_string(), p50.to_string(), p99.to_string(), max.to_string()]
    });
    super::csv(&["seconds", "events", "p50_seconds", "p99_seconds", "max_seconds"], rows)
}
