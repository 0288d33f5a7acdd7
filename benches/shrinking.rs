//! From heavy failures to small scenarios: how small, how many runs, how much processor time.
//!
//! `cargo bench --bench shrinking -- [STARTS] [HAZARD…]`: for each hazard under `tests/data/hazards`, and for four guards
//! that are switched off, each on the system and under the mix of its mutant, the first STARTS failing seeds (3 if not
//! said) with at least 20 faults. Ends with 1 when a result has more than 3 faults, took more than 60 s of processor time,
//! or did not fail again ten times of ten, or when starts are missing.

use std::path::PathBuf;

use hikyaku::checks::{Signature, WaitOptions};
use hikyaku::explore::mutants::{Fate, mutant};
use hikyaku::explore::run_seed;
use hikyaku::explore::shrink::{Limits, REPETITIONS, shrink};
use hikyaku::scenario;
use hikyaku::types::{Guard, Seed};

const FOLDER: &str = "tests/data/hazards";
const FAULTS_BEFORE: usize = 20;
const FAULTS_AFTER: u64 = 3;
const SECONDS: f64 = 60.0;
/// Seeds that are looked at for a failing start.
const SEEDS: u64 = 400;
const GUARDS: [Guard; 4] =
    [Guard::TruncateByEpoch, Guard::ShrinkAfterCommit, Guard::DuplicateWaits, Guard::GenerationFencing];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let starts = words.iter().find_map(|word| word.parse().ok()).unwrap_or(3);
    let chosen: Vec<&String> = words.iter().filter(|word| word.parse::<usize>().is_err()).collect();
    let mut questions: Vec<Question> = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(FOLDER)
        .expect("the folder of hazards")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_stem().expect("a file").to_string_lossy().into_owned();
        if name != "system" {
            questions.push(Question { name, file, cell: String::new(), guard: None });
        }
    }
    questions.extend(GUARDS.map(|guard| match mutant(guard).fate {
        Fate::Killed { on: Some(on), .. } => Question {
            name: format!("without {guard}"),
            file: on.system.path().into(),
            cell: on.cell(),
            guard: Some(guard),
        },
        Fate::Killed { on: None, .. } | Fate::Scripted { .. } | Fate::Masked { .. } => panic!("{guard} has no mix"),
    }));
    println!(
        "{:<20} {:>5}  {:>6} → {:<6} {:>5} {:>7} {:>6}  fails again, signature",
        "hazard", "seed", "faults", "faults", "runs", "CPU s", "events"
    );
    let mut bad = 0;
    for question in questions {
        if chosen.is_empty() || chosen.iter().any(|word| question.name.contains(word.as_str())) {
            bad += measure(&question, starts);
        }
    }
    println!("{bad} results beyond {FAULTS_AFTER} faults or {SECONDS} s, not repeated, or without a start");
    std::process::exit(i32::from(0 < bad));
}

/// What is made small.
struct Question {
    name: String,
    file: PathBuf,
    cell: String,
    guard: Option<Guard>,
}

/// Prints a line for each start; returns how many were not good enough.
fn measure(Question { name, file, cell, guard }: &Question, starts: usize) -> u64 {
    let family = scenario::load(file, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
    let place = family.cells.iter().position(|known| known.id == *cell).expect("the cell");
    let draft = scenario::drafts(file, &[]).unwrap_or_else(|problems| panic!("{}", problems.short())).remove(place);
    let (mut bad, mut found) = (0, 0);
    for seed in 0..SEEDS {
        let guarded = family.cells[place].plan(Seed(seed));
        let mut plan = guarded.clone();
        plan.guards_off.extend(*guard);
        let (outcome, _) = run_seed(&plan, WaitOptions::default(), |_| {});
        if Signature::all(&outcome).is_empty() || outcome.faults.len() < FAULTS_BEFORE {
            continue;
        }
        // What fails with the guard as well says nothing of the guard.
        if guard.is_some() {
            let (guarded, _) = run_seed(&guarded, WaitOptions::default(), |_| {});
            if !Signature::all(&guarded).is_empty() {
                continue;
            }
        }
        let before = cpu_seconds();
        let limits =
            Limits { jobs: 1, runs: 5_000, keep: Vec::new(), stop: &|| SECONDS * 2.0 < cpu_seconds() - before };
        let result = shrink(&draft, &plan, &limits, &mut |_| {});
        let seconds = cpu_seconds() - before;
        found += 1;
        match result {
            Ok(shrunk) => {
                let good = shrunk.after.faults <= FAULTS_AFTER && seconds <= SECONDS && shrunk.repeated == REPETITIONS;
                bad += u64::from(!good);
                println!(
                    "{name:<20} {seed:>5}  {:>6} → {:<6} {:>5} {seconds:>7.1} {:>6}  {} of {REPETITIONS}, {}{}",
                    shrunk.before.faults,
                    shrunk.after.faults,
                    shrunk.runs,
                    shrunk.after.events,
                    shrunk.repeated,
                    shrunk.signature,
                    if shrunk.bound.is_some() { " (stopped by a bound)" } else { "" }
                );
            }
            Err(why) => {
                bad += 1;
                println!("{name:<20} {seed:>5}  {:>6}   not shrunk: {why:?}", outcome.faults.len());
            }
        }
        if found == starts {
            break;
        }
    }
    if found < starts {
        println!("{name:<20} only {found} failing starts with {FAULTS_BEFORE} faults among {SEEDS} seeds");
        bad += (starts - found) as u64;
    }
    bad
}

/// Processor time of this process; ticks are hundredths of a second on Linux.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells what a process has used");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) / 100.0
}
