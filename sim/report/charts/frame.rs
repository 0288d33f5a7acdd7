//! What every chart over time has in common: a header, faults behind the data, axes, and where a value lies. And what every chart of
//! rows has: labels on the left, bars along time, and only as many rows as a page can bear.

use super::axis::{Axis, clipped};
use super::fault_band::{self, FaultBand};
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};

/// The subject as a sentence of its own in front of what is plotted.
pub fn subtitle(subject: &str, plotted: &str) -> String {
    match subject.chars().last() {
        None => plotted.to_string(),
        Some('.' | '?' | '!') => format!("{subject} {plotted}"),
        Some(_) => format!("{subject}. {plotted}"),
    }
}

/// A plot over time.
pub struct Frame {
    pub page: Page,
    pub bounds: Bounds,
    pub x: Axis,
    pub y: Axis,
}

/// What a frame says around the data.
pub struct Around<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
    /// Of the axis upwards.
    pub unit: &'a str,
    pub faults: &'a [FaultBand],
    pub footer: &'a str,
}

impl Frame {
    /// From the begin to the end in seconds after the load began; `right` is the room for labels at the ends of lines.
    pub fn over_time(around: &Around, (begin, end): (f64, f64), y: Axis, right: f64) -> Frame {
        let page = Page::new(HEIGHT);
        let top = page.header(around.title, around.subtitle);
        let x = Axis::time(begin, end);
        let widest = y.ticks.iter().map(|tick| Lettering::NOTE.width(&tick.label)).fold(0.0, f64::max);
        let lanes = fault_band::lanes_height(around.faults);
        let bounds = Bounds {
            left: MARGIN + (widest + 12.0).max(if around.faults.is_empty() { 0.0 } else { 72.0 }),
            top: top + 22.0 + lanes,
            right: WIDTH - right,
            bottom: HEIGHT - MARGIN - 66.0,
        };
        fault_band::draw(&page, around.faults, &x, bounds);
        page.text((MARGIN, bounds.top - lanes - 16.0), around.unit, Lettering::NOTE);
        page.axes(bounds, &x, "time after the load began", &y);
        page.footer(around.footer);
        Frame { page, bounds, x, y }
    }

    pub fn at(&self, (time, value): (f64, f64)) -> (f64, f64) {
        let Bounds { left, right, top, bottom } = self.bounds;
        let (x, y) = (self.x.fraction(time).clamp(0.0, 1.0), self.y.fraction(value).clamp(0.0, 1.0));
        (left + x * (right - left), bottom - y * (bottom - top))
    }

    pub fn line(&self, points: &[(f64, f64)], token: Token, width: f64, dash: Dash) {
        for piece in clipped(points, &self.x, &self.y) {
            let piece: Vec<(f64, f64)> = piece.into_iter().map(|point| self.at(point)).collect();
            self.page.line(&piece, token, width, dash);
        }
    }
}

/// Rows of bars over time: one for each partition, or each seed.
pub struct Lanes {
    pub page: Page,
    pub x: Axis,
    left: f64,
    top: f64,
    right: f64,
    row: f64,
    labels: f64,
}

/// Rows that a page can bear.
pub const MOST_ROWS: usize = 24;

impl Lanes {
    /// A page as long as its rows need. `faults` stand in lanes of their own above.
    /// `room` is left free on the right, for what is said of each row.
    pub fn new(around: &Around, (begin, end): (f64, f64), labels: &[String], room: f64) -> Lanes {
        let (_, header) = super::page::header_lines(around.title, around.subtitle);
        let lanes = fault_band::lanes_height(around.faults);
        let top = header + lanes + 12.0;
        let rows = labels.len().max(1) as f64;
        let rest = top + MARGIN + 66.0;
        let row = ((HEIGHT - rest) / rows).clamp(20.0, 44.0);
        let page = Page::new((rest + rows * row).max(260.0));
        page.header(around.title, around.subtitle);
        let widest = labels.iter().map(|label| Lettering::LABEL.width(label) * 1.06).fold(48.0, f64::max).min(220.0);
        let left = MARGIN + widest + 12.0;
        let (right, bottom) = (WIDTH - MARGIN - 12.0 - room, top + rows * row);
        let x = Axis::time(begin, end);
        let bounds = Bounds { left, top, right, bottom };
        fault_band::draw(&page, around.faults, &x, bounds);
        page.axes(
            bounds,
            &x,
            "time after the load began",
            &Axis { low: 0.0, high: 1.0, ticks: Vec::new(), ..x.clone() },
        );
        page.footer(around.footer);
        let lanes = Lanes { page, x, left, top, right, row, labels: widest };
        for (number, label) in labels.iter().enumerate() {
            let text = Lettering::LABEL.fitted_partition(label, lanes.labels);
            lanes.page.text((MARGIN, lanes.middle(number)), &text, Lettering::LABEL);
        }
        lanes
    }

    pub fn middle(&self, row: usize) -> f64 {
        self.top + (row as f64 + 0.5) * self.row
    }

    pub fn x(&self, time: f64) -> f64 {
        self.left + self.x.fraction(time).clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// The place of a bar.
    pub fn bar(&self, row: usize, from: f64, to: f64) -> Bounds {
        let half = (self.row / 2.0 - 3.0).min(15.0);
        let middle = self.middle(row);
        let left = self.x(from);
        Bounds { left, right: self.x(to).max(left + 1.0), top: middle - half, bottom: middle + half }
    }

    /// A bar in a colour of two papers, with its name inside where it fits.
    pub fn filled(&self, bounds: Bounds, name: &str, fill: Token, text: Token) {
        self.page.rectangle(bounds, fill, 100);
        let lettering = Lettering::FOOTER.token(text).align(Align::Centre);
        if lettering.width(name) * 1.06 + 6.0 <= bounds.right - bounds.left {
            let middle = ((bounds.left + bounds.right) / 2.0, (bounds.top + bounds.bottom) / 2.0);
            self.page.text(middle, name, lettering);
        }
    }

    /// A bar that says by hatching that something is amiss.
    pub fn hatched(&self, bounds: Bounds, token: Token) {
        self.page.hatch(bounds, token, 100);
        let Bounds { left, right, top, bottom } = bounds;
        let edge = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.page.line(&edge, token, 1.0, Dash::Solid);
    }
}

/// The rows to draw, in their order: all of them, or those where the weight is greatest.
pub fn worst_rows(weights: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|one, other| weights[*other].total_cmp(&weights[*one]));
    order.truncate(MOST_ROWS);
    order.sort_unstable();
    order
}
