//! `hikyaku mutants`: what each guard is for, and the proof that a check notices when it is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::checks::{Broken, word};
use crate::explore::mutants::{
    End, Fate, Hunted, Limits, Mutant, NotHunted, Oracle, Seen, Source, Testimony, hunt, mutant,
};
use crate::report::numbers;
use crate::report::progress::Progress;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::{Tone, escaped, paint};
use crate::types::{Guard, Seed};

use super::run::{jobs_default, parse_guard, stop_on_interrupt};
use super::{Exit, Format};

#[derive(Debug, Args)]
pub struct MutantsArguments {
    /// Search for a kill of each mutant instead of listing them.
    #[arg(long)]
    kill: bool,
    /// Only these, as `R1,P4`.
    #[arg(long = "id", value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    ids: Vec<Guard>,
    /// Seeds that each of the five searches for a mutant looks at.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000), requires = "kill")]
    seeds: u64,
    /// The plain profile `swarm` instead of each mutant's mix of faults.
    #[arg(long, requires = "kill")]
    swarm: bool,
    /// Read the systems and their mixes from this folder instead of those that are built in.
    #[arg(long, value_name = "DIR", requires = "kill")]
    systems: Option<PathBuf>,
    /// Searches at once [default: one for each core]. The result does not depend on it.
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS", requires = "kill")]
    jobs: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn mutants(arguments: &MutantsArguments) -> anyhow::Result<Exit> {
    let is_chosen = |guard: &&Guard| arguments.ids.is_empty() || arguments.ids.contains(guard);
    let chosen: Vec<Mutant> = Guard::ALL.iter().filter(is_chosen).copied().map(mutant).collect();
    if !arguments.kill {
        match arguments.format {
            Format::Human => out!("{}", listing(&chosen)),
            Format::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&chosen, &BTreeMap::new()))?),
        }
        return Ok(Exit::Holds);
    }
    let stop = stop_on_interrupt()?;
    let source = arguments.systems.clone().map_or(Source::Built, Source::Folder);
    let limits = Limits {
        seeds: arguments.seeds,
        jobs: arguments.jobs.unwrap_or_else(jobs_default).max(1),
        swarm: arguments.swarm,
        source: &source,
        stop: &stop,
    };
    let searches =
        chosen.iter().filter(|mutant| is_searched_for(mutant)).count() as u64 * crate::explore::mutants::BASES;
    let mut progress = Progress::new(searches, "hunt");
    let mut survived = 0;
    let hunted = hunt(&chosen, &limits, |search| {
        survived += u64::from(search.end == End::Survived);
        progress.advance(1, &if survived == 0 { String::new() } else { format!("{survived} without a kill") });
    });
    progress.finish();
    let hunted = match hunted {
        Ok(hunted) => hunted,
        Err(NotHunted::Unreadable(problems)) => {
            anstream::eprintln!("{}", problems.render(true));
            return Ok(Exit::Usage);
        }
        Err(NotHunted::NoSuchMix(on)) => bail!("the system `{}` has no mix `{}`", on.system.name(), on.mix),
    };
    match arguments.format {
        Format::Human => print(&chosen, &hunted, arguments),
        Format::Json => {
            let by_guard = hunted.iter().map(|one| (one.mutant.guard, one)).collect();
            outln!("{}", serde_json::to_string_pretty(&as_json(&chosen, &by_guard))?);
        }
    }
    let exit = if hunted.iter().all(Hunted::is_killed) { Exit::Holds } else { Exit::Violated };
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { exit })
}

fn is_searched_for(mutant: &Mutant) -> bool {
    matches!(mutant.fate, Fate::Killed { on: Some(_), .. })
}

// --- the list ---

fn listing(mutants: &[Mutant]) -> String {
    let left = |heading| (heading, Align::Left);
    let mut table = Table::new(&[left("id"), left("oracle"), left("system, mix"), left("breaks"), left("source")]);
    for mutant in mutants {
        let (oracle, on) = match mutant.fate {
            Fate::Killed { by, on: Some(on) } => (Cell::from(joined(by)), Cell::from(on.to_string())),
            Fate::Killed { by, on: None } => {
                (Cell::from(joined(by)), Cell::new(Tone::Muted, built_witness(mutant).unwrap_or_default()))
            }
            Fate::Scripted { test } => (Cell::from(TRANSCRIPT), Cell::new(Tone::Muted, test)),
            Fate::Masked { by, why, .. } => (Cell::new(Tone::Muted, masked(by)), Cell::new(Tone::Muted, why)),
        };
        table.push(vec![
            Cell::new(Tone::Strong, mutant.guard.id()),
            oracle,
            on,
            Cell::from(mutant.breaks),
            Cell::new(Tone::Muted, mutant.guard.source()),
        ]);
    }
    table.render(0)
}

