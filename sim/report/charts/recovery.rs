//! How long a backlog takes to go, against headroom: the chart that a capacity decision is made from. Theory is drawn first, the
//! simulation on top. A backlog of an outage drains in T = T_outage / (h − 1) (Newell, Applications of Queueing Theory), where h is
//! the *effective* headroom, that of the most loaded consumer; the nominal one stands beside it because plans are made with it.
//!
//! Runs that did not recover within the horizon are hollow markers at the horizon, never a number.

use plotters::series::LineSeries;

use super::Figure;
use super::axis::{Axis, clipped};
use super::page::{DRAWN, EndLabel, HEIGHT, Lettering, MARGIN, Page, Plot, WIDTH, pen};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use super::statistics::Summary;
use crate::report::numbers::{counted, multiple, seconds};
use crate::types::Duration;

/// Recovery against headroom, for one outage.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryChart {
    /// What was studied: "billing, 12 partitions, 4 consumers". May be empty.
    pub subject: String,
    /// How long nothing was processed.
    pub outage: Duration,
    /// How long after the outage a run was watched.
    pub horizon: Duration,
    pub points: Vec<RecoveryPoint>,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

/// What was measured at one headroom.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryPoint {
    /// Nominal: capacity of all consumers over the arrival rate.
    pub headroom: f64,
    /// Of the most loaded consumer.
    pub effective: f64,
    /// Seconds from the end of the outage until the backlog is gone, one per run; `None` when it was not gone by the horizon.
    pub samples: Vec<Option<f64>>,
    /// Expected seconds by the queueing model for this very configuration, when known. Printed in the table only.
    pub theory: Option<f64>,
}

/// The advice that the chart judges.
const GUIDELINE: (f64, f64) = (1.5, 2.0);
/// Effective and nominal headroom are told apart from this ratio on.
const DIFFERS: f64 = 0.985;
/// A mean closer than this to the right edge is named in the margin, otherwise beside its marker.
const NEAR_MARGIN: f64 = 90.0;

impl RecoveryChart {
    pub fn draw(&self) -> Figure {
        let page = self.page();
        page.finish("recovery-vs-headroom", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let top = page.header(&title(self), &self.subtitle()) + 30.0;
        let bounds = Bounds { left: MARGIN + 52.0, top, right: WIDTH - 212.0, bottom: HEIGHT - MARGIN - 66.0 };
        let (x, y) = self.axes();
        let at = |headroom: f64, length: f64| {
            let across = bounds.left + x.fraction(headroom) * (bounds.right - bounds.left);
            (across, bounds.bottom - y.fraction(length).clamp(0.0, 1.0) * (bounds.bottom - bounds.top))
        };
        let drawing = Drawing { chart: self, page: &page, bounds, x: &x, y: &y, at: &at };
        drawing.zones();
        page.text((MARGIN, bounds.top - 28.0), "time to recover after the outage", Lettering::NOTE);
        page.axes(bounds, &x, "nominal headroom: capacity ÷ arrival rate", &y);
        let mut plot = page.plot(bounds, x.clone(), y.clone());
        let mut labels = drawing.curves(&mut plot);
        let summaries = drawing.summaries();
        labels.extend(drawing.measurements(&summaries));
        page.end_labels(&labels, bounds);
        drawing.values(&summaries);
        page.footer(&self.footer);
        page
    }

    fn subtitle(&self) -> String {
        let runs = self.points.iter().map(|point| point.samples.len()).max().unwrap_or(0);
        let up_to = if self.points.iter().all(|point| point.samples.len() == runs) { "" } else { "up to " };
        let subject = if self.subject.is_empty() { String::new() } else { format!("{}. ", self.subject) };
        let runs = match runs {
            0 => "no runs".to_string(),
            1 => "one run per point".to_string(),
            _ => format!(
                "{up_to}{} per point: mean, whisker 95 % interval of the mean, band 5–95 % of runs",
                counted(runs as u64, "run")
            ),
        };
        let outage = seconds(self.outage.as_seconds());
        format!("{subject}Recovery from an outage of {outage}, logarithmic; {runs}")
    }

    fn axes(&self) -> (Axis, Axis) {
        let headrooms = || self.points.iter().map(|point| point.headroom).filter(|headroom| headroom.is_finite());
        let low = headrooms().fold(0.9, f64::min) - 0.02;
        let high = headrooms().fold(2.1, f64::max) + 0.05;
        let horizon = self.horizon.as_seconds().max(1.0);
        let fluid = self.outage.as_seconds() / (high - 1.0);
        let samples = self.points.iter().flat_map(|point| point.samples.iter().copied().flatten());
        let shortest = samples.fold(fluid, f64::min).max(0.001).min(horizon / 2.0);
        (Axis::multiples(low, high), Axis::durations(shortest * 0.9, horizon * 1.35))
    }

    /// Effective over nominal headroom at any nominal one: linear between the points, constant beyond them.
    fn share(&self, headroom: f64) -> f64 {
        let mut shares: Vec<(f64, f64)> =
            self.points.iter().map(|point| (point.headroom, point.effective / point.headroom)).collect();
        shares.sort_by(|one, other| one.0.total_cmp(&other.0));
        let after = shares.partition_point(|(at, _)| *at < headroom);
        match (after.checked_sub(1).map(|before| shares[before]), shares.get(after).copied()) {
            (None, None) => 1.0,
            (Some((_, share)), None) | (None, Some((_, share))) => share,
            (Some((left, below)), Some((right, above))) => below + (above - below) * (headroom - left) / (right - left),
        }
    }

    fn effective_differs(&self) -> bool {
        self.points.iter().any(|point| point.effective < point.headroom * DIFFERS)
    }

    /// The nominal headroom at and below which the backlog never goes, by the model.
    fn asymptote(&self, x: &Axis) -> f64 {
        let steps = 2_000;
        let headrooms = (0..=steps).map(|step| x.low + (x.high - x.low) * f64::from(step) / f64::from(steps));
        headrooms.rev().find(|headroom| headroom * self.share(*headroom) <= 1.0).unwrap_or(1.0).max(1.0)
    }
}

struct Drawing<'a> {
    chart: &'a RecoveryChart,
    page: &'a Page,
    bounds: Bounds,
    x: &'a Axis,
    y: &'a Axis,
    /// Pixels of a headroom and a length.
    at: &'a dyn Fn(f64, f64) -> (f64, f64),
}

