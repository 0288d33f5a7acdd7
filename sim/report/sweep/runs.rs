//! `runs.csv`: one row for each run that counts, in the order of the list.

use std::io::{self, Write};

use crate::checks::sweep::{Failure, Listed, RunEnd, RunRecord, SweepList, word_of};
use crate::checks::word;

pub struct RunsTable<W: Write> {
    out: csv::Writer<W>,
}

const COLUMNS: [&str; 24] = [
    "number",
    "regression",
    "scenario",
    "cell",
    "seed",
    "verdict",
    "digest",
    "messages",
    "history-events",
    "simulated-seconds",
    "arrived",
    "accepted",
    "applied",
    "faults",
    "leader-changes",
    "controller-changes",
    "rebalances",
    "crashes",
    "power-losses",
    "redeliveries",
    "signatures",
    "fired",
    "states",
    "reason",
];

impl<W: Write> RunsTable<W> {
    pub fn new(out: W) -> io::Result<RunsTable<W>> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(COLUMNS)?;
        Ok(RunsTable { out })
    }

    pub fn write(&mut self, list: &SweepList, run: Listed, record: &RunRecord) -> io::Result<()> {
        let (scenario, cell) = list.cell(run);
        let mut row = vec![
            record.number.to_string(),
            run.regression.map_or("no", |_| "yes").to_string(),
            scenario.name.clone(),
            cell.id.clone(),
            run.seed.0.to_string(),
            word_of(record),
        ];
        let signatures = Failure::all(record).iter().map(Failure::to_string).collect::<Vec<_>>().join("; ");
        match &record.end {
            RunEnd::Judged(run) => {
                let counters = &run.outcome.counters;
                row.push(run.digest.clone());
                row.extend([run.messages, counters.history_events].map(|count| count.to_string()));
                row.push(format!("{:.6}", run.outcome.ended.0 as f64 / 1e9));
                let counts = [
                    counters.arrived,
                    counters.accepted,
                    counters.applied,
                    counters.faults,
                    counters.leader_changes,
                    counters.controller_changes,
                    counters.rebalances,
                    counters.crashes,
                    counters.power_losses,
                    counters.redeliveries,
                ];
                row.extend(counts.map(|count| count.to_string()));
                row.push(signatures);
                row.push(run.fired.iter().map(word).collect::<Vec<_>>().join(" "));
                row.push(run.states.iter().map(word).collect::<Vec<_>>().join(" "));
                row.push(run.outcome.reasons.first().cloned().unwrap_or_default());
            }
            RunEnd::Broken(broken) => {
                row.resize(COLUMNS.len() - 4, String::new());
                row.extend([signatures, String::new(), String::new(), broken.message.clone()]);
            }
        }
        self.out.write_record(&row)?;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