fn joined(oracles: &[Oracle]) -> String {
    oracles.iter().map(Oracle::to_string).collect::<Vec<_>>().join(" or ")
}

/// What shows the harm where no oracle of a run is known to see it.
const TRANSCRIPT: &str = "a transcript";

fn built_witness(mutant: &Mutant) -> Option<String> {
    Source::Built.witness_path(mutant.guard)
}

fn masked(by: &[Guard]) -> String {
    format!("masked by {}", by.iter().map(|guard| guard.id()).collect::<Vec<_>>().join(" and "))
}

fn as_json(mutants: &[Mutant], hunted: &BTreeMap<Guard, &Hunted>) -> Value {
    let of_one = |mutant: &Mutant| {
        let mut value = json!({
            "id": mutant.guard.id(),
            "source": mutant.guard.source(),
            "breaks": mutant.breaks,
        });
        match mutant.fate {
            Fate::Killed { by, on } => {
                value["oracles"] = by.iter().map(Oracle::to_string).collect();
                value["scenario"] = on.map(|on| on.system.path()).into();
                value["mix"] = on.map(|on| on.mix).into();
                value["witness"] = built_witness(mutant).map(|path| json!({ "scenario": path })).into();
            }
            Fate::Scripted { test } => value["test"] = test.into(),
            Fate::Masked { by, why, seen } => {
                value["oracles"] = seen.iter().map(Oracle::to_string).collect();
                value["masked-by"] = by.iter().map(|guard| guard.id()).collect();
                value["why"] = why.into();
                value["witness"] = built_witness(mutant).map(|path| json!({ "scenario": path })).into();
            }
        }
        if let Some(one) = hunted.get(&mutant.guard) {
            value["killed-within"] = one.median().into();
            value["mix"] = one.on.map(|on| on.mix).into();
            value["searches"] = one.searches.iter().map(search_as_json).collect();
            if let Some(witness) = one.testimony() {
                value["witness"] = testimony_as_json(witness);
            }
        }
        value
    };
    mutants.iter().map(of_one).collect()
}

/// The one run of a schedule that is written down, which is no search.
fn testimony_as_json(witness: &Testimony) -> Value {
    let seen = witness.result.as_ref().err().into_iter().flatten().map(seen_in_words);
    json!({
        "scenario": witness.path,
        "scripted": true,
        "runs": 1,
        "end": if witness.result.is_ok() { "killed" } else { "survived" },
        "seed": witness.seed.0,
        "oracle": witness.result.as_ref().ok().map(|kill| kill.by.to_string()),
        "seen": seen.collect::<Vec<_>>(),
    })
}

fn search_as_json(search: &crate::explore::mutants::Search) -> Value {
    let kill = search.kill();
    let seen = search
        .seen
        .iter()
        .map(|(what, (count, first))| json!({ "what": seen_in_words(what), "seeds": count, "first": first.0 }));
    json!({
        "runs": search.runs,
        "end": match search.end {
            End::Killed(_) => "killed",
            End::Survived => "survived",
            End::Interrupted => "interrupted",
        },
        "seed": kill.map(|kill| kill.seed.0),
        "oracle": kill.map(|kill| kill.by.to_string()),
        "seen": seen.collect::<Value>(),
    })
}

// --- the searches ---

fn print(chosen: &[Mutant], hunted: &[Hunted], arguments: &MutantsArguments) {
    let (left, right) = (|heading| (heading, Align::Left), |heading| (heading, Align::Right));
    let mut table =
        Table::new(&[left("id"), left("killed by"), right("seeds"), left("of five searches"), left("system, mix")]);
    for mutant in chosen {
        let id = Cell::new(Tone::Strong, mutant.guard.id());
        match (mutant.fate, hunted.iter().find(|one| one.mutant.guard == mutant.guard)) {
            (_, Some(one)) => table.push(row(id, one)),
            (Fate::Killed { .. }, None) => table.push(not_searched(id, "no mix known", "")),
            (Fate::Scripted { test }, None) => table.push(not_searched(id, TRANSCRIPT, test)),
            (Fate::Masked { by, why, .. }, None) => table.push(not_searched(id, &masked(by), why)),
        }
    }
    out!("{}", table.render(0));
    for one in hunted {
        print_seen(one);
    }
    let searched = hunted.iter().filter(|one| one.on.is_some()).count();
    let killed = hunted.iter().filter(|one| one.median().is_some()).count();
    outln!();
    outln!(
        "{killed} of {searched} mutants killed by the oracle that is named for them, within {} each",
        numbers::counted(arguments.seeds, "seed")
    );
    let of_pairs = |one: &&Hunted| matches!(one.mutant.fate, Fate::Masked { .. });
    let masked = hunted.iter().filter(of_pairs).count();
    let witnessed = hunted.iter().filter(|one| one.witnessed().is_some() && !of_pairs(one)).count();
    if 0 < witnessed {
        outln!(
            "{witnessed} killed so by a witness alone: a schedule of faults that is written down, one run, and no search"
        );
    }
    if 0 < masked {
        outln!("{masked} hidden by other guards: those are off as well in their witnesses, which count for no kill");
    }
    if let Some((on, seed, guard)) = hunted.iter().find_map(|one| Some((one.on?, first_kill(one)?, one.mutant.guard))) {
        let (path, cell) = (on.system.path(), on.cell());
        outln!("a kill made small: hikyaku shrink {path} --cell {cell} --seed {} --without-guard {guard}", seed.0);
    }
}

