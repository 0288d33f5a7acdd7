//! The list of a sweep: which runs there are, each with a number.
//!
//! Regressions come first, then rounds: one seed of every cell of every scenario, the next seed of every cell, and so on,
//! so that a sweep that ends early has looked everywhere. Each round begins one cell further, so that a shard that takes
//! every n-th number gets its share of the expensive cells. The list is never written out: a number is turned into its run.

use serde::{Deserialize, Serialize};

use crate::scenario::plan::STREAM_VERSION;
use crate::types::{Guard, Seed};

/// Everything that decides what is run and what counts. Two sweeps with equal lists have equal results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SweepList {
    pub version: String,
    pub stream_version: u32,
    /// `--set`, in order.
    pub sets: Vec<String>,
    pub guards_off: Vec<Guard>,
    /// Runs behind this many failures, in the order of the list, do not count.
    pub max_failures: Option<u64>,
    pub scenarios: Vec<ListedScenario>,
    pub regressions: Vec<Regression>,
    /// What `--seeds`, `--cell` were, to say again.
    pub flags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListedScenario {
    pub name: String,
    pub path: String,
    /// Of the family with its sets and without its guards, in hexadecimal.
    pub fingerprint: String,
    /// To run.
    pub seeds: std::ops::Range<u64>,
    /// Of the file: hazards that it requires must show in these.
    pub own_seeds: std::ops::Range<u64>,
    pub cells: Vec<ListedCell>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListedCell {
    /// Index in the family.
    pub index: usize,
    pub id: String,
}

/// A seed that failed once and is run first for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Regression {
    /// Index in `scenarios`, and in its `cells`.
    pub scenario: usize,
    pub cell: usize,
    pub seed: Seed,
    /// What stands behind `#`.
    pub why: String,
}

/// One run of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub scenario: usize,
    pub cell: usize,
    pub seed: Seed,
    /// Index in `regressions`.
    pub regression: Option<usize>,
}

/// Every n-th number of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slice {
    /// From 1.
    pub index: u64,
    pub of: u64,
}

impl Slice {
    pub const WHOLE: Slice = Slice { index: 1, of: 1 };

    /// It counts from 1 and is one of them.
    pub fn is_one(self) -> bool {
        1 <= self.index && self.index <= self.of
    }

    pub fn contains(self, number: u64) -> bool {
        number % self.of == self.index - 1
    }
}

impl SweepList {
    /// Tells two sweeps apart whose runs must not be mixed.
    pub fn hash(&self) -> String {
        let text = serde_json::to_string(self).expect("a list is plain data");
        format!("{:032x}", twox_hash::XxHash3_128::oneshot(text.as_bytes()))
    }

    /// A list of this build.
    pub fn of_this_build(&self) -> bool {
        self.version == env!("CARGO_PKG_VERSION") && self.stream_version == STREAM_VERSION
    }

