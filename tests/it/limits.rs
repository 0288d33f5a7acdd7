//! Sweeps that end early, by the clock or by a signal, and runs that take their worker with them.

use std::fs;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use crate::common::{Scratch, command, hikyaku, hikyaku_with, stderr, stdout};
use crate::sweep::{children, next_worker, signal, started};

const TINY: &str = "tests/data/sweep_tiny.toml";
/// So much load that a run takes seconds of real time, on any machine.
const LONG: [&str; 2] = ["--set", "duration=4h"];

/// Whole records of runs in a journal, so far.
fn recorded(out: &str) -> usize {
    let journal = fs::read_to_string(format!("{out}/journal.jsonl")).unwrap_or_default();
    journal.split_inclusive('\n').filter(|line| line.contains("\"line\":{\"record\":") && line.ends_with('\n')).count()
}

#[allow(clippy::disallowed_methods)] // The test waits; no run depends on it.
fn wait_for_records(sweep: &mut Child, out: &str, count: usize) {
    let start = Instant::now();
    while recorded(out) < count {
        assert_eq!(sweep.try_wait().expect("a child can be asked"), None, "it ended before {count} runs were done");
        assert!(start.elapsed() < Duration::from_secs(120), "{count} runs take more than two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command as it was printed.
fn obeyed(line: &str) -> Output {
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], "hikyaku", "{line}");
    hikyaku(&words[1..])
}

/// The line of a summary that is a command.
fn command_in(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| line.starts_with("hikyaku sweep --resume")).expect("how to go on")
}

#[test]
fn when_the_time_is_up_running_seeds_finish_and_none_begins() {
    let scratch = Scratch::new("limits-time");
    let out = scratch.path("out");
    // Nothing ends within the time, and each worker is given several runs at once.
    let arguments = ["sweep", TINY, "--out", &out, "--seeds", "0..8", "--jobs", "2", "--time", "500ms"];
    let output = hikyaku(&[&arguments[..], &LONG].concat());
    assert!(recorded(&out) <= 2, "{} runs began within half a second", recorded(&out));
    // What was run decides; how much that is hangs on the machine.
    let code = match stdout(&output).split_whitespace().next() {
        _ if recorded(&out) == 0 => 5,
        Some("HOLDS") => 0,
        Some("VIOLATED") => 1,
        Some("UNKNOWN" | "VACUOUS") => 3,
        other => panic!("{other:?} is no verdict"),
    };
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("incomplete, the time is up; go on with"), "{}", stdout(&output));
    assert!(stdout(&output).contains(&format!("{} of 16 runs", recorded(&out))), "{}", stdout(&output));
    assert_eq!(command_in(&stdout(&output)), format!("hikyaku sweep --resume --out {out}"));
}

#[test]
fn an_interrupted_sweep_says_what_is_done_and_goes_on_by_the_command_that_it_prints() {
    let scratch = Scratch::new("limits-signal");
    let whole = scratch.path("whole");
    let of = |out: &str| format!("{out}/junit.xml");
    let seeds = ["--seeds", "0..20", "--set", "duration=20s"];
    let undisturbed = hikyaku(&[&["sweep", TINY, "--out", &whole, "--junit", &of(&whole)][..], &seeds].concat());
    assert_eq!(undisturbed.status.code(), Some(1), "{}", stderr(&undisturbed));
    for with in ["-INT", "-TERM"] {
        let out = scratch.path(with);
        let junit = of(&out);
        let arguments = [&["sweep", TINY, "--out", &out, "--junit", &junit, "--jobs", "1"][..], &seeds].concat();
        let mut command = command(&arguments, &[]);
        let piped = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut sweep = piped.spawn().expect("the built binary starts");
        wait_for_records(&mut sweep, &out, 3);
        signal(sweep.id(), with);
        let output = sweep.wait_with_output().expect("it ends");
        let (told, done) = (stdout(&output), recorded(&out));
        assert_eq!(output.status.code(), Some(130), "{with}: {told}{}", stderr(&output));
        assert!(stderr(&output).contains("stopping, and writing what is done"), "{}", stderr(&output));
        assert!((3..40).contains(&done) && told.contains(&format!("{done} of 40 runs")), "{with}: {done} done\n{told}");
        assert!(told.contains("interrupted; go on with"), "{told}");
        let resumed = obeyed(command_in(&told));
        assert_eq!(resumed.status.code(), Some(1), "{with}: {}", stderr(&resumed));
        for name in ["summary.md", "index.html", "sweep.json", "runs.csv", "junit.xml"] {
            let read = |folder: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap();
            assert!(read(&out) == read(&whole), "{with}: {name} differs from that of an undisturbed sweep");
        }
    }
}

