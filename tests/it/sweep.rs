//! Sweeps as processes: what is killed, cut, resumed or merged gives the files of an undisturbed sweep, byte for byte.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hikyaku::checks::sweep::{Listed, RunRecord, Slice};
use hikyaku::explore::sweep::{Ended, Journal, Limits, Observer, Setup, WorkerCommand, sweep as run_sweep};

use crate::common::{Scratch, command, hikyaku, stderr, stdout};

const TINY: &str = "tests/data/sweep_tiny.toml";
/// Everything that must not depend on who ran what when.
const FILES: [&str; 5] = ["summary.md", "index.html", "sweep.json", "runs.csv", "junit.xml"];

fn sweep(out: &str, more: &[&str]) -> Output {
    let junit = format!("{out}/junit.xml");
    let mut arguments = vec!["sweep", TINY, "--out", out, "--junit", &junit];
    arguments.extend(more);
    hikyaku(&arguments)
}

fn resume(out: &str) -> Output {
    hikyaku(&["sweep", "--resume", "--out", out, "--junit", &format!("{out}/junit.xml")])
}

pub fn started(arguments: &[&str]) -> Child {
    let mut command = command(arguments, &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the built binary starts")
}

fn files(out: &str) -> Vec<String> {
    let read =
        |name: &&str| fs::read_to_string(format!("{out}/{name}")).unwrap_or_else(|e| panic!("{out}/{name}: {e}"));
    FILES.iter().map(read).collect()
}

fn assert_same(out: &str, reference: &[String]) {
    for ((name, one), other) in FILES.iter().zip(files(out)).zip(reference) {
        assert!(one == *other, "{name} differs:\n{one}\n-- undisturbed:\n{other}");
    }
}

pub fn signal(pid: u32, signal: &str) {
    // Whoever is gone already needs no signal.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Processes that this one has started.
pub fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut behind_name = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = behind_name.next().unwrap_or_default().to_string();
        state != "Z" && behind_name.next() == Some(&parent.to_string())
    };
    pids.filter(is_child).collect()
}

