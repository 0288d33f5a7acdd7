//! The table is whole, mixes lead nobody to a bug, and only what is named kills.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use super::kill::attempt;
use super::*;

/// Keys of `[chaos]` that say how much and how strong. `window` is a time.
const OF_A_MIX: &[&str] = &["profile", "families", "rate", "length", "budget"];

#[test]
fn each_entry_is_a_sentence_and_names_a_mix_of_its_system() {
    for mutant in Guard::ALL.iter().copied().map(mutant) {
        let id = mutant.guard;
        assert!(mutant.breaks.len() > 20 && !mutant.breaks.ends_with('.'), "{id}: {}", mutant.breaks);
        match mutant.fate {
            Fate::Killed { by, on } => {
                assert!(!by.is_empty(), "{id} has no oracle");
                let Some(on) = on else {
                    assert!(Source::Built.witness_path(id).is_some(), "{id} has neither a mix nor a witness");
                    continue;
                };
                let cells = Source::Built.family(on.system).expect("the system is a scenario").cells;
                assert!(
                    cells.iter().any(|cell| cell.id == on.cell()),
                    "{id}: no mix `{}` in {}",
                    on.mix,
                    on.system.name()
                );
            }
            Fate::Scripted { test } => {
                let (file, name) = test.split_once("::").unwrap_or((test, ""));
                let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{id}: {file}: {error}"));
                assert!(text.contains(&format!("fn {name}")) || name.is_empty(), "{id}: no test `{name}` in {file}");
            }
            Fate::Masked { by, why, seen } => {
                assert!(!by.is_empty() && !by.contains(&id), "{id} is masked by others");
                assert!(!seen.is_empty() && Source::Built.witness_path(id).is_some(), "{id}: seen without them");
                assert!(why.len() > 20, "{id}: {why}");
            }
        }
    }
}

#[test]
fn a_mix_says_how_much_and_how_strong_and_nothing_else() {
    for system in System::ALL {
        let text = std::fs::read_to_string(system.path()).expect("the file of a system");
        let file: toml::Table = text.parse().expect("TOML");
        let mixes: BTreeSet<&str> =
            file["matrix"]["mix"].as_array().expect("mixes").iter().filter_map(|mix| mix.as_str()).collect();
        let variants = file["variant"].as_table().expect("variants");
        assert_eq!(mixes, variants.keys().map(String::as_str).collect(), "{}", system.name());
        assert!(!file.contains_key("fault"), "{}: a mutant is not led to its bug", system.name());
        for (mix, variant) in variants {
            let keys = |table: &toml::Value| table.as_table().expect("a table").keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(variant), ["chaos"], "{} {mix}", system.name());
            let chaos = keys(&variant["chaos"]);
            assert!(chaos.iter().all(|key| OF_A_MIX.contains(&key.as_str())), "{} {mix}: {chaos:?}", system.name());
        }
        assert_eq!(variants[SWARM].to_string(), "{ chaos = { profile = \"swarm\" } }", "{}", system.name());
    }
}

/// Without this guard half of the seeds lose what was acknowledged.
const EARLY: Guard = Guard::AckAfterReplication;
const DURABLE: Oracle = Oracle::Invariant(Invariant::AcknowledgedIsDurable);

fn plan(on: Mixed, seed: u64) -> crate::scenario::plan::Plan {
    let family = Source::Built.family(on.system).expect("the system is a scenario");
    let cell = family.cells.iter().find(|cell| cell.id == on.cell()).expect("the mix");
    cell.plan(crate::types::Seed(seed))
}

const ELECTIONS: Mixed = Mixed { system: System::Replication, mix: "elections" };

#[test]
fn only_the_named_oracle_kills() {
    let first_kill = |by: &[Oracle]| (0..20).find(|seed| attempt(&plan(ELECTIONS, *seed), EARLY, by).is_ok());
    let seed = first_kill(&[DURABLE]).expect("an early acknowledgement is noticed");
    assert_eq!(attempt(&plan(ELECTIONS, seed), EARLY, &[DURABLE]).map(|kill| kill.by), Ok(DURABLE));
    let wrong = Oracle::Invariant(Invariant::ReadsAreCommitted);
    let seen = attempt(&plan(ELECTIONS, seed), EARLY, &[wrong]).expect_err("another oracle is no kill");
    let durable = crate::checks::Broken::Invariant(Invariant::AcknowledgedIsDurable);
    assert!(seen.contains(&Seen::Otherwise(durable)), "{seen:?}");
}

#[test]
fn a_seed_that_fails_with_the_guard_kills_nothing() {
    let seed = (0..20).find(|seed| attempt(&plan(ELECTIONS, *seed), EARLY, &[DURABLE]).is_ok()).expect("a kill");
    let mut plan = plan(ELECTIONS, seed);
    // As if the queue were broken anyhow: what the guard would have kept is gone with it.
    plan.guards_off.push(EARLY);
    assert_eq!(attempt(&plan, EARLY, &[DURABLE]), Err(vec![Seen::WithTheGuardToo]));
}

#[test]
fn a_search_counts_its_seeds_and_ends_at_a_kill() {
    let stop = AtomicBool::new(false);
    let limits = Limits { seeds: 20, jobs: 2, swarm: false, source: &Source::Built, stop: &stop };
    let hunted = hunt(&[mutant(EARLY)], &limits, |_| {}).expect("the systems are scenarios");
    let [one] = &hunted[..] else { panic!("{hunted:?}") };
    assert_eq!(one.searches.len() as u64, BASES);
    for (base, search) in one.searches.iter().enumerate() {
        let kill = search.kill().expect("each search kills");
        assert_eq!(kill.seed.0, base as u64 * 1_000_000 + search.runs - 1);
    }
    assert!(one.median().is_some());
    let stopped = AtomicBool::new(true);
    // A witness that was not heard has not said that its mutant survives.
    for guard in [EARLY, Guard::FollowerReadsToHighWatermark] {
        let hunted = hunt(&[mutant(guard)], &Limits { stop: &stopped, ..limits }, |_| {}).expect("as before");
        assert!(hunted[0].is_interrupted() && !hunted[0].is_killed(), "{guard}");
    }
}
