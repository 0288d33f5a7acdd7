//! What a scenario's runs came to, all together, and what a report says of them: the terminal, the page and the gallery read this.

use std::borrow::Cow;
use std::ops::Range;

use crate::checks::baseline::Earlier;
use crate::checks::chronicle::Chronicle;
use crate::checks::{CellVerdict, Coverage, Evidence, FaultSpan, Verdict};
use crate::explore::explain::{findings, is_bad};
use crate::explore::replay::Token;
use crate::explore::{SeedRun, judge_runs};
use crate::history::export::Names;
use crate::report::answer::FaultRow;
use crate::report::figures::{CellReport, studied};
use crate::report::html::stories::Story;
use crate::report::results::telling_seed;
use crate::report::sweep::commands::quoted;
use crate::scenario::plan::{FaultAction, Plan};
use crate::scenario::{Family, printable};
use crate::types::{EventId, Seed, ServiceId};

/// Stories on a page, over all cells, and of one cell.
const STORIES: usize = 60;
const STORIES_OF_CELL: usize = 4;

/// All runs of a family, judged.
pub struct Study<'a> {
    pub family: &'a Family,
    /// The command line without seeds, for people to paste.
    pub arguments: String,
    pub seeds: Range<u64>,
    /// By cell, then by seed.
    pub runs: Vec<SeedRun>,
    /// Of the cells that were run.
    pub verdicts: Vec<CellVerdict>,
    pub verdict: Verdict,
    /// Of each cell, for the first seed.
    pub plans: Vec<Plan>,
    /// An earlier result, to compare with.
    pub baseline: Option<Earlier>,
}

