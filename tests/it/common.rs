//! What several tests need: scenarios as families, runs of the built binary, folders that go away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;

use hikyaku::checks::{Invariant, RunOutcome, WaitOptions};
use hikyaku::explore::{SeedRun, run_family, run_seed};
use hikyaku::scenario::plan::Plan;
use hikyaku::scenario::{self, Family};
use hikyaku::world::RunReport;

pub fn load(path: &str, sets: &[&str]) -> Family {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    scenario::load(Path::new(path), &sets).unwrap_or_else(|problems| panic!("{path}: {}", problems.short()))
}

pub fn parse(name: &str, text: &str) -> Family {
    scenario::parse(name, text, &[], &|_, parent| Err(format!("no parent `{parent}`")))
        .unwrap_or_else(|problems| panic!("{name}: {}", problems.short()))
}

/// Runs the plan and makes sure that it came to an end by itself.
pub fn run(plan: &Plan) -> (RunOutcome, RunReport) {
    let (outcome, report) = run_seed(plan, WaitOptions::default(), |_| {});
    assert_eq!(report.panic, None, "{} {} seed {}", plan.scenario, plan.cell, plan.seed.0);
    (outcome, report)
}

pub fn digest(plan: &Plan) -> u128 {
    run(plan).1.digest
}

/// All cells over the seeds, on as many threads as there are cores.
pub fn run_all(family: &Family, seeds: std::ops::Range<u64>) -> Vec<SeedRun> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = run_family(family, seeds, jobs, WaitOptions::default(), &AtomicBool::new(false), |_| {});
    for run in &runs {
        assert_eq!(run.report.panic, None, "{} seed {}", family.name, run.seed.0);
    }
    runs
}

/// Over all runs.
pub fn sum(runs: &[SeedRun], count: impl Fn(&RunOutcome) -> u64) -> u64 {
    runs.iter().map(|run| count(&run.outcome)).sum()
}

/// Effects that are lost, at all places.
pub fn lost(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.lost).sum()
}

/// Effects that were repeated with harm, at all places.
pub fn repeated(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.repeated_harmful).sum()
}

/// Effects that are still owed, at all places.
pub fn pending(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.pending).sum()
}

/// Runs in which an invariant was violated.
pub fn broken(runs: &[SeedRun], invariant: Invariant) -> usize {
    let breaks = |run: &&SeedRun| run.outcome.invariant_violations.iter().any(|found| found.invariant == invariant);
    runs.iter().filter(breaks).count()
}

/// The built binary, at the root of the repository, without anything of the caller's environment that it would read.
pub fn hikyaku(arguments: &[&str]) -> Output {
    hikyaku_with(arguments, &[])
}

pub fn hikyaku_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).stdin(Stdio::null()).output().expect("the built binary starts")
}

/// Another build of the program, to be asked instead of the one that was built with the tests: a release, say.
const OTHER_BINARY: &str = "HIKYAKU_BINARY";

pub fn is_of_another_build() -> bool {
    std::env::var_os(OTHER_BINARY).is_some()
}

pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let binary = std::env::var_os(OTHER_BINARY).unwrap_or_else(|| env!("CARGO_BIN_EXE_hikyaku").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HIKYAKU_") || text.starts_with("GITHUB_") || text == "CLICOLOR_FORCE" {
            command.env_remove(&name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of one test under `target/`, empty at first, gone when the test has passed.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder under target/ can be made");
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("target/ has a plain name").to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), content).expect("a file under target/ can be written");
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
