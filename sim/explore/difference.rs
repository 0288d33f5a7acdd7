//! Where two histories of one plan part: the first event that is not the same in both.
//!
//! Two histories are compared event by event as they grow, so that neither has to be held in memory: a run with the file
//! that was recorded, or two runs with each other.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::mpsc;

use crate::history::{Event, export};
use crate::scenario::plan::Plan;
use crate::scenario::printable;

/// The first event that differs, as a line of history.jsonl; an absent one is a history that had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of the event, from 0; its line in history.jsonl is one more.
    pub number: u64,
    pub first: Option<String>,
    pub second: Option<String>,
}

impl Difference {
    /// One of the two sides, for people.
    pub fn told(side: &Option<String>) -> &str {
        side.as_deref().unwrap_or("nothing: the history had ended")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "event {}: once {}, then {}",
            self.number,
            Difference::told(&self.first),
            Difference::told(&self.second)
        )
    }
}

/// Runs a plan twice at once and compares. Nothing when the two were equal this time. `run` gives each event to its
/// observer.
pub fn first_difference(plan: &Plan, run: impl Fn(&mut (dyn FnMut(&Event) + Send)) + Sync) -> Option<Difference> {
    // Few enough that neither history is held in memory.
    let (to_first, first) = mpsc::sync_channel::<Event>(64);
    let (to_second, second) = mpsc::sync_channel::<Event>(64);
    std::thread::scope(|scope| {
        for to in [to_first, to_second] {
            let run = &run;
            scope.spawn(move || {
                // Once they differ nobody reads on.
                run(&mut |event| drop(to.send(event.clone())));
            });
        }
        let mut number = 0;
        let found = loop {
            match (first.recv().ok(), second.recv().ok()) {
                (None, None) => break None,
                (one, other) if one != other => {
                    let told = |event: Option<Event>| event.map(|event| line_of(plan, &event));
                    break Some(Difference { number, first: told(one), second: told(other) });
                }
                _ => number += 1,
            }
        };
        drop((first, second));
        found
    })
}

fn line_of(plan: &Plan, event: &Event) -> String {
    let written = export::Recorder::new(export::Names::of(plan), Vec::new(), io::sink()).and_then(|mut recorder| {
        recorder.write(event)?;
        recorder.finish()
    });
    written.map_or_else(|error| error.to_string(), |(line, _)| shown(&line))
}

/// Compares what is written to it, line by line, with a recorded history, and keeps the first difference.
pub struct Lockstep<R: BufRead> {
    recorded: R,
    /// Lines read so far.
    lines: u64,
    pending: Vec<u8>,
    expected: Vec<u8>,
    difference: Option<Difference>,
}

impl<R: BufRead> Lockstep<R> {
    pub fn new(recorded: R) -> Lockstep<R> {
        Lockstep { recorded, lines: 0, pending: Vec::new(), expected: Vec::new(), difference: None }
    }

    /// The first difference, now that the replay is over.
    pub fn finish(mut self) -> io::Result<Option<Difference>> {
        if self.difference.is_none() && self.next()? {
            let first = Some(shown(&self.expected));
            self.difference = Some(Difference { number: self.lines - 1, first, second: None });
        }
        Ok(self.difference)
    }

    /// Reads the next recorded line; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.expected.clear();
        self.lines += 1;
        Ok(0 < self.recorded.read_until(b'\n', &mut self.expected)?)
    }
}

impl<R: BufRead> Write for Lockstep<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.difference.is_some() {
            return Ok(bytes.len());
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.last() != Some(&b'\n') {
                continue;
            }
            let exists = self.next()?;
            if self.pending != self.expected {
                let first = exists.then(|| shown(&self.expected));
                let second = Some(shown(&self.pending));
                self.difference = Some(Difference { number: self.lines - 1, first, second });
                break;
            }
            self.pending.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(line: &[u8]) -> String {
    printable(String::from_utf8_lossy(line).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_compared_line_by_line() {
        let compare = |recorded: &str, replayed: &str| {
            let mut lockstep = Lockstep::new(recorded.as_bytes());
            // In pieces that have nothing to do with lines.
            for piece in replayed.as_bytes().chunks(3) {
                lockstep.write_all(piece).expect("memory");
            }
            lockstep.finish().expect("memory")
        };
        let line = |text: &str| Some(text.to_string());
        assert_eq!(compare("one\ntwo\n", "one\ntwo\n"), None);
        assert_eq!(
            compare("one\ntwo\nthree\n", "one\n2\nthree\n"),
            Some(Difference { number: 1, first: line("two"), second: line("2") })
        );
        assert_eq!(compare("one\n", "one\ntwo\n"), Some(Difference { number: 1, first: None, second: line("two") }));
        assert_eq!(compare("one\ntwo\n", "one\n"), Some(Difference { number: 1, first: line("two"), second: None }));
    }

    #[test]
    fn two_runs_of_one_plan_part_at_the_first_event_that_differs() {
        let path = std::path::Path::new("tests/data/sweep_tiny.toml");
        let family = crate::scenario::load(path, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
        let plan = family.cells[0].plan(crate::types::Seed(1));
        let same = first_difference(&plan, |observer| {
            crate::explore::run_seed(&plan, Default::default(), observer);
        });
        assert_eq!(same, None);
        // The second run to get here loses its tenth event.
        let runs = std::sync::atomic::AtomicU64::new(0);
        let other = first_difference(&plan, |observer| {
            let damaged = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
            crate::explore::run_seed(&plan, Default::default(), |event| {
                if !damaged || event.number != 9 {
                    observer(event);
                }
            });
        });
        let other = other.expect("they differ");
        assert_eq!(other.number, 9);
        let numbers = [&other.first, &other.second].map(|side| side.as_deref().unwrap_or("").contains("\"number\":9,"));
        assert!(numbers[0] != numbers[1], "{other}");
    }
}
