//! `hikyaku mutants`: what each guard is for, and the proof that a check notices when it is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::checks::{Broken, word};
use crate::explore::mutants::{End, Fate, Hunted, Limits, Mutant, NotHunted, Oracle, Seen, Source, hunt, mutant};
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
    let searches = chosen.iter().filter(|mutant| must_die(mutant)).count() as u64 * crate::explore::mutants::BASES;
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
    let exit = if hunted.iter().any(|one| one.median().is_none()) { Exit::Violated } else { Exit::Holds };
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { exit })
}

fn must_die(mutant: &Mutant) -> bool {
    match mutant.fate {
        Fate::Killed { .. } => true,
        Fate::Scripted { .. } | Fate::Masked { .. } => false,
    }
}

// --- the list ---

fn listing(mutants: &[Mutant]) -> String {
    let left = |heading| (heading, Align::Left);
    let mut table = Table::new(&[left("id"), left("oracle"), left("system, mix"), left("breaks"), left("source")]);
    for mutant in mutants {
        let (oracle, on) = match mutant.fate {
            Fate::Killed { by, on } => (Cell::from(joined(by)), Cell::from(on.to_string())),
            Fate::Scripted { by, test } => (Cell::from(scripted(by)), Cell::new(Tone::Muted, test)),
            Fate::Masked { by, why } => (Cell::new(Tone::Muted, masked(by)), Cell::new(Tone::Muted, why)),
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

/// What sees it where a test leads to it.
fn scripted(by: &[Oracle]) -> String {
    if by.is_empty() { "transcript".to_string() } else { joined(by) }
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
                value["scenario"] = on.system.path().into();
                value["mix"] = on.mix.into();
            }
            Fate::Scripted { by, test } => {
                value["oracles"] = by.iter().map(Oracle::to_string).collect();
                value["test"] = test.into();
            }
            Fate::Masked { by, why } => {
                value["masked-by"] = by.iter().map(|guard| guard.id()).collect();
                value["why"] = why.into();
            }
        }
        if let Some(one) = hunted.get(&mutant.guard) {
            value["killed-within"] = one.median().into();
            value["mix"] = one.on.mix.into();
            value["searches"] = one.searches.iter().map(search_as_json).collect();
        }
        value
    };
    mutants.iter().map(of_one).collect()
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
            (_, Some(one)) => {
                let (word, seeds) = match one.median() {
                    Some(median) => (Cell::new(Tone::Holds, killers(one)), numbers::count(median)),
                    None if one.is_interrupted() => (Cell::new(Tone::Unknown, "interrupted"), String::new()),
                    None => (Cell::new(Tone::Violated, "SURVIVED"), String::new()),
                };
                table.push(vec![id, word, Cell::from(seeds), Cell::from(each(one)), Cell::from(one.on.to_string())]);
            }
            (Fate::Scripted { test, .. }, None) => {
                let muted = |text: &str| Cell::new(Tone::Muted, text);
                table.push(vec![id, muted("no mix known"), muted(""), muted(""), muted(test)]);
            }
            (Fate::Masked { by, why }, None) => {
                let muted = |text: &str| Cell::new(Tone::Muted, text);
                table.push(vec![id, muted(&masked(by)), muted(""), muted(""), muted(why)]);
            }
            (Fate::Killed { .. }, None) => {}
        }
    }
    out!("{}", table.render(0));
    for one in hunted {
        print_seen(one);
    }
    let killed = hunted.iter().filter(|one| one.median().is_some()).count();
    outln!();
    outln!(
        "{killed} of {} mutants killed by the oracle that is named for them, within {} each",
        hunted.len(),
        numbers::counted(arguments.seeds, "seed")
    );
    if let Some((one, seed)) = hunted.iter().find_map(|one| Some((one, first_kill(one)?))) {
        outln!(
            "a kill made small: hikyaku shrink {} --cell {} --seed {} --without-guard {}",
            one.on.system.path(),
            one.on.cell(),
            seed.0,
            one.mutant.guard
        );
    }
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
    if one.median().is_some() {
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
}

fn seen_in_words(what: &Seen) -> String {
    match what {
        Seen::Otherwise(Broken::Machine(place)) => format!("a panic at {place}, which is no kill"),
        Seen::Otherwise(Broken::Invariant(invariant)) => format!("{}, which is not named", word(invariant)),
        Seen::Otherwise(Broken::Promise(name)) => format!("{name}, which is not named"),
        Seen::WithTheGuardToo => "reported, but the seed does not hold with the guard either".to_string(),
    }
}