    /// How many runs there are.
    pub fn len(&self) -> u64 {
        let cells = self.scenarios.iter().map(|scenario| scenario.cells.len() as u64 * length(&scenario.seeds));
        self.regressions.len() as u64 + cells.sum::<u64>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns numbers into runs.
    pub fn rounds(&self) -> Rounds {
        let mut lengths: Vec<u64> = self.scenarios.iter().map(|scenario| length(&scenario.seeds)).collect();
        lengths.sort();
        lengths.dedup();
        let (mut start, mut first_round) = (self.regressions.len() as u64, 0);
        let blocks = lengths.into_iter().filter(|length| 0 < *length).map(|end| {
            let active = self.scenarios.iter().enumerate().filter(|(_, scenario)| end <= length(&scenario.seeds));
            let cells = active.flat_map(|(scenario, listed)| {
                (0..listed.cells.len()).map(move |cell| (scenario, cell, listed.seeds.start))
            });
            let block = Block { start, first_round, cells: cells.collect() };
            start += block.cells.len() as u64 * (end - first_round);
            first_round = end;
            block
        });
        let blocks = blocks.collect();
        let regressions =
            self.regressions.iter().map(|regression| (regression.scenario, regression.cell, regression.seed));
        Rounds { regressions: regressions.collect(), blocks, end: start }
    }

    pub fn cell(&self, listed: Listed) -> (&ListedScenario, &ListedCell) {
        let scenario = &self.scenarios[listed.scenario];
        (scenario, &scenario.cells[listed.cell])
    }
}

/// A list, ready to be asked for the run behind a number.
#[derive(Clone, Debug)]
pub struct Rounds {
    regressions: Vec<(usize, usize, Seed)>,
    blocks: Vec<Block>,
    end: u64,
}

/// Rounds in which the same cells have a seed left.
#[derive(Clone, Debug)]
struct Block {
    /// Number of its first run.
    start: u64,
    first_round: u64,
    /// (scenario, cell, first seed).
    cells: Vec<(usize, usize, u64)>,
}

impl Rounds {
    /// The run with this number. Panics behind the end of the list.
    pub fn run(&self, number: u64) -> Listed {
        assert!(number < self.end, "run {number} is not in the list");
        if let Some((scenario, cell, seed)) = self.regressions.get(number as usize) {
            return Listed { scenario: *scenario, cell: *cell, seed: *seed, regression: Some(number as usize) };
        }
        let block = self.blocks.iter().rev().find(|block| block.start <= number).expect("it is behind the regressions");
        let width = block.cells.len() as u64;
        let (round, column) = ((number - block.start) / width, (number - block.start) % width);
        let (scenario, cell, first) = block.cells[((column + round) % width) as usize];
        Listed { scenario, cell, seed: Seed(first + block.first_round + round), regression: None }
    }
}

fn length(range: &std::ops::Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn scenario(name: &str, cells: usize, seeds: std::ops::Range<u64>) -> ListedScenario {
        let cells = (0..cells).map(|index| ListedCell { index, id: format!("cell={index}") });
        ListedScenario {
            name: name.to_string(),
            path: format!("{name}.toml"),
            fingerprint: String::new(),
            own_seeds: seeds.clone(),
            seeds,
            cells: cells.collect(),
        }
    }

    fn list() -> SweepList {
        SweepList {
            version: "1".to_string(),
            stream_version: 1,
            sets: Vec::new(),
            guards_off: Vec::new(),
            max_failures: None,
            scenarios: vec![scenario("a", 4, 0..6), scenario("b", 1, 10..12), scenario("c", 3, 5..5)],
            regressions: vec![Regression { scenario: 1, cell: 0, seed: Seed(99), why: String::new() }],
            flags: Vec::new(),
        }
    }

    #[test]
    fn every_run_has_one_number_and_seeds_of_a_cell_ascend() {
        let list = list();
        let rounds = list.rounds();
        let runs: Vec<Listed> = (0..list.len()).map(|number| rounds.run(number)).collect();
        assert_eq!((runs.len(), runs[0].seed, runs[0].regression), (27, Seed(99), Some(0)));
        let different: BTreeSet<_> = runs.iter().map(|run| (run.scenario, run.cell, run.seed)).collect();
        assert_eq!(different.len(), 27);
        for (scenario, cell, seeds) in [(0, 0, 0..6), (0, 3, 0..6), (1, 0, 10..12)] {
            let of_cell = runs[1..].iter().filter(|run| (run.scenario, run.cell) == (scenario, cell));
            assert_eq!(of_cell.map(|run| run.seed.0).collect::<Vec<_>>(), seeds.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_slice_has_its_share_of_every_cell() {
        let list = list();
        let rounds = list.rounds();
        let slice = Slice { index: 2, of: 4 };
        let taken = (11..list.len()).filter(|number| slice.contains(*number)).map(|number| rounds.run(number).cell);
        assert_eq!(taken.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2, 3]));
    }
}
