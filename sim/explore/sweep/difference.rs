//! Where two runs of one plan part: both run at once, event by event in lockstep.

use std::sync::mpsc;

use crate::checks::WaitOptions;
use crate::explore::run_seed;
use crate::history::{Event, export};
use crate::scenario::plan::Plan;

/// The first event that differs; an absent one is a history that ended before.
#[derive(Clone, Debug)]
pub struct Difference {
    pub number: u64,
    pub first: String,
    pub second: String,
}

/// Runs the plan twice and compares. Nothing when the two were equal this time.
pub fn first_difference(plan: &Plan) -> Option<Difference> {
    // Few enough that neither history is held in memory.
    let (to_first, first) = mpsc::sync_channel::<Event>(64);
    let (to_second, second) = mpsc::sync_channel::<Event>(64);
    std::thread::scope(|scope| {
        for to in [to_first, to_second] {
            scope.spawn(move || {
                run_seed(plan, WaitOptions::default(), |event| {
                    // Once they differ nobody reads on.
                    let _ = to.send(event.clone());
                })
            });
        }
        let mut number = 0;
        let found = loop {
            match (first.recv().ok(), second.recv().ok()) {
                (None, None) => break None,
                (one, other) if one != other => {
                    break Some(Difference { number, first: told(plan, one), second: told(plan, other) });
                }
                _ => number += 1,
            }
        };
        drop((first, second));
        found
    })
}

fn told(plan: &Plan, event: Option<Event>) -> String {
    let Some(event) = event else { return "nothing: the history ends before".to_string() };
    let written =
        export::Recorder::new(export::Names::of(plan), Vec::new(), std::io::sink()).and_then(|mut recorder| {
            recorder.write(&event)?;
            recorder.finish()
        });
    match written {
        Ok((line, _)) => String::from_utf8_lossy(&line).trim_end().to_string(),
        Err(error) => error.to_string(),
    }
}
