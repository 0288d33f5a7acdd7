//! `hikyaku validate`: the simulation against queueing theory.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::explore::validate::{CASES, Case, CaseFile, CompareResult, Compared, run_case, scenario_of};
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::Tone;

use super::Exit;

#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// Only cases whose id begins so, as `Q01,Q07d`.
    #[arg(long = "case", value_name = "ID,…", value_delimiter = ',')]
    cases: Vec<String>,
    /// Cases in a file of one's own, in the same form.
    #[arg(long = "cases", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make every service time this much longer, in percent; the cases must then fail.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    slower: f64,
    /// Runs at once.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write the scenario of each case into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn validate(arguments: &ValidateArguments) -> anyhow::Result<Exit> {
    let text = match &arguments.file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?,
        None => CASES.to_string(),
    };
    let file: CaseFile = serde_json::from_str(&text).context("failed to read the cases")?;
    let chosen: Vec<Case> = file.cases.into_iter().filter(|case| is_chosen(&case.id, &arguments.cases)).collect();
    if chosen.is_empty() {
        bail!("no case has an id that begins with {}", arguments.cases.join(" or "));
    }
    let jobs = arguments.jobs.unwrap_or_else(super::run::jobs_default);
    let factor = 1.0 + arguments.slower / 100.0;
    let mut compared = Vec::new();
    for case in &chosen {
        if let (Some(folder), Ok(scenario)) = (&arguments.out, scenario_of(case, factor)) {
            std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
            let path = folder.join(format!("{}.toml", case.id));
            std::fs::write(&path, scenario).with_context(|| format!("failed to write {}", path.display()))?;
        }
        anstream::eprintln!("{}  {}", case.id, case.title);
        compared.extend(run_case(case, factor, jobs));
    }
    Ok(print(&compared))
}

fn is_chosen(id: &str, prefixes: &[String]) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| id.starts_with(prefix.trim()))
}

fn print(compared: &[Compared]) -> Exit {
    let right = |heading| (heading, Align::Right);
    let left = |heading| (heading, Align::Left);
    let columns =
        [left("case"), left("metric"), right("expected"), right("got"), left("tolerance"), right("z"), left("verdict")];
    let mut table = Table::new(&columns);
    let (mut failed, mut inexpressible, mut invalid) = (0, 0, 0);
    for one in compared {
        let expected = format!("{} {}", significant(one.expected), one.unit);
        let (got, z, verdict) = match &one.result {
            CompareResult::Judged { got, passes, z } => {
                failed += u32::from(!passes);
                let z = z.map_or(String::new(), |z| format!("{z:.2}"));
                let verdict =
                    if *passes { Cell::new(Tone::Holds, "passes") } else { Cell::new(Tone::Violated, "FAILS") };
                (significant(*got), z, verdict)
            }
            CompareResult::NotExpressible(why) => {
                inexpressible += 1;
                (String::new(), String::new(), Cell::new(Tone::Unknown, format!("not expressible: {why}")))
            }
            CompareResult::Invalid(why) => {
                invalid += 1;
                (String::new(), String::new(), Cell::new(Tone::Violated, format!("INVALID: {why}")))
            }
            CompareResult::Reference => (String::new(), String::new(), Cell::new(Tone::Muted, "reference only")),
        };
        table.push(vec![
            Cell::from(&one.case),
            Cell::from(&one.metric),
            Cell::from(expected),
            Cell::from(got),
            Cell::from(&one.tolerance),
            Cell::from(z),
            verdict,
        ]);
    }
    out!("{}", table.render(0));
    let judged = compared.iter().filter(|one| matches!(one.result, CompareResult::Judged { .. })).count();
    outln!("{} of {judged} metrics pass, {failed} fail, {inexpressible} are not expressible", judged as u32 - failed);
    if 0 < invalid {
        anstream::eprintln!(
            "{invalid} metrics belong to cases whose scenario is not valid; --out DIR writes the scenarios"
        );
        return Exit::Usage;
    }
    match (failed, inexpressible) {
        (0, 0) => Exit::Holds,
        (0, _) => Exit::Vacuous,
        _ => Exit::Violated,
    }
}

/// Six significant digits.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:.digits$}")
}
