//! `hikyaku shards`: prints a sweep as an array job of Slurm, an Indexed Job of Kubernetes or a workflow of GitHub.
//!
//! The one idea: shards share nothing but a folder. Shard i of n runs every n-th run of one numbered list and leaves one
//! file behind, so any engine that can count from 1 to n will do, a lost shard is run again by its number alone, and
//! `hikyaku merge` tells which are missing. What is printed is a file to read, to change and to commit; nothing here talks
//! to an engine.
//!
//! Names of files go through up to three readers (shell, YAML, the engine's own expressions), each of which expands
//! something. Whatever is printed is quoted for all of them; characters that end a line or cannot be seen are refused.
//!
//! Sources: sbatch(1), "Job Array Support" of Slurm; Kubernetes "Backoff limit per index" and "Pod failure policy"; GitHub
//! "Workflow syntax".

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::scenario::{self, printable};
use crate::types::Guard;

use super::Exit;
use super::check::scenario_files;
use super::run::{parse_guard, parse_seeds};

#[derive(Debug, Args)]
pub struct ShardsArguments {
    /// For whom the job is written.
    #[arg(long, value_enum)]
    engine: Engine,
    /// How many shards.
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// Scenario files or folders; folders are searched with all below them.
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Seeds A up to but not including B [default: those of each scenario].
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Option<std::ops::Range<u64>>,
    /// Only this cell, as `hikyaku list` names it; again for several.
    #[arg(long, value_name = "ID")]
    cell: Vec<String>,
    /// Lay this key over the files, as `service.shop.acks=1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Switch a guard of the queue off, to see that a check bites.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Cut behind the N-th failure, when the shards are merged.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_failures: Option<u64>,
    /// The folder that the shards share.
    #[arg(long, value_name = "DIR", default_value = "reports/sweep")]
    out: PathBuf,
    /// JUnit XML of the whole, written by the merge [default: junit.xml in --out].
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Kubernetes: the image that holds `hikyaku` and a shell.
    #[arg(long, value_name = "IMAGE", default_value = concat!("hikyaku:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Kubernetes: the volume claim, writable by many nodes, with the scenarios and --out on it.
    #[arg(long, value_name = "NAME", default_value = "hikyaku")]
    claim: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Slurm,
    Kubernetes,
    Github,
}

/// Jobs that one matrix may make.
const GITHUB_JOBS_MAX: u32 = 256;
/// `MaxArraySize` of a Slurm that was not told otherwise is 1001, and an index is below it.
const SLURM_INDEX_MAX: u32 = 1000;

pub fn shards(arguments: &ShardsArguments) -> anyhow::Result<Exit> {
    if arguments.engine == Engine::Github && GITHUB_JOBS_MAX < arguments.shards {
        bail!("{} shards, but a matrix of GitHub makes {GITHUB_JOBS_MAX} jobs at most; take fewer", arguments.shards);
    }
    let mut exit = Exit::Holds;
    for file in scenario_files(&arguments.paths)? {
        if let Err(problems) = scenario::load(&file, &arguments.sets) {
            anstream::eprintln!("{}", problems.render(true));
            exit = Exit::Usage;
        }
    }
    if exit != Exit::Holds {
        return Ok(exit);
    }
    let sweep = Commands::of(arguments)?;
    let text = match arguments.engine {
        Engine::Slurm => slurm(&sweep),
        Engine::Kubernetes => kubernetes(&sweep, &plain(&arguments.image)?, &plain(&arguments.claim)?),
        Engine::Github => github(&sweep),
    };
    // Not through anstream: this is a file, byte for byte.
    print!("{text}");
    Ok(Exit::Holds)
}

/// The commands of all shards, quoted for a shell.
struct Commands {
    shards: u32,
    /// Without `--partition`, which ends it.
    sweep: String,
    merge: String,
    /// Folder of the shards, as it is.
    out: String,
}