fn row(id: Cell, one: &Hunted) -> Vec<Cell> {
    let median = one.median().map_or(String::new(), numbers::count);
    let killers = match (one.mutant.fate, one.witnessed()) {
        _ if one.median().is_some() => Cell::new(Tone::Holds, killers(one)),
        (Fate::Masked { by, .. }, Some(kill)) => {
            Cell::new(Tone::Muted, format!("{}; without: {}", masked(by), kill.by))
        }
        (_, Some(kill)) => Cell::new(Tone::Holds, kill.by.to_string()),
        _ if one.is_interrupted() => Cell::new(Tone::Unknown, "interrupted"),
        _ => Cell::new(Tone::Violated, "SURVIVED"),
    };
    let mut ways: Vec<String> = one.on.iter().map(|_| each(one)).collect();
    let mut places: Vec<String> = one.on.iter().map(|on| on.to_string()).collect();
    if let Some(witness) = one.testimony() {
        ways.push("witness (1 run)".to_string());
        places.push(witness.path.clone());
    }
    vec![id, killers, Cell::from(median), Cell::from(ways.join(", ")), Cell::from(places.join(", "))]
}

fn not_searched(id: Cell, word: &str, place: &str) -> Vec<Cell> {
    let muted = |text: &str| Cell::new(Tone::Muted, text);
    vec![id, muted(word), muted(""), muted(""), muted(place)]
}

fn first_kill(one: &Hunted) -> Option<Seed> {
    one.searches.iter().find_map(|search| search.kill()).map(|kill| kill.seed)
}

/// Those that killed, the most frequent first.
fn killers(one: &Hunted) -> String {
    let mut counts: BTreeMap<Oracle, usize> = BTreeMap::new();
    for kill in one.searches.iter().filter_map(|search| search.kill()) {
        *counts.entry(kill.by).or_default() += 1;
    }
    let mut oracles: Vec<(Oracle, usize)> = counts.into_iter().collect();
    oracles.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    oracles.iter().map(|(oracle, _)| oracle.to_string()).collect::<Vec<_>>().join(", ")
}

/// Seeds of each search; `–` where it found nothing.
fn each(one: &Hunted) -> String {
    let of_search = |search: &crate::explore::mutants::Search| match search.end {
        End::Killed(_) => numbers::count(search.runs),
        End::Survived => "–".to_string(),
        End::Interrupted => "…".to_string(),
    };
    one.searches.iter().map(of_search).collect::<Vec<_>>().join(" ")
}

/// What a mutant did that nobody is named for: it says whether the oracle or the mix is wrong.
fn print_seen(one: &Hunted) {
    if one.is_killed() {
        return;
    }
    let mut all: BTreeMap<&Seen, (u64, Seed)> = BTreeMap::new();
    for (what, (count, first)) in one.searches.iter().flat_map(|search| &search.seen) {
        all.entry(what).or_insert((0, *first)).0 += count;
    }
    for (what, (count, first)) in all {
        let line = format!(
            "{}: {} in {}, first in seed {}",
            one.mutant.guard,
            seen_in_words(what),
            numbers::counted(count, "seed"),
            first.0
        );
        outln!("{}", paint(Tone::Muted, &escaped(&line)));
    }
    if let Some(witness) = one.testimony() {
        for what in witness.result.as_ref().err().into_iter().flatten() {
            let line = format!("{}: {} in {}", one.mutant.guard, seen_in_words(what), witness.path);
            outln!("{}", paint(Tone::Muted, &escaped(&line)));
        }
    }
}

fn seen_in_words(what: &Seen) -> String {
    match what {
        Seen::Otherwise(Broken::Machine(place)) => format!("a panic at {place}, which is no kill"),
        Seen::Otherwise(Broken::Invariant(invariant)) => format!("{}, which is not named", word(invariant)),
        Seen::Otherwise(Broken::Promise(name)) => format!("{name}, which is not named"),
        Seen::WithTheGuardToo => "reported, but the seed does not hold with the guard either".to_string(),
    }
}