impl Drawing<'_> {
    /// Where it never drains, and the guideline.
    fn zones(&self) {
        let (page, bounds) = (self.page, self.bounds);
        let asymptote = self.chart.asymptote(self.x);
        let edge = (self.at)(asymptote, 1.0).0.min(bounds.right);
        let never = Bounds { right: edge, ..bounds };
        page.hatch(never, Token::HeadroomNone, 30);
        page.line(&[(edge, bounds.top), (edge, bounds.bottom)], Token::HeadroomNone, 1.5, Dash::Dashed);
        let note = Lettering::LABEL.token(Token::HeadroomNone).align(Align::Centre).halo();
        let reason = if asymptote > 1.001 { "effective ≤ 1.0×" } else { "" };
        let (middle, width) = ((bounds.left + edge) / 2.0, edge - bounds.left);
        // The nominal curve comes down through the middle of a wide zone: its lower end is free.
        if note.width("effective ≤ 1.0×") + 8.0 < width {
            page.text((middle, bounds.bottom - 40.0), "never drains", note);
            page.text((middle, bounds.bottom - 22.0), reason, note);
        } else {
            let text = format!("never drains {reason}");
            let above = bounds.bottom - (bounds.bottom - bounds.top) * 0.35;
            page.text((middle.max(bounds.left + 10.0), above), text.trim_end(), note.turned());
        }
        let (left, right) = ((self.at)(GUIDELINE.0, 1.0).0, (self.at)(GUIDELINE.1, 1.0).0);
        page.rectangle(Bounds { left, right, ..bounds }, Token::Category3, 10);
        let note = Lettering::NOTE.token(Token::Category3).align(Align::Centre);
        let text = "guideline 1.5–2×";
        // A narrow zone at the edge of the page: its label stays within the plot.
        let middle = ((left + right) / 2.0).max(bounds.left + note.width(text) / 2.0);
        page.text((middle, bounds.top - 10.0), text, note);
    }

    /// T = T_outage / (h − 1) with the nominal and with the effective headroom.
    fn curves(&self, plot: &mut Plot) -> Vec<EndLabel> {
        let mut labels = Vec::new();
        let outage = self.chart.outage.as_seconds();
        let nominal = |headroom: f64| outage / (headroom - 1.0);
        let effective = |headroom: f64| outage / (headroom * self.chart.share(headroom) - 1.0);
        type Curve<'a> = (&'a dyn Fn(f64) -> f64, Token, Dash, &'a str, bool);
        let curves: [Curve; 2] = [
            (&nominal, Token::Muted, Dash::Solid, "theory, nominal: outage\u{A0}÷\u{A0}(h\u{A0}−\u{A0}1)", true),
            (&effective, Token::Category2, Dash::Dashed, "theory, effective headroom", self.chart.effective_differs()),
        ];
        for (curve, token, dash, text, drawn) in curves {
            if !drawn {
                continue;
            }
            let steps = 600;
            let points = (0..=steps).map(|step| {
                let headroom = self.x.low + (self.x.high - self.x.low) * f64::from(step) / f64::from(steps);
                let length = curve(headroom);
                // At or below the asymptote there is no time at all.
                (headroom, if length > 0.0 { length } else { f64::NAN })
            });
            self.page.set_dash(dash);
            for piece in clipped(&points.collect::<Vec<_>>(), self.x, self.y) {
                plot.draw_series(LineSeries::new(piece, pen(token, 2.0))).expect(DRAWN);
            }
            self.page.set_dash(Dash::Solid);
            let last = curve(self.x.high);
            if (self.y.low..=self.y.high).contains(&last) {
                labels.push(EndLabel { at: (self.at)(self.x.high, last), text: text.to_string(), token });
            }
        }
        labels
    }

    fn summaries(&self) -> Vec<(&RecoveryPoint, Summary)> {
        let points = self.chart.points.iter().filter(|point| !point.samples.is_empty());
        let mut summaries: Vec<_> = points.map(|point| (point, Summary::of(&point.samples))).collect();
        summaries.sort_by(|one, other| one.0.headroom.total_cmp(&other.0.headroom));
        summaries
    }

    /// Bands, whiskers and markers; the label for the margin when the last mean lies close to it.
    fn measurements(&self, summaries: &[(&RecoveryPoint, Summary)]) -> Option<EndLabel> {
        let (page, bounds) = (self.page, self.bounds);
        let horizon = self.chart.horizon.as_seconds();
        for (point, summary) in summaries {
            self.band(point, summary);
        }
        if summaries.iter().any(|(_, summary)| !summary.recovered_always()) {
            let (_, y) = (self.at)(1.0, horizon);
            page.line(&[(bounds.left, y), (bounds.right, y)], Token::Category1, 1.0, Dash::Dotted);
            let note = Lettering::NOTE.token(Token::Category1).halo().align(Align::Right);
            let text = format!("○ not recovered within {}", seconds(horizon));
            page.text((bounds.right, y - 11.0), &text, note);
        }
        let mut last = None;
        for (point, summary) in summaries {
            if let Some((mean, half)) = summary.mean {
                self.whisker(point.headroom, mean, half);
                page.disc((self.at)(point.headroom, mean), 4.5, Token::Category1);
                last = Some((self.at)(point.headroom, mean));
            } else {
                page.ring((self.at)(point.headroom, horizon), 5.0, Token::Category1);
            }
        }
        let at = last.filter(|(x, _)| bounds.right - x < NEAR_MARGIN)?;
        Some(EndLabel { at, text: "simulated".to_string(), token: Token::Category1 })
    }

    fn band(&self, point: &RecoveryPoint, summary: &Summary) {
        let Some(low) = summary.low else { return };
        let high = summary.high.unwrap_or(self.chart.horizon.as_seconds());
        let ((x, bottom), (_, top)) = ((self.at)(point.headroom, low), (self.at)(point.headroom, high));
        if bottom - top > 1.0 {
            self.page.rectangle(Bounds { left: x - 6.0, right: x + 6.0, top, bottom }, Token::Category1, 25);
        }
    }

    fn whisker(&self, headroom: f64, mean: f64, half: f64) {
        let ((x, top), (_, bottom)) =
            ((self.at)(headroom, mean + half), (self.at)(headroom, (mean - half).max(self.y.low)));
        if bottom - top > 10.0 {
            for y in [top, bottom] {
                self.page.line(&[(x - 5.0, y), (x + 5.0, y)], Token::Category1, 1.5, Dash::Solid);
            }
        }
        self.page.line(&[(x, top), (x, bottom)], Token::Category1, 1.5, Dash::Solid);
    }

    /// Values beside their markers, where there is room for them.
    fn values(&self, summaries: &[(&RecoveryPoint, Summary)]) {
        let lettering = Lettering::NOTE.token(Token::Category1).halo();
        let last = summaries.iter().rposition(|(_, summary)| summary.recovered_always());
        for (index, (point, summary)) in summaries.iter().enumerate() {
            let (x, y) =
                (self.at)(point.headroom, summary.mean.map_or(self.chart.horizon.as_seconds(), |(mean, _)| mean));
            let text = match summary.mean {
                Some((mean, _)) if Some(index) == last && self.bounds.right - x >= NEAR_MARGIN => {
                    format!("{} simulated", seconds(mean))
                }
                Some((mean, _)) => seconds(mean),
                None if summary.recovered == 0 => continue,
                None => format!("{} of {}", summary.runs - summary.recovered, counted(summary.runs as u64, "run")),
            };
            let right = Lettering { align: Align::Right, ..lettering };
            let places = [(x + 9.0, y - 10.0, lettering), (x - 9.0, y + 12.0, right), (x + 9.0, y - 24.0, lettering)];
            let _ = places.into_iter().any(|(x, y, lettering)| self.page.text_if_free((x, y), &text, lettering));
        }
    }
}

