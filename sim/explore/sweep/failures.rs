//! Failures are written the moment they occur: `failures/<scenario>/<cell>/seed-N/` with the plan, the verdict and the
//! commands that go on from there. Of failures that are alike only the first few are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::journal::write_whole;
use crate::checks::sweep::{Failure, Listed, RunEnd, RunRecord, SweepList};
use crate::scenario::Family;

/// Written of failures of one scenario with the same signature.
pub const WRITTEN_OF_EACH: u64 = 3;

#[derive(Debug, Default)]
pub struct Failures {
    written: BTreeMap<(usize, Failure), u64>,
}

impl Failures {
    /// Whether this failure is one of the first of its kind.
    pub fn wants(&mut self, run: Listed, record: &RunRecord) -> bool {
        let mut wanted = false;
        for failure in Failure::all(record) {
            let written = self.written.entry((run.scenario, failure)).or_default();
            *written += 1;
            wanted |= *written <= WRITTEN_OF_EACH;
        }
        wanted
    }
}

/// Where a failure lies below the folder of a sweep.
pub fn folder(list: &SweepList, run: Listed) -> PathBuf {
    let (scenario, cell) = list.cell(run);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | '-' | '.' | ',' | '_');
    let cell: String = cell.id.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    let cell = if cell.is_empty() { "all".to_string() } else { cell };
    Path::new("failures").join(&scenario.name).join(cell).join(format!("seed-{}", run.seed.0))
}

pub fn write(
    out: &Path,
    list: &SweepList,
    families: &[Family],
    run: Listed,
    record: &RunRecord,
    commands: &[String],
) -> std::io::Result<PathBuf> {
    let folder = out.join(folder(list, run));
    fs::create_dir_all(&folder)?;
    let plan = families[run.scenario].cells[list.cell(run).1.index].plan(run.seed);
    let text = toml::to_string(&plan).map_err(std::io::Error::other)?;
    write_whole(&folder.join("plan.toml"), |file| file.write_all(text.as_bytes()))?;
    let verdict = match &record.end {
        RunEnd::Judged(run) => serde_json::to_string_pretty(&run),
        RunEnd::Broken(run) => serde_json::to_string_pretty(&run),
    };
    let verdict = verdict.map_err(std::io::Error::other)?;
    write_whole(&folder.join("verdict.json"), |file| writeln!(file, "{verdict}"))?;
    write_whole(&folder.join("commands.txt"), |file| commands.iter().try_for_each(|line| writeln!(file, "{line}")))?;
    Ok(folder)
}
