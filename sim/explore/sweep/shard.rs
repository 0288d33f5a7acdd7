//! Shards: a part of a sweep as one file, and all of them together as the whole.
//!
//! A shard holds every n-th record of the list, in order. So merging is reading one record from each file in turn, and the
//! result is the fold that an unsharded sweep does. A shard is written at once and only when it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::journal::{Header, Journal, JournalError, Line, write_whole};
use crate::checks::sweep::{CheckRecord, Listed, RunEnd, RunRecord, Selection, Slice, SweepJudge, SweepList};

pub fn shard_name(slice: Slice) -> String {
    format!("shard-{}-of-{}.jsonl", slice.index, slice.of)
}

/// Writes a finished journal as a shard: each record in order, behind it its repetition.
pub fn write_shard(journal: &Journal, out: &Path) -> Result<PathBuf, JournalError> {
    let path = out.join(shard_name(journal.header.slice));
    let shown = path.display().to_string();
    let write = |file: &mut dyn std::io::Write| {
        let hash = &journal.header.hash;
        writeln!(file, "{}", journal.header.sealed())?;
        let written = journal.in_order(|number, line, _| {
            writeln!(file, "{line}")?;
            match journal.checks.get(&number) {
                Some(check) => writeln!(file, "{}", Line::Check(check.clone()).sealed(hash)),
                None => Ok(()),
            }
        });
        written.map_err(std::io::Error::other)?;
        writeln!(file, "{}", Line::Finished.sealed(hash))
    };
    write_whole(&path, write).map_err(|error| JournalError::Write(shown, error, out.display().to_string()))?;
    Ok(path)
}

/// What the shards of a folder are together.
#[derive(Debug)]
pub enum Merged {
    /// All there, with the list.
    Whole(Box<SweepList>),
    /// These are missing.
    Missing(Box<SweepList>, Vec<Slice>),
}

struct Shard {
    shown: String,
    lines: std::io::Lines<BufReader<fs::File>>,
    number: u64,
    header: Header,
    /// Read and not taken yet.
    ahead: Option<Line>,
}

/// Looks at the shards of a folder, and folds them when they are all there. `judge` makes the judge of the list.
pub fn merge(
    folder: &Path,
    mut each: impl FnMut(&SweepList, Listed, &RunRecord) -> std::io::Result<()>,
) -> Result<(Merged, Option<crate::checks::sweep::SweepVerdict>), MergeError> {
    let mut shards = open_all(folder)?;
    let Some(first) = shards.values().next() else { return Err(MergeError::None(folder.display().to_string())) };
    let (list, of) = (first.header.list.clone(), first.header.slice.of);
    let missing: Vec<Slice> =
        (1..=of).map(|index| Slice { index, of }).filter(|slice| !shards.contains_key(slice)).collect();
    if !missing.is_empty() {
        return Ok((Merged::Missing(Box::new(list), missing), None));
    }
    let rounds = list.rounds();
    let selection = Selection::of(&list);
    let mut judge = SweepJudge::new(&list);
    for number in 0..list.len() {
        let slice = Slice { index: number % of + 1, of };
        let shard = shards.get_mut(&slice).expect("none is missing");
        let run = rounds.run(number);
        let (record, check) = shard.take(number)?;
        if check.is_none() && selection.contains(run) && matches!(record.end, RunEnd::Judged(_)) {
            return Err(shard.damaged(&format!("run {number} should stand here once more")));
        }
        if !judge.is_over() {
            judge.add(run, &record, check.as_ref());
            each(&list, run, &record).map_err(MergeError::Write)?;
        }
    }
    let verdict = judge.finish();
    for shard in shards.values_mut() {
        shard.end()?;
    }
    Ok((Merged::Whole(Box::new(list)), Some(verdict)))
}

fn open_all(folder: &Path) -> Result<BTreeMap<Slice, Shard>, MergeError> {
    let entries =
        fs::read_dir(folder).map_err(|error| MergeError::Read(folder.display().to_string(), error.to_string()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("shard-") && name.ends_with(".jsonl")
    });
    paths.sort();
    let mut shards: BTreeMap<Slice, Shard> = BTreeMap::new();
    for path in paths {
        let shard = Shard::open(&path)?;
        if let Some(first) = shards.values().next() {
            if first.header.hash != shard.header.hash {
                return Err(MergeError::Mixed(first.shown.clone(), shard.shown));
            }
            if first.header.slice.of != shard.header.slice.of {
                return Err(MergeError::Cut(first.shown.clone(), shard.shown));
            }
        }
        if let Some(other) = shards.get(&shard.header.slice) {
            return Err(MergeError::Overlap(other.shown.clone(), shard.shown));
        }
        shards.insert(shard.header.slice, shard);
    }
    Ok(shards)
}

impl Shard {
    fn open(path: &Path) -> Result<Shard, MergeError> {
        let shown = path.display().to_string();
        let file = fs::File::open(path).map_err(|error| MergeError::Read(shown.clone(), error.to_string()))?;
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().unwrap_or(Ok(String::new())).map_err(|error| error.to_string());
        let header = first.and_then(|line| Header::read(line.as_bytes()));
        let header = header.map_err(|why| MergeError::Damaged(shown.clone(), 1, why))?;
        Ok(Shard { shown, lines, number: 1, header, ahead: None })
    }

    fn next(&mut self) -> Result<Line, MergeError> {
        if let Some(line) = self.ahead.take() {
            return Ok(line);
        }
        self.number += 1;
        let damaged = |why: &str| MergeError::Damaged(self.shown.clone(), self.number, why.to_string());
        let line = self.lines.next().ok_or_else(|| damaged("it ends too early"))?;
        let line = line.map_err(|error| damaged(&error.to_string()))?;
        Line::read(line.as_bytes(), &self.header.hash).map_err(|why| damaged(&why))
    }

    fn take(&mut self, number: u64) -> Result<(RunRecord, Option<CheckRecord>), MergeError> {
        let record = match self.next()? {
            Line::Record(record) if record.number == number => record,
            _ => return Err(self.damaged(&format!("run {number} should stand here"))),
        };
        match self.next()? {
            Line::Check(check) if check.number == number => Ok((record, Some(check))),
            other => {
                self.ahead = Some(other);
                Ok((record, None))
            }
        }
    }

    fn end(&mut self) -> Result<(), MergeError> {
        match self.next()? {
            Line::Finished if self.lines.next().is_none() => Ok(()),
            Line::Finished => Err(self.damaged("something stands behind its end")),
            Line::Record(_) | Line::Check(_) => Err(self.damaged("a run too many")),
        }
    }

    fn damaged(&self, why: &str) -> MergeError {
        MergeError::Damaged(self.shown.clone(), self.number, why.to_string())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("no shard in {0}; a shard is made by `hikyaku sweep … --partition slice:i/n --out {0}`")]
    None(String),
    #[error(
        "{0} and {1} are of different sweeps: scenarios, seeds, flags or version differ; keep one kind in the folder"
    )]
    Mixed(String, String),
    #[error("{0} and {1} are cut into different numbers of shards; keep one kind in the folder")]
    Cut(String, String),
    #[error("{0} and {1} hold the same runs; remove one of them")]
    Overlap(String, String),
    #[error("{0}:{1}: {2}; remove the file and run its shard again")]
    Damaged(String, u64, String),
    #[error("failed to read {0}: {1}")]
    Read(String, String),
    #[error("failed to write the results")]
    Write(#[source] std::io::Error),
}