/// The message: what the recommended headroom costs, and whether it is really there.
pub fn title(chart: &RecoveryChart) -> String {
    let outage = seconds(chart.outage.as_seconds());
    let mut measured: Vec<(&RecoveryPoint, Summary)> = chart
        .points
        .iter()
        .map(|point| (point, Summary::of(&point.samples)))
        .filter(|(_, summary)| summary.runs > 0)
        .collect();
    measured.sort_by(|one, other| one.0.headroom.total_cmp(&other.0.headroom));
    let Some((highest, _)) = measured.last() else {
        return format!("No run shows how an outage of {outage} is recovered from");
    };
    let mut recovered = measured.iter().filter(|(_, summary)| summary.recovered_always());
    let chosen = recovered.clone().find(|(point, _)| point.headroom >= GUIDELINE.0 - 1e-9).or(recovered.next_back());
    let Some((point, Summary { mean: Some((mean, _)), .. })) = chosen else {
        let horizon = seconds(chart.horizon.as_seconds());
        let headroom = multiple(highest.headroom);
        return format!("Not even {headroom} headroom always recovers from an outage of {outage} within {horizon}");
    };
    let ratio = mean / chart.outage.as_seconds();
    let only = match point.effective < point.headroom * DIFFERS {
        true => format!("; effective headroom is only {}", multiple(point.effective)),
        false => String::new(),
    };
    let times = if ratio < 0.095 { format!("{ratio:.2}×") } else { format!("{ratio:.1}×") };
    format!(
        "{} headroom recovers from an outage of {outage} in {} ({times} as long){only}",
        multiple(point.headroom),
        seconds(*mean)
    )
}

