//! The tables of guarantees, run: what each place of a commit, each idempotence, each way to publish and each thing that can be
//! gone is worth, one crash point or cause at a time.
//!
//! The one idea: a table *is* a scenario with two axes and a grid. Its expected cells are therefore data that stood there before
//! anything ran them, and a cell that disagrees is a violation like any other. What is added here is the other way round: what was
//! *observed* in each cell, how often its fault struck, the token of a seed that lost something, and bounds that a promise of fates
//! cannot state: so many repetitions for each crash, and no more.

use std::sync::atomic::AtomicBool;

use crate::checks::{CellVerdict, Coverage, Demand, Promise, Subject, Verdict, WaitOptions};
use crate::scenario::plan::{Plan, Tolerance, Trigger};
use crate::scenario::{self, Diagnostics, Family};
use crate::types::Seed;

use super::replay::Token;
use super::{SeedRun, judge_runs, run_family};

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Place and kind of the commit, by the point at which the process dies.
    Commit,
    /// Layers of idempotence on top of at-least-once, by the same.
    Idempotence,
    /// Settings of a producer, by what strikes the queue.
    Acknowledgement,
    /// What is gone, by the reset policy.
    Reset,
}

/// At most so many repetitions for each fault that fired, in the cells of a row.
#[derive(Clone, Copy, Debug)]
struct Bound {
    row: &'static str,
    columns: &'static [&'static str],
    for_each_fault: InHand,
}

/// What a consumer had done and not committed.
#[derive(Clone, Copy, Debug)]
enum InHand {
    Record,
    /// All of a poll.
    Batch,
}

impl InHand {
    /// In records, at most.
    fn most(self, plan: &Plan) -> u64 {
        let of_poll = plan.services.iter().filter_map(|service| match &service.trigger {
            Trigger::Consume(consume) => Some(u64::from(consume.consumer.max_poll_records)),
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
        });
        match self {
            InHand::Record => 1,
            InHand::Batch => of_poll.max().unwrap_or(0),
        }
    }
}

/// A process that dies repeats at most what it had done and not committed.
const CRASHES: &[&str] = &["after-poll", "mid-batch", "before-commit", "inside-commit", "after-commit"];

impl Table {
    pub const ALL: [Table; 4] = [Table::Commit, Table::Idempotence, Table::Acknowledgement, Table::Reset];

    pub fn name(self) -> &'static str {
        match self {
            Table::Commit => "commit",
            Table::Idempotence => "idempotence",
            Table::Acknowledgement => "acknowledgement",
            Table::Reset => "reset",
        }
    }

    /// Where its scenario stands in the project.
    pub fn path(self) -> &'static str {
        match self {
            Table::Commit => "scenarios/commit_place_decides_loss_or_repetition.toml",
            Table::Idempotence => "scenarios/only_an_atomic_marker_survives_every_crash.toml",
            Table::Acknowledgement => "scenarios/an_acknowledgement_is_worth_its_settings.toml",
            Table::Reset => "scenarios/what_is_gone_is_lost_or_repeated_by_policy.toml",
        }
    }

    /// The scenario, as it was when the program was built.
    fn text(self) -> &'static str {
        match self {
            Table::Commit => include_str!("../../scenarios/commit_place_decides_loss_or_repetition.toml"),
            Table::Idempotence => include_str!("../../scenarios/only_an_atomic_marker_survives_every_crash.toml"),
            Table::Acknowledgement => include_str!("../../scenarios/an_acknowledgement_is_worth_its_settings.toml"),
            Table::Reset => include_str!("../../scenarios/what_is_gone_is_lost_or_repeated_by_policy.toml"),
        }
    }

    /// Why its cells are as they are.
    pub fn source(self) -> &'static str {
        match self {
            Table::Commit => "KafkaConsumer.poll, commitSync and commitAsync; ConsumerCoordinator; KIP-62, KIP-447",
            Table::Idempotence => {
                "a redelivery is a second run of the list; Kleppmann 2017, chapter 11, on idempotence"
            }
            Table::Acknowledgement => "ProduceRequest acks; ProducerStateManager; KIP-98, KIP-679, KIP-966",
            Table::Reset => {
                "SubscriptionState, OffsetFetcher; KIP-211, KIP-320; LogCleaner and retention of UnifiedLog"
            }
        }
    }

    fn bounds(self) -> &'static [Bound] {
        match self {
            Table::Commit => &[
                Bound { row: "per-record", columns: CRASHES, for_each_fault: InHand::Record },
                Bound { row: "per-batch", columns: CRASHES, for_each_fault: InHand::Batch },
            ],
            Table::Idempotence | Table::Acknowledgement | Table::Reset => &[],
        }
    }

    /// Its cells; `sets` are `PATH=VALUE`.
    pub fn family(self, sets: &[String]) -> Result<Family, Diagnostics> {
        scenario::parse_text(self.path().trim_start_matches("scenarios/"), self.text(), sets)
    }
}

