//! The search for a kill: seed after seed, from several bases that lie far apart.
//!
//! One search is one thread's: it looks at its seeds in their order and ends at the first kill, so that how many it took does
//! not depend on how many searches run at once. Of the bases the median counts: one lucky seed proves little.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::{Fate, Mixed, Mutant, Oracle, SWARM, Source, System};
use crate::checks::{Broken, Judge, RunOutcome, Signature, Verdict, WaitOptions};
use crate::explore::{in_parallel, run_seed};
use crate::scenario::plan::Plan;
use crate::scenario::{Cell, Diagnostics, Family};
use crate::types::{Guard, Seed};
use crate::world;

/// Searches for each mutant.
pub const BASES: u64 = 5;
/// Seeds between the starts of two searches: more than any of them looks at.
const APART: u64 = 1_000_000;

pub struct Limits<'a> {
    /// Seeds that one search looks at, at most a million.
    pub seeds: u64,
    pub jobs: usize,
    /// The plain profile `swarm` instead of each mutant's mix.
    pub swarm: bool,
    pub source: &'a Source,
    /// Raised to end all searches after the runs under way.
    pub stop: &'a AtomicBool,
}

/// What one mutant came to.
#[derive(Clone, Debug)]
pub struct Hunted {
    pub mutant: Mutant,
    /// Where it was searched for, if a mix is known.
    pub on: Option<Mixed>,
    /// In the order of their bases.
    pub searches: Vec<Search>,
    pub witness: Witness,
}

/// What the witness of a mutant says, which is heard where most searches did not kill.
#[derive(Clone, Debug)]
pub enum Witness {
    /// There is none, or nobody asked.
    NotAsked,
    /// It was to be heard, and everything was stopped before.
    Interrupted,
    Heard(Testimony),
}

/// The one run of a witness.
#[derive(Clone, Debug)]
pub struct Testimony {
    /// The scenario, as it was read.
    pub path: String,
    pub seed: Seed,
    pub result: Result<Kill, Vec<Seen>>,
}

/// One search.
#[derive(Clone, Debug)]
pub struct Search {
    /// Seeds that were looked at.
    pub runs: u64,
    pub end: End,
    /// What was seen and is no kill: how often, and the first seed.
    pub seen: BTreeMap<Seen, (u64, Seed)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed(Kill),
    Survived,
    Interrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    pub seed: Seed,
    pub by: Oracle,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// Reported by another oracle than the named ones, or a panic.
    Otherwise(Broken),
    /// Reported by a named oracle, and with the guard on the seed does not hold either.
    WithTheGuardToo,
}

/// Why nothing was hunted.
#[derive(Debug)]
pub enum NotHunted {
    Unreadable(Diagnostics),
    NoSuchMix(Mixed),
}

impl Hunted {
    /// Seeds to the kill, of the middle search; `None` while most of them have not killed.
    pub fn median(&self) -> Option<u64> {
        let mut counts: Vec<u64> =
            self.searches.iter().map(|search| if search.kill().is_some() { search.runs } else { u64::MAX }).collect();
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().filter(|count| *count < u64::MAX)
    }

    pub fn testimony(&self) -> Option<&Testimony> {
        match &self.witness {
            Witness::Heard(testimony) => Some(testimony),
            Witness::NotAsked | Witness::Interrupted => None,
        }
    }

    /// The kill of the witness.
    pub fn witnessed(&self) -> Option<Kill> {
        self.testimony().and_then(|witness| witness.result.as_ref().ok()).copied()
    }

    pub fn is_killed(&self) -> bool {
        self.median().is_some() || self.witnessed().is_some()
    }

    pub fn is_interrupted(&self) -> bool {
        matches!(self.witness, Witness::Interrupted)
            || self.searches.iter().any(|search| search.end == End::Interrupted)
    }
}

impl Search {
    pub fn kill(&self) -> Option<Kill> {
        match self.end {
            End::Killed(kill) => Some(kill),
            End::Survived | End::Interrupted => None,
        }
    }
}

