//! Delta debugging over the faults of a failing scenario: the part of them that is needed.
//!
//! ddmin of Zeller and Hildebrandt (2002): halves, then quarters, …: first each part alone, then everything but one part.
//! It ends when no single fault can be taken out: the result is 1-minimal. What it adds is the question before the first:
//! does it fail without any fault at all?

use super::Step;
use super::trial::{Failing, Trials};
use crate::scenario::Draft;

pub fn ddmin(trials: &mut Trials, mut failing: Failing, told: &mut dyn FnMut(&Step)) -> Failing {
    let mut parts = 1;
    loop {
        let names = failing.draft.keys(&["fault"]);
        if names.is_empty() {
            return failing;
        }
        let chunks: Vec<&[String]> = names.chunks(names.len().div_ceil(parts)).collect();
        let keep = |chunk: &&[String]| with_only(&failing.draft, &names, |name| chunk.contains(name));
        let drop = |chunk: &&[String]| with_only(&failing.draft, &names, |name| !chunk.contains(name));
        let alone: Vec<Draft> = if chunks.len() < 2 { Vec::new() } else { chunks.iter().map(keep).collect() };
        let subsets = alone.len();
        let candidates = alone.into_iter().chain(chunks.iter().map(drop)).collect();
        match trials.first(candidates) {
            Some((place, smaller)) => {
                parts = if place < subsets { 2 } else { parts.saturating_sub(1).max(2) };
                failing = smaller;
                told(&Step { pass: "faults", sizes: failing.sizes(), runs: trials.runs });
            }
            None if names.len() <= parts || trials.bound.is_some() => return failing,
            None => parts = (parts * 2).min(names.len()),
        }
    }
}

fn with_only(draft: &Draft, names: &[String], keep: impl Fn(&String) -> bool) -> Draft {
    let mut smaller = draft.clone();
    for name in names.iter().filter(|name| !keep(name)) {
        smaller.remove(&["fault", name]);
    }
    smaller
}
