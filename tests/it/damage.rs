//! Files that were cut, changed or mixed up after they were written: each reader says so, with the place and what to do,
//! or reads what was written. A changed plan that still reads runs or is refused.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hikyaku::checks::sweep::{Slice, SweepJudge, SweepVerdict};
use hikyaku::explore::sweep::{Journal, Merged, merge, shard_name};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::{Scratch, command, hikyaku, stderr};

const TINY: &str = "tests/data/sweep_tiny.toml";

/// Real files: a journal, the two shards of the same sweep, and a journal of another sweep.
struct Real {
    journal: Vec<u8>,
    shards: [Vec<u8>; 2],
    other: Vec<u8>,
    verdict: SweepVerdict,
}

fn real() -> &'static Real {
    static REAL: OnceLock<Real> = OnceLock::new();
    REAL.get_or_init(|| {
        let scratch = Scratch::new("damage-real");
        let (whole, shards, other) = (scratch.path("whole"), scratch.path("shards"), scratch.path("other"));
        let sweep = |more: &[&str]| {
            let output = hikyaku(&[&["sweep", TINY][..], more].concat());
            assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
        };
        sweep(&["--seeds", "0..4", "--out", &whole]);
        sweep(&["--seeds", "0..3", "--out", &other, "--set", "duration=1s"]);
        for slice in ["slice:1/2", "slice:2/2"] {
            sweep(&["--seeds", "0..4", "--out", &shards, "--partition", slice]);
        }
        let read = |path: String| fs::read(path).expect("it was just written");
        let shard = |index: u64| read(format!("{shards}/{}", shard_name(Slice { index, of: 2 })));
        let verdict = serde_json::from_slice(&read(format!("{whole}/sweep.json"))).expect("a verdict");
        Real {
            journal: read(format!("{whole}/journal.jsonl")),
            shards: [shard(1), shard(2)],
            other: read(format!("{other}/journal.jsonl")),
            verdict,
        }
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Change(Index, u8),
    Digit(Index, u8),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    /// A stretch of another file, over what stands there.
    Splice(Index, Index, usize),
    RemoveLine(Index),
    RepeatLine(Index, Index),
    SwapLines(Index, Index),
    /// A line of another file, between two lines.
    SpliceLine(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (at(), b'0'..=b'9').prop_map(|(at, digit)| Damage::Digit(at, digit)),
        (at(), at()).prop_map(|(from, to)| Damage::Remove(from, to)),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), at(), 1usize..200).prop_map(|(at, from, length)| Damage::Splice(at, from, length)),
        at().prop_map(Damage::RemoveLine),
        (at(), at()).prop_map(|(line, to)| Damage::RepeatLine(line, to)),
        (at(), at()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
        (at(), at()).prop_map(|(line, to)| Damage::SpliceLine(line, to)),
    ]
}

