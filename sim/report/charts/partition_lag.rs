//! The backlog of each partition over time, one row for each, the darker the longer; the slowest first. A group is as fast as its
//! slowest partition, and this shows which one that is and who owned it.

use super::Figure;
use super::fault_band::{self, FaultBand};
use super::frame::{Around, Lanes, MOST_ROWS, subtitle};
use super::page::{Lettering, Page};
use super::palette::Token;
use crate::report::numbers::{count, counted, multiple, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionLagChart {
    /// What was studied. May be empty.
    pub subject: String,
    pub rows: Vec<LaggingPartition>,
    pub faults: Vec<FaultBand>,
    pub horizon: f64,
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LaggingPartition {
    pub partition: String,
    /// Unprocessed at most within each of equal stretches of `[0, horizon)`.
    pub unprocessed: Vec<u64>,
    /// Seconds from the last heal until nothing was left; nothing when it was not reached or there was no fault.
    pub recovered: Option<f64>,
}

impl LaggingPartition {
    fn most(&self) -> u64 {
        self.unprocessed.iter().copied().max().unwrap_or(0)
    }

    fn area(&self) -> u64 {
        self.unprocessed.iter().sum()
    }
}

/// Stretches that are drawn; of more, neighbours are joined.
const COLUMNS: usize = 120;

impl PartitionLagChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("partition-lag", title(self), description(self), table(self))
    }

    /// Slowest first: those that did not recover, then by recovery, then by what waited.
    fn ordered(&self) -> Vec<&LaggingPartition> {
        let mut rows: Vec<&LaggingPartition> = self.rows.iter().collect();
        let any = self.rows.iter().any(|row| row.recovered.is_some());
        let time = |row: &LaggingPartition| row.recovered.unwrap_or(if any { f64::INFINITY } else { 0.0 });
        rows.sort_by(|one, other| time(other).total_cmp(&time(one)).then(other.area().cmp(&one.area())));
        rows
    }

    fn page(&self) -> Page {
        let ordered = self.ordered();
        let drawn = &ordered[..ordered.len().min(MOST_ROWS)];
        let which = match drawn.len() < ordered.len() {
            true => format!(", the {} slowest of {}", drawn.len(), count(ordered.len() as u64)),
            false => ", slowest first".to_string(),
        };
        let highest = drawn.iter().map(|row| row.most()).max().unwrap_or(0);
        let plotted =
            format!("Messages waiting in each partition{which}; the darker the more, up to {}", count(highest));
        let labels: Vec<String> = drawn.iter().map(|row| row.partition.clone()).collect();
        let around = Around {
            title: &title(self),
            subtitle: &subtitle(&self.subject, &plotted),
            unit: "",
            faults: &self.faults,
            footer: &self.footer,
        };
        let lanes = Lanes::new(&around, (0.0, self.horizon), &labels, 96.0);
        for (number, row) in drawn.iter().enumerate() {
            let joined = row.unprocessed.len().div_ceil(COLUMNS).max(1);
            let columns: Vec<u64> =
                row.unprocessed.chunks(joined).map(|part| part.iter().copied().max().unwrap_or(0)).collect();
            let step = self.horizon * joined as f64 / row.unprocessed.len().max(1) as f64;
            for (column, waiting) in columns.iter().enumerate().filter(|(_, waiting)| 0 < **waiting) {
                let from = column as f64 * step;
                let bar = lanes.bar(number, from, (from + step).min(self.horizon));
                // On a logarithm: a few are seen, and many are not all the same.
                let share = libm::log(1.0 + *waiting as f64) / libm::log(1.0 + highest as f64);
                let percent = (libm::round(share * 19.0) * 5.0 + 5.0).clamp(5.0, 100.0) as u8;
                lanes.page.rectangle(bar, Token::Category1, percent);
            }
            if 0 < row.most() {
                let text = format!("at most {}", count(row.most()));
                lanes.page.text((lanes.x(self.horizon) + 8.0, lanes.middle(number)), &text, Lettering::NOTE);
            }
        }
        lanes.page
    }
}

/// The message: which partition is last, and how much later than the middle one.
pub fn title(chart: &PartitionLagChart) -> String {
    let ordered = chart.ordered();
    let Some(slowest) = ordered.first() else { return "No partition was watched".to_string() };
    let all = ordered.len() as u64;
    let mut times: Vec<f64> = chart.rows.iter().filter_map(|row| row.recovered).collect();
    times.sort_by(f64::total_cmp);
    let lasting = chart.rows.iter().filter(|row| row.recovered.is_none()).count() as u64;
    match (times.get(times.len() / 2), slowest.recovered) {
        (Some(_), None) => format!("{} of {} did not recover", count(lasting), counted(all, "partition")),
        (Some(median), Some(time)) if 1 < all && time < 1.05 * median => {
            format!("All {} partitions recover within {}", count(all), seconds(time))
        }
        (Some(median), Some(time)) if 1 < all && 0.0 < *median => format!(
            "{} recovers last, after {}: {} as long as the middle partition",
            slowest.partition,
            seconds(time),
            multiple(time / median)
        ),
        (_, Some(time)) => format!("{} recovers last, after {}", slowest.partition, seconds(time)),
        (None, None) => {
            format!("{} has most waiting: at most {}", slowest.partition, counted(slowest.most(), "message"))
        }
    }
}

fn description(chart: &PartitionLagChart) -> String {
    let one = |row: &&LaggingPartition| {
        let end = row.recovered.map_or(String::new(), |time| format!(", recovered after {}", seconds(time)));
        format!("{}: at most {}{end}.", row.partition, counted(row.most(), "message"))
    };
    let all = chart.ordered().iter().take(MOST_ROWS).map(one).collect::<Vec<_>>().join(" ");
    format!("{all} {}", fault_band::described(&chart.faults))
}

fn table(chart: &PartitionLagChart) -> String {
    let rows = chart.rows.iter().flat_map(|row| {
        let step = chart.horizon / row.unprocessed.len().max(1) as f64;
        row.unprocessed.iter().enumerate().map(move |(number, waiting)| {
            vec![row.partition.clone(), (number as f64 * step).to_string(), waiting.to_string()]
        })
    });
    super::csv(&["partition", "seconds", "unprocessed"], rows)
}