#[test]
fn an_interrupted_run_of_many_cells_writes_those_that_were_run() {
    let scratch = Scratch::new("limits-run");
    let out = scratch.path("out");
    let arguments = ["run", TINY, "--seeds", "0..40", "--jobs", "1", "--set", "duration=2m", "--out", &out];
    let mut command = command(&arguments, &[]);
    let piped = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let run = piped.spawn().expect("the built binary starts");
    // Within the first of the two cells.
    std::thread::sleep(Duration::from_secs(2));
    signal(run.id(), "-INT");
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("of 80 runs are done; `hikyaku run"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

/// Each run has a thread of its own, which is named after it.
fn is_in_a_run(worker: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{worker}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok())
        .any(|name| name.trim_end() == "run")
}

#[test]
fn a_worker_that_dies_twice_in_one_run_makes_that_run_the_finding() {
    let scratch = Scratch::new("limits-killed");
    let out = scratch.path("out");
    let arguments = ["sweep", TINY, "--out", &out, "--seeds", "3..4", "--jobs", "1", "--cell", "commit=none"];
    let mut sweep = started(&[&arguments[..], &LONG].concat());
    let mut known = Vec::new();
    while let Some(worker) = next_worker(&mut sweep, &known) {
        assert!(known.len() < 2, "it goes on with a third worker for the same run");
        // Killed in its run: one that dies before it has one is only replaced.
        while !is_in_a_run(worker) {
            assert_eq!(sweep.try_wait().expect("a child can be asked"), None, "the sweep ended without a run");
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(worker, "-9");
        known.push(worker);
    }
    let output = sweep.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), known.len()), (Some(70), 2), "{}", stderr(&output));
    assert!(stderr(&output).contains("once more in a fresh worker"), "{}", stderr(&output));
    let summary = fs::read_to_string(format!("{out}/summary.md")).unwrap();
    assert!(summary.contains("**the worker process died**"), "{summary}");
    assert!(summary.contains("its worker process ended with signal 9, twice"), "{summary}");
    assert!(children(std::process::id()).iter().all(|child| !known.contains(child)));
}

#[test]
fn a_run_that_takes_too_much_memory_is_the_finding_and_the_others_are_run() {
    let scratch = Scratch::new("limits-memory");
    let text = fs::read_to_string(TINY).unwrap();
    // One cell of two holds so many records in memory that its worker outgrows the limit.
    let text = text.replace("commit = [\"none\", \"in-front\"]", "load = [\"none\", \"heavy\"]");
    let (head, _) = text.split_once("[variant.in-front").expect("the variant of the file");
    let (_, tail) = text.split_once("\n[fault]").expect("its fault");
    let heavy = "[variant.heavy.service.shop]\nrate = \"20000/s\"\nsize = \"1MiB\"\n";
    let scenario = scratch.write("memory.toml", format!("{head}{heavy}\n[fault]{tail}"));
    let out = scratch.path("out");
    let arguments = ["sweep", &scenario, "--out", &out, "--seeds", "0..3", "--jobs", "2", "--run-memory", "64"];
    let output = hikyaku(&[&arguments[..], &["--set", "duration=20s"]].concat());
    let (told, table) = (stdout(&output), fs::read_to_string(format!("{out}/runs.csv")).unwrap());
    assert_eq!(output.status.code(), Some(1), "{told}{}", stderr(&output));
    let verdicts = |cell: &str| table.lines().filter(|line| line.contains(cell)).collect::<Vec<_>>().join("\n");
    assert_eq!(verdicts("load=none").matches(",holds,").count(), 3, "{table}");
    assert_eq!(verdicts("load=heavy").matches(",out-of-memory,").count(), 3, "{table}");
    assert!(told.contains("it took more than 64 MiB, twice"), "{told}");
    assert_eq!(stderr(&output).matches("it took more than 64 MiB; once more in a fresh worker").count(), 3);
}

#[test]
fn too_many_events_at_one_instant_are_a_finding_and_many_events_of_a_long_run_are_none() {
    let scratch = Scratch::new("limits-events");
    let with = |name: &str, limit: &str| {
        let out = scratch.path(name);
        let arguments =
            ["sweep", TINY, "--out", &out, "--seeds", "0..2", "--cell", "commit=none", "--run-events", limit];
        let output = hikyaku(&arguments);
        (output.status.code(), fs::read_to_string(format!("{out}/runs.csv")).unwrap(), stdout(&output))
    };
    let (code, table, told) = with("few", "3");
    assert_eq!((code, table.matches(",no-progress,").count()), (Some(1), 2), "{table}{told}");
    assert!(told.contains("more than 3 events at one instant"), "{told}");
    // Far fewer than a run has, and more than any instant has: each new instant begins to count anew.
    let (code, table, told) = with("some", "400");
    assert_eq!((code, table.matches(",holds,").count()), (Some(0), 2), "{table}{told}");
    let plan = crate::common::load(TINY, &[]).cells[0].plan(hikyaku::types::Seed(0));
    assert!(400 < crate::common::run(&plan).1.events);
}

#[test]
fn a_run_may_take_longer_than_the_limit_as_long_as_its_time_goes_on() {
    let scratch = Scratch::new("limits-progress");
    let out = scratch.path("out");
    let arguments = ["sweep", TINY, "--out", &out, "--seeds", "0..1", "--cell", "commit=none", "--run-time", "2s"];
    #[allow(clippy::disallowed_methods)] // The test measures; no run depends on it.
    let start = Instant::now();
    let output = hikyaku_with(&[&arguments[..], &["--set", "duration=1h"]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    println!("one run took {:?}; it may stand still for 2 s", start.elapsed());
}
