//! The journal of a sweep: a header, then one line for each run as it ends, appended whole.
//!
//! The one idea: what stands in a whole line has been run; a line without its end was being written when something died,
//! and is dropped. In memory there is only where each record begins, so that a sweep of any length is read back in the
//! order of its list. A lock on the file keeps two sweeps out of one folder. Each line is sealed (`seal.rs`), so that what
//! a disk or a hand has changed is found before anybody believes it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::seal::{opened, sealed};
use crate::checks::sweep::{CheckRecord, Listed, RunRecord, Slice, SweepJudge, SweepList};

/// The first line of a journal and of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    pub format: u32,
    /// Of the list, so that two files can be told apart at a glance.
    pub hash: String,
    pub slice: Slice,
    pub list: SweepList,
}

/// Of journals and shards.
pub const FORMAT: u32 = 2;

/// A line below the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    Record(RunRecord),
    Check(CheckRecord),
    /// Everything that counts is above.
    Finished,
}

impl Header {
    /// As it stands in a file. It holds the hash that seals the lines below it, so that its own seal has none.
    pub fn sealed(&self) -> String {
        sealed(&serde_json::to_string(self).expect("a header is plain data"), "")
    }

    pub fn read(line: &[u8]) -> Result<Header, String> {
        let header: Header = read(line, "")?;
        if header.format != FORMAT || header.hash != header.list.hash() {
            return Err("it was written by another version of hikyaku".to_string());
        }
        if !header.slice.is_one() {
            return Err("its slice is not one".to_string());
        }
        Ok(header)
    }
}

impl Line {
    /// As it stands in a file of the sweep with this hash.
    pub fn sealed(&self, hash: &str) -> String {
        sealed(&serde_json::to_string(self).expect("a line is plain data"), hash)
    }

    pub fn read(line: &[u8], hash: &str) -> Result<Line, String> {
        read(line, hash)
    }
}

fn read<T: serde::de::DeserializeOwned>(line: &[u8], hash: &str) -> Result<T, String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    serde_json::from_str(opened(line.trim_end(), hash)?).map_err(|error| error.to_string())
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(
        "{0} holds a sweep that was not finished; go on with `hikyaku sweep --resume --out {1}`, choose another --out, or remove the file"
    )]
    Unfinished(String, String),
    #[error("another sweep is writing to {0}; wait for it or choose another --out")]
    Locked(String),
    #[error(
        "failed to write {0}: {1}; what was written stays valid: make room and go on with `hikyaku sweep --resume --out {2}`"
    )]
    Write(String, std::io::Error, String),
    #[error("failed to read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0}:{1}: {2}; begin a new sweep in another folder, or remove the file")]
    Damaged(String, u64, String),
    #[error("there is no sweep to go on with in {0}")]
    Nothing(String),
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    pub header: Header,
    /// Bytes of whole lines.
    end: u64,
    /// Where the record of a number begins, plus one; zero where there is none. Indexed by the place in the slice.
    records: Vec<u64>,
    pub checks: BTreeMap<u64, CheckRecord>,
    pub recorded: u64,
    pub finished: bool,
}

impl Journal {
    /// Where the journal of a slice lies.
    pub fn path(out: &Path, slice: Slice) -> PathBuf {
        match slice {
            Slice::WHOLE => out.join("journal.jsonl"),
            Slice { index, of } => out.join(format!("journal-{index}-of-{of}.jsonl")),
        }
    }

    /// Begins a journal. One that is there must be finished, and is replaced.
    pub fn create(out: &Path, header: Header) -> Result<Journal, JournalError> {
        let path = Journal::path(out, header.slice);
        let shown = path.display().to_string();
        match Journal::open(out, header.slice) {
            Ok(journal) if !journal.finished => {
                return Err(JournalError::Unfinished(shown, out.display().to_string()));
            }
            // No file, or one without a whole header: nothing was run yet.
            Ok(_) | Err(JournalError::Nothing(_)) => {}
            Err(error) => return Err(error),
        }
        let open = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let file = open.map_err(|error| JournalError::Write(shown.clone(), error, out.display().to_string()))?;
        lock(&file, &shown)?;
        let mut journal = Journal::empty(path, file, header);
        journal.truncate(0)?;
        journal.append(&journal.header.sealed())?;
        Ok(journal)
    }

