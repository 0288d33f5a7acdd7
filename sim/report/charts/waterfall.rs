//! What is left of a headroom: from the nominal one of a capacity sheet to that of the most loaded consumer, step by step. Each step
//! says what it takes and why; the line at 1.0× is where a backlog stops clearing.

use super::Figure;
use super::axis::Axis;
use super::frame::subtitle;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use crate::report::numbers::{multiple, percent};

#[derive(Clone, Debug, PartialEq)]
pub struct WaterfallChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// Capacity of all consumers over the arrival rate.
    pub nominal: f64,
    /// What each step leaves, as a share of what was there before; above 1 it gives.
    pub steps: Vec<WaterfallStep>,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WaterfallStep {
    /// As a person says it: "9 partitions over 4 consumers".
    pub name: String,
    pub share: f64,
}

/// A step that takes less than this is left out.
pub const NOTICED: f64 = 0.005;

impl WaterfallChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("headroom-waterfall", title(self), description(self), table(self))
    }

    fn effective(&self) -> f64 {
        self.steps.iter().fold(self.nominal, |left, step| left * step.share)
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let plotted = "Headroom: capacity ÷ arrival rate, and what each step leaves of it";
        let top = page.header(&title(self), &subtitle(&self.subject, plotted)) + 30.0;
        let bounds = Bounds { left: MARGIN + 52.0, top, right: WIDTH - MARGIN, bottom: HEIGHT - MARGIN - 84.0 };
        let highest = self.steps.iter().scan(self.nominal, |left, step| {
            *left *= step.share;
            Some(*left)
        });
        let highest = highest.fold(self.nominal, f64::max).max(1.0);
        let y = Axis::multiples(0.0, highest * 1.08);
        let at = |value: f64| bounds.bottom - y.fraction(value).clamp(0.0, 1.0) * (bounds.bottom - bounds.top);
        page.text((MARGIN, bounds.top - 22.0), "headroom", Lettering::NOTE);
        let none = Axis { ticks: Vec::new(), ..y.clone() };
        page.axes(bounds, &none, "", &y);
        let columns = self.steps.len() + 2;
        let width = (bounds.right - bounds.left) / columns as f64;
        let column = |number: usize| (bounds.left + (number as f64 + 0.5) * width, (width * 0.62).min(110.0) / 2.0);
        let write = |number: usize, y: f64, value: &str, name: &str, token: Token| {
            let (middle, _) = column(number);
            page.text((middle, y - 11.0), value, Lettering::LABEL.align(Align::Centre).token(token).halo());
            for (line, text) in Lettering::NOTE.wrapped(name, width - 10.0, 4).iter().enumerate() {
                let below = bounds.bottom + 17.0 + 15.0 * line as f64;
                page.text((middle, below), text, Lettering::NOTE.align(Align::Centre));
            }
        };
        let whole = |number: usize, value: f64, name: &str| {
            let (middle, half) = column(number);
            let bar = Bounds { left: middle - half, right: middle + half, top: at(value), bottom: bounds.bottom };
            page.rectangle(bar, Token::of_headroom(value), 100);
            write(number, at(value), &multiple(value), name, Token::Ink);
        };
        whole(0, self.nominal, "on paper");
        let mut left = self.nominal;
        for (number, step) in self.steps.iter().enumerate() {
            let (middle, half) = column(number + 1);
            let after = left * step.share;
            let (high, low) = (at(left.max(after)), at(left.min(after)));
            let bar = Bounds { left: middle - half, right: middle + half, top: high, bottom: low.max(high + 1.0) };
            let token = if step.share < 1.0 { Token::Category2 } else { Token::Category3 };
            page.rectangle(bar, token, 35);
            page.hatch(bar, token, 100);
            let (before, _) = column(number);
            page.line(&[(before + half, at(left)), (middle - half, at(left))], Token::Muted, 1.0, Dash::Dotted);
            let sign = if step.share < 1.0 { "−" } else { "+" };
            write(number + 1, high, &format!("{sign}{}", multiple((left - after).abs())), &step.name, token);
            left = after;
        }
        whole(columns - 1, left, "in effect");
        let one = at(1.0);
        page.line(&[(bounds.left, one), (bounds.right, one)], Token::HeadroomNone, 1.5, Dash::Dashed);
        let note = Lettering::NOTE.token(Token::HeadroomNone).halo();
        let gap = (0..columns).map(|number| column(number).0 + column(number).1 + 6.0);
        for x in gap {
            if page.text_if_free((x, one - 10.0), "never clears below", note) {
                break;
            }
        }
        page.footer(&self.footer);
        page
    }
}

/// The message: what is left, and what takes most.
pub fn title(chart: &WaterfallChart) -> String {
    let (paper, effect) = (multiple(chart.nominal), multiple(chart.effective()));
    let costs = chart.steps.iter().filter(|step| step.share < 1.0 - NOTICED);
    match costs.min_by(|one, other| one.share.total_cmp(&other.share)) {
        Some(step) => format!("{paper} on paper is {effect} in effect; biggest cost: {}", step.name),
        None => format!("{paper} on paper is {effect} in effect: nothing takes from it"),
    }
}

fn description(chart: &WaterfallChart) -> String {
    let steps = chart.steps.iter().map(|step| format!("{} leaves {}", step.name, percent(step.share)));
    let steps = steps.collect::<Vec<_>>().join("; ");
    format!("Nominal {}. {steps}. Effective {}.", multiple(chart.nominal), multiple(chart.effective()))
}

fn table(chart: &WaterfallChart) -> String {
    let mut left = chart.nominal;
    let mut rows = vec![vec!["on paper".to_string(), String::new(), left.to_string()]];
    for step in &chart.steps {
        left *= step.share;
        rows.push(vec![step.name.clone(), step.share.to_string(), left.to_string()]);
    }
    super::csv(&["step", "share_left", "headroom_after"], rows)
}