/// Waits for a child of the sweep that is none of these. Before it has become a worker, its parent waits for it in the
/// kernel, and a signal that stops the one would stop the other.
pub fn next_worker(sweep: &mut Child, known: &[u32]) -> Option<u32> {
    let is_worker =
        |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"\0worker\0"));
    loop {
        let mut workers = children(sweep.id()).into_iter().filter(is_worker);
        if let Some(worker) = workers.find(|pid| !known.contains(pid)) {
            return Some(worker);
        }
        if sweep.try_wait().expect("a child can be asked").is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_at_any_moment_and_resumed_nothing_is_lost_or_counted_twice() {
    // Many more rounds are run by hand: HIKYAKU_ROUNDS=100.
    let rounds: u64 = std::env::var("HIKYAKU_ROUNDS").ok().map_or(3, |rounds| rounds.parse().expect("a number"));
    let scratch = Scratch::new("sweep-killed");
    let whole = scratch.path("whole");
    // How long to wait before the kill is real time.
    #[allow(clippy::disallowed_methods)]
    let undisturbed = Instant::now();
    assert_eq!(sweep(&whole, &["--jobs", "2"]).status.code(), Some(1));
    let (length, reference) = (undisturbed.elapsed(), files(&whole));
    for round in 0..rounds {
        let out = scratch.path(&format!("round-{round}"));
        let junit = format!("{out}/junit.xml");
        let mut arguments = vec!["sweep", TINY, "--jobs", "2", "--out", &out, "--junit", &junit];
        for attempt in 0..3 {
            let mut sweep = started(&arguments);
            let share = (round * 37 + attempt * 61 + 13) % 97;
            std::thread::sleep(length * share as u32 / 97);
            if round % 2 == 0 {
                children(sweep.id()).into_iter().take(1).for_each(|worker| signal(worker, "-9"));
                std::thread::sleep(length / 20);
            }
            signal(sweep.id(), if round % 3 == 2 { "-TERM" } else { "-9" });
            sweep.wait().expect("it ends");
            if Path::new(&format!("{out}/journal.jsonl")).exists() {
                arguments = vec!["sweep", "--resume", "--jobs", "2", "--out", &out, "--junit", &junit];
            }
        }
        // Killed before its header was whole, there is nothing to go on with.
        let mut last = hikyaku(&arguments);
        if stderr(&last).contains("there is no sweep to go on with") {
            last = sweep(&out, &[]);
        }
        assert_eq!(last.status.code(), Some(1), "round {round}: {}", stderr(&last));
        assert_same(&out, &reference);
    }
}

#[test]
fn five_shards_are_the_whole() {
    let scratch = Scratch::new("sweep-shards");
    let (whole, shards) = (scratch.path("whole"), scratch.path("shards"));
    let seeds = ["--seeds", "0..9", "--max-failures", "3"];
    assert_eq!(sweep(&whole, &seeds).status.code(), Some(1));
    let run = |index: usize| {
        let slice = format!("slice:{index}/5");
        let output = hikyaku(&[&["sweep", TINY, "--out", &shards, "--partition", &slice][..], &seeds].concat());
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    };
    for index in [1, 2, 4, 5] {
        run(index);
    }
    let junit = format!("{shards}/junit.xml");
    let merge = || hikyaku(&["merge", &shards, "--junit", &junit]);
    let missing = merge();
    assert_eq!(missing.status.code(), Some(5));
    let command = format!("sweep {TINY} --seeds 0..9 --max-failures 3 --partition slice:3/5 --out {shards}");
    assert!(stderr(&missing).contains(&command), "{}", stderr(&missing));
    assert!(!Path::new(&format!("{shards}/runs.csv")).exists());
    run(3);
    assert_eq!(merge().status.code(), Some(1));
    assert_same(&shards, &files(&whole));
    // The same runs once more, and the runs of another sweep.
    fs::copy(format!("{shards}/shard-1-of-5.jsonl"), format!("{shards}/shard-1-again.jsonl")).unwrap();
    assert!(stderr(&merge()).contains("hold the same runs"), "{}", stderr(&merge()));
    fs::remove_file(format!("{shards}/shard-1-again.jsonl")).unwrap();
    hikyaku(&["sweep", TINY, "--out", &shards, "--partition", "slice:2/5", "--seeds", "0..8"]);
    assert!(stderr(&merge()).contains("are of different sweeps"), "{}", stderr(&merge()));
}

#[test]
fn the_cut_behind_the_last_failure_does_not_depend_on_who_was_quick() {
    let scratch = Scratch::new("sweep-cut");
    let (one, many) = (scratch.path("one"), scratch.path("many"));
    assert_eq!(sweep(&one, &["--max-failures", "2", "--jobs", "1"]).status.code(), Some(1));
    assert_eq!(sweep(&many, &["--max-failures", "2", "--jobs", "4"]).status.code(), Some(1));
    assert_same(&many, &files(&one));
    assert!(files(&one)[0].contains("Stopped behind run"));
}

#[test]
fn a_full_disk_leaves_a_journal_to_go_on_with() {
    let scratch = Scratch::new("sweep-full");
    let (whole, out) = (scratch.path("whole"), scratch.path("full"));
    assert_eq!(sweep(&whole, &[]).status.code(), Some(1));
    // A file may not grow beyond 16 KiB: the write that crosses it is cut short, as on a full disk.
    let limited =
        format!("trap '' XFSZ; ulimit -f 16; exec {} sweep {TINY} --out {out}", env!("CARGO_BIN_EXE_hikyaku"));
    let output = Command::new("bash").args(["-c", &limited]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("what was written stays valid"), "{}", stderr(&output));
    let journal = fs::read_to_string(format!("{out}/journal.jsonl")).unwrap();
    assert!(journal.ends_with('\n') && 2 < journal.lines().count(), "whole lines only");
    assert_eq!(resume(&out).status.code(), Some(1));
    assert_same(&out, &files(&whole));
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_only_its_seed_can_be_the_finding() {
    let scratch = Scratch::new("sweep-stopped");
    let one = |name: &str, stops: usize, with: &str| {
        let out = scratch.path(name);
        let more = ["--seeds", "3..4", "--jobs", "1", "--run-time", "2s", "--cell", "commit=none"];
        // Long enough that the worker is still at it.
        let long = ["--set", "duration=1h"];
        let arguments = [&["sweep", TINY, "--out", &out][..], &more, if stops == 2 { &long } else { &[] }].concat();
        let mut sweep = started(&arguments);
        let mut known = Vec::new();
        for _ in 0..stops {
            let Some(worker) = next_worker(&mut sweep, &known) else { break };
            signal(worker, with);
            known.push(worker);
        }
        let code = sweep.wait().expect("it ends").code();
        (code, fs::read_to_string(format!("{out}/summary.md")).unwrap())
    };
    let (code, summary) = one("once", 1, "-STOP");
    assert_eq!(code, Some(0), "{summary}");
    let (code, summary) = one("twice", 2, "-STOP");
    assert_eq!(code, Some(1), "{summary}");
    assert!(summary.contains("**simulated time stood still**"), "{summary}");
    assert!(summary.contains("no progress for 2 s, twice"), "{summary}");
}

#[test]
fn a_sweep_that_was_not_finished_is_not_overwritten_and_a_changed_scenario_is_not_mixed_in() {
    let scratch = Scratch::new("sweep-unfinished");
    let scenario = scratch.write("tiny.toml", fs::read_to_string(TINY).unwrap());
    let out = scratch.path("out");
    let first =
        hikyaku(&["sweep", &scenario, "--out", &out, "--time", "1ms", "--require-complete", "--cell", "commit=none"]);
    assert_eq!(first.status.code(), Some(5), "{}{}", stdout(&first), stderr(&first));
    assert!(stdout(&first).contains("    hikyaku sweep --resume --out"), "{}", stdout(&first));
    let again = hikyaku(&["sweep", &scenario, "--out", &out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("holds a sweep that was not finished"), "{}", stderr(&again));
    let other = hikyaku(&["sweep", &scenario, "--out", &out, "--resume", "--seeds", "0..3"]);
    assert!(stderr(&other).contains("begun with other scenarios, seeds or flags"), "{}", stderr(&other));
    scratch.write("tiny.toml", fs::read_to_string(TINY).unwrap().replace("20/s", "21/s"));
    let changed = hikyaku(&["sweep", "--resume", "--out", &out]);
    assert!(stderr(&changed).contains("has changed since the sweep began"), "{}", stderr(&changed));
}

/// Workers that differ from each other: each puts the number of its process into the digests of its runs.
const DIFFERING: &str = r#""$1" worker | sed -u "s/\"digest\":\"......../\"digest\":\"$(printf %08x $$)/""#;

struct Deaf;

impl Observer for Deaf {
    fn recorded(&mut self, _: Listed, _: &RunRecord) -> std::io::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}

#[test]
fn runs_that_come_out_differently_in_another_worker_are_told() {
    let scratch = Scratch::new("sweep-differs");
    let (honest, out) = (scratch.path("honest"), scratch.path("out"));
    assert_eq!(sweep(&honest, &["--seeds", "0..2", "--cell", "commit=none"]).status.code(), Some(0));
    let header = Journal::open(Path::new(&honest), Slice::WHOLE).unwrap().header.clone();
    fs::create_dir_all(&out).unwrap();
    let mut journal = Journal::create(Path::new(&out), header).unwrap();
    let arguments = ["-c", DIFFERING, "bash", env!("CARGO_BIN_EXE_hikyaku")].map(String::from).to_vec();
    let setup = Setup {
        worker: WorkerCommand { program: "bash".into(), arguments },
        jobs: 2,
        limits: Limits { events_at_an_instant: 1_000_000, without_progress: Duration::from_secs(60), memory: u64::MAX },
        until: None,
        stop: &AtomicBool::new(false),
        out: Path::new(&out),
    };
    assert_eq!(run_sweep(&setup, &mut journal, &mut Deaf).unwrap(), Ended::Done);
    drop(journal);
    let output = resume(&out);
    assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    assert!(stdout(&output).contains("NOT DETERMINISTIC: 0 of 1 run gave the same twice"), "{}", stdout(&output));
    // The machines do not differ: two more runs in one process are the same.
    assert!(stdout(&output).contains("run twice more, it was the same"), "{}", stdout(&output));
}

#[test]
fn regressions_come_first_and_stay_out_of_the_statistics() {
    let scratch = Scratch::new("sweep-regressions");
    let scenario = scratch.write("tiny.toml", fs::read_to_string(TINY).unwrap());
    scratch.write("tiny.seeds", "77 cell=commit=none stream=1 # lost once\n5 cell=commit=none stream=999\n");
    let out = scratch.path("out");
    let output = hikyaku(&["sweep", &scenario, "--out", &out, "--seeds", "0..2", "--cell", "commit=none"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("seed 5 is of stream s999"), "{}", stderr(&output));
    let table = fs::read_to_string(format!("{out}/runs.csv")).unwrap();
    assert!(table.lines().nth(1).unwrap().starts_with("0,yes,tiny,commit=none,77,holds,"), "{table}");
    assert!(stdout(&output).contains("0 of 2") && stdout(&output).contains("1 of 1 regressions hold"));
    scratch.write("tiny.seeds", "77 cell=nowhere\n");
    let wrong = hikyaku(&["sweep", &scenario, "--out", &out]);
    assert!(stderr(&wrong).contains("tiny.seeds:1: the scenario has no cell `nowhere`"), "{}", stderr(&wrong));
}

#[test]
fn a_kind_of_failure_is_new_or_as_before_or_gone_against_a_baseline() {
    let scratch = Scratch::new("sweep-baseline");
    let (safe, both, again) = (scratch.path("safe"), scratch.path("both"), scratch.path("again"));
    let only_safe = ["--set", "matrix.commit=[\"none\"]"];
    assert_eq!(sweep(&safe, &only_safe).status.code(), Some(0));

    let output = sweep(&both, &["--baseline", &safe]);
    assert_eq!(output.status.code(), Some(1), "new or not, what is violated is violated");
    let said = stdout(&output);
    assert!(said.contains("holds before, violated now; 1 kind of failure not met before"), "{said}");
    assert!(said.contains("0 of 12"), "{said}");
    for file in ["summary.md", "index.html"] {
        let text = fs::read_to_string(format!("{both}/{file}")).unwrap();
        assert!(text.contains("gainst the baseline") && text.contains("olds before, violated now"), "{file}: {text}");
        assert!(text.contains("by chance"), "{file}: {text}");
    }

    // Read before anything is written, so that the folder may be the same; and shards merged say what the whole says.
    let same = sweep(&again, &[]);
    assert_eq!(same.status.code(), Some(1));
    let output = sweep(&again, &["--baseline", &again]);
    assert!(stdout(&output).contains("still violated; 1 kind as before; the same runs were listed"), "{output:?}");
    let shards = scratch.path("shards");
    for slice in ["slice:1/2", "slice:2/2"] {
        let output = hikyaku(&["sweep", TINY, "--out", &shards, "--partition", slice, "--baseline", &safe]);
        assert!(stderr(&output).contains("give --baseline to `hikyaku merge`"), "{}", stderr(&output));
    }
    hikyaku(&["merge", &shards, "--baseline", &safe, "--junit", &format!("{shards}/junit.xml")]);
    assert_same(&shards, &files(&both));

    let output = sweep(&scratch.path("mended"), &["--baseline", &both, only_safe[0], only_safe[1]]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("violated before, holds now; 1 kind not met any more"), "{}", stdout(&output));

    for (wrong, why) in [(TINY, "is no result of `hikyaku sweep`"), ("no/such", "failed to read the baseline")] {
        let output = sweep(&scratch.path("wrong"), &["--baseline", wrong]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}
