//! The systems that mutants are hunted in: ordinary scenarios, each with an axis of mixes.

use std::path::{Path, PathBuf};

use crate::scenario::{self, Diagnostics, Family};
use crate::types::Guard;

use super::witnesses;

/// The mix that every system has: the plain profile `swarm`, with all its families and defaults.
pub const SWARM: &str = "swarm";

/// One system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// One topic on three brokers, two of which must be in sync; one service publishes.
    Replication,
    /// The same with disks that lose more than any promise survives: invariants alone judge.
    Disks,
    /// The same with large records on a narrow network: who lost its log is not back in a moment.
    Narrow,
    /// One topic whose leadership returns to preferred replicas all the time.
    Preferred,
    /// Orders that a group books, at most once each.
    Groups,
    /// Orders become invoices within transactions.
    Transactions,
    /// The same by the older protocol, with producers that give a batch up soon.
    LateTransactions,
    /// Idempotent producers that give up soon, one of which hardly ever sends.
    Producers,
    /// Batches that are too large for their topic, sent without waiting.
    Splits,
    /// Replicas that stay eligible when they are not in sync any more (KIP-966), and disks that write nothing back.
    Eligible,
    /// Groups by both protocols, whose members have work to do.
    Protocols,
    /// Members that commit automatically and die with records in hand.
    AutoCommits,
    /// Logs that begin further on all the time, and readers in the racks of followers.
    Retention,
    /// Orders that come seldom, and offsets that are soon forgotten.
    Offsets,
    /// Tables of the newest value of each key, some of it written in transactions that are aborted.
    Compaction,
}

/// Where systems are read from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// As they were when the program was built.
    #[default]
    Built,
    /// A folder with files of the same names.
    Folder(PathBuf),
}

impl System {
    pub const ALL: [System; 15] = [
        System::Replication,
        System::Disks,
        System::Narrow,
        System::Preferred,
        System::Groups,
        System::Transactions,
        System::LateTransactions,
        System::Producers,
        System::Splits,
        System::Eligible,
        System::Protocols,
        System::AutoCommits,
        System::Retention,
        System::Offsets,
        System::Compaction,
    ];

    pub fn name(self) -> &'static str {
        match self {
            System::Replication => "replication",
            System::Disks => "disks",
            System::Narrow => "narrow",
            System::Preferred => "preferred",
            System::Groups => "groups",
            System::Transactions => "transactions",
            System::LateTransactions => "late-transactions",
            System::Producers => "producers",
            System::Splits => "splits",
            System::Eligible => "eligible",
            System::Protocols => "protocols",
            System::AutoCommits => "auto-commits",
            System::Retention => "retention",
            System::Offsets => "offsets",
            System::Compaction => "compaction",
        }
    }

    /// Where its file stands in the project.
    pub fn path(self) -> String {
        format!("{FOLDER}/{}.toml", self.name())
    }

    fn text(self) -> &'static str {
        match self {
            System::Replication => include_str!("../../../tests/data/mutants/replication.toml"),
            System::Disks => include_str!("../../../tests/data/mutants/disks.toml"),
            System::Narrow => include_str!("../../../tests/data/mutants/narrow.toml"),
            System::Preferred => include_str!("../../../tests/data/mutants/preferred.toml"),
            System::Groups => include_str!("../../../tests/data/mutants/groups.toml"),
            System::Transactions => include_str!("../../../tests/data/mutants/transactions.toml"),
            System::LateTransactions => include_str!("../../../tests/data/mutants/late-transactions.toml"),
            System::Producers => include_str!("../../../tests/data/mutants/producers.toml"),
            System::Splits => include_str!("../../../tests/data/mutants/splits.toml"),
            System::Eligible => include_str!("../../../tests/data/mutants/eligible.toml"),
            System::Protocols => include_str!("../../../tests/data/mutants/protocols.toml"),
            System::AutoCommits => include_str!("../../../tests/data/mutants/auto-commits.toml"),
            System::Retention => include_str!("../../../tests/data/mutants/retention.toml"),
            System::Offsets => include_str!("../../../tests/data/mutants/offsets.toml"),
            System::Compaction => include_str!("../../../tests/data/mutants/compaction.toml"),
        }
    }
}

const FOLDER: &str = "tests/data/mutants";

impl Source {
    /// All cells of a system, one for each mix.
    pub fn family(&self, system: System) -> Result<Family, Diagnostics> {
        match self {
            Source::Built => scenario::parse(&system.path(), system.text(), &[], &built),
            Source::Folder(folder) => scenario::load(&file(folder, system), &[]),
        }
    }

    /// The witness of a guard, if it has one.
    pub fn witness(&self, guard: Guard) -> Option<Result<Family, Diagnostics>> {
        let path = self.witness_path(guard)?;
        Some(match self {
            Source::Built => scenario::parse(&path, witnesses::text(guard)?, &[], &built),
            Source::Folder(_) => scenario::load(Path::new(&path), &[]),
        })
    }

    /// Where it stands: in the project, or in the folder.
    pub fn witness_path(&self, guard: Guard) -> Option<String> {
        let within = |folder: &str| format!("{folder}/witnesses/{guard}.toml");
        match self {
            Source::Built => witnesses::text(guard).map(|_| within(FOLDER)),
            Source::Folder(folder) => {
                Some(within(&folder.display().to_string())).filter(|path| Path::new(path).exists())
            }
        }
    }
}

fn file(folder: &Path, system: System) -> PathBuf {
    folder.join(format!("{}.toml", system.name()))
}

/// A parent of a system is another one.
fn built(_: &str, parent: &str) -> Result<(String, String), String> {
    let system = System::ALL.into_iter().find(|system| parent == format!("{}.toml", system.name()));
    let system = system.ok_or_else(|| format!("no system is called `{parent}`"))?;
    Ok((system.path(), system.text().to_string()))
}