/// Searches for a kill of each mutant that must be killed; `done` hears of each search as it ends. Of the plain profile no witness
/// is heard: what it finds is the question.
pub fn hunt(mutants: &[Mutant], limits: &Limits, mut done: impl FnMut(&Search)) -> Result<Vec<Hunted>, NotHunted> {
    assert!(limits.seeds <= APART, "searches do not overlap");
    let mut families: BTreeMap<System, Family> = BTreeMap::new();
    let mut hunted: Vec<Hunted> = Vec::new();
    for mutant in mutants {
        let on = match mutant.fate {
            Fate::Killed { on, .. } => on,
            Fate::Masked { .. } => None,
            Fate::Scripted { .. } => continue,
        };
        if limits.swarm && on.is_none() {
            continue;
        }
        let on = on.map(|on| if limits.swarm { Mixed { mix: SWARM, ..on } } else { on });
        if let Some(on) = on
            && let Entry::Vacant(place) = families.entry(on.system)
        {
            place.insert(limits.source.family(on.system).map_err(NotHunted::Unreadable)?);
        }
        hunted.push(Hunted { mutant: *mutant, on, searches: Vec::new(), witness: Witness::NotAsked });
    }
    let places = hunted.iter().enumerate().filter_map(|(place, one)| one.on.map(|on| (place, on)));
    let places = places.map(|(place, on)| Ok((place, cell_of(&families[&on.system], on)?)));
    let places: Vec<(usize, &Cell)> = places.collect::<Result<_, _>>()?;
    let (sender, receiver) = mpsc::channel();
    let searches = std::thread::scope(|scope| {
        let (hunted, places) = (&hunted, &places);
        let searching = scope.spawn(move || {
            in_parallel(places.len() * BASES as usize, limits.jobs, |number| {
                let ((place, cell), base) = (places[number / BASES as usize], number as u64 % BASES);
                let search = search(hunted[place].mutant, cell, base, limits);
                // Nobody listens any more only when the whole process ends.
                let _ = sender.send(search.clone());
                search
            })
        });
        receiver.iter().for_each(|search| done(&search));
        match searching.join() {
            Ok(searches) => searches,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    for (number, search) in searches.into_iter().enumerate() {
        hunted[places[number / BASES as usize].0].searches.push(search);
    }
    for one in &mut hunted {
        if !limits.swarm && one.median().is_none() {
            one.witness = hear(one.mutant, limits).map_err(NotHunted::Unreadable)?;
        }
    }
    Ok(hunted)
}

fn hear(mutant: Mutant, limits: &Limits) -> Result<Witness, Diagnostics> {
    let (by, others): (_, &[Guard]) = match mutant.fate {
        Fate::Killed { by, .. } => (by, &[]),
        Fate::Masked { by, seen, .. } => (seen, by),
        Fate::Scripted { .. } => return Ok(Witness::NotAsked),
    };
    let source = limits.source;
    let (path, family) = (source.witness_path(mutant.guard), source.witness(mutant.guard).transpose()?);
    let (Some(path), Some(family)) = (path, family) else { return Ok(Witness::NotAsked) };
    if limits.stop.load(Ordering::Relaxed) {
        return Ok(Witness::Interrupted);
    }
    let seed = Seed(family.seeds.start);
    let mut plan = family.cells[0].plan(seed);
    plan.guards_off.extend(others);
    let result = attempt(&plan, mutant.guard, by);
    Ok(Witness::Heard(Testimony { path, seed, result }))
}

fn cell_of(family: &Family, on: Mixed) -> Result<&Cell, NotHunted> {
    let id = on.cell();
    family.cells.iter().find(|cell| cell.id == id).ok_or(NotHunted::NoSuchMix(on))
}

fn search(mutant: Mutant, cell: &Cell, base: u64, limits: &Limits) -> Search {
    let Fate::Killed { by, .. } = mutant.fate else { unreachable!("only what must be killed is hunted") };
    let mut seen: BTreeMap<Seen, (u64, Seed)> = BTreeMap::new();
    for run in 0..limits.seeds {
        if limits.stop.load(Ordering::Relaxed) {
            return Search { runs: run, end: End::Interrupted, seen };
        }
        let plan = cell.plan(Seed(base * APART + run));
        let what = match attempt(&plan, mutant.guard, by) {
            Ok(kill) => return Search { runs: run + 1, end: End::Killed(kill), seen },
            Err(what) => what,
        };
        for what in what {
            seen.entry(what).or_insert((0, plan.seed)).0 += 1;
        }
    }
    Search { runs: limits.seeds, end: End::Survived, seen }
}

/// Runs the plan without the guard, and with it where a named oracle reports something. Otherwise says what was seen.
pub fn attempt(plan: &Plan, guard: Guard, by: &[Oracle]) -> Result<Kill, Vec<Seen>> {
    let mut mutated = plan.clone();
    mutated.guards_off.push(guard);
    let outcome = run_until_reported(&mutated, by);
    let Some(by) = by.iter().copied().find(|oracle| oracle.reports(&outcome)) else {
        let mut seen: Vec<Seen> =
            Signature::all(&outcome).into_iter().map(|signature| Seen::Otherwise(signature.broken)).collect();
        seen.dedup();
        return Err(seen);
    };
    let (guarded, _) = run_seed(plan, WaitOptions::default(), |_| {});
    if guarded.verdict != Verdict::Holds {
        return Err(vec![Seen::WithTheGuardToo]);
    }
    Ok(Kill { seed: plan.seed, by })
}

/// A run that is looked at for some oracles ends when an invariant of theirs is broken; what a place expects is known only
/// at the end.
fn run_until_reported(plan: &Plan, by: &[Oracle]) -> RunOutcome {
    let stop = AtomicBool::new(false);
    let mut judge = Judge::new(plan);
    let mut known = 0;
    world::run_until(plan, &stop, |event| {
        judge.observe(event);
        let fresh = &judge.violations()[known..];
        if fresh.iter().any(|violation| by.contains(&Oracle::Invariant(violation.invariant))) {
            stop.store(true, Ordering::Relaxed);
        }
        known += fresh.len();
    });
    judge.finish()
}
