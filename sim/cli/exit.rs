//! Exit codes. They are part of what a script may rely on.

use std::process::ExitCode;

use crate::checks::Verdict;

/// What a command came to. The order is that of severity: of several, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Holds,
    Incomplete,
    Vacuous,
    Violated,
    Nondeterministic,
    Usage,
    Interrupted,
    Internal,
}

/// For `--help`.
pub const TABLE: &str = "\
Exit codes:
    0  every expectation holds
    1  a violation, or a hazard that the scenario requires and its own seeds never showed
    2  wrong usage, or a scenario that is not valid
    3  proved nothing: a floor was missed, nothing was expected, or the verdict is unknown
    4  not deterministic: the same plan and seed gave another digest
    5  incomplete: shards are missing, the disk is full, or the time is up before everything that must be run was
   70  internal error: a machine broke one of its own invariants
  130  interrupted; what was done is written";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Holds => 0,
            Exit::Violated => 1,
            Exit::Usage => 2,
            Exit::Vacuous => 3,
            Exit::Nondeterministic => 4,
            Exit::Incomplete => 5,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Holds => Exit::Holds,
            Verdict::Unknown | Verdict::Vacuous => Exit::Vacuous,
            Verdict::Violated => Exit::Violated,
        }
    }
}
