//! A disk without room: what is said, the exit code, and that what was written before stays valid.
//!
//! None of this needs a privilege. Where a file is to be written stands a link to `/dev/full`, which takes nothing; the
//! journal of a sweep runs into a limit on the size of files instead (`sweep.rs`), since a link would be the journal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use hikyaku::checks::sweep::Slice;
use hikyaku::explore::sweep::Journal;

use crate::common::{Scratch, command, hikyaku, stderr, stdout};

const TINY: &str = "tests/data/sweep_tiny.toml";

/// Whatever is written here meets a full disk.
fn fill(path: impl Into<PathBuf>) {
    let path = path.into();
    fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
    symlink("/dev/full", path).unwrap();
}

/// Exit code 5 and a sentence with the file and the reason; nothing that looks like a crash.
fn told(output: &Output, file: &str) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(5), "{}{text}", stdout(output));
    assert!(text.contains("failed to write") && text.contains(file), "`{file}` is not named: {text}");
    assert!(text.contains("No space left on device") && !text.contains("panicked"), "{text}");
    text
}

fn all_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    // Who answered first decides on the order of the journal, and which failures of a kind are written beside its example.
    let example = folder.join("failures/sweep_tiny/commit=in-front/seed-0");
    files.retain(|path| {
        let is_other_failure = path.starts_with(folder.join("failures")) && !path.starts_with(&example);
        !path.ends_with("journal.jsonl") && !is_other_failure
    });
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(folder).unwrap().to_path_buf(), text)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn results_of_a_sweep_that_find_no_room_are_written_again_from_its_journal() {
    let scratch = Scratch::new("full-results");
    let whole = scratch.path("whole");
    let sweep = |out: &str, more: &[&str]| {
        hikyaku(&[&["sweep", TINY, "--out", out, "--seeds", "0..8", "--jobs", "2"][..], more].concat())
    };
    assert_eq!(sweep(&whole, &[]).status.code(), Some(1));
    let reference = all_files(Path::new(&whole));
    for file in ["runs.csv", "summary.md", "sweep.json"] {
        let out = scratch.path(file);
        fill(format!("{out}/{file}.part"));
        let text = told(&sweep(&out, &[]), file);
        let command = format!("hikyaku sweep --resume --out {out}");
        assert!(text.contains(&format!("the journal is whole: `{command}` writes the results again")), "{text}");
        assert!(!Path::new(&format!("{out}/{file}")).exists(), "no half of {file}");
        let again = hikyaku(&command.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
        assert_eq!(all_files(Path::new(&out)), reference);
    }
    // A failure that cannot be written down the moment it occurs.
    let failure = reference.iter().map(|(path, _)| path).find(|path| path.ends_with("plan.toml")).expect("a failure");
    let out = scratch.path("failure");
    fs::create_dir(&out).unwrap();
    let header = Journal::open(Path::new(&whole), Slice::WHOLE).unwrap().header.clone();
    drop(Journal::create(Path::new(&out), header).unwrap());
    fill(Path::new(&out).join(failure).with_file_name("plan.toml.part"));
    let resume = || hikyaku(&["sweep", "--resume", "--out", &out]);
    let stopped = resume();
    assert_eq!(stopped.status.code(), Some(5), "{}", stdout(&stopped));
    let text = stderr(&stopped);
    assert!(text.contains("failed to write what was found: No space left on device"), "{text}");
    assert!(text.contains(&format!("go on with `hikyaku sweep --resume --out {out}`")), "{text}");
    assert_eq!(resume().status.code(), Some(1));
    assert_eq!(all_files(Path::new(&out)), reference);
}

#[test]
fn shards_that_find_no_room_are_not_half_there() {
    let scratch = Scratch::new("full-shards");
    let out = scratch.path("out");
    let shard = |slice: &str| hikyaku(&["sweep", TINY, "--out", &out, "--seeds", "0..3", "--partition", slice]);
    fill(format!("{out}/shard-1-of-2.jsonl.part"));
    told(&shard("slice:1/2"), "shard-1-of-2.jsonl");
    assert!(!Path::new(&format!("{out}/shard-1-of-2.jsonl")).exists());
    let again = hikyaku(&["sweep", "--resume", "--partition", "slice:1/2", "--out", &out]);
    assert!(matches!(again.status.code(), Some(0 | 1)), "{}", stderr(&again));
    assert!(matches!(shard("slice:2/2").status.code(), Some(0 | 1)));
    fill(format!("{out}/runs.csv.part"));
    told(&hikyaku(&["merge", &out]), "runs.csv");
    fill(format!("{out}/sweep.json.part"));
    told(&hikyaku(&["merge", &out]), "sweep.json");
    assert_eq!(hikyaku(&["merge", &out]).status.code(), Some(1));
}

#[test]
fn a_run_and_a_replay_say_what_they_could_not_write() {
    let scratch = Scratch::new("full-run");
    let run = |out: &str| hikyaku(&["run", TINY, "--set", "commit=none", "--seed", "1", "--out", out]);
    let good = scratch.path("good");
    assert!(matches!(run(&good).status.code(), Some(0 | 3)));
    for (file, named) in [("verdict.json.part", "verdict.json"), ("history.jsonl", "the history"), ("history.csv", "")]
    {
        let out = scratch.path(&format!("run-{file}"));
        fill(format!("{out}/{file}"));
        told(&run(&out), named);
        let out = scratch.path(&format!("replay-{file}"));
        fill(format!("{out}/{file}"));
        told(&hikyaku(&["replay", &good, "--out", &out]), named);
    }
}

#[test]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_none() {
    let scratch = Scratch::new("full-stdout");
    let out = scratch.path("out");
    let plan = format!("{out}/plan.toml");
    assert!(matches!(
        hikyaku(&["run", TINY, "--set", "commit=none", "--seed", "1", "--out", &out]).status.code(),
        Some(0 | 3)
    ));
    for arguments in [&["list"][..], &["schema"], &["completions", "bash"], &["replay", &plan], &["explain", "S043"]] {
        let into = |sink: Stdio| {
            let mut command = command(arguments, &[]);
            command.stdout(sink).stderr(Stdio::piped()).output().expect("the built binary starts")
        };
        let full = into(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        told(&full, "to standard output");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = into(writer.into());
        assert!(matches!(closed.status.code(), Some(0 | 3)), "{arguments:?}: {:?}", closed.status);
        assert!(closed.stderr.is_empty(), "{arguments:?}: {}", stderr(&closed));
    }
}