impl Commands {
    fn of(arguments: &ShardsArguments) -> anyhow::Result<Commands> {
        let out = text_of(&arguments.out)?;
        let junit = match &arguments.junit {
            Some(junit) => text_of(junit)?,
            None => text_of(&arguments.out.join("junit.xml"))?,
        };
        let mut words: Vec<String> = vec!["hikyaku".into(), "sweep".into()];
        if let Some(seeds) = &arguments.seeds {
            words.extend(["--seeds".into(), format!("{}..{}", seeds.start, seeds.end)]);
        }
        for cell in &arguments.cell {
            words.push(format!("--cell={}", plain(cell)?));
        }
        for set in &arguments.sets {
            words.push(format!("--set={}", plain(set)?));
        }
        for guard in &arguments.without_guard {
            words.push(format!("--without-guard={guard}"));
        }
        if let Some(most) = arguments.max_failures {
            words.push(format!("--max-failures={most}"));
        }
        words.push(format!("--out={out}"));
        // Behind `--` a name that begins with a dash is a name.
        let mut paths = vec!["--".to_string()];
        for path in &arguments.paths {
            paths.push(text_of(path)?);
        }
        let merge = ["hikyaku".into(), "merge".into(), format!("--junit={junit}"), "--".into(), out.clone()];
        Ok(Commands {
            shards: arguments.shards,
            sweep: format!("{} --partition \"slice:$shard/{}\" {}", line(&words), arguments.shards, line(&paths)),
            merge: line(&merge),
            out,
        })
    }
}

fn text_of(path: &std::path::Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| {
        format!("`{}` is not UTF-8, and a job file must be; rename it", printable(&path.display().to_string()))
    })?;
    plain(text)
}

/// The text itself, when it can stand on a line and be seen.
fn plain(text: &str) -> anyhow::Result<String> {
    let unseen = |letter: &char| letter.is_control() || printable(&letter.to_string()) != letter.to_string();
    match text.chars().find(unseen) {
        Some(letter) => bail!(
            "`{}` holds the character {}, which ends a line or cannot be seen; a job file may not carry it: rename",
            printable(text),
            letter.escape_unicode()
        ),
        None => Ok(text.to_string()),
    }
}

/// Words as one line of a shell.
fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// As POSIX shells quote: inside single quotes nothing means anything, except the single quote.
fn quoted(word: &str) -> String {
    let means_nothing = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@%+".contains(letter);
    match !word.is_empty() && word.chars().all(means_nothing) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn slurm(sweep: &Commands) -> String {
    let Commands { shards, sweep, merge, out } = sweep;
    // Slurm expands % in names of log files.
    let log = |name: &str| quoted(&format!("--output={}/{name}", out.replace('%', "%%")));
    let size = match SLURM_INDEX_MAX < *shards {
        true => format!("# Needs MaxArraySize={} or more in slurm.conf; 1001 is the default.\n", shards + 1),
        false => String::new(),
    };
    format!(
        r#"#!/bin/sh
# A sweep in {shards} shards as an array job of Slurm, and a job that merges them when all have ended. Run this with `sh`
# where the nodes see this folder. Lost shards, which the merge names, run again with their numbers: ARRAY=3,17 sh FILE
{size}set -eu
array="${{ARRAY:-1-{shards}}}"
mkdir -p -- {folder}
# At most 50 shards at once: append %50 to the array. A shard has a worker for each core of its task.
shards=$(sbatch --parsable --job-name=hikyaku-sweep --array="$array" --cpus-per-task=1 --requeue {shard_log} <<'SHARD'
#!/bin/sh
# n is written out: of an array that runs again, SLURM_ARRAY_TASK_COUNT counts less.
shard="$SLURM_ARRAY_TASK_ID"
export HIKYAKU_JOBS="$SLURM_CPUS_PER_TASK"
exec {sweep}
SHARD
)
status=0
sbatch --wait --job-name=hikyaku-merge --dependency="afterany:${{shards%%;*}}" {merge_log} <<'MERGE' || status=$?
#!/bin/sh
exec {merge}
MERGE
cat -- {merge_file}
exit "$status"
"#,
        folder = quoted(out),
        shard_log = log("slurm-%A-%a.log"),
        merge_log = log("slurm-merge.log"),
        merge_file = quoted(&format!("{out}/slurm-merge.log")),
    )
}

fn kubernetes(sweep: &Commands, image: &str, claim: &str) -> String {
    let Commands { shards, sweep, merge, .. } = sweep;
    // `$(NAME)` in a command is the kubelet's; `$$(` is what the shell sees as `$(`.
    let escaped = |text: &str| text.replace("$(", "$$(");
    // A JSON string is a string of YAML.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        r#"# A sweep in {shards} shards as an Indexed Job. A shard that finds a violation (exit 1) or cannot succeed is not tried again;
# one whose node was lost is. When the first job has ended, merge:
#   kubectl patch job hikyaku-merge --patch '{{"spec":{{"suspend":false}}}}'
apiVersion: batch/v1
kind: Job
metadata:
  name: hikyaku-sweep
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {parallelism}
  backoffLimitPerIndex: 3
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      - action: FailIndex
        onExitCodes:
          containerName: hikyaku
          operator: In
          values: [1, 2, 3, 4, 70]
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: hikyaku
          image: {image}
          workingDir: /work
          command:
            - sh
            - -euc
            - |
              shard=$$((JOB_COMPLETION_INDEX + 1))
              exec {sweep}
          resources:
            requests:
              cpu: "1"
              memory: 1Gi
          volumeMounts:
            - name: work
              mountPath: /work
      volumes:
        - name: work
          persistentVolumeClaim:
            claimName: {claim}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: hikyaku-merge
spec:
  suspend: true
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: hikyaku
          image: {image}
          workingDir: /work
          command:
            - sh
            - -euc
            - |
              exec {merge}
          volumeMounts:
            - name: work
              mountPath: /work
      volumes:
        - name: work
          persistentVolumeClaim:
            claimName: {claim}
"#,
        parallelism = shards.min(&50),
        image = text(image),
        claim = text(claim),
        sweep = escaped(sweep),
        merge = escaped(merge),
    )
}

