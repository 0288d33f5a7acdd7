//! Counts that only grow, one line for each stage an event passes (Newell's curves): upwards between two lines is the backlog, across
//! is the delay. One picture of where events wait.

use super::Figure;
use super::axis::Axis;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Frame, subtitle};
use super::page::{EndLabel, Lettering, Page};
use super::palette::Token;
use super::sheet::{Align, Dash};
use crate::report::numbers::{count, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct CumulativeChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// From first to last stage: "arrived", "queued", "processed", "committed".
    pub stages: Vec<Stage>,
    pub faults: Vec<FaultBand>,
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub name: String,
    /// Seconds after the load began, and how many so far; in order of time.
    pub points: Vec<(f64, f64)>,
}

impl Stage {
    fn at_most(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.1)
    }

    /// When the count was reached; between two points as if evenly.
    fn reached(&self, number: f64) -> Option<f64> {
        let after = self.points.iter().position(|point| number <= point.1)?;
        let (at, value) = self.points[after];
        match after.checked_sub(1).map(|before| self.points[before]) {
            Some((since, below)) if below < value => Some(since + (at - since) * (number - below) / (value - below)),
            _ => Some(at),
        }
    }
}

impl CumulativeChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("cumulative", title(self), description(self), table(self))
    }

    /// The longest way across between the first stage and the one that counts: which event, and from when to when.
    fn worst(&self) -> Option<(f64, f64, f64)> {
        let (first, done) = (self.stages.first()?, self.done()?);
        let delays = done.points.iter().filter(|(_, number)| 0.0 < *number).filter_map(|(at, number)| {
            let arrived = first.reached(*number)?;
            (arrived < *at).then_some((*number, arrived, *at))
        });
        delays.reduce(|worst, next| if worst.2 - worst.1 < next.2 - next.1 { next } else { worst })
    }

    fn done(&self) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == "processed").or(self.stages.last())
    }

    fn page(&self) -> Page {
        let highest = self.stages.iter().map(|stage| stage.at_most()).fold(0.0, f64::max);
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(
                &self.subject,
                "Events so far at each stage: upwards between lines is the backlog, across is the delay",
            ),
            unit: "events so far",
            faults: &self.faults,
            footer: &self.footer,
        };
        let frame = Frame::over_time(&around, (0.0, self.horizon), Axis::counts(highest), 170.0);
        let looks = [
            (Token::Ink, Dash::Solid),
            (Token::Category1, Dash::Dashed),
            (Token::Category3, Dash::Solid),
            (Token::Category2, Dash::Dotted),
        ];
        let mut labels = Vec::new();
        for (stage, (token, dash)) in self.stages.iter().zip(looks) {
            frame.line(&stage.points, token, 2.0, dash);
            if let Some(end) = stage.points.last() {
                let text = format!("{} {}", count(end.1 as u64), stage.name);
                labels.push(EndLabel { at: frame.at(*end), text, token });
            }
        }
        if let Some((number, from, to)) = self.worst().filter(|(_, from, to)| self.horizon / 50.0 < to - from) {
            let (left, right) = (frame.at((from, number)), frame.at((to, number)));
            frame.page.line(&[left, right], Token::HeadroomNone, 2.0, Dash::Solid);
            frame.page.disc(left, 3.5, Token::HeadroomNone);
            frame.page.disc(right, 3.5, Token::HeadroomNone);
            let lettering = Lettering::LABEL.token(Token::HeadroomNone).halo();
            let text = format!("waits {}", seconds(to - from));
            let below = ((left.0 + right.0) / 2.0, left.1 + 14.0);
            let _ = frame.page.text_if_free(below, &text, lettering.align(Align::Centre))
                || frame.page.text_if_free((right.0 + 8.0, right.1 + 12.0), &text, lettering);
        }
        frame.page.end_labels(&labels, frame.bounds);
        frame.page
    }
}

/// The message: the longest delay, and when.
pub fn title(chart: &CumulativeChart) -> String {
    let name = chart.done().map_or("done", |stage| stage.name.as_str());
    match chart.worst() {
        Some((_, from, to)) => {
            format!("Worst delay: what arrives at {} is {name} {} later", seconds(from), seconds(to - from))
        }
        None => format!("Nothing was {name}"),
    }
}

fn description(chart: &CumulativeChart) -> String {
    let stages = chart.stages.iter().map(|stage| format!("{} {}", count(stage.at_most() as u64), stage.name));
    format!("At the end: {}. {}", stages.collect::<Vec<_>>().join(", "), fault_band::described(&chart.faults))
}

fn table(chart: &CumulativeChart) -> String {
    let rows = chart.stages.iter().flat_map(|stage| {
        stage.points.iter().map(|(time, number)| vec![stage.name.clone(), time.to_string(), number.to_string()])
    });
    super::csv(&["stage", "seconds", "events"], rows)
}
