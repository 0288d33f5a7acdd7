//! Which runs are run twice: one in a hundred by the hash of who they are, and of each cell the one with the least hash.
//!
//! The choice depends on scenario, cell and seed alone, so that shards choose the same runs as a whole sweep.

use super::list::{Listed, SweepList};
use crate::types::Seed;

/// One in so many.
const ONE_IN: u64 = 100;

/// The runs of a list that are run twice.
#[derive(Clone, Debug)]
pub struct Selection {
    /// For each scenario and cell: the start of its hashes, and the seed that is always chosen.
    cells: Vec<Vec<(u64, Option<Seed>)>>,
}

impl Selection {
    pub fn of(list: &SweepList) -> Selection {
        let cells = list.scenarios.iter().map(|scenario| {
            let of_scenario = scenario.cells.iter().map(|cell| {
                let key = twox_hash::XxHash3_64::oneshot(format!("{}\n{}", scenario.name, cell.id).as_bytes());
                (key, scenario.seeds.clone().map(Seed).min_by_key(|seed| hash(key, *seed)))
            });
            of_scenario.collect()
        });
        Selection { cells: cells.collect() }
    }

    pub fn contains(&self, run: Listed) -> bool {
        let (key, always) = self.cells[run.scenario][run.cell];
        run.regression.is_none() && (hash(key, run.seed).is_multiple_of(ONE_IN) || always == Some(run.seed))
    }
}

fn hash(key: u64, seed: Seed) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(key, &seed.0.to_le_bytes())
}
