//! Which headroom a recovery objective asks for: lines of equal headroom h = 1 + T_outage / T_recovery (Newell), and where this
//! system's outage and its objective, or what it took, lie among them.

use super::Figure;
use super::axis::Axis;
use super::frame::subtitle;
use super::page::{EndLabel, HEIGHT, Lettering, MARGIN, Page, WIDTH};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use crate::report::numbers::{multiple, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct SizingChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// Seconds in which nothing was processed.
    pub outage: f64,
    /// Seconds within which the backlog has to be gone.
    pub objective: f64,
    /// Whether the objective is written in the scenario; otherwise it is as long as the outage.
    pub stated: bool,
    pub footer: String,
}

const LINES: [f64; 5] = [1.1, 1.25, 1.5, 2.0, 3.0];

impl SizingChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("sizing", title(self), description(self), table(self))
    }

    fn needed(&self) -> f64 {
        1.0 + self.outage / self.objective
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let plotted =
            "Effective headroom that recovers from an outage in a given time, both logarithmic: 1 + outage ÷ recovery";
        let top = page.header(&title(self), &subtitle(&self.subject, plotted)) + 30.0;
        let bounds = Bounds { left: MARGIN + 60.0, top, right: WIDTH - MARGIN - 110.0, bottom: HEIGHT - MARGIN - 66.0 };
        let x = Axis::durations(self.outage / 8.0, self.outage * 8.0);
        let y = Axis::durations(self.objective / 12.0, self.objective * 12.0);
        let at = |outage: f64, recovery: f64| {
            let across = bounds.left + x.fraction(outage) * (bounds.right - bounds.left);
            (across, bounds.bottom - y.fraction(recovery) * (bounds.bottom - bounds.top))
        };
        page.text((MARGIN, bounds.top - 20.0), "time to recover", Lettering::NOTE);
        page.axes(bounds, &x, "length of the outage", &y);
        let mut labels = Vec::new();
        for headroom in LINES {
            let token = Token::of_headroom(headroom);
            let recovery = |outage: f64| outage / (headroom - 1.0);
            let points: Vec<(f64, f64)> = (0..=100)
                .map(|step| x.value(f64::from(step) / 100.0))
                .map(|outage| (outage, recovery(outage)))
                .collect();
            for piece in super::axis::clipped(&points, &x, &y) {
                let ends: Vec<(f64, f64)> = piece.iter().map(|(outage, recovery)| at(*outage, *recovery)).collect();
                let Some(end) = ends.last().copied() else { continue };
                page.line(&ends, token, 2.0, Dash::Solid);
                match bounds.right - end.0 < 2.0 {
                    true => labels.push(EndLabel { at: end, text: multiple(headroom), token }),
                    false => {
                        let lettering = Lettering::LABEL.token(token).align(Align::Centre);
                        page.text_if_free((end.0, bounds.top - 10.0), &multiple(headroom), lettering);
                    }
                }
            }
        }
        let point = at(self.outage, self.objective);
        page.line(&[(bounds.left, point.1), point, (point.0, bounds.bottom)], Token::Muted, 1.0, Dash::Dashed);
        page.disc(point, 6.0, Token::Category2);
        let lettering = Lettering::LABEL.token(Token::Category2).halo();
        page.text_if_free(
            (point.0 + 12.0, point.1 + 16.0),
            &format!("this outage: {}", multiple(self.needed())),
            lettering,
        );
        page.end_labels(&labels, bounds);
        page.footer(&self.footer);
        page
    }
}

/// The message: what the objective asks for.
pub fn title(chart: &SizingChart) -> String {
    let (outage, objective) = (seconds(chart.outage), seconds(chart.objective));
    let needed = multiple(chart.needed());
    match chart.stated {
        true => format!("To recover from an outage of {outage} within {objective} takes {needed} effective headroom"),
        false => format!("To recover from an outage of {outage} in as long again takes {needed} effective headroom"),
    }
}

fn description(chart: &SizingChart) -> String {
    let line =
        |headroom: &f64| format!("{} recovers in {}", multiple(*headroom), seconds(chart.outage / (headroom - 1.0)));
    format!("From an outage of {}: {}.", seconds(chart.outage), LINES.iter().map(line).collect::<Vec<_>>().join(", "))
}

fn table(chart: &SizingChart) -> String {
    let rows = LINES.iter().map(|headroom| {
        vec![chart.outage.to_string(), headroom.to_string(), (chart.outage / (headroom - 1.0)).to_string()]
    });
    super::csv(&["outage_seconds", "effective_headroom", "recovery_seconds"], rows)
}
