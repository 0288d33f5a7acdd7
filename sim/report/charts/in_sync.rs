//! How many replicas of each partition were in sync, and when they were fewer than it takes to write: the windows in which acks=all
//! refuses, and in which one more failure may lose what was acknowledged.

use super::Figure;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Lanes, subtitle, worst_rows};
use super::page::Page;
use super::palette::Token;
use crate::report::numbers::{capitalised, count, counted, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct InSyncChart {
    /// What was studied. May be empty.
    pub subject: String,
    pub rows: Vec<ReplicatedPartition>,
    pub faults: Vec<FaultBand>,
    /// From the begin of the load to this, in seconds.
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicatedPartition {
    pub partition: String,
    pub replicas: usize,
    /// min.insync.replicas.
    pub least: usize,
    /// In sync, whether there is a leader, from, to; in order of time and without gaps.
    pub spans: Vec<InSyncSpan>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InSyncSpan {
    pub in_sync: usize,
    /// Empty when there is none.
    pub leader: String,
    pub from: f64,
    pub to: f64,
}

impl ReplicatedPartition {
    fn is_under(&self, span: &InSyncSpan) -> bool {
        span.in_sync < self.least || span.leader.is_empty()
    }

    fn under(&self) -> f64 {
        self.spans.iter().filter(|span| self.is_under(span)).map(|span| span.to - span.from).sum()
    }

    fn reduced(&self) -> f64 {
        self.spans.iter().filter(|span| span.in_sync < self.replicas).map(|span| span.to - span.from).sum()
    }
}

impl InSyncChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("in-sync-replicas", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let drawn = worst_rows(&self.rows.iter().map(|row| row.under() * 1e6 + row.reduced()).collect::<Vec<_>>());
        let which = match drawn.len() < self.rows.len() {
            true => format!(", the {} of {} that were worst", drawn.len(), count(self.rows.len() as u64)),
            false => String::new(),
        };
        let plotted = format!(
            "Replicas in sync and the leader, as the controller knows them{which}; hatched: too few to write, or no leader"
        );
        let labels: Vec<String> = drawn.iter().map(|row| self.rows[*row].partition.clone()).collect();
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "",
            faults: &self.faults,
            footer: &self.footer,
        };
        let lanes = Lanes::new(&around, (0.0, self.horizon), &labels, 0.0);
        for (number, row) in drawn.iter().enumerate() {
            let row = &self.rows[*row];
            for span in &row.spans {
                let bar = lanes.bar(number, span.from, span.to);
                let name = format!("{} of {}, {}", span.in_sync, row.replicas, span.leader);
                match () {
                    () if row.is_under(span) => lanes.hatched(bar, Token::HeadroomNone),
                    () if span.in_sync < row.replicas => {
                        lanes.filled(bar, &name, Token::CellRepeated, Token::OnPaleCell);
                    }
                    () => lanes.filled(bar, &name, Token::CellExact, Token::OnPaleCell),
                }
            }
        }
        lanes.page
    }
}

/// The message: who could not be written to, and for how long.
pub fn title(chart: &InSyncChart) -> String {
    let all = chart.rows.len() as u64;
    let (under, reduced): (Vec<f64>, Vec<f64>) = chart.rows.iter().map(|row| (row.under(), row.reduced())).unzip();
    let longest = |lengths: &[f64]| lengths.iter().copied().fold(0.0, f64::max);
    let number = |lengths: &[f64]| lengths.iter().filter(|length| 0.0 < **length).count() as u64;
    let of = |some: u64| match some == all {
        true if all == 1 => "the partition".to_string(),
        true => format!("all {} partitions", count(all)),
        false => format!("{} of {}", count(some), counted(all, "partition")),
    };
    let text = match (number(&under), number(&reduced)) {
        _ if all == 0 => "no partition was watched".to_string(),
        (0, 0) => format!("{} kept every replica in sync", of(all)),
        (0, some) => {
            format!("{} ran on fewer replicas for up to {}, never on too few", of(some), seconds(longest(&reduced)))
        }
        (some, _) => {
            format!("{} had too few replicas in sync, or no leader, for up to {}", of(some), seconds(longest(&under)))
        }
    };
    capitalised(&text)
}

fn description(chart: &InSyncChart) -> String {
    let row = |row: &ReplicatedPartition| {
        let spans = row.spans.iter().map(|span| format!("{} in sync from {:.1} s", span.in_sync, span.from));
        format!("{}: {}.", row.partition, spans.collect::<Vec<_>>().join(", "))
    };
    let drawn: Vec<String> = chart.rows.iter().take(super::frame::MOST_ROWS).map(row).collect();
    format!("{} {}", drawn.join(" "), fault_band::described(&chart.faults))
}

fn table(chart: &InSyncChart) -> String {
    let rows = chart.rows.iter().flat_map(|row| {
        row.spans.iter().map(|span| {
            let numbers = [row.replicas, row.least, span.in_sync].map(|number| number.to_string());
            let [replicas, least, in_sync] = numbers;
            let (from, to) = (span.from.to_string(), span.to.to_string());
            vec![row.partition.clone(), replicas, least, in_sync, span.leader.clone(), from, to]
        })
    });
    let header = ["partition", "replicas", "min_insync_replicas", "in_sync", "leader", "from_seconds", "to_seconds"];
    super::csv(&header, rows)
}
