//! What `hikyaku shards` prints: three files that are read as a whole, and names that no reader on the way expands.
//!
//! The files under `tests/data/shards/` are what the README's readers get; CI gives them to the engines' own validators.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Scratch, hikyaku, stderr, stdout};

const JOB: &[&str] = &["3", "scenarios/quickstart.toml", "--seeds", "0..30", "--out", "reports/night"];

#[test]
fn each_engine_gets_its_file() {
    for (engine, file) in [("slurm", "slurm.sh"), ("kubernetes", "kubernetes.yaml"), ("github", "github.yaml")] {
        let output = hikyaku(&[&["shards", "--engine", engine], JOB].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shards").join(file);
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            stdout(&output) == expected,
            "{} differs; `hikyaku shards --engine {engine} {}` writes it anew",
            golden.display(),
            JOB.join(" ")
        );
    }
}

/// The job is run by a shell that stands for Slurm and a program that prints what it is called with.
#[test]
fn a_hostile_name_arrives_as_it_is() {
    const NAME: &str = "it's a \"$(touch bitten)\" `touch bitten` ${{ secrets.x }} #%a";
    let scratch = Scratch::new("shards");
    fs::create_dir(scratch.path(NAME)).unwrap();
    let scenario = scratch.write(&format!("{NAME}/quickstart.toml"), fs::read("scenarios/quickstart.toml").unwrap());
    let folder = scratch.path("out $(touch bitten)");
    let output = hikyaku(&["shards", "--engine", "slurm", "3", &scenario, "--out", &folder]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let job = scratch.write("job.sh", stdout(&output));
    scratch.write("sbatch", "#!/bin/sh\nSLURM_ARRAY_TASK_ID=2 sh >>called\necho 7\n");
    scratch.write("hikyaku", "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\n");
    let chmod = Command::new("chmod").arg("+x").args([scratch.path("sbatch"), scratch.path("hikyaku")]).status();
    assert!(chmod.unwrap().success());
    let path = format!("{}:{}", scratch.path(""), std::env::var("PATH").unwrap());
    let status = Command::new("sh").arg(job).current_dir(scratch.path("")).env("PATH", path).output().unwrap();
    let called = fs::read_to_string(scratch.path("called")).unwrap_or_else(|_| panic!("{}", stderr(&status)));
    let words = ["sweep", &format!("--out={folder}"), "--partition", "slice:2/3", "--", &scenario];
    let merge = ["merge", &format!("--junit={folder}/junit.xml"), "--", &folder];
    assert_eq!(called.lines().collect::<Vec<_>>(), [&words[..], &merge[..]].concat());
    assert!(!Path::new(&scratch.path("bitten")).exists(), "something was expanded");
    let github = stdout(&hikyaku(&["shards", "--engine", "github", "3", &scenario]));
    assert!(github.contains("${{ '${{' }} secrets.x }}") && !github.contains(" ${{ secrets.x"), "{github}");
    let kubernetes = stdout(&hikyaku(&["shards", "--engine", "kubernetes", "3", &scenario]));
    assert!(kubernetes.contains("$$(touch bitten)") && !kubernetes.contains(" $(touch"), "{kubernetes}");
}

#[test]
fn what_cannot_be_a_job_is_refused() {
    let scratch = Scratch::new("shards-refused");
    fs::create_dir(scratch.path("a\nb")).unwrap();
    let line = scratch.write("a\nb/quickstart.toml", fs::read("scenarios/quickstart.toml").unwrap());
    let invalid = scratch.write("invalid.toml", "format = 1");
    for (arguments, said) in [
        (["slurm", "0", "scenarios/quickstart.toml"], "0 is not in 1..=10000"),
        (["slurm", "10001", "scenarios/quickstart.toml"], "10001 is not in 1..=10000"),
        (["github", "257", "scenarios/quickstart.toml"], "a matrix of GitHub makes 256 jobs at most"),
        (["slurm", "3", &line], "ends a line or cannot be seen"),
        (["slurm", "3", &invalid], "`about` is missing"),
        (["slurm", "3", "scenarios/none.toml"], "cannot be read"),
    ] {
        let [engine, shards, path] = arguments;
        let output = hikyaku(&["shards", "--engine", engine, shards, path]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "a part of a job is no job");
    }
}