impl Study<'_> {
    /// `runs` must not be empty.
    pub fn new(
        family: &Family,
        arguments: String,
        seeds: Range<u64>,
        runs: Vec<SeedRun>,
        coverage: Coverage,
    ) -> Study<'_> {
        let verdicts = judge_runs(family, runs.iter(), coverage);
        let verdict = verdicts.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Vacuous);
        let plans = family.cells.iter().map(|cell| cell.plan(Seed(seeds.start))).collect();
        Study { family, arguments, seeds, runs, verdicts, verdict, plans, baseline: None }
    }

    /// The cells that were run. After an interrupt there may be others, and those have no verdict.
    pub fn cells(&self) -> Vec<CellReport<'_>> {
        let mut runs = self.runs.iter().peekable();
        let reports = self.family.cells.iter().enumerate().filter_map(|(index, cell)| {
            let own = std::iter::from_fn(|| runs.next_if(|run| run.cell == index)).map(|run| &run.outcome).collect();
            let verdict = self.verdicts.iter().find(|verdict| verdict.cell == cell.id)?;
            Some(CellReport { id: &cell.id, axes: &cell.axes, plan: &self.plans[index], runs: own, verdict })
        });
        reports.collect()
    }

    pub fn footer(&self) -> String {
        let Range { start, end } = self.seeds;
        format!("{} · seeds {start}..{end} · hikyaku {}", self.family.name, env!("CARGO_PKG_VERSION"))
    }

    /// The plan of one run.
    pub fn plan(&self, run: usize) -> Plan {
        let run = &self.runs[run];
        self.family.cells[run.cell].plan(run.seed)
    }

    /// The run that is worth a second look: the worst; where everything holds, the first that shows what is required.
    pub fn most_telling(&self) -> Option<&SeedRun> {
        let judged = || self.verdicts.iter().filter(|cell| cell.verdict == self.verdict);
        let worst = judged().find_map(|cell| Some((cell, cell.worst_seed?)));
        let seen = judged().find_map(|cell| {
            let required = cell.expectations.iter().filter(|one| one.demand.is_required());
            Some((cell, required.filter_map(|one| one.first_seen).next()?))
        });
        let (cell, seed) = worst.or(seen)?;
        self.runs.iter().find(|run| self.family.cells[run.cell].id == cell.cell && run.seed == seed)
    }

    /// The run that is looked at over time, by its index: the most telling one; where nothing went wrong, the first at an advised
    /// headroom, or the first of all.
    pub fn featured(&self) -> usize {
        const ADVISED: u64 = 1_500;
        let index_of = |wanted: &SeedRun| {
            self.runs.iter().position(|run| (run.cell, run.seed) == (wanted.cell, wanted.seed)).unwrap_or(0)
        };
        let at_least = |plan: &Plan| {
            plan.services.iter().any(|service| service.headroom_thousandths.is_some_and(|headroom| ADVISED <= headroom))
        };
        let advised = || self.runs.iter().position(|run| at_least(&self.plans[run.cell]));
        self.most_telling().map(index_of).or_else(advised).unwrap_or(0)
    }

    /// The consuming service that a run is asked about.
    pub fn studied_service(&self, run: usize) -> Option<ServiceId> {
        let id = &self.family.cells[self.runs[run].cell].id;
        let cells = self.cells();
        studied(cells.iter().find(|cell| cell.id == id)?).map(|(service, _)| service.id)
    }

    /// The plans of the runs of a cell.
    pub fn plans_of(&self, cell: &str) -> Vec<Plan> {
        let own = (0..self.runs.len()).filter(|run| self.family.cells[self.runs[*run].cell].id == cell);
        own.map(|run| self.plan(run)).collect()
    }

    /// What to do with a run, and the command: again, replay, why, small.
    pub fn commands(&self, run: &SeedRun) -> Vec<(&'static str, String)> {
        let (seed, cell) = (run.seed, &self.family.cells[run.cell]);
        let path = printable(&self.family.path.display().to_string());
        let flags = self.arguments.strip_prefix(&format!("hikyaku run {path}")).unwrap_or_default();
        let elsewhere =
            if self.family.path.starts_with("scenarios") { String::new() } else { format!(" --scenario {path}") };
        let token = quoted(&printable(&Token::new(&cell.plan(seed), run.report.digest).to_string()));
        let mut commands = vec![
            ("again", format!("{} --seed {}", self.arguments, seed.0)),
            ("replay", format!("hikyaku replay {token}{elsewhere}{flags}")),
        ];
        if !findings(&run.outcome).is_empty() {
            commands.push(("why", format!("hikyaku explain {token}{elsewhere}{flags}")));
        }
        if run.outcome.verdict == Verdict::Violated {
            let of_cell = match self.family.cells.len() {
                1 => String::new(),
                _ => format!(" --cell {}", quoted(&printable(&cell.id))),
            };
            commands.push(("small", format!("hikyaku shrink {path}{of_cell} --seed {}{flags}", seed.0)));
        }
        commands
    }

    /// The runs with a story to tell and the events that tell it, the worst cells first; and the cells that are left out.
    pub fn to_tell(&self) -> (Vec<(usize, Vec<EventId>)>, u64) {
        let mut telling: Vec<(std::cmp::Reverse<Verdict>, usize, Vec<EventId>)> = Vec::new();
        for cell in self.cells() {
            let Some(seed) = telling_seed(&cell) else { continue };
            let run = self.runs.iter().position(|run| run.seed == seed && self.family.cells[run.cell].id == cell.id);
            let Some(run) = run else { continue };
            let mut events: Vec<EventId> = Vec::new();
            for finding in findings(&self.runs[run].outcome) {
                if !events.contains(&finding.event) {
                    events.push(finding.event);
                }
            }
            if !events.is_empty() {
                telling.push((std::cmp::Reverse(cell.verdict.verdict), run, events));
            }
        }
        telling.sort();
        let left = telling.len().saturating_sub(STORIES) as u64;
        telling.truncate(STORIES);
        let of_each = (STORIES / telling.len().max(1)).clamp(1, STORIES_OF_CELL);
        let told = telling.into_iter().map(|(_, run, mut events)| {
            events.truncate(of_each);
            (run, events)
        });
        (told.collect(), left)
    }

    /// A followed event of a run, with what was found of it.
    pub fn story(&self, run: usize, chronicle: Chronicle) -> Story {
        let of = &self.runs[run];
        let found = of.outcome.places.iter().flat_map(|place| &place.evidence);
        let mut evidence: Vec<Evidence> =
            found.filter(|found| found.event == chronicle.event && is_bad(found.kind)).cloned().collect();
        evidence.sort_by_key(|found| found.kind);
        let explain = self.commands(of).into_iter().find(|(what, _)| *what == "why");
        let command = explain.map_or(String::new(), |(_, command)| format!("{command} --event {}", chronicle.event));
        Story { plan: self.plan(run), chronicle, evidence, command }
    }

    /// Every fault of the scenario, and every kind of those that were drawn, over all runs.
    pub fn faults(&self) -> Vec<FaultRow> {
        let mut rows: Vec<FaultRow> = Vec::new();
        for (number, run) in self.runs.iter().enumerate() {
            // Without chaos all seeds have the same faults.
            let first = &self.plans[run.cell];
            let plan = if first.chaos.is_some() { Cow::Owned(self.plan(number)) } else { Cow::Borrowed(first) };
            let mut of_run: Vec<(usize, Vec<&FaultSpan>)> = Vec::new();
            for fault in &plan.faults {
                let (name, text) = match fault.is_drawn() {
                    true => (format!("chaos: {}", verb(&fault.action)), String::new()),
                    false => (fault.name.clone(), fault.text.clone()),
                };
                let row = rows.iter().position(|row| row.name == name && row.text == text).unwrap_or_else(|| {
                    rows.push(FaultRow { name, text, fired_in: 0, of: 0, times: 0, example: String::new() });
                    rows.len() - 1
                });
                let fired = run.outcome.faults.iter().filter(|span| span.fault == fault.id);
                match of_run.iter_mut().find(|(other, _)| *other == row) {
                    Some((_, spans)) => spans.extend(fired),
                    None => of_run.push((row, fired.collect())),
                }
            }
            for (row, spans) in of_run {
                let row = &mut rows[row];
                row.of += 1;
                row.fired_in += u64::from(!spans.is_empty());
                row.times += spans.len() as u64;
                if let Some(span) = spans.first().filter(|_| row.example.is_empty()) {
                    row.example = self.struck(run, &plan, span);
                }
            }
        }
        rows
    }

    /// `failure=crash, seed 3: 12.042 s at broker-2`.
    fn struck(&self, run: &SeedRun, plan: &Plan, span: &FaultSpan) -> String {
        const NODES: usize = 4;
        let names = Names::of(plan);
        let nodes: Vec<_> = span.nodes.iter().chain(&span.peers).take(NODES).map(|node| names.node(*node)).collect();
        let at = if nodes.is_empty() { String::new() } else { format!(" at {}", nodes.join(", ")) };
        let cell = &self.family.cells[run.cell].id;
        let cell = if cell.is_empty() { String::new() } else { format!("{cell}, ") };
        format!("{cell}seed {}: {:.3} s{at}", run.seed.0, span.fired.as_seconds())
    }
}

/// What a fault does, as the language writes it.
fn verb(action: &FaultAction) -> String {
    match serde_json::to_value(action) {
        Ok(serde_json::Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
