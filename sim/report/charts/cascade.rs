//! One outage, seen by two designs side by side: what fails in the one, and what waits in the other. Both panels have the same time,
//! and the same fault behind the data.

use super::Figure;
use super::axis::{Axis, clipped};
use super::fault_band::{self, FaultBand};
use super::frame::subtitle;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH};
use super::palette::Token;
use super::sheet::{Bounds, Dash};
use crate::report::numbers::{capitalised, count, percent, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct CascadeChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// What is out, in both.
    pub outage: String,
    pub fails: Failing,
    pub waits: Waiting,
    pub faults: Vec<FaultBand>,
    /// End of the load, in seconds after it began.
    pub horizon: f64,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

/// The design in which requests fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    pub design: String,
    /// Who is asked.
    pub service: String,
    /// Seconds after the load began, and requests a second that got no "ok".
    pub points: Vec<(f64, f64)>,
    pub failed: u64,
    pub of: u64,
}

/// The design in which messages wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub design: String,
    /// Who comes late.
    pub service: String,
    /// Seconds after the load began, and messages that wait.
    pub points: Vec<(f64, f64)>,
    /// Requests that got no "ok" here.
    pub failed: u64,
    /// When the last of the backlog was gone.
    pub cleared_at: Option<f64>,
}

impl CascadeChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("cascade", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let plotted = "Left: requests that get no ok. Right: messages that wait. Over the time after the load began";
        let top = page.header(&title(self), &subtitle(&self.subject, plotted));
        let lanes = fault_band::lanes_height(&self.faults);
        let middle = WIDTH / 2.0;
        let panel = |left: f64, right: f64| Bounds {
            left: left + 72.0,
            top: top + 44.0 + lanes,
            right,
            bottom: HEIGHT - MARGIN - 66.0,
        };
        let failing = format!("{}: {} fails", self.fails.design, self.fails.service);
        let waiting = format!("{}: {} comes late", self.waits.design, self.waits.service);
        let panels = [
            (panel(MARGIN, middle - 14.0), failing, "requests a second", &self.fails.points, Token::Category2),
            (panel(middle + 6.0, WIDTH - MARGIN), waiting, "messages", &self.waits.points, Token::Category1),
        ];
        for (bounds, heading, unit, points, token) in panels {
            let highest = points.iter().map(|point| point.1).fold(0.0, f64::max);
            let (x, y) = (Axis::time(0.0, self.horizon), Axis::counts(highest));
            fault_band::draw(&page, &self.faults, &x, bounds);
            let room = bounds.right - bounds.left;
            let heading = Lettering::LABEL.fitted(&heading, room);
            page.text((bounds.left, bounds.top - lanes - 30.0), &heading, Lettering::LABEL.token(token));
            page.text((bounds.left, bounds.top - lanes - 12.0), unit, Lettering::NOTE);
            page.axes(bounds, &x, "time after the load began", &y);
            let at = |(time, value): (f64, f64)| {
                let across = bounds.left + x.fraction(time).clamp(0.0, 1.0) * room;
                (across, bounds.bottom - y.fraction(value).clamp(0.0, 1.0) * (bounds.bottom - bounds.top))
            };
            for piece in clipped(points, &x, &y) {
                let line: Vec<(f64, f64)> = piece.iter().map(|point| at(*point)).collect();
                let (Some(first), Some(last)) = (line.first(), line.last()) else { continue };
                let mut area = line.clone();
                area.extend([(last.0, bounds.bottom), (first.0, bounds.bottom)]);
                page.area(&area, token, 20);
                page.line(&line, token, 2.0, Dash::Solid);
            }
        }
        page.footer(&self.footer);
        page
    }
}

/// The message: how many fail here, and how many only wait there.
pub fn title(chart: &CascadeChart) -> String {
    let Failing { design, failed, of, .. } = &chart.fails;
    let share = percent(*failed as f64 / (*of).max(1) as f64);
    let waits = &chart.waits;
    let others = match waits.failed {
        0 => "nothing fails".to_string(),
        failed => format!("{} fail", count(failed)),
    };
    let gone = waits.cleared_at.map_or(String::new(), |time| format!(", gone at {}", seconds(time)));
    let text = format!(
        "{}: with {design} {share} of requests fail; with {} {others} and at most {} messages wait{gone}",
        chart.outage,
        waits.design,
        count(peak(&waits.points) as u64)
    );
    capitalised(&text)
}

fn peak(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|point| point.1).fold(0.0, f64::max)
}

/// Both panels as sentences.
pub fn description(chart: &CascadeChart) -> String {
    let (fails, waits) = (&chart.fails, &chart.waits);
    let gone = waits.cleared_at.map_or("not gone at the end".to_string(), |time| format!("gone at {time:.1} s"));
    format!(
        "{}: {} of {} requests of {} get no ok, at most {:.0} a second. {}: at most {} messages wait for {}, {gone}. {}",
        fails.design,
        count(fails.failed),
        count(fails.of),
        fails.service,
        peak(&fails.points),
        waits.design,
        count(peak(&waits.points) as u64),
        waits.service,
        fault_band::described(&chart.faults)
    )
}

fn table(chart: &CascadeChart) -> String {
    let rows = |design: &str, what: &str, points: &[(f64, f64)]| -> Vec<Vec<String>> {
        let row = |(time, value): &(f64, f64)| vec![design.into(), what.into(), time.to_string(), value.to_string()];
        points.iter().map(row).collect()
    };
    let failing = rows(&chart.fails.design, "failed requests a second", &chart.fails.points);
    let waiting = rows(&chart.waits.design, "messages waiting", &chart.waits.points);
    super::csv(&["design", "what", "seconds", "value"], failing.into_iter().chain(waiting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::charts::palette::FaultKind;

    fn chart(failed: u64, cleared_at: Option<f64>) -> CascadeChart {
        let band = |name: &str| FaultBand { name: name.into(), kind: FaultKind::Downstream, from: 20.0, to: 40.0 };
        let wave =
            |height: f64| (0..=120).map(move |half| f64::from(half) / 2.0).map(move |at| (at, at.min(40.0) * height));
        CascadeChart {
            subject: "Direct calls or publish and subscribe?".into(),
            outage: "relay-silent".into(),
            fails: Failing {
                design: "direct".into(),
                service: "shop".into(),
                points: wave(0.5).collect(),
                failed,
                of: 1_000,
            },
            waits: Waiting {
                design: "pub-sub".into(),
                service: "a-service-whose-name-nobody-wanted-to-shorten-in-sixty-signs".into(),
                points: wave(11.0).collect(),
                failed: 0,
                cleared_at,
            },
            faults: vec![band("silent")],
            horizon: 60.0,
            footer: "run · seeds 0–19".into(),
        }
    }

    #[test]
    fn the_title_says_how_many_fail_here_and_how_many_wait_there() {
        let said = title(&chart(170, Some(44.0)));
        let expected = "Relay-silent: with direct 17 % of requests fail; with pub-sub nothing fails and at most 440 messages wait, \
                        gone at 44 s";
        assert_eq!(said, expected);
        assert!(!title(&chart(170, None)).contains("gone"));
    }

    #[test]
    fn no_text_touches_another_and_the_numbers_are_there() {
        for chart in [chart(170, Some(44.0)), chart(0, None)] {
            let figure = chart.draw();
            assert_eq!(figure.blemishes, Vec::<String>::new());
            assert_eq!(figure.csv.lines().count(), 1 + 2 * 121);
            assert_eq!(figure, chart.draw());
        }
    }
}
