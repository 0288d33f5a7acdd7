//! `hikyaku merge`: the shards of a sweep become the files of the whole.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::checks::sweep::compare;
use crate::explore::sweep::{Merged, merge as merge_shards, write_whole};
use crate::report::sweep::runs::RunsTable;
use crate::report::sweep::terminal::Circumstances;

use super::sweep::{earlier, exit_of, print, shard_command, write_results};
use super::{Exit, SweepFormat};

#[derive(Debug, Args)]
pub struct MergeArguments {
    /// The folder of the shards.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where to write [default: the folder of the shards].
    #[arg(long, value_name = "DIR", env = "HIKYAKU_OUT")]
    out: Option<PathBuf>,
    /// Write JUnit XML here, one case for each cell.
    #[arg(long, value_name = "FILE", env = "HIKYAKU_JUNIT")]
    junit: Option<PathBuf>,
    /// An earlier sweep (its folder or `sweep.json`): which kinds of failure are new, and which are gone.
    #[arg(long, value_name = "DIR", env = "HIKYAKU_BASELINE")]
    baseline: Option<PathBuf>,
    /// What standard output gets; `github` is human with annotations.
    #[arg(long, value_enum, env = "HIKYAKU_FORMAT")]
    format: Option<SweepFormat>,
}

pub fn merge(arguments: &MergeArguments) -> anyhow::Result<Exit> {
    let out = arguments.out.as_ref().unwrap_or(&arguments.folder);
    if out != &arguments.folder {
        std::fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    }
    if !arguments.folder.is_dir() {
        bail!("{} is no folder; give the one that the shards were written to", arguments.folder.display());
    }
    let baseline = arguments.baseline.as_deref().map(earlier).transpose()?;
    let mut merged = None;
    let runs = out.join("runs.csv");
    let written = write_whole(&runs, |file| {
        let mut table = RunsTable::new(file)?;
        let result = merge_shards(&arguments.folder, |list, run, record| table.write(list, run, record));
        let whole = matches!(result, Ok((Merged::Whole(_), _)));
        merged = Some(result);
        // What is not whole leaves no table behind.
        if whole { table.finish() } else { Err(std::io::Error::other("not whole")) }
    });
    let (merged, verdict) = merged.context("failed to write runs.csv")??;
    match (merged, verdict) {
        (Merged::Whole(_), Some(verdict)) => {
            written.with_context(|| format!("failed to write {}", runs.display()))?;
            let comparison = baseline.map(|before| compare(&before, &verdict));
            let files = write_results(&verdict, comparison.as_ref(), out, arguments.junit.as_deref())?;
            let circumstances = Circumstances { speed: None, notes: Vec::new(), files };
            print(&verdict, comparison.as_ref(), arguments.format, &circumstances)?;
            Ok(exit_of(&verdict))
        }
        (Merged::Missing(list, missing), _) => {
            let of = missing.first().map_or(0, |slice| slice.of);
            anstream::eprintln!("incomplete: {} of {of} shards are missing; run", missing.len());
            for slice in missing {
                anstream::eprintln!("  {}", shard_command(&list, slice, &arguments.folder));
            }
            Ok(Exit::Incomplete)
        }
        (Merged::Whole(_), None) => unreachable!("all shards give a verdict"),
    }
}