/// What happened in one cell.
#[derive(Clone, Debug)]
pub struct CellResult {
    pub row: String,
    pub column: String,
    pub judged: CellVerdict,
    /// What the judged place showed in any seed: `loss`, `duplicates`, `stale`, `order`.
    pub observed: Vec<Seen>,
    /// Faults that fired, over all seeds.
    pub faults: u64,
    /// A bound on repetitions that did not hold.
    pub exceeded: Option<String>,
}

impl CellResult {
    pub fn verdict(&self) -> Verdict {
        if self.exceeded.is_some() { Verdict::Violated } else { self.judged.verdict }
    }
}

/// A fate that showed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub promise: Promise,
    /// Over all seeds.
    pub count: u64,
    /// Names the first seed that showed it.
    pub token: Token,
}

/// A table with its cells in the order of its axes.
#[derive(Clone, Debug)]
pub struct TableResult {
    pub table: Table,
    pub about: String,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    pub cells: Vec<CellResult>,
    /// Runs under way ended, and the others never began.
    pub interrupted: bool,
}

impl TableResult {
    pub fn verdict(&self) -> Verdict {
        self.cells.iter().map(CellResult::verdict).max().unwrap_or(Verdict::Vacuous)
    }

    pub fn cell(&self, row: &str, column: &str) -> Option<&CellResult> {
        self.cells.iter().find(|cell| cell.row == row && cell.column == column)
    }
}

