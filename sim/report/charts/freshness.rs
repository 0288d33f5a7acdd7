//! How old the oldest message is that nobody has processed yet: what a reader of the results feels of a backlog. In seconds, so that
//! it compares with an objective, whatever the rate.

use super::Figure;
use super::axis::Axis;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Frame, subtitle};
use super::page::{EndLabel, Lettering, Page};
use super::palette::Token;
use super::sheet::{Align, Dash};
use crate::report::numbers::{capitalised, counted, multiple, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct FreshnessChart {
    /// What was studied. May be empty.
    pub subject: String,
    pub series: Vec<FreshnessSeries>,
    /// The oldest that is allowed, in seconds, where something is.
    pub objective: Option<f64>,
    pub faults: Vec<FaultBand>,
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FreshnessSeries {
    pub label: String,
    /// Orders and colours the lines, when headroom is what is compared.
    pub headroom: Option<f64>,
    /// Seconds after the load began, and age in seconds; in order of time, at equal steps.
    pub points: Vec<(f64, f64)>,
    /// Messages that waited longer than the ordinary way.
    pub delayed: u64,
}

/// Lines drawn; of more, those that become oldest.
const MOST_LINES: usize = 8;
/// With more lines than these, the areas above the objective would hide each other.
const SHADED: usize = 3;
/// What is older than this is old without an objective.
const NOTICED: f64 = 1.0;

impl FreshnessSeries {
    fn name(&self) -> String {
        self.headroom.map_or(self.label.clone(), multiple)
    }

    fn worst(&self) -> f64 {
        self.points.iter().map(|point| point.1).fold(0.0, f64::max)
    }

    /// How long the age was above the limit.
    fn above(&self, limit: f64) -> f64 {
        self.points.windows(2).filter(|pair| limit < pair[1].1).map(|pair| pair[1].0 - pair[0].0).sum()
    }
}

impl FreshnessChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("freshness", title(self), description(self), table(self))
    }

    fn limit(&self) -> f64 {
        self.objective.unwrap_or(NOTICED)
    }

    /// The one that is old for longest last, so that it lies on top.
    fn drawn(&self) -> Vec<&FreshnessSeries> {
        let mut drawn: Vec<&FreshnessSeries> = self.series.iter().collect();
        let oldness = |series: &FreshnessSeries| (series.above(self.limit()), series.worst());
        drawn.sort_by(|one, other| oldness(one).partial_cmp(&oldness(other)).expect("ages are numbers"));
        drawn.split_off(drawn.len().saturating_sub(MOST_LINES))
    }

    fn page(&self) -> Page {
        let drawn = self.drawn();
        let which = match drawn.len() < self.series.len() {
            true => format!(", the {} worst of {}", drawn.len(), self.series.len()),
            false => String::new(),
        };
        let plotted = format!("Age of the oldest message that is not processed{which}");
        let highest = drawn.iter().map(|series| series.worst()).fold(self.objective.unwrap_or(0.0), f64::max);
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "age",
            faults: &self.faults,
            footer: &self.footer,
        };
        let frame = Frame::over_time(&around, (0.0, self.horizon), Axis::time(0.0, highest.max(0.1) * 1.05), 190.0);
        let (mut labels, mut tokens) = (Vec::new(), Vec::new());
        for (number, series) in drawn.iter().enumerate() {
            let token = match series.headroom {
                Some(headroom) => Token::of_headroom(headroom),
                None => [Token::Category1, Token::Category2, Token::Category3, Token::Category4][number % 4],
            };
            // Lines of one colour are told apart by their dashes.
            let same = tokens.iter().filter(|other| **other == token).count();
            tokens.push(token);
            let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::Mixed][same % 4];
            if let Some(limit) = self.objective.filter(|_| drawn.len() <= SHADED) {
                self.violated(&frame, series, limit, token);
            }
            frame.line(&series.points, token, 2.0, dash);
            let (at, worst) = series
                .points
                .iter()
                .copied()
                .reduce(|best, next| if best.1 < next.1 { next } else { best })
                .unwrap_or((0.0, 0.0));
            let end = series.points.last().copied().unwrap_or((at, worst));
            let text = match drawn.len() {
                1 => format!("at most {}", seconds(worst)),
                _ => format!("{}: at most {}", series.name(), seconds(worst)),
            };
            labels.push(EndLabel { at: frame.at(end), text, token });
        }
        if let Some(limit) = self.objective {
            let y = frame.at((0.0, limit)).1;
            frame.page.line(&[(frame.bounds.left, y), (frame.bounds.right, y)], Token::HeadroomNone, 1.5, Dash::Dashed);
            let lettering = Lettering::NOTE.token(Token::HeadroomNone).align(Align::Left).halo();
            frame.page.text_if_free(
                (frame.bounds.left + 8.0, y - 10.0),
                &format!("objective {}", seconds(limit)),
                lettering,
            );
        }
        frame.page.end_labels(&labels, frame.bounds);
        frame.page
    }

    /// The area between the line and the objective.
    fn violated(&self, frame: &Frame, series: &FreshnessSeries, limit: f64, token: Token) {
        for pair in series.points.windows(2).filter(|pair| limit < pair[0].1.min(pair[1].1)) {
            let corners = [(pair[0].0, limit), pair[0], pair[1], (pair[1].0, limit)].map(|point| frame.at(point));
            frame.page.area(&corners, token, 15);
        }
    }
}

/// The message: how old, for how long, how many.
pub fn title(chart: &FreshnessChart) -> String {
    let drawn = chart.drawn();
    let Some(series) = drawn.last() else { return "No age was measured".to_string() };
    let (limit, above) = (chart.limit(), series.above(chart.limit()));
    let with = match (chart.series.len(), series.headroom) {
        (1, _) => String::new(),
        (_, Some(headroom)) => format!("at {}, ", multiple(headroom)),
        (_, None) => format!("with {}, ", series.label),
    };
    let text = match above {
        0.0 if chart.objective.is_some() => {
            format!("{with}nothing waits longer than {}; the objective is {}", seconds(series.worst()), seconds(limit))
        }
        0.0 => format!("{with}nothing waits longer than {}", seconds(series.worst())),
        above => {
            let delayed = counted(series.delayed, "message");
            format!(
                "{with}data is older than {} for {}; {delayed} late, at most {}",
                seconds(limit),
                seconds(above),
                seconds(series.worst())
            )
        }
    };
    capitalised(&text)
}

fn description(chart: &FreshnessChart) -> String {
    let one = |series: &&FreshnessSeries| {
        let name = if series.label.is_empty() { "age".to_string() } else { series.name() };
        format!("{name}: at most {}, {} late.", seconds(series.worst()), counted(series.delayed, "message"))
    };
    let all = chart.drawn().iter().map(one).collect::<Vec<_>>().join(" ");
    format!("{all} {}", fault_band::described(&chart.faults))
}

fn table(chart: &FreshnessChart) -> String {
    let rows = chart.series.iter().flat_map(|series| {
        series.points.iter().map(|(time, age)| vec![series.name(), time.to_string(), age.to_string()])
    });
    super::csv(&["series", "seconds", "oldest_age_seconds"], rows)
}