fn damaged(bytes: &[u8], damage: &Damage, other: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let size = bytes.len();
    let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut own = lines(&bytes);
    match damage {
        Damage::Cut(at) => bytes.truncate(at.index(size)),
        Damage::Change(at, byte) => bytes[at.index(size)] = *byte,
        Damage::Digit(at, digit) => {
            let digits: Vec<usize> = (0..size).filter(|at| bytes[*at].is_ascii_digit()).collect();
            bytes[digits[at.index(digits.len())]] = *digit;
        }
        Damage::Remove(from, to) => {
            let (from, to) = (from.index(size), to.index(size));
            bytes.drain(from.min(to)..from.max(to));
        }
        Damage::Insert(at, inserted) => drop(bytes.splice(at.index(size)..at.index(size), inserted.iter().copied())),
        Damage::Splice(at, from, length) => {
            let (at, from) = (at.index(size), from.index(other.len()));
            let stretch = &other[from..other.len().min(from + length)];
            let end = size.min(at + stretch.len());
            bytes.splice(at..end, stretch.iter().copied());
        }
        Damage::RemoveLine(at) => {
            own.remove(at.index(own.len()));
            return own.concat();
        }
        Damage::RepeatLine(line, to) => {
            let line = own[line.index(own.len())].clone();
            own.insert(to.index(own.len()), line);
            return own.concat();
        }
        Damage::SwapLines(one, other) => {
            let (one, other) = (one.index(own.len()), other.index(own.len()));
            own.swap(one, other);
            return own.concat();
        }
        Damage::SpliceLine(line, to) => {
            let theirs = lines(other);
            own.insert(to.index(own.len()), theirs[line.index(theirs.len())].clone());
            return own.concat();
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_journal_is_refused_or_what_is_left_of_it_is_what_was_written(
        damages in prop::collection::vec(damage(), 1..3),
        foreign in any::<bool>(),
    ) {
        let real = real();
        let other = if foreign { &real.other } else { &real.shards[0] };
        let bytes = damages.iter().fold(real.journal.clone(), |bytes, damage| match bytes.is_empty() {
            true => bytes,
            false => damaged(&bytes, damage, other),
        });
        let scratch = Scratch::new("damage-journal");
        fs::write(scratch.path("journal.jsonl"), &bytes).unwrap();
        match Journal::open(Path::new(&scratch.path("")), Slice::WHOLE) {
            Ok(journal) => {
                let list = journal.header.list.clone();
                let mut judge = SweepJudge::new(&list);
                journal.fold(&mut judge, |_, _| Ok(())).expect("it was read a moment ago");
                let verdict = judge.finish();
                if verdict.runs == real.verdict.runs && verdict.self_check.done == real.verdict.self_check.done {
                    prop_assert!(verdict == real.verdict, "it is judged as another sweep");
                }
                prop_assert!(verdict.runs <= real.verdict.runs);
            }
            Err(error) => {
                let told = error.to_string();
                let names_file = told.contains("journal.jsonl:") && told.contains("begin a new sweep in another folder");
                prop_assert!(names_file || told.starts_with("there is no sweep to go on with in "), "{}", told);
            }
        }
    }

    #[test]
    fn a_damaged_shard_is_refused_or_is_the_shard_that_was_written(
        damages in prop::collection::vec(damage(), 1..3),
        foreign in any::<bool>(),
    ) {
        let real = real();
        let other = if foreign { &real.other } else { &real.shards[0] };
        let bytes = damages.iter().fold(real.shards[1].clone(), |bytes, damage| match bytes.is_empty() {
            true => bytes,
            false => damaged(&bytes, damage, other),
        });
        let scratch = Scratch::new("damage-shard");
        fs::write(scratch.path("shard-1-of-2.jsonl"), &real.shards[0]).unwrap();
        fs::write(scratch.path("shard-2-of-2.jsonl"), &bytes).unwrap();
        match merge(Path::new(&scratch.path("")), |_, _, _| Ok(())) {
            Ok((Merged::Whole(_), Some(verdict))) => {
                prop_assert!(verdict == real.verdict, "it is judged as another sweep");
            }
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(error) => {
                let told = error.to_string();
                let named = told.contains("shard-2-of-2.jsonl:") && told.contains("remove the file and run its shard again");
                let of_two = ["hold the same runs; remove one of them", "are of different sweeps"];
                prop_assert!(named || of_two.iter().any(|problem| told.contains(problem)), "{}", told);
            }
        }
    }
}

// --- plans ---

/// What a value of a plan may become in a hand that does not know what it does.
fn other_values(value: &str) -> Vec<String> {
    let text = |text: &str| text.to_string();
    if value == "true" || value == "false" {
        return vec![text(if value == "true" { "false" } else { "true" })];
    }
    if value.starts_with('[') {
        return vec![text("[]"), text("[0]"), text("[1, 1]"), text("[65535]")];
    }
    if let Some(inside) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        let is_measure = inside.starts_with(|first: char| first.is_ascii_digit());
        let measures =
            ["0s", "1ns", "3600000h", "0B", "1B", "15EiB", "0%", "100%", "exp 1ns", "0s..0s", "exp 1000000h"];
        let words = ["", "x", "../x", "key", "all", "0", "none", "\\u0000\\u001b[31m"];
        let others = if is_measure { &measures[..] } else { &words[..] };
        return others.iter().map(|other| format!("\"{other}\"")).collect();
    }
    ["0", "1", "2", "7", "65535", "4294967295", "9223372036854775807", "-1", "0.5"].map(text).to_vec()
}

/// Every plan that differs from this one in one value.
fn changed(plan: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = plan.lines().collect();
    let mut all = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let with = |line: Option<&str>| {
            let mut lines = lines.clone();
            match line {
                Some(line) => lines[number] = line,
                None => drop(lines.remove(number)),
            }
            lines.join("\n") + "\n"
        };
        if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| *key != "stream-version") {
            for other in other_values(value) {
                let line = format!("{key} = {other}");
                all.push((format!("line {}: {line}", number + 1), with(Some(&line))));
            }
        }
        all.push((format!("line {} away: {line}", number + 1), with(None)));
    }
    all
}

/// Ends by itself within the time, or is ended.
#[allow(clippy::disallowed_methods)] // The test waits; no run depends on it.
fn ended(child: &mut Child, within: Duration) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < within {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[test]
fn a_changed_plan_is_refused_or_runs() {
    // All of them are run by hand: HIKYAKU_PLANS=1 HIKYAKU_PLAN=a/plan.toml.
    let every: usize = std::env::var("HIKYAKU_PLANS").ok().map_or(23, |every| every.parse().expect("a number"));
    let text = match std::env::var("HIKYAKU_PLAN") {
        Ok(path) => fs::read_to_string(path).expect("a plan"),
        Err(_) => {
            let family = crate::common::load(TINY, &["duration=1s"]);
            toml::to_string(&family.cells[0].plan(hikyaku::types::Seed(3))).expect("a plan can be written")
        }
    };
    let scratch = Scratch::new("damage-plans");
    let mut wrong = Vec::new();
    let mut codes = std::collections::BTreeMap::<i32, u64>::new();
    for (index, (what, text)) in changed(&text).into_iter().enumerate().filter(|(index, _)| index % every == 0) {
        let path = scratch.write("plan.toml", text);
        let mut command = command(&["replay", &path], &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the built binary starts");
        let code = ended(&mut child, Duration::from_secs(60));
        let said = stderr(&child.wait_with_output().expect("it has ended"));
        *codes.entry(code.unwrap_or(-2)).or_default() += 1;
        let fine = match code {
            Some(0 | 1 | 3) => said.is_empty(),
            Some(2) => said.starts_with("error: ") && said.lines().count() == 1,
            _ => false,
        };
        if !fine || said.contains("panicked") {
            wrong.push(format!("{index}: {what}\n  {code:?} {said}"));
        }
    }
    println!("{codes:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
