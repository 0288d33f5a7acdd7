//! Signatures: what two failing runs must have in common to be the same failure.
//!
//! The one idea: a failure is a broken promise with the boundary that broke it and the kind of incident that struck, never
//! a text, a time, a node or a count. So the failures of thousands of runs fall into a handful of groups, each with one
//! smallest example, and a smaller plan counts as the same failure only if it breaks the same promise in the same way.
//!
//! What it deliberately does not do: tell two bugs apart that break one promise at one boundary by one kind of incident.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::judge::word;
use super::outcome::*;
use crate::scenario::plan::Boundary;

/// One way in which a run failed. Ordered by how telling it is: a broken machine before a broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    pub broken: Broken,
    /// Of a bad fate: whose promise.
    pub boundary: Option<Boundary>,
    /// Of a bad fate: what struck a node of its story, where something did.
    pub cause: Option<IncidentKind>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// A machine broke one of its own invariants, or a handler panicked, at this place of the source.
    Machine(String),
    Invariant(Invariant),
    /// An expectation by its name: `db.orders loss`. Names stay when a plan shrinks, numbers do not.
    Promise(String),
}

impl Signature {
    /// Every way in which this run failed, the most telling first; empty unless it is violated.
    pub fn all(outcome: &RunOutcome) -> Vec<Signature> {
        let plain = |broken| Signature { broken, boundary: None, cause: None };
        let mut all: Vec<Signature> = Vec::new();
        all.extend(outcome.panicked.as_deref().map(|message| plain(Broken::Machine(place_of(message)))));
        all.extend(outcome.invariant_violations.iter().map(|violation| plain(Broken::Invariant(violation.invariant))));
        for result in outcome.expectations.iter().filter(|result| result.verdict == Verdict::Violated) {
            let broken = Broken::Promise(result.name.clone());
            let blames = result.evidence.iter().filter_map(|evidence| evidence.blame.as_ref());
            let blamed = blames.map(|blame| Signature {
                broken: broken.clone(),
                boundary: Some(blame.boundary),
                cause: blame.cause.map(|incident| incident.kind),
            });
            let before = all.len();
            all.extend(blamed);
            if all.len() == before {
                all.push(plain(broken));
            }
        }
        let mut kept: Vec<Signature> = Vec::new();
        for signature in all {
            if !kept.contains(&signature) {
                kept.push(signature);
            }
        }
        kept
    }
}

/// The place in the source that a panic's message ends with, or the message of one without a place.
fn place_of(message: &str) -> String {
    let place = message.rsplit_once(" (").and_then(|(_, place)| place.strip_suffix(')'));
    place.unwrap_or(message).to_string()
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.broken {
            Broken::Machine(place) => write!(f, "a panic at {place}")?,
            Broken::Invariant(invariant) => write!(f, "{}", word(invariant))?,
            Broken::Promise(name) => write!(f, "{name}")?,
        }
        for part in self.boundary.iter().map(word).chain(self.cause.iter().map(word)) {
            write!(f, " · {part}")?;
        }
        Ok(())
    }
}