fn github(sweep: &Commands) -> String {
    let Commands { shards, sweep, merge, out } = sweep;
    // `${{` begins an expression wherever it stands; an expression can say it as a text.
    let escaped = |text: &str| text.replace("${{", "${{ '${{' }}");
    let text = |text: &str| escaped(&serde_json::Value::from(text).to_string());
    let numbers = (1..=*shards).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        r#"# A sweep in {shards} shards. A shard fails when it finds a violation; the merge tells all of them, and which shards are
# missing: "Re-run failed jobs" runs those again.
name: hikyaku sweep
on:
  workflow_dispatch:
permissions:
  contents: read
jobs:
  shard:
    runs-on: ubuntu-latest
    strategy:
      fail-fast: false
      matrix:
        shard: [{numbers}]
    steps:
      - uses: actions/checkout@v4
      - name: install hikyaku
        run: cargo install --locked --path .
      - name: sweep
        env:
          shard: ${{{{ matrix.shard }}}}
        run: |
          {sweep}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: shard-${{{{ matrix.shard }}}}
          path: {shard_files}
          if-no-files-found: error
          overwrite: true
  merge:
    needs: shard
    if: always()
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: install hikyaku
        run: cargo install --locked --path .
      - uses: actions/download-artifact@v4
        with:
          pattern: shard-*
          merge-multiple: true
          path: {folder}
      - name: merge
        run: |
          {merge}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: sweep
          path: {folder}
          overwrite: true
"#,
        sweep = escaped(sweep),
        merge = escaped(merge),
        shard_files = text(&format!("{out}/shard-*.jsonl")),
        folder = text(out),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_sees_a_quoted_word_as_it_is() {
        assert_eq!(quoted("scenarios/a.toml"), "scenarios/a.toml");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $(id) `id`"), r"'it'\''s $(id) `id`'");
        assert_eq!(quoted("größe"), "'größe'");
    }

    #[test]
    fn what_ends_a_line_or_cannot_be_seen_is_refused() {
        for text in ["a\nb", "a\rb", "a\u{1b}[2Jb", "a\u{85}b", "a\u{2028}b", "a\u{202e}b"] {
            assert!(plain(text).is_err(), "{text:?}");
        }
        assert_eq!(plain("it's größer").unwrap(), "it's größer");
    }
}
