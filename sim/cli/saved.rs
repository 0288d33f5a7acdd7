//! A run as it was saved: judged and told from its history, without being run again.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};

use crate::checks::chronicle::{Chronicle, Chronicler};
use crate::checks::{Judge, RunOutcome};
use crate::explore::replay::Token;
use crate::history::import::Reader;
use crate::scenario::plan::Plan;
use crate::types::EventId;

use super::replay::{Recorded, judged, shown};

/// The token of a run that was recorded with its digest.
pub fn token(recorded: &Recorded) -> Option<Token> {
    let digest = recorded.digest?;
    Some(Token { digest, ..Token::new(&recorded.plan, 0) })
}

/// The whole history, judged. The invariants of the queue were judged when it ran: what they said is in the verdict beside it.
pub fn outcome(history: &Path, recorded: &Recorded) -> anyhow::Result<RunOutcome> {
    let (mut outcome, _) = read(history, &recorded.plan, None)?;
    if let Some(verdict) = recorded.verdict.filter(|verdict| *verdict != outcome.verdict) {
        (outcome.verdict, outcome.reasons) = (verdict, recorded.reasons.clone());
    }
    Ok(outcome)
}

/// What it tells of one event.
pub fn follow(history: &Path, plan: &Plan, event: EventId) -> anyhow::Result<(RunOutcome, Chronicle)> {
    let (outcome, chronicle) = read(history, plan, Some(event))?;
    Ok((outcome, chronicle.expect("an event was asked for")))
}

fn read(path: &Path, plan: &Plan, event: Option<EventId>) -> anyhow::Result<(RunOutcome, Option<Chronicle>)> {
    let file = File::open(path).with_context(|| format!("failed to read {}", shown(path)))?;
    let (mut judge, mut reader) = (Judge::of_saved(plan), Reader::new(plan));
    let mut chronicler = event.map(Chronicler::new);
    if let Some(event) = event {
        judge.ask_for(event);
    }
    let lines = BufReader::new(file).lines();
    let (mut problem, mut count) = (None, 0_u64);
    let finished = judged(|| {
        for line in lines {
            count += 1;
            let read = line.map_err(|error| error.to_string());
            match read.and_then(|line| reader.json(&line).map_err(|error| error.to_string())) {
                Ok(event) => {
                    if let Some(chronicler) = &mut chronicler {
                        chronicler.observe(&event);
                    }
                    judge.observe(&event);
                }
                Err(why) => {
                    problem = Some(why);
                    break;
                }
            }
        }
        let (outcome, standings) = judge.finish_with_standings();
        (outcome, chronicler.map(|chronicler| Chronicle { standings, ..chronicler.finish(plan) }))
    })?;
    match problem {
        Some(why) => bail!("line {count} of {} cannot be read: {why}", shown(path)),
        None => Ok(finished),
    }
}
