//! Mutants: the queue with one guard off, and the oracle that must notice.
//!
//! The one idea: a check that never fails proves nothing. For each guard the table says what its absence breaks, which
//! oracle must report it, on which system and under which mix of faults; a search then counts the seeds that it takes.
//! A kill counts only if the *named* oracle reports it, never a panic or a run that stands still, and only if the same seed
//! holds with the guard on. A mix says how much of which family of faults and how strong, and never when, where or in
//! which order: those are drawn, so that nothing here knows where the bug is.
//!
//! Some mutants have a witness beside the mixes: a scenario whose faults are all written down, one run, judged by the same
//! rule. It proves that the oracle sees the harm, and nothing about how soon anybody would find it; so it is tried only where
//! no search killed, and is never counted among the searches.
//!
//! What it deliberately does not do: look for the smallest failure (`shrink` does), or judge seeds without a mutant (they are
//! ordinary scenarios: `hikyaku sweep tests/data/mutants`).
//!
//! DeMillo, Lipton and Sayward, "Hints on Test Data Selection" (1978), for mutants; Groce et al., "Swarm Testing" (2012).

mod kill;
mod systems;
mod table;
mod witnesses;

use crate::checks::{Invariant, Promise, RunOutcome, Subject, Verdict, word};
use crate::types::Guard;

pub use kill::{BASES, End, Hunted, Kill, Limits, NotHunted, Search, Seen, Testimony, Witness, attempt, hunt};
pub use systems::{SWARM, Source, System};
pub use table::mutant;
pub use witnesses::WITNESSES;

/// The queue without one guard.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    pub guard: Guard,
    /// What the queue then does, one sentence.
    pub breaks: &'static str,
    pub fate: Fate,
}

/// What must become of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// One of these oracles must notice. More than one are named where the same harm has two faces, such as a lost record
    /// and the replica that lacked it. Where no mix is known that finds it, its witness kills it alone.
    Killed { by: &'static [Oracle], on: Option<Mixed> },
    /// A test of one machine shows the harm; no scenario is known in which an oracle sees it.
    Scripted { test: &'static str },
    /// Other guards prevent the harm as well, and why. Where those are off too, one of `seen` must notice in its witness, which holds
    /// without them.
    Masked { by: &'static [Guard], why: &'static str, seen: &'static [Oracle] },
}

/// A system and one of its mixes of faults, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixed {
    pub system: System,
    pub mix: &'static str,
}

/// Who can notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    Invariant(Invariant),
    /// What the system expects of one of its places.
    Promise(Promise),
}

impl Mixed {
    /// The cell of the system's scenario.
    pub fn cell(self) -> String {
        format!("mix={}", self.mix)
    }
}

impl Oracle {
    /// Whether it reports anything in this run.
    pub fn reports(self, outcome: &RunOutcome) -> bool {
        match self {
            Oracle::Invariant(invariant) => {
                outcome.invariant_violations.iter().any(|violation| violation.invariant == invariant)
            }
            Oracle::Promise(wanted) => outcome.expectations.iter().any(|result| match result.subject {
                Subject::Place { promise, .. } => promise == wanted && result.verdict == Verdict::Violated,
                Subject::Service { .. } | Subject::Delay { .. } | Subject::Run { .. } => false,
            }),
        }
    }
}

impl std::fmt::Display for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Oracle::Invariant(invariant) => f.write_str(&word(invariant)),
            Oracle::Promise(promise) => f.write_str(&word(promise)),
        }
    }
}

impl std::fmt::Display for Mixed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {}", self.system.name(), self.mix)
    }
}

#[cfg(test)]
mod tests;
