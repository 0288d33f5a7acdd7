//! Gives the numbers of a list to workers and writes down what they answer.
//!
//! A worker gets a few numbers at a time and is replaced after some hundreds. When one dies, or is ended because its run
//! passed a limit, the run it was on is tried once more in a fresh process: somebody outside may have killed it. The second
//! time the run itself is the finding. The rest of what it was given goes to another worker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::journal::{Journal, JournalError, Line};
use super::worker::{Answer, Order};
use super::workers::{Heard, Task, Worker, WorkerCommand};
use crate::checks::Verdict;
use crate::checks::sweep::{Broke, BrokenRun, CheckRecord, Listed, Rounds, RunEnd, RunRecord, Selection};

/// Limits for each run. They begin anew with every bit of progress.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events at one simulated instant.
    pub events_at_an_instant: u64,
    /// Real time in which simulated time stands still.
    pub without_progress: Duration,
    /// Resident bytes of a worker.
    pub memory: u64,
}

pub struct Setup<'a> {
    pub worker: WorkerCommand,
    pub jobs: usize,
    pub limits: Limits,
    /// No further run begins after this.
    pub until: Option<Instant>,
    pub stop: &'a AtomicBool,
    /// Where the journal lies, for errors.
    pub out: &'a Path,
}

/// Hears what happens while a sweep is under way.
pub trait Observer {
    /// A run is in the journal.
    fn recorded(&mut self, run: Listed, record: &RunRecord) -> std::io::Result<()>;
    /// Something that a person should know.
    fn note(&mut self, line: &str);
}

/// Why a sweep is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that counts has been run.
    Done,
    TimeIsUp,
    Interrupted,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a worker cannot run: {0}")]
    Worker(String),
    #[error(
        "failed to write what was found: {0}; what was written stays valid: go on with `hikyaku sweep --resume --out {1}`"
    )]
    Write(std::io::Error, String),
}

/// Numbers given at once.
const LEASE: usize = 4;
/// A worker is replaced after this many runs.
const RUNS_OF_A_WORKER: u64 = 250;
/// Ends of a run's worker before the run itself is the finding.
const DEATHS: u32 = 2;
/// Workers in a row that end before they are ready.
const STILLBORN: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs what the journal does not have yet.
pub fn sweep(setup: &Setup, journal: &mut Journal, observer: &mut dyn Observer) -> Result<Ended, SweepError> {
    let (sender, receiver) = mpsc::channel();
    let list = journal.header.list.clone();
    let mut sweep = Coordinator {
        setup,
        rounds: list.rounds(),
        selection: Selection::of(&list),
        load: Order::Load { list: Box::new(list), events_at_an_instant: setup.limits.events_at_an_instant },
        journal,
        observer,
        workers: Vec::new(),
        serial: 0,
        sender,
        cursor: 0,
        again: VecDeque::new(),
        checks: VecDeque::new(),
        failed: BTreeSet::new(),
        deaths: BTreeMap::new(),
        stillborn: 0,
    };
    sweep.read_back()?;
    sweep.run(&receiver)
}

struct Coordinator<'a> {
    setup: &'a Setup<'a>,
    rounds: Rounds,
    selection: Selection,
    load: Order,
    journal: &'a mut Journal,
    observer: &'a mut dyn Observer,
    workers: Vec<Worker>,
    serial: u64,
    sender: Sender<Heard>,
    /// The next number of the list.
    cursor: u64,
    /// Given before and not answered.
    again: VecDeque<Task>,
    /// To be repeated, by another worker than this.
    checks: VecDeque<(u64, u64)>,
    /// Numbers of failures.
    failed: BTreeSet<u64>,
    deaths: BTreeMap<Task, u32>,
    stillborn: u32,
}

