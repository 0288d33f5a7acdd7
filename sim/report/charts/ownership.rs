//! Who owned which partition when: one row for each partition, a bar for each owner, hatched where nobody did. A rebalance is seen as
//! what it is: the time in which nobody works.

use super::Figure;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Lanes, subtitle, worst_rows};
use super::page::Page;
use super::palette::Token;
use crate::report::numbers::{capitalised, count, counted, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct OwnershipChart {
    /// What was studied. May be empty.
    pub subject: String,
    pub rows: Vec<OwnedPartition>,
    pub faults: Vec<FaultBand>,
    /// From the begin of the load to this, in seconds.
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OwnedPartition {
    pub partition: String,
    /// Owner, from, to, in order of time; what lies between is owned by nobody.
    pub spans: Vec<(String, f64, f64)>,
}

/// Shorter gaps are the handing over itself.
const GAP: f64 = 0.001;

impl OwnedPartition {
    fn gaps(&self, horizon: f64) -> Vec<(f64, f64)> {
        let mut gaps = Vec::new();
        let mut at = 0.0;
        for (_, from, to) in &self.spans {
            if at + GAP < *from {
                gaps.push((at, from.min(horizon)));
            }
            at = to.max(at);
        }
        if at + GAP < horizon {
            gaps.push((at, horizon));
        }
        gaps
    }
}

impl OwnershipChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("ownership", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let unowned = |row: &OwnedPartition| row.gaps(self.horizon).iter().map(|(from, to)| to - from).sum::<f64>();
        let drawn = worst_rows(&self.rows.iter().map(unowned).collect::<Vec<_>>());
        let which = match drawn.len() < self.rows.len() {
            true => format!(", the {} of {} that were without one longest", drawn.len(), count(self.rows.len() as u64)),
            false => String::new(),
        };
        let plotted = format!("Owner of each partition{which}; hatched: nobody");
        let labels: Vec<String> = drawn.iter().map(|row| self.rows[*row].partition.clone()).collect();
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "",
            faults: &self.faults,
            footer: &self.footer,
        };
        let lanes = Lanes::new(&around, (0.0, self.horizon), &labels, 0.0);
        let owners = self.owners();
        for (number, row) in drawn.iter().enumerate() {
            for (from, to) in self.rows[*row].gaps(self.horizon) {
                lanes.hatched(lanes.bar(number, from, to), Token::HeadroomNone);
            }
            for (owner, from, to) in &self.rows[*row].spans {
                let place = owners.iter().position(|other| other == owner).unwrap_or(0);
                let fill = [Token::Category1, Token::Category2, Token::Category3, Token::Category4][place % 4];
                lanes.filled(lanes.bar(number, *from, *to), owner, fill, Token::Paper);
            }
        }
        lanes.page
    }

    fn owners(&self) -> Vec<&str> {
        let mut owners: Vec<&str> =
            self.rows.iter().flat_map(|row| &row.spans).map(|(owner, ..)| owner.as_str()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// How long no partition at all had an owner.
    fn all_stopped(&self) -> f64 {
        let Some((first, rest)) = self.rows.split_first() else { return 0.0 };
        let mut common = first.gaps(self.horizon);
        for row in rest {
            let gaps = row.gaps(self.horizon);
            common = common
                .iter()
                .flat_map(|(from, to)| gaps.iter().map(move |(other, until)| (from.max(*other), to.min(*until))))
                .filter(|(from, to)| from < to)
                .collect();
        }
        common.iter().map(|(from, to)| to - from).sum()
    }
}

/// The message: how many were without an owner, for how long, and whether all stopped.
pub fn title(chart: &OwnershipChart) -> String {
    let longest = |row: &OwnedPartition| row.gaps(chart.horizon).iter().map(|(from, to)| to - from).fold(0.0, f64::max);
    let lengths: Vec<f64> = chart.rows.iter().map(longest).collect();
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    // Those that were without one for about as long; a moment's handing over is not counted among them.
    let without: Vec<f64> = lengths.into_iter().filter(|length| 0.0 < *length && longest / 2.0 <= *length).collect();
    let stopped = chart.all_stopped();
    if chart.rows.is_empty() {
        return "No partition was to be owned".to_string();
    }
    let all = chart.rows.len() as u64;
    let who = match without.len() as u64 {
        0 => return capitalised(&format!("{} had an owner all the time", of_all(all))),
        some if some == all => of_all(all),
        some => format!("{} of {}", count(some), counted(all, "partition")),
    };
    let paused = match stopped {
        _ if all == 1 => String::new(),
        stopped if 0.0 < stopped => format!("; the whole group stood still for {} in all", seconds(stopped)),
        _ => "; the group never stood still as a whole".to_string(),
    };
    capitalised(&format!("{who} had no owner for up to {}{paused}", seconds(longest)))
}

fn of_all(all: u64) -> String {
    match all {
        1 => "the partition".to_string(),
        2 => "both partitions".to_string(),
        _ => format!("all {} partitions", count(all)),
    }
}

fn description(chart: &OwnershipChart) -> String {
    let row = |row: &OwnedPartition| {
        let spans = row.spans.iter().map(|(owner, from, to)| format!("{owner} {from:.1}–{to:.1} s"));
        format!("{}: {}.", row.partition, spans.collect::<Vec<_>>().join(", "))
    };
    let drawn: Vec<String> = chart.rows.iter().take(super::frame::MOST_ROWS).map(row).collect();
    format!("{} {}", drawn.join(" "), fault_band::described(&chart.faults))
}

fn table(chart: &OwnershipChart) -> String {
    let rows = chart.rows.iter().flat_map(|row| {
        row.spans
            .iter()
            .map(|(owner, from, to)| vec![row.partition.clone(), owner.clone(), from.to_string(), to.to_string()])
    });
    super::csv(&["partition", "owner", "from_seconds", "to_seconds"], rows)
}
