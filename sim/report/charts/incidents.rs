//! When what was lost, repeated or put out of order had been produced: one row for each run, its faults as bars, its bad events as
//! marks. What falls within a fault is its doing; what does not asks for another reason.

use super::Figure;
use super::fault_band::FaultBand;
use super::frame::{Around, Lanes, MOST_ROWS, subtitle};
use super::page::{Lettering, Page};
use super::palette::Token;
use super::sheet::{Align, Dash};
use crate::report::numbers::{capitalised, count, counted, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct IncidentsChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// Runs with a bad event, in the order of their seeds.
    pub rows: Vec<IncidentRow>,
    /// All runs, with those that had none.
    pub runs: u64,
    /// Bad events beyond those that are marked.
    pub unmarked: u64,
    /// From the begin of the load to this, in seconds.
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRow {
    /// "seed 7".
    pub label: String,
    pub faults: Vec<FaultBand>,
    pub incidents: Vec<Incident>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// When the event arrived, in seconds after the load began.
    pub at: f64,
    pub kind: IncidentKind,
    /// Its number, as `hikyaku explain` takes it.
    pub event: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IncidentKind {
    Lost,
    Repeated,
    Stale,
    Reordered,
    Unsettled,
}

impl IncidentKind {
    const ALL: [IncidentKind; 5] = [
        IncidentKind::Lost,
        IncidentKind::Repeated,
        IncidentKind::Stale,
        IncidentKind::Reordered,
        IncidentKind::Unsettled,
    ];

    fn word(self) -> &'static str {
        match self {
            IncidentKind::Lost => "lost",
            IncidentKind::Repeated => "repeated",
            IncidentKind::Stale => "stale",
            IncidentKind::Reordered => "out of order",
            IncidentKind::Unsettled => "unsettled",
        }
    }

    fn glyph(self) -> &'static str {
        match self {
            IncidentKind::Lost => "✗",
            IncidentKind::Repeated => "●",
            IncidentKind::Stale => "←",
            IncidentKind::Reordered => "→",
            IncidentKind::Unsettled => "○",
        }
    }

    fn token(self) -> Token {
        match self {
            IncidentKind::Lost => Token::HeadroomNone,
            IncidentKind::Repeated => Token::Category1,
            IncidentKind::Stale => Token::Category4,
            IncidentKind::Reordered => Token::Category3,
            IncidentKind::Unsettled => Token::Muted,
        }
    }
}

impl IncidentsChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("loss-dup-timeline", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let drawn = &self.rows[..self.rows.len().min(MOST_ROWS)];
        let had = |kind: &IncidentKind| drawn.iter().flat_map(|row| &row.incidents).any(|one| one.kind == *kind);
        let signs: Vec<String> = IncidentKind::ALL
            .iter()
            .filter(|kind| had(kind))
            .map(|kind| format!("{} {}", kind.glyph(), kind.word()))
            .collect();
        let which = match drawn.len() < self.rows.len() {
            true => format!("the first {} of {} runs", drawn.len(), count(self.rows.len() as u64)),
            false => "runs".to_string(),
        };
        let plotted =
            format!("When bad events had arrived, in {which} that have some: {}. Bars: faults", signs.join(", "));
        let labels: Vec<String> = drawn.iter().map(|row| row.label.clone()).collect();
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "",
            faults: &[],
            footer: &self.footer,
        };
        let lanes = Lanes::new(&around, (0.0, self.horizon), &labels, 0.0);
        for (number, row) in drawn.iter().enumerate() {
            let middle = lanes.middle(number);
            lanes.page.line(&[(lanes.x(0.0), middle), (lanes.x(self.horizon), middle)], Token::Grid, 1.0, Dash::Solid);
            for fault in &row.faults {
                let bar = lanes.bar(number, fault.from, fault.to);
                let (top, bottom) = (bar.top + 1.0, bar.bottom - 1.0);
                let thin = super::sheet::Bounds { top, bottom, right: bar.right.max(bar.left + 2.0), ..bar };
                lanes.page.rectangle(thin, Token::Fault(fault.kind), 30);
                lanes.page.line(
                    &[(bar.left, bar.top), (bar.left, bar.bottom)],
                    Token::Fault(fault.kind),
                    2.0,
                    Dash::Solid,
                );
            }
            for incident in &row.incidents {
                let lettering = Lettering { size: 17.0, ..Lettering::LABEL }
                    .align(Align::Centre)
                    .token(incident.kind.token())
                    .halo();
                // Where several stand at one place, one sign is enough.
                lanes.page.text_if_free((lanes.x(incident.at), middle), incident.kind.glyph(), lettering);
            }
        }
        lanes.page
    }

    /// The longest time between the begin of a fault, or any moment of it, and an event that it may have struck.
    fn distances(&self) -> Vec<f64> {
        let distance = |row: &IncidentRow, at: f64| {
            row.faults
                .iter()
                .map(|fault| if at < fault.from { fault.from - at } else { (at - fault.to).max(0.0) })
                .fold(f64::INFINITY, f64::min)
        };
        self.rows.iter().flat_map(|row| row.incidents.iter().map(move |one| distance(row, one.at))).collect()
    }
}

/// The message: how many, in how many runs, and how near to a fault.
pub fn title(chart: &IncidentsChart) -> String {
    let marked = chart.rows.iter().map(|row| row.incidents.len() as u64).sum::<u64>();
    let all = marked + chart.unmarked;
    if all == 0 {
        return "Nothing is lost, repeated or out of order".to_string();
    }
    let in_runs = match chart.runs {
        1 => String::new(),
        runs => format!(" in {} of {}", count(chart.rows.len() as u64), counted(runs, "run")),
    };
    let farthest = chart.distances().into_iter().fold(0.0, f64::max);
    let near = match farthest {
        _ if chart.rows.iter().all(|row| row.faults.is_empty()) => "without any fault".to_string(),
        far if far.is_infinite() => "some of them in runs without a fault".to_string(),
        0.0 => "all while a fault lasted".to_string(),
        far if chart.unmarked == 0 => format!("all within {} of a fault", seconds(far)),
        far => format!("those marked within {} of a fault", seconds(far)),
    };
    let kinds: std::collections::BTreeSet<IncidentKind> =
        chart.rows.iter().flat_map(|row| &row.incidents).map(|one| one.kind).collect();
    let what = match (kinds.len(), kinds.first()) {
        (1, Some(kind)) => format!("{} {}", counted(all, "event"), kind.word()),
        _ => counted(all, "bad event"),
    };
    capitalised(&format!("{what}{in_runs}, {near}"))
}

fn description(chart: &IncidentsChart) -> String {
    let row = |row: &IncidentRow| {
        let bad = row.incidents.iter().map(|one| format!("{} {} at {:.2} s", one.event, one.kind.word(), one.at));
        format!("{}: {}.", row.label, bad.collect::<Vec<_>>().join(", "))
    };
    let mut text = chart.rows.iter().take(MOST_ROWS).map(row).collect::<Vec<_>>().join(" ");
    if 0 < chart.unmarked {
        text += &format!(" And {} more.", count(chart.unmarked));
    }
    text
}

fn table(chart: &IncidentsChart) -> String {
    let rows = chart.rows.iter().flat_map(|row| {
        row.incidents
            .iter()
            .map(|one| vec![row.label.clone(), one.event.clone(), one.kind.word().to_string(), one.at.to_string()])
    });
    super::csv(&["run", "event", "kind", "arrived_seconds"], rows)
}