impl Coordinator<'_> {
    /// What the journal has already: failures, and repetitions that are still owed.
    fn read_back(&mut self) -> Result<(), SweepError> {
        let (rounds, selection, checks) = (&self.rounds, &self.selection, &self.journal.checks);
        let (failed, owed) = (&mut self.failed, &mut self.checks);
        self.journal.in_order(|number, _, record| {
            if record.failed() {
                failed.insert(number);
            }
            let judged = matches!(record.end, RunEnd::Judged(_));
            if judged && selection.contains(rounds.run(number)) && !checks.contains_key(&number) {
                owed.push_back((number, 0));
            }
            Ok(())
        })?;
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // Time budgets and limits are of real time.
    fn run(&mut self, receiver: &Receiver<Heard>) -> Result<Ended, SweepError> {
        let mut looked = Instant::now();
        loop {
            if self.setup.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Interrupted);
            }
            let time_is_up = self.setup.until.is_some_and(|until| until <= Instant::now());
            if time_is_up {
                self.wind_down();
            } else {
                self.assign()?;
            }
            if self.workers.iter().all(|worker| !self.matters(worker)) {
                if !self.has_work() {
                    return Ok(Ended::Done);
                }
                if time_is_up {
                    return Ok(Ended::TimeIsUp);
                }
            }
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(heard) => self.hear(heard)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the coordinator holds a sender itself"),
            }
            if LOOK_EVERY <= looked.elapsed() {
                looked = Instant::now();
                self.look();
            }
        }
    }

    /// Numbers behind this do not count.
    fn bound(&self) -> u64 {
        let list = &self.journal.header;
        // A shard cannot know what the others find.
        let most = list.list.max_failures.filter(|_| list.slice.of == 1);
        let last = most.and_then(|most| self.failed.iter().nth(most as usize - 1).copied());
        last.unwrap_or(u64::MAX)
    }

    fn matters(&self, worker: &Worker) -> bool {
        let bound = self.bound();
        worker.tasks.iter().any(|task| task.number <= bound)
    }

    fn has_work(&mut self) -> bool {
        let bound = self.bound();
        self.skip_done();
        let next = self.cursor < self.journal.header.list.len() && self.cursor <= bound;
        next || self.again.iter().any(|task| task.number <= bound)
            || self.checks.iter().any(|(number, _)| *number <= bound)
    }

    /// Moves the cursor to a number that is not done.
    fn skip_done(&mut self) {
        let header = &self.journal.header;
        while self.cursor < header.list.len() && (!header.slice.contains(self.cursor) || self.journal.has(self.cursor))
        {
            self.cursor += 1;
        }
    }

    fn assign(&mut self) -> Result<(), SweepError> {
        for at in 0..self.workers.len() {
            let worker = &self.workers[at];
            if worker.leaving || worker.ended_for.is_some() || LEASE <= worker.tasks.len() {
                continue;
            }
            let (serial, idle) = (worker.serial, worker.tasks.is_empty());
            if RUNS_OF_A_WORKER <= worker.given {
                if idle {
                    self.workers[at].retire();
                }
                continue;
            }
            let tasks: Vec<Task> = std::iter::from_fn(|| self.next_task(serial)).take(LEASE).collect();
            if !tasks.is_empty() {
                self.workers[at].give(tasks);
            } else if idle && self.has_work() {
                // Only repetitions of its own runs are left, which somebody else must do.
                self.workers[at].retire();
            }
        }
        let working = self.workers.iter().filter(|worker| !worker.leaving && worker.ended_for.is_none()).count();
        for _ in working..self.setup.jobs {
            let Some(first) = self.next_task(self.serial + 1) else { break };
            self.serial += 1;
            let started = Worker::start(&self.setup.worker, self.serial, &self.load, self.sender.clone());
            let mut worker = started.map_err(|error| SweepError::Worker(error.to_string()))?;
            worker.give(vec![first]);
            self.workers.push(worker);
        }
        Ok(())
    }

    /// Nothing begins any more: what was given and is not under way is taken back.
    fn wind_down(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| !worker.leaving) {
            self.again.extend(worker.wind_down());
        }
    }

    fn next_task(&mut self, serial: u64) -> Option<Task> {
        let bound = self.bound();
        if let Some(at) = self.again.iter().position(|task| task.number <= bound) {
            return self.again.remove(at);
        }
        if let Some(at) = self.checks.iter().position(|(number, by)| *number <= bound && *by != serial) {
            return self.checks.remove(at).map(|(number, _)| Task { number, check: true });
        }
        self.skip_done();
        if self.journal.header.list.len() <= self.cursor || bound < self.cursor {
            return None;
        }
        self.cursor += 1;
        Some(Task { number: self.cursor - 1, check: false })
    }

    #[allow(clippy::disallowed_methods)]
    fn hear(&mut self, heard: Heard) -> Result<(), SweepError> {
        let Some(at) = self.workers.iter().position(|worker| worker.serial == heard.serial) else { return Ok(()) };
        let worker = &mut self.workers[at];
        worker.heard = Instant::now();
        match heard.answer {
            Some(Ok((Answer::Ready, _))) => {
                worker.ready = true;
                self.stillborn = 0;
                Ok(())
            }
            Some(Ok((Answer::Alive, _))) => Ok(()),
            Some(Ok((Answer::Refused(why), _))) => Err(SweepError::Worker(why)),
            // It was to end with the run before.
            Some(Ok((Answer::Record(_), _))) if worker.leaving && worker.tasks.is_empty() => Ok(()),
            Some(Ok((Answer::Record(record), text))) => {
                let task = worker.tasks.pop_front().filter(|task| task.number == record.number);
                let Some(task) = task else {
                    return Err(SweepError::Worker(format!("it answered for run {} out of turn", record.number)));
                };
                // After such an answer it ends.
                worker.leaving |= matches!(record.end, RunEnd::Broken(_));
                if worker.leaving && worker.tasks.is_empty() {
                    worker.end();
                }
                let serial = worker.serial;
                self.record(task, record, &text, serial)
            }
            Some(Err(why)) => Err(SweepError::Worker(format!("its answer cannot be read: {why}"))),
            None => self.bury(at),
        }
    }

    fn record(&mut self, task: Task, record: RunRecord, text: &str, serial: u64) -> Result<(), SweepError> {
        self.deaths.remove(&task);
        if task.check {
            let (digest, verdict) = match &record.end {
                RunEnd::Judged(run) => (run.digest.clone(), run.outcome.verdict),
                RunEnd::Broken(broken) => (broken.message.clone(), Verdict::Violated),
            };
            return Ok(self.journal.append_check(CheckRecord { number: task.number, digest, verdict })?);
        }
        self.journal.append_record(&record, text)?;
        let run = self.rounds.run(record.number);
        if record.failed() {
            self.failed.insert(record.number);
        }
        if matches!(record.end, RunEnd::Judged(_)) && self.selection.contains(run) {
            self.checks.push_back((record.number, serial));
        }
        let written = self.observer.recorded(run, &record);
        written.map_err(|error| SweepError::Write(error, self.setup.out.display().to_string()))
    }

    /// A worker is at its end.
    fn bury(&mut self, at: usize) -> Result<(), SweepError> {
        let mut worker = self.workers.remove(at);
        let how = worker.farewell();
        let mut tasks = std::mem::take(&mut worker.tasks);
        if !worker.ready && worker.ended_for.is_none() {
            self.stillborn += 1;
            if STILLBORN <= self.stillborn {
                return Err(SweepError::Worker(format!("{STILLBORN} in a row ended before their first run ({how})")));
            }
        } else if !worker.leaving
            && let Some(task) = tasks.pop_front()
        {
            self.blame(task, worker.ended_for, &how, worker.serial)?;
        }
        while let Some(task) = tasks.pop_back() {
            self.again.push_front(task);
        }
        Ok(())
    }

    /// A worker ended in the middle of this run.
    fn blame(&mut self, task: Task, why: Option<Broke>, how: &str, serial: u64) -> Result<(), SweepError> {
        let deaths = self.deaths.entry(task).or_default();
        *deaths += 1;
        let limits = &self.setup.limits;
        let message = match why {
            Some(Broke::NoProgress) => format!("no progress for {} s", limits.without_progress.as_secs_f64()),
            Some(Broke::OutOfMemory) => format!("it took more than {} MiB", limits.memory >> 20),
            Some(Broke::WorkerDied) | None => format!("its worker process ended with {how}"),
        };
        let (scenario, cell) = self.journal.header.list.cell(self.rounds.run(task.number));
        let place = format!("{} [{}] seed {}", scenario.name, cell.id, self.rounds.run(task.number).seed.0);
        if *deaths < DEATHS {
            self.observer.note(&format!("{place}: {message}; once more in a fresh worker"));
            self.again.push_front(task);
            return Ok(());
        }
        let broken = BrokenRun { what: why.unwrap_or(Broke::WorkerDied), message: format!("{message}, twice") };
        let record = RunRecord { number: task.number, end: RunEnd::Broken(broken) };
        let text = serde_json::to_string(&Line::Record(record.clone())).expect("a record is plain data");
        self.record(task, record, &text, serial)
    }

    /// Ends workers that passed a limit.
    fn look(&mut self) {
        let limits = self.setup.limits;
        for worker in self.workers.iter_mut().filter(|worker| worker.ended_for.is_none()) {
            if !worker.tasks.is_empty() && limits.without_progress < worker.heard.elapsed() {
                worker.kill(Broke::NoProgress);
            } else if worker.memory().is_some_and(|memory| limits.memory < memory) {
                worker.kill(Broke::OutOfMemory);
            }
        }
    }
}
