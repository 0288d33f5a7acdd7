//! How far an event has come, in words: one line for each place.

use super::chronicle::{Words, seconds};
use crate::checks::standing::{Stage, Standing};
use crate::scenario::plan::Plan;
use crate::types::note::CallerOutcome;
use crate::types::*;

/// The place, and where the event stands with it.
pub fn lines(standings: &[Standing], plan: &Plan) -> Vec<(String, String)> {
    let words = Words::new(plan);
    let names = words.names();
    let line = |standing: &Standing| {
        let since = match standing.since {
            Time::NEVER => String::new(),
            since => format!(" since {}", seconds(since)),
        };
        let at =
            |(partition, offset): (TopicPartition, Offset)| format!("{} offset {offset}", names.partition(partition));
        let what = match &standing.stage {
            Stage::There { times, harmful, source } => {
                let times = match times {
                    1 => String::new(),
                    times => format!(", {times} times{}", if *harmful { "" } else { " and without harm" }),
                };
                let source = source.map_or(String::new(), |source| format!(", {}", at(source)));
                format!("there{since}{times}{source}")
            }
            Stage::InQueue { service, partition, offset, committed } => {
                let committed = committed.map_or("nothing".to_string(), |committed| committed.to_string());
                format!(
                    "waits{since} in {} for {}, which has committed {committed}",
                    at((*partition, *offset)),
                    names.service(*service)
                )
            }
            Stage::InTable { service, table } => {
                format!("waits{since} in {} for {}", names.place(*table), names.service(*service))
            }
            Stage::WithProducer { partition, node } => {
                format!("with the producer of {}{since}, for {}", names.node(*node), names.partition(*partition))
            }
            Stage::Handled { service, node, step } => {
                let step = step.map_or(String::new(), |step| format!(", at `{}`", names.step(*service, step)));
                match node {
                    NodeId(0) => format!("waits{since} for {}", names.service(*service)),
                    node => format!("in the hands of {}{since}{step}", names.node(*node)),
                }
            }
            Stage::Parked { service } => {
                format!("given up by {}{since}; its dead letter waits", names.service(*service))
            }
            Stage::Lost if standing.since == Time::NEVER => "LOST".to_string(),
            Stage::Lost => format!("LOST; last seen at {}", seconds(standing.since)),
            Stage::NotOwed { told: Some(CallerOutcome::Refused) } => {
                format!("not there, and not owed: its caller was told no at {}", seconds(standing.since))
            }
            Stage::NotOwed { told } => {
                let told = if told.is_none() { "has no answer yet" } else { "never had an answer" };
                format!("not there; its caller {told}")
            }
        };
        (names.place(standing.place).to_string(), what)
    };
    standings.iter().map(line).collect()
}