    /// Opens a journal to go on with it. A torn last line is cut off.
    pub fn open(out: &Path, slice: Slice) -> Result<Journal, JournalError> {
        let path = Journal::path(out, slice);
        let shown = path.display().to_string();
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => JournalError::Nothing(out.display().to_string()),
            _ => JournalError::Read(shown.clone(), error),
        })?;
        lock(&file, &shown)?;
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        // Reads a whole line; false where there is none.
        let mut next = |text: &mut Vec<u8>| {
            text.clear();
            let read = reader.read_until(b'\n', text).map_err(|error| JournalError::Read(shown.clone(), error));
            read.map(|_| text.last() == Some(&b'\n'))
        };
        if !next(&mut text)? {
            return Err(JournalError::Nothing(out.display().to_string()));
        }
        let damaged = |number: u64, why: String| JournalError::Damaged(shown.clone(), number, why);
        let header = Header::read(&text).map_err(|why| damaged(1, why))?;
        if header.slice != slice {
            return Err(damaged(1, "it is of another shard".to_string()));
        }
        let file = OpenOptions::new().read(true).append(true).open(&path);
        let mut journal =
            Journal::empty(path.clone(), file.map_err(|error| JournalError::Read(shown.clone(), error))?, header);
        let (mut start, mut number) = (text.len() as u64, 1);
        while next(&mut text)? {
            number += 1;
            match Line::read(&text, &journal.header.hash).map_err(|why| damaged(number, why))? {
                Line::Record(record) => journal.remember(&record, start).map_err(|why| damaged(number, why))?,
                Line::Check(check) => {
                    journal.checks.insert(check.number, check);
                }
                Line::Finished => journal.finished = true,
            }
            start += text.len() as u64;
        }
        // The lock belongs to the file that was read.
        journal.file = reader.into_inner();
        journal.truncate(start)?;
        Ok(journal)
    }

    fn empty(path: PathBuf, file: File, header: Header) -> Journal {
        let places = header.list.len().div_ceil(header.slice.of) as usize;
        let (end, recorded, finished) = (0, 0, false);
        Journal { path, file, header, end, records: vec![0; places], checks: BTreeMap::new(), recorded, finished }
    }

    fn truncate(&mut self, to: u64) -> Result<(), JournalError> {
        self.end = to;
        self.file.set_len(to).map_err(|error| self.write_error(error))
    }

    fn remember(&mut self, record: &RunRecord, start: u64) -> Result<(), String> {
        let slice = self.header.slice;
        if self.header.list.len() <= record.number || !slice.contains(record.number) {
            return Err(format!("run {} does not belong here", record.number));
        }
        let place = &mut self.records[(record.number / slice.of) as usize];
        if *place != 0 {
            return Err(format!("run {} stands here twice", record.number));
        }
        *place = start + 1;
        self.recorded += 1;
        Ok(())
    }

    pub fn has(&self, number: u64) -> bool {
        self.records[(number / self.header.slice.of) as usize] != 0
    }

    /// Appends the record of a run; `text` is its line as its worker said it.
    pub fn append_record(&mut self, record: &RunRecord, text: &str) -> Result<(), JournalError> {
        let start = self.end;
        self.append(&sealed(text, &self.header.hash))?;
        let result = self.remember(record, start);
        assert!(result.is_ok(), "a run is recorded once, in its own slice");
        Ok(())
    }

    pub fn append_check(&mut self, check: CheckRecord) -> Result<(), JournalError> {
        let line = Line::Check(check.clone()).sealed(&self.header.hash);
        self.checks.insert(check.number, check);
        self.append(&line)
    }

    pub fn finish(&mut self) -> Result<(), JournalError> {
        if !self.finished {
            self.append(&Line::Finished.sealed(&self.header.hash))?;
            self.finished = true;
        }
        Ok(())
    }

    fn append(&mut self, line: &str) -> Result<(), JournalError> {
        let whole = format!("{line}\n");
        if let Err(error) = self.file.write_all(whole.as_bytes()) {
            // Half a line is no line: away with it, where that can be done.
            let _ = self.file.set_len(self.end);
            return Err(self.write_error(error));
        }
        self.end += whole.len() as u64;
        Ok(())
    }

    fn write_error(&self, error: std::io::Error) -> JournalError {
        let out = self.path.parent().unwrap_or(Path::new("."));
        JournalError::Write(self.path.display().to_string(), error, out.display().to_string())
    }

    /// Gives the records in the order of the list to the judge, and each that counts to `each`.
    pub fn fold<'a>(
        &self,
        judge: &mut SweepJudge<'a>,
        mut each: impl FnMut(Listed, &RunRecord) -> std::io::Result<()>,
    ) -> Result<(), JournalError> {
        let rounds = self.header.list.rounds();
        self.in_order(|number, _, record| {
            if !judge.is_over() {
                let run = rounds.run(number);
                judge.add(run, &record, self.checks.get(&number));
                each(run, &record)?;
            }
            Ok(())
        })
    }

    /// Every record with its sealed line, in the order of the list.
    pub fn in_order(
        &self,
        mut each: impl FnMut(u64, &str, RunRecord) -> std::io::Result<()>,
    ) -> Result<(), JournalError> {
        let shown = self.path.display().to_string();
        let mut file =
            BufReader::new(File::open(&self.path).map_err(|error| JournalError::Read(shown.clone(), error))?);
        let slice = self.header.slice;
        for (place, start) in self.records.iter().enumerate().filter(|(_, start)| **start != 0) {
            let number = place as u64 * slice.of + slice.index - 1;
            let mut line = String::new();
            let read = file.seek(SeekFrom::Start(start - 1)).and_then(|_| file.by_ref().read_line(&mut line));
            read.map_err(|error| JournalError::Read(shown.clone(), error))?;
            match Line::read(line.as_bytes(), &self.header.hash) {
                Ok(Line::Record(record)) if record.number == number => each(number, line.trim_end(), record)
                    .map_err(|error| JournalError::Write("the results".to_string(), error, shown.clone()))?,
                _ => return Err(JournalError::Damaged(shown, 0, format!("run {number} is not where it was"))),
            }
        }
        Ok(())
    }
}

fn lock(file: &File, shown: &str) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked(shown.to_string())),
        Err(TryLockError::Error(error)) => Err(JournalError::Read(shown.to_string(), error)),
    }
}

/// Writes a file whole or not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let mut file = std::io::BufWriter::new(File::create(&temporary)?);
    let written = write(&mut file).and_then(|()| file.flush());
    match written {
        Ok(()) => fs::rename(&temporary, path),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}
