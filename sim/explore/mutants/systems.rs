//! The systems that mutants are hunted in: ordinary scenarios, each with an axis of mixes.

use std::path::{Path, PathBuf};

use crate::scenario::{self, Diagnostics, Family};

/// The mix that every system has: the plain profile `swarm`, with all its families and defaults.
pub const SWARM: &str = "swarm";

/// One system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// One topic on three brokers, two of which must be in sync; one service publishes.
    Replication,
    /// The same with disks that lose more than any promise survives: invariants alone judge.
    Disks,
    /// Orders that a group books, at most once each.
    Groups,
    /// Orders become invoices within transactions.
    Transactions,
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
    pub const ALL: [System; 4] = [System::Replication, System::Disks, System::Groups, System::Transactions];

    pub fn name(self) -> &'static str {
        match self {
            System::Replication => "replication",
            System::Disks => "disks",
            System::Groups => "groups",
            System::Transactions => "transactions",
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
            System::Groups => include_str!("../../../tests/data/mutants/groups.toml"),
            System::Transactions => include_str!("../../../tests/data/mutants/transactions.toml"),
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
