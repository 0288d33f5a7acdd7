//! The worker's side: reads numbers from standard input, runs them, writes one line for each to standard output.
//!
//! It loads the scenarios itself and refuses to run when they are not those of the list any more. While a run is under way
//! a second thread says that simulated time goes on. A run in which it stands still for too many events is given up, and
//! the process with it, since nothing else can stop a machine that runs in a circle.

use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::checks::sweep::{Broke, BrokenRun, JudgedRun, ListedScenario, RunEnd, RunRecord, SweepList, slim};
use crate::checks::{Signature, StatesReached, WaitOptions};
use crate::explore::run_seed;
use crate::history::{Event, Happening};
use crate::scenario::plan::{FaultFamily, Plan};
use crate::scenario::{self, Family};
use crate::types::FaultId;

/// What the coordinator says, one line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Load { list: Box<SweepList>, events_at_an_instant: u64 },
    Run(Vec<u64>),
}

/// What a worker says, one line each. A line `{"record": …}` goes into the journal as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Ready,
    /// It cannot run this list, and why.
    Refused(String),
    /// Simulated time went on.
    Alive,
    Record(RunRecord),
}

/// How often a worker says that it lives.
const ALIVE_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// Serves until the input ends.
pub fn serve(input: impl BufRead) {
    let simulated = Arc::new(AtomicU64::new(0));
    let seen = simulated.clone();
    std::thread::spawn(move || {
        let mut last = 0;
        loop {
            std::thread::sleep(ALIVE_EVERY);
            let now = seen.load(Ordering::Relaxed);
            if now != last {
                say(&Answer::Alive);
                last = now;
            }
        }
    });
    let mut work: Option<Work> = None;
    for line in input.lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(Order::Load { list, events_at_an_instant }) => match load(&list) {
                Ok(families) => {
                    work = Some(Work { list: *list, families, events_at_an_instant, simulated: simulated.clone() });
                    say(&Answer::Ready);
                }
                Err(reason) => say(&Answer::Refused(reason)),
            },
            Ok(Order::Run(numbers)) => {
                let Some(work) = &work else { return say(&Answer::Refused("it has no list yet".into())) };
                for number in numbers {
                    work.run(number);
                }
            }
            Err(error) => return say(&Answer::Refused(format!("it cannot read its orders: {error}"))),
        }
    }
}

/// Says it, or ends: nobody listens any more.
fn say(answer: &Answer) {
    let mut line = serde_json::to_string(answer).expect("an answer is plain data");
    line.push('\n');
    let mut output = std::io::stdout().lock();
    if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The families of a list, if they still are what the list says.
pub fn load(list: &SweepList) -> Result<Vec<Family>, String> {
    if !list.of_this_build() {
        return Err(format!("the sweep was begun by hikyaku {} with stream s{}", list.version, list.stream_version));
    }
    let families = list.scenarios.iter().map(|listed| {
        let mut family = scenario::load(std::path::Path::new(&listed.path), &list.sets)
            .map_err(|problems| format!("{} is not valid any more:\n{}", listed.path, problems.short()))?;
        if !same(&family, listed) {
            return Err(format!("{} has changed since the sweep began; begin a new one", listed.path));
        }
        family.switch_off(&list.guards_off);
        Ok(family)
    });
    families.collect()
}

fn same(family: &Family, listed: &ListedScenario) -> bool {
    let has = |index: usize, id: &str| family.cells.get(index).is_some_and(|cell| cell.id == id);
    format!("{:032x}", family.fingerprint()) == listed.fingerprint
        && listed.cells.iter().all(|cell| has(cell.index, &cell.id))
}

struct Work {
    list: SweepList,
    families: Vec<Family>,
    events_at_an_instant: u64,
    simulated: Arc<AtomicU64>,
}

impl Work {
    fn run(&self, number: u64) {
        let run = self.list.rounds().run(number);
        let cell = self.list.cell(run).1;
        let plan = self.families[run.scenario].cells[cell.index].plan(run.seed);
        let mut watch = Watch::new(number, self.events_at_an_instant, &self.simulated);
        let mut states = StatesReached::new(&plan);
        let mut fired: Vec<FaultId> = Vec::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            run_seed(&plan, WaitOptions::default(), |event| {
                watch.observe(event);
                states.observe(event);
                if let Happening::FaultFired { fault, .. } = &event.what {
                    fired.push(*fault);
                }
            })
        }));
        let end = match result {
            Ok((outcome, report)) => RunEnd::Judged(Box::new(JudgedRun {
                digest: format!("{:032x}", report.digest),
                messages: report.messages,
                signatures: Signature::all(&outcome),
                fired: families_of(&fired, &plan),
                states: states.finish(),
                outcome: slim(outcome),
            })),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
                give_up(number, Broke::WorkerDied, format!("the judge broke one of its own invariants: {text}"));
            }
        };
        say(&Answer::Record(RunRecord { number, end }));
    }
}

/// The run is a finding, and this process is at its end.
fn give_up(number: u64, what: Broke, message: String) -> ! {
    say(&Answer::Record(RunRecord { number, end: RunEnd::Broken(BrokenRun { what, message }) }));
    std::process::exit(1);
}

/// Sees that simulated time goes on.
struct Watch<'a> {
    number: u64,
    limit: u64,
    simulated: &'a AtomicU64,
    now: u64,
    /// Events at this instant.
    events: u64,
}

impl<'a> Watch<'a> {
    fn new(number: u64, limit: u64, simulated: &'a AtomicU64) -> Watch<'a> {
        Watch { number, limit, simulated, now: 0, events: 0 }
    }

    fn observe(&mut self, event: &Event) {
        self.events += 1;
        if event.time.0 != self.now {
            self.now = event.time.0;
            self.events = 0;
            self.simulated.store(self.now, Ordering::Relaxed);
        } else if self.limit < self.events {
            let message = format!("more than {} events at one instant, {}", self.limit, event.time);
            give_up(self.number, Broke::NoProgress, message);
        }
    }
}

fn families_of(fired: &[FaultId], plan: &Plan) -> Vec<FaultFamily> {
    let faults = plan.faults.iter().filter(|fault| fired.contains(&fault.id));
    let families: std::collections::BTreeSet<FaultFamily> = faults.map(|fault| fault.family(plan)).collect();
    families.into_iter().collect()
}
