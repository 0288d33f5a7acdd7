//! `hikyaku guarantees`: the tables of what each choice is worth, run cell by cell.

use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::checks::{Promise, Verdict};
use crate::explore::guarantees::{CellResult, Seen, Table, TableResult, run_table};
use crate::report::numbers;
use crate::report::progress::Progress;
use crate::report::table::{self, Align, Cell};
use crate::report::terminal::{Tone, paint};

use super::run::{jobs_default, stop_on_interrupt};
use super::{Exit, Format, summary};

#[derive(Debug, Args)]
pub struct GuaranteesArguments {
    /// Only these tables.
    #[arg(long = "table", value_name = "NAME,…", value_delimiter = ',', value_enum)]
    tables: Vec<Table>,
    /// Runs at once [default: one for each core]. The result does not depend on it.
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl ValueEnum for Table {
    fn value_variants<'a>() -> &'a [Table] {
        &Table::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

pub fn guarantees(arguments: &GuaranteesArguments) -> anyhow::Result<Exit> {
    let is_chosen = |table: &&Table| arguments.tables.is_empty() || arguments.tables.contains(table);
    let mut families = Vec::new();
    for table in Table::ALL.iter().filter(is_chosen) {
        match table.family(&[]) {
            Ok(family) => families.push((*table, family)),
            Err(problems) => {
                anstream::eprintln!("{}", problems.render(true));
                return Ok(Exit::Internal);
            }
        }
    }
    let stop = stop_on_interrupt()?;
    let jobs = arguments.jobs.unwrap_or_else(jobs_default).max(1);
    let runs = |family: &crate::scenario::Family| family.cells.len() as u64 * (family.seeds.end - family.seeds.start);
    let total = families.iter().map(|(_, family)| runs(family)).sum();
    let mut progress = Progress::new(total, "run");
    let mut results = Vec::new();
    for (table, family) in &families {
        results.push(run_table(*table, family, jobs, &stop, |_| progress.advance(1, table.name())));
    }
    progress.finish();
    match arguments.format {
        Format::Human => print(&results, total),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&results))?),
    }
    let verdict = results.iter().map(TableResult::verdict).max().unwrap_or(Verdict::Vacuous);
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::from(verdict) })
}

// --- for people ---

fn print(results: &[TableResult], runs: u64) {
    let cells = || results.iter().flat_map(|result| &result.cells);
    let others = cells().filter(|cell| cell.verdict() != Verdict::Holds).count() as u64;
    let verdict = results.iter().map(TableResult::verdict).max().unwrap_or(Verdict::Vacuous);
    outln!(
        "{}  {} · {} · {}",
        summary::word(verdict),
        numbers::counted(results.len() as u64, "table"),
        numbers::counted(cells().count() as u64, "cell"),
        numbers::counted(runs, "run"),
    );
    let told = match others {
        0 => "Every cell showed what its table says of it.".to_string(),
        others => format!("{} showed something else than its table says.", numbers::counted(others, "cell")),
    };
    outln!("  {told} The number is how often a fault of the cell struck.");
    for result in results {
        outln!();
        outln!("  {}  {}", paint(Tone::Strong, result.table.name()), result.about);
        out!("{}", matrix(result).render(2));
        outln!("  {}", paint(Tone::Muted, &format!("{} · {}", result.table.path(), result.table.source())));
    }
    let disagreeing = cells().filter(|cell| cell.verdict() != Verdict::Holds);
    for cell in disagreeing {
        let why = cell.exceeded.clone().or_else(|| cell.judged.reasons.first().cloned()).unwrap_or_default();
        outln!();
        outln!("  {}  {} × {}: {why}", summary::word(cell.verdict()), cell.row, cell.column);
    }
    for result in results {
        print_losses(result);
    }
}

/// Each loss is a run that tells its story.
fn print_losses(result: &TableResult) {
    let mut losses = table::Table::new(&[("", Align::Left), ("lost", Align::Right), ("token", Align::Left)]);
    for cell in &result.cells {
        if let Some(Seen { count, token, .. }) = cell.observed.iter().find(|seen| seen.promise == Promise::Loss) {
            let name = format!("{} × {}", cell.row, cell.column);
            losses.push(vec![name.into(), numbers::count(*count).into(), token.to_string().into()]);
        }
    }
    if !losses.is_empty() {
        outln!();
        outln!("  the losses of {0}: hikyaku explain TOKEN --scenario {1}", result.table.name(), result.table.path());
        out!("{}", losses.render(4));
    }
}

/// Rows and columns as the grid of the scenario has them.
fn matrix(result: &TableResult) -> table::Table {
    let headings: Vec<(&str, Align)> =
        [""].into_iter().chain(result.columns.iter().map(String::as_str)).map(|text| (text, Align::Left)).collect();
    let mut matrix = table::Table::new(&headings);
    for row in &result.rows {
        let of_column = |column: &String| match result.cell(row, column) {
            Some(cell) => shown(cell),
            None => Cell::new(Tone::Muted, "–"),
        };
        matrix.push([Cell::from(row)].into_iter().chain(result.columns.iter().map(of_column)).collect());
    }
    matrix
}

fn shown(cell: &CellResult) -> Cell {
    let struck = if cell.faults == 0 { String::new() } else { format!(" {}", numbers::count(cell.faults)) };
    let is_right = cell.verdict() == Verdict::Holds;
    let mark = if is_right { "" } else { " ✗" };
    let tone = match (is_right, cell.observed.is_empty()) {
        (false, _) => Tone::Violated,
        (true, true) => Tone::Holds,
        (true, false) => Tone::Strong,
    };
    Cell::new(tone, format!("{}{struck}{mark}", observed(cell)))
}

/// `ok`, or what showed in any seed: `LOSS+DUP`.
fn observed(cell: &CellResult) -> String {
    let name = |seen: &Seen| match seen.promise {
        Promise::Loss => "LOSS",
        Promise::Duplicates => "DUP",
        Promise::Stale => "STALE",
        Promise::Order => "ORDER",
        Promise::Phantoms | Promise::Parked | Promise::Pending | Promise::Blame => unreachable!("not told in tables"),
    };
    let names: Vec<&str> = cell.observed.iter().map(name).collect();
    if names.is_empty() { "ok".into() } else { names.join("+") }
}

// --- for programs ---

fn as_json(results: &[TableResult]) -> Value {
    let of_cell = |cell: &CellResult| {
        let of_seen =
            |seen: &Seen| json!({ "promise": seen.promise, "count": seen.count, "token": seen.token.to_string() });
        json!({
            "row": cell.row,
            "column": cell.column,
            "verdict": cell.verdict(),
            "observed": observed(cell),
            "faults": cell.faults,
            "runs": cell.judged.runs,
            "seen": cell.observed.iter().map(of_seen).collect::<Vec<_>>(),
            "exceeded": cell.exceeded,
            "reasons": cell.judged.reasons,
        })
    };
    let of_table = |result: &TableResult| {
        json!({
            "table": result.table.name(),
            "scenario": result.table.path(),
            "source": result.table.source(),
            "about": result.about,
            "verdict": result.verdict(),
            "interrupted": result.interrupted,
            "cells": result.cells.iter().map(of_cell).collect::<Vec<_>>(),
        })
    };
    json!({ "tables": results.iter().map(of_table).collect::<Vec<_>>() })
}