/// Each point as a sentence.
pub fn description(chart: &RecoveryChart) -> String {
    let sentences = chart.points.iter().map(|point| {
        let summary = Summary::of(&point.samples);
        let start = format!("{} (effective {})", multiple(point.headroom), multiple(point.effective));
        match (summary.mean, summary.low, summary.high) {
            (Some((mean, half)), Some(low), Some(high)) => format!(
                "{start}: mean {mean:.1} s ± {half:.1} s, 5–95 % {low:.1}–{high:.1} s, {}.",
                counted(summary.runs as u64, "run")
            ),
            _ => format!("{start}: {} of {} recovered.", summary.recovered, counted(summary.runs as u64, "run")),
        }
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn table(chart: &RecoveryChart) -> String {
    let header =
        ["headroom", "effective_headroom", "run", "recovered", "recovery_seconds", "theory_seconds", "horizon_seconds"];
    let rows = chart.points.iter().flat_map(|point| {
        point.samples.iter().enumerate().map(move |(run, sample)| {
            vec![
                point.headroom.to_string(),
                point.effective.to_string(),
                run.to_string(),
                sample.is_some().to_string(),
                sample.map(|sample| sample.to_string()).unwrap_or_default(),
                point.theory.map(|theory| theory.to_string()).unwrap_or_default(),
                chart.horizon.as_seconds().to_string(),
            ]
        })
    });
    super::csv(&header, rows)
}
