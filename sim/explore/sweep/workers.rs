//! Worker processes as the coordinator sees them: started, given numbers, watched, replaced.
//!
//! A worker has a process group of its own, so that Ctrl-C in a terminal reaches the coordinator alone. When the coordinator
//! is gone, its input ends and nobody hears its output: either ends it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::worker::{Answer, Order};
use crate::checks::sweep::Broke;

/// How to start a worker: this program again, with a hidden command.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// A run, or its repetition for the self-check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub number: u64,
    pub check: bool,
}

/// What a worker said, or that it is gone.
pub struct Heard {
    pub serial: u64,
    /// `None` at the end of its output. An answer comes with its text.
    pub answer: Option<Result<(Answer, String), String>>,
}

pub struct Worker {
    pub serial: u64,
    child: Child,
    /// Gone when it shall end.
    input: Option<ChildStdin>,
    /// Given and not answered; it works on the first.
    pub tasks: VecDeque<Task>,
    /// Runs given to it so far.
    pub given: u64,
    pub ready: bool,
    /// It has said that it ends, or it was told to: its end is nobody's fault.
    pub leaving: bool,
    /// When it last made progress.
    pub heard: Instant,
    /// Why the coordinator has ended it.
    pub ended_for: Option<Broke>,
}

impl Worker {
    #[allow(clippy::disallowed_methods)] // A worker is watched in real time.
    pub fn start(command: &WorkerCommand, serial: u64, load: &Order, to: Sender<Heard>) -> std::io::Result<Worker> {
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().expect("its output is piped");
        let input = child.stdin.take();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let answer =
                    serde_json::from_str(&line).map(|answer| (answer, line)).map_err(|error| error.to_string());
                if to.send(Heard { serial, answer: Some(answer) }).is_err() {
                    return;
                }
            }
            let _ = to.send(Heard { serial, answer: None });
        });
        let mut worker = Worker {
            serial,
            child,
            input,
            tasks: VecDeque::new(),
            given: 0,
            ready: false,
            leaving: false,
            heard: Instant::now(),
            ended_for: None,
        };
        worker.say(load);
        Ok(worker)
    }

    #[allow(clippy::disallowed_methods)]
    pub fn give(&mut self, tasks: Vec<Task>) {
        if self.tasks.is_empty() {
            self.heard = Instant::now();
        }
        let numbers = tasks.iter().map(|task| task.number).collect();
        self.given += tasks.len() as u64;
        self.tasks.extend(tasks);
        self.say(&Order::Run(numbers));
    }

    /// One that is dead does not hear; its end is noticed at its output.
    fn say(&mut self, order: &Order) {
        let mut line = serde_json::to_string(order).expect("an order is plain data");
        line.push('\n');
        if let Some(input) = &mut self.input {
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
    }

    /// Lets it end by itself.
    pub fn retire(&mut self) {
        self.leaving = true;
        self.input = None;
    }

    /// Lets it finish the run that it is on, and no other. Returns what it was given and will not do.
    pub fn wind_down(&mut self) -> VecDeque<Task> {
        self.leaving = true;
        self.tasks.split_off(usize::from(self.ready).min(self.tasks.len()))
    }

    /// Resident memory in bytes. Linux only; elsewhere nobody knows.
    pub fn memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// Ends it at once; the end of its output follows.
    pub fn kill(&mut self, why: Broke) {
        self.ended_for = Some(why);
        self.end();
    }

    pub fn end(&mut self) {
        let _ = self.child.kill();
    }

    /// After the end of its output: how it ended, in words.
    pub fn farewell(&mut self) -> String {
        self.child.wait().map_or_else(|error| error.to_string(), told)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn told(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "unknown".to_string(),
    }
}
