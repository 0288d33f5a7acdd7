//! What a sweep finds that an earlier one did not, and what it finds no more.
//!
//! The one idea: seeds may be others every night, so it is not runs that are compared but kinds of failure: the same promise of the same
//! scenario, broken in the same way. That a kind is not met may be luck, and so may be that it is met for the first time: beside each
//! stands how likely that is if nothing has changed. The verdict is not touched: what is violated is violated, whether it is new or not.

use std::collections::BTreeMap;

use super::{Failure, SweepVerdict};
use crate::checks::Verdict;
use crate::theory::statistics::{Z95, wilson_interval};

#[derive(Clone, Debug, PartialEq)]
pub struct SweepComparison {
    pub verdict_before: Verdict,
    pub verdict_now: Verdict,
    /// The same runs were listed: scenarios, cells, seeds and settings.
    pub same_list: bool,
    /// The most telling first.
    pub kinds: Vec<KindChange>,
    pub scenarios_only_now: Vec<String>,
    pub scenarios_only_before: Vec<String>,
}

/// One kind of failure on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct KindChange {
    pub scenario: String,
    pub failure: Failure,
    pub change: Change,
    pub before: Share,
    pub now: Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not met before.
    New,
    /// The shares of seeds differ by more than their 95 % intervals.
    MoreOften,
    LessOften,
    AsBefore,
    /// Not met any more.
    Gone,
}

/// Runs that failed in this way, of all runs of the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub failed: u64,
    pub of: u64,
}

impl SweepComparison {
    pub fn count(&self, change: Change) -> u64 {
        self.kinds.iter().filter(|kind| kind.change == change).count() as u64
    }
}

impl KindChange {
    /// Of a kind that is met on one side only: how likely it is that all of its failures fall on that side, if nothing has changed.
    /// Fisher's exact test. `None` where the other side has no run of the scenario.
    pub fn by_chance(&self) -> Option<f64> {
        let (here, there) = match self.change {
            Change::New => (self.now, self.before),
            Change::Gone => (self.before, self.now),
            Change::MoreOften | Change::LessOften | Change::AsBefore => return None,
        };
        let among = here.of + there.of;
        let all_here = (0..here.failed).map(|drawn| (here.of - drawn) as f64 / (among - drawn) as f64).product();
        (0 < there.of).then_some(all_here)
    }
}

pub fn compare(before: &SweepVerdict, now: &SweepVerdict) -> SweepComparison {
    let (runs_before, runs_now) = (runs(before), runs(now));
    let (failed_before, failed_now) = (failed(before), failed(now));
    let mut kinds: Vec<KindChange> = Vec::new();
    let all = failed_now.keys().chain(failed_before.keys().filter(|kind| !failed_now.contains_key(*kind)));
    for kind @ (scenario, failure) in all {
        let share = |failed: &BTreeMap<_, u64>, runs: &BTreeMap<&str, u64>| Share {
            failed: failed.get(kind).copied().unwrap_or(0),
            of: runs.get(scenario).copied().unwrap_or(0),
        };
        let (before, now) = (share(&failed_before, &runs_before), share(&failed_now, &runs_now));
        kinds.push(KindChange {
            scenario: scenario.to_string(),
            failure: (*failure).clone(),
            change: change(before, now),
            before,
            now,
        });
    }
    kinds.sort_by_key(|kind| kind.change);
    let only = |here: &BTreeMap<&str, u64>, there: &BTreeMap<&str, u64>| {
        here.keys().filter(|name| !there.contains_key(*name)).map(|name| name.to_string()).collect()
    };
    SweepComparison {
        verdict_before: before.verdict,
        verdict_now: now.verdict,
        same_list: before.hash == now.hash && before.guards_off == now.guards_off,
        kinds,
        scenarios_only_now: only(&runs_now, &runs_before),
        scenarios_only_before: only(&runs_before, &runs_now),
    }
}

fn change(before: Share, now: Share) -> Change {
    let interval = |share: Share| wilson_interval(share.failed, share.of, Z95);
    match (before.failed, now.failed) {
        (0, _) => Change::New,
        (_, 0) => Change::Gone,
        _ if interval(before).1 < interval(now).0 => Change::MoreOften,
        _ if interval(now).1 < interval(before).0 => Change::LessOften,
        _ => Change::AsBefore,
    }
}

/// Runs of each scenario.
fn runs(sweep: &SweepVerdict) -> BTreeMap<&str, u64> {
    let of = |cells: &[super::SweptCell]| cells.iter().map(|cell| cell.runs).sum();
    sweep.scenarios.iter().map(|scenario| (scenario.name.as_str(), of(&scenario.cells))).collect()
}

fn failed(sweep: &SweepVerdict) -> BTreeMap<(&str, &Failure), u64> {
    sweep.failures.iter().map(|group| ((group.scenario.as_str(), &group.failure), group.runs)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(before: (u64, u64), now: (u64, u64)) -> KindChange {
        let (before, now) = (Share { failed: before.0, of: before.1 }, Share { failed: now.0, of: now.1 });
        let failure = Failure::Unsigned;
        KindChange { scenario: "flow".into(), failure, change: change(before, now), before, now }
    }

    #[test]
    fn a_kind_is_new_or_gone_or_as_often_as_seeds_have_it() {
        assert_eq!(kind((0, 100), (1, 100)).change, Change::New);
        assert_eq!(kind((3, 100), (0, 100)).change, Change::Gone);
        assert_eq!(kind((3, 100), (5, 100)).change, Change::AsBefore);
        assert_eq!(kind((3, 100), (40, 100)).change, Change::MoreOften);
        assert_eq!(kind((40, 100), (3, 100)).change, Change::LessOften);
    }

    #[test]
    fn what_was_rare_may_be_missed_by_luck() {
        // One failure falls on either side with equal chance; of ten, all on one side is no luck.
        assert_eq!(kind((1, 100), (0, 100)).by_chance(), Some(0.5));
        assert!(kind((10, 100), (0, 100)).by_chance().unwrap() < 0.001);
        assert_eq!(kind((0, 100), (2, 100)).by_chance(), Some(0.5 * 99.0 / 199.0));
        assert_eq!(kind((0, 0), (2, 100)).by_chance(), None, "there was nothing to find it in");
        assert_eq!(kind((3, 100), (5, 100)).by_chance(), None);
    }
}
