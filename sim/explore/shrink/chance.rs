//! Probabilities in a scenario: taken out, or made into one explicit fault that does the same at one instant.
//!
//! The one idea: "1 % of answers are lost" says nothing about what happened; "the answer to the third insert is lost" does. A
//! lost answer is a cut between the other side's doing and its answer; a lost request is a cut before it; a refusal is a
//! store that is down for a moment; a lossy link is one that is cut for a while. Where no explicit fault fails in the same
//! way, the probability stays, and the result says so.

use super::passes::{faults, with_fault};
use super::sentence::{Sentence, ordinal};
use super::trial::Failing;
use crate::scenario::Draft;
use crate::types::{Duration, Ratio};

/// One probability that is neither zero nor one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chance {
    /// A key: `network.loss`, `store.db.lost-answers`.
    Key(Vec<String>, String),
    /// A keyword of a step: service, number of the step, keyword, value.
    Step(String, usize, &'static str, String),
    /// A keyword of a fault: its name, keyword, value.
    Fault(String, &'static str, String),
}

impl Chance {
    /// As it stands in the file.
    pub fn written(&self) -> String {
        match self {
            Chance::Key(path, value) => format!("{} = \"{value}\"", path.join(".")),
            Chance::Step(service, _, keyword, value) => format!("`{keyword} {value}` of a step of {service}"),
            Chance::Fault(name, keyword, value) => format!("`{keyword} {value}` of fault.{name}"),
        }
    }
}

/// Every probability that is left.
pub fn chances(draft: &Draft) -> Vec<Chance> {
    let mut all = Vec::new();
    let mut look = |path: &[&str]| {
        if let Some(value) = draft.get(path).filter(|value| is_chance(value)) {
            all.push(Chance::Key(path.iter().map(|key| key.to_string()).collect(), value));
        }
    };
    look(&["network", "loss"]);
    for link in draft.keys(&["network", "between"]) {
        look(&["network", "between", &link, "loss"]);
    }
    for kind in ["store", "endpoint"] {
        for name in draft.keys(&[kind]) {
            for key in ["errors", "lost-requests", "lost-answers"] {
                look(&[kind, &name, key]);
            }
        }
    }
    for service in draft.keys(&["service"]) {
        for (number, step) in draft.list(&["service", &service, "steps"]).iter().enumerate() {
            let step = Sentence::of(step);
            for keyword in ["errors", "poison"] {
                if let Some(value) = step.get(keyword).filter(|value| is_chance(value)) {
                    all.push(Chance::Step(service.clone(), number, keyword, value.to_string()));
                }
            }
        }
    }
    for (name, fault) in faults(draft) {
        for keyword in ["rate", "to"] {
            if let Some(value) = fault.get(keyword).filter(|value| is_chance(value)) {
                all.push(Chance::Fault(name.clone(), keyword, value.to_string()));
            }
        }
    }
    all
}

fn is_chance(value: &str) -> bool {
    value.ends_with('%') && value.parse().is_ok_and(|ratio: Ratio| Ratio::ZERO < ratio && ratio < Ratio::ONE)
}

/// Scenarios with one probability less.
pub fn proposals(failing: &Failing) -> Vec<Draft> {
    let draft = &failing.draft;
    let mut drafts = Vec::new();
    for chance in chances(draft) {
        match &chance {
            Chance::Key(path, _) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let mut without = draft.clone();
                without.remove(&path);
                drafts.push(without.clone());
                if let ["store" | "endpoint", name, key] = path[..] {
                    drafts.extend(instants(&without, name, key));
                }
            }
            Chance::Step(service, number, keyword, _) => {
                let path = ["service", service.as_str(), "steps"];
                let step = Sentence::of(&draft.list(&path)[*number]);
                let mut without = draft.clone();
                without.set_element(&path, *number, step.without(keyword).text());
                drafts.push(without);
            }
            Chance::Fault(name, keyword, _) => {
                let Some(sentence) = draft.get(&["fault", name]) else { continue };
                drafts.extend(certain(draft, name, &Sentence::of(&sentence), keyword));
            }
        }
    }
    drafts
}

/// A fault that strikes always, for a shorter time.
fn certain(draft: &Draft, name: &str, fault: &Sentence, keyword: &str) -> Vec<Draft> {
    let always = if fault.has("drop") {
        fault.without("rate").replace("drop", "cut")
    } else if fault.has("fail") {
        fault.without("rate")
    } else {
        fault.with(keyword, "100%")
    };
    let length = fault.duration("for").map_or(1_000_000_000, |length| length.0);
    let lengths = (0..8).map(|halvings| Duration((length >> halvings).max(1_000_000)));
    lengths.map(|length| with_fault(draft, name, &always.with("for", length.to_string()))).collect()
}

/// The same at one instant: at the first, second, … time that a step reaches the other side.
fn instants(without: &Draft, name: &str, key: &str) -> Vec<Draft> {
    let inside = format!("{name}.");
    let mut drafts = Vec::new();
    for number in [1, 2, 3, 5, 10, 20, 50] {
        for service in without.keys(&["service"]) {
            for step in without.list(&["service", &service, "steps"]) {
                let words: Vec<&str> = step.split_whitespace().collect();
                let [verb, place, ..] = words[..] else { continue };
                if place != name && !place.starts_with(&inside) {
                    continue;
                }
                let (side, what) = match key {
                    "lost-answers" => ("inside", format!("cut self | {name}")),
                    "lost-requests" => ("before", format!("cut self -> {name}")),
                    _ => ("before", format!("crash {name}")),
                };
                let mut draft = without.clone();
                let text = format!("when {} {side}({service}.{verb} {place}) for 1s {what}", ordinal(number));
                draft.set_text(&["fault", &format!("lost-{number}")], text);
                drafts.push(draft);
            }
        }
    }
    drafts
}