/// Runs every cell over the scenario's own seeds. `done` hears of each run.
pub fn run_table(
    table: Table,
    family: &Family,
    jobs: usize,
    stop: &AtomicBool,
    done: impl FnMut(&SeedRun),
) -> TableResult {
    let runs = run_family(family, family.seeds.clone(), jobs, WaitOptions::default(), stop, done);
    let wanted = family.cells.len() as u64 * (family.seeds.end - family.seeds.start);
    let interrupted = (runs.len() as u64) < wanted;
    let coverage = if interrupted { Coverage::SomeSeeds } else { Coverage::AllSeeds };
    let cells = judge_runs(family, runs.iter(), coverage).into_iter().map(|judged| {
        let index =
            family.cells.iter().position(|cell| cell.id == judged.cell).expect("a judged cell is of the family");
        let [(_, row), (_, column)] = &family.cells[index].axes[..] else { unreachable!("a table has two axes") };
        let of_cell: Vec<&SeedRun> = runs.iter().filter(|run| run.cell == index).collect();
        let observed = observed(&judged, family, index, &of_cell);
        let faults = judged.counters.faults;
        let exceeded =
            exceeded(table, (row, column), &family.cells[index].plan(Seed(family.seeds.start)), &observed, faults);
        CellResult { row: row.clone(), column: column.clone(), judged, observed, faults, exceeded }
    });
    let values = |axis: usize| {
        let mut values: Vec<String> = Vec::new();
        for cell in &family.cells {
            let value = &cell.axes[axis].1;
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        values
    };
    let (rows, columns) = (values(0), values(1));
    TableResult { table, about: family.about.clone(), rows, columns, cells: cells.collect(), interrupted }
}

/// What showed at the places that are judged: of a means, such as a marker, anything is allowed, and nothing is told.
fn observed(verdict: &CellVerdict, family: &Family, index: usize, runs: &[&SeedRun]) -> Vec<Seen> {
    let is_judged = |demand: &Demand| !matches!(demand, Demand::Fate(Tolerance::Any));
    let is_told = |promise: Promise| match promise {
        Promise::Loss | Promise::Duplicates | Promise::Stale | Promise::Order => true,
        Promise::Phantoms | Promise::Parked | Promise::Pending | Promise::Blame => false,
    };
    let of_place = verdict.expectations.iter().filter_map(|expectation| match expectation.subject {
        Subject::Place { promise, .. } if is_told(promise) && is_judged(&expectation.demand) => {
            Some((promise, expectation))
        }
        _ => None,
    });
    let seen = of_place.filter(|(_, expectation)| expectation.seen_in > 0).filter_map(|(promise, expectation)| {
        let seed = expectation.first_seen?;
        let run = runs.iter().find(|run| run.seed == seed)?;
        let statistics = expectation.statistics.as_ref()?;
        let count = (statistics.mean? * statistics.count as f64).round() as u64;
        let token = Token::new(&family.cells[index].plan(seed), run.report.digest);
        Some(Seen { promise, count, token })
    });
    seen.collect()
}

fn exceeded(table: Table, (row, column): (&str, &str), plan: &Plan, observed: &[Seen], faults: u64) -> Option<String> {
    let bound = table.bounds().iter().find(|bound| bound.row == row && bound.columns.contains(&column))?;
    let repeated = observed.iter().find(|seen| seen.promise == Promise::Duplicates).map_or(0, |seen| seen.count);
    let most = bound.for_each_fault.most(plan);
    (most * faults < repeated)
        .then(|| format!("{repeated} repetitions in {faults} crashes, and each may cost {most} at most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(table: Table, sets: &[&str]) -> TableResult {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let family = table.family(&sets).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        run_table(table, &family, 2, &AtomicBool::new(false), |_| {})
    }

    #[test]
    fn every_table_has_two_axes_and_bounds_of_rows_and_columns_that_it_has() {
        for table in Table::ALL {
            let family = table.family(&[]).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
            let has = |axis: usize, value: &str| family.cells.iter().any(|cell| cell.axes[axis].1 == value);
            assert!(family.cells.iter().all(|cell| cell.axes.len() == 2), "{table:?}");
            for bound in table.bounds() {
                assert!(has(0, bound.row), "{bound:?}");
                assert!(bound.columns.iter().all(|column| has(1, column)), "{bound:?}");
            }
        }
    }

    #[test]
    fn a_cell_shows_what_was_seen_and_names_a_run_that_lost() {
        let sets = ["matrix.cause=[\"none\", \"retention\"]", "auto-offset-reset=earliest", "seeds=2"];
        let result = run(Table::Reset, &sets);
        assert_eq!(result.verdict(), Verdict::Holds);
        assert_eq!((result.rows.len(), result.columns.len()), (2, 1));
        assert!(result.cells[0].observed.is_empty(), "{:?}", result.cells[0].observed);
        let [lost] = &result.cells[1].observed[..] else { panic!("{:?}", result.cells[1].observed) };
        assert!(lost.promise == Promise::Loss && lost.count > 0, "{lost:?}");
        assert_eq!(lost.token.cell, "cause=retention,auto-offset-reset=earliest");
    }

    #[test]
    fn a_cell_that_shows_something_else_is_a_violation() {
        let healed = "variant.retention.fault.late=\"at 18s enforce-retention visits\"";
        let kept = "variant.retention.topic.visits.retention=\"1h\"";
        let sets = [healed, kept, "cause=retention", "auto-offset-reset=earliest", "seeds=2"];
        assert_eq!(run(Table::Reset, &sets).verdict(), Verdict::Violated, "nothing was lost, and the table says so");
    }

    #[test]
    fn a_crash_may_repeat_what_was_in_hand_and_no_more() {
        let family = Table::Commit.family(&[]).expect("it is valid");
        let plan = family.cells[0].plan(Seed(0));
        let seen = |count| vec![Seen { promise: Promise::Duplicates, count, token: Token::new(&plan, 0) }];
        let exceeded =
            |row, column, seen: Vec<Seen>, faults| exceeded(Table::Commit, (row, column), &plan, &seen, faults);
        assert_eq!(exceeded("per-batch", "mid-batch", seen(50), 5), None);
        assert!(exceeded("per-batch", "mid-batch", seen(51), 5).is_some());
        assert!(exceeded("per-record", "before-commit", seen(6), 5).is_some());
        assert_eq!(exceeded("per-batch", "paused", seen(51), 5), None, "a zombie does what it can");
    }
}
