//! `hikyaku explain`: the story of an event, whose promise broke, and a change that is shown to keep it.

use std::fs;
use std::path::{Path, PathBuf};

use hikyaku::checks::chronicle::Told;
use hikyaku::checks::{EvidenceKind, WaitOptions};
use hikyaku::explore::explain::{Cure, Trial, Verification, cures, findings, follow, verify};
use hikyaku::explore::run_seed;
use hikyaku::explore::shrink::pinned;
use hikyaku::scenario::plan::{NodeKind, Plan, Trigger};
use hikyaku::types::{Duration, EventId, Seed};

use crate::common::{Scratch, hikyaku, load, run, stderr, stdout};

/// The first cell and seed of a scenario in which something is found, as a plan.
fn failing(path: &str, sets: &[&str], kind: EvidenceKind) -> Plan {
    let family = load(path, sets);
    let seeds = family.cells.iter().flat_map(|cell| (0..20).map(move |seed| (cell, seed)));
    let plans = seeds.map(|(cell, seed)| cell.plan(Seed(seed)));
    let found = |plan: &Plan| findings(&run(plan).0).first().is_some_and(|finding| finding.kind == kind);
    plans.into_iter().find(found).expect("one of twenty seeds shows the hazard")
}

fn verified(plan: &Plan) -> Vec<String> {
    let (outcome, _) = run(plan);
    let finding = findings(&outcome)[0].clone();
    let mut concrete = plan.clone();
    concrete.faults = pinned(plan, &outcome);
    concrete.chaos = None;
    let harm = (finding.place, finding.kind);
    let trial = Trial { plan: &concrete, harm, runs: 20, jobs: 2, stop: &|| false };
    let verification: Verification = verify(&trial, cures(&concrete, &finding), &mut |_| {});
    assert_eq!(verification.before.1, 20);
    let verified = verification.tried.iter().filter(|tried| verification.is_verified(tried));
    verified.map(|tried| tried.cure.change.clone()).collect()
}

const MARKER: &str = "scenarios/marker_before_work_loses.toml";
const SHORT: &[&str] = &["duration=15s"];

#[test]
fn a_marker_before_the_work_is_cured_by_one_transaction_of_both() {
    let plan = failing(MARKER, SHORT, EvidenceKind::Lost);
    let cures = verified(&plan);
    let transaction = "{ transaction = [\"insert-if-absent ledger.seen\", \"add ledger.balance\"] }";
    assert!(cures.iter().any(|cure| cure.contains(transaction)), "{cures:?}");
    assert!(!cures.iter().any(|cure| cure.contains("acks") || cure.contains("replication")), "{cures:?}");
}

#[test]
fn what_a_leader_takes_with_it_is_kept_by_acks_all() {
    let plan = failing("tests/data/hazards/acks_1.toml", &[], EvidenceKind::Lost);
    let cures = verified(&plan);
    assert!(cures.iter().any(|cure| cure == "shop: acks = \"all\""), "{cures:?}");
    assert!(!cures.iter().any(|cure| cure.contains("commit") || cure.contains("auto-offset-reset")), "{cures:?}");
}

#[test]
fn what_is_committed_before_it_is_done_is_kept_by_committing_behind_it() {
    let plan = failing("scenarios/commit_before_loses.toml", SHORT, EvidenceKind::Lost);
    let cures = verified(&plan);
    assert!(cures.iter().any(|cure| cure == "accounts: `commit` as the last step"), "{cures:?}");
}

#[test]
fn a_group_that_skips_is_kept_by_earliest() {
    let sets = ["duration=32s", "service.site.rate=20/s"];
    let plan = failing("scenarios/latest_skips.toml", &sets, EvidenceKind::Lost);
    let cures = verified(&plan);
    assert!(cures.iter().any(|cure| cure == "counter: auto-offset-reset = \"earliest\""), "{cures:?}");
}

/// Whoever is paused for longer than its lease is not the only owner any more; who forgets what was done does it again.
#[test]
fn two_owners_of_a_row_are_kept_apart_by_a_lease_that_outlasts_them() {
    let path = "scenarios/only_an_atomic_marker_survives_every_crash.toml";
    for (sets, cure) in [
        (["idempotence=short-lease", "point=paused"], "worker: `lease` ten times as long"),
        (["idempotence=forgetful", "point=after-work"], "worker: `insert-if-absent` without `expires`"),
    ] {
        let plan = failing(path, &sets, EvidenceKind::RepeatedHarmful);
        let cures = verified(&plan);
        assert!(cures.iter().any(|known| known == cure), "{sets:?}: {cures:?}");
    }
}

#[test]
fn a_payment_that_repeats_is_kept_by_a_key_that_the_bank_honours() {
    let path = "scenarios/only_a_key_that_is_honoured_pays_once.toml";
    for strike in ["strike=crash", "strike=silence"] {
        let sets = ["key=none-sent", "known=never", strike, "duration=15s"];
        let sets = match strike {
            "strike=crash" => sets.to_vec(),
            _ => [&sets[..], &["variant.silence.fault.silence=at 5s for 8s set endpoint.bank.lost-answers to 10%"]]
                .concat(),
        };
        let plan = failing(path, &sets, EvidenceKind::RepeatedHarmful);
        let cures = verified(&plan);
        let key = "billing: `call bank` with `idempotency-key id`, which bank honours";
        assert!(cures.iter().any(|cure| cure == key), "{strike}: {cures:?}");
        assert!(!cures.iter().any(|cure| cure.contains("acks") || cure.contains("retention")), "{strike}: {cures:?}");
    }
}

#[test]
fn pinned_faults_break_what_the_drawn_ones_broke() {
    for hazard in ["marker_first", "acks_1", "commit_before"] {
        let family = load(&format!("tests/data/hazards/{hazard}.toml"), &[]);
        let plans = (0..20).map(|seed| family.cells[0].plan(Seed(seed)));
        let plan = plans.into_iter().find(|plan| !findings(&run(plan).0).is_empty()).expect("a failing seed");
        let (outcome, _) = run(&plan);
        let finding = findings(&outcome)[0];
        let mut concrete = plan.clone();
        concrete.faults = pinned(&plan, &outcome);
        concrete.chaos = None;
        let (again, _) = run(&concrete);
        let same = |other: &&hikyaku::checks::Evidence| (other.place, other.kind) == (finding.place, finding.kind);
        assert!(findings(&again).iter().any(same), "{hazard}: {}", finding.message);
    }
}

#[test]
fn a_chronicle_tells_how_an_acknowledged_record_was_lost() {
    let plan = failing("scenarios/acks_1_loses.toml", &["duration=12s", "service.shop.rate=100/s"], EvidenceKind::Lost);
    let (outcome, _) = run(&plan);
    let event = findings(&outcome)[0].event;
    let (again, report, chronicle) = follow(&plan, event, |_| {});
    assert_eq!(report.digest, run(&plan).1.digest, "listening changes nothing");
    assert_eq!(again.verdict, outcome.verdict);
    let place = |what: &dyn Fn(&Told) -> bool| chronicle.lines.iter().position(|line| what(&line.what));
    let arrived = place(&|told| *told == Told::Arrived).expect("it arrived");
    let appended = place(&|told| matches!(told, Told::Appended { .. })).expect("a leader appended it");
    let acknowledged = place(&|told| matches!(told, Told::Acknowledged { .. })).expect("its producer was told");
    let gone = place(&|told| matches!(told, Told::Led { holds_it: false, .. })).expect("another leads without it");
    assert!(arrived < appended && appended < acknowledged && acknowledged < gone);
    assert!(chronicle.copies.iter().all(|copy| !copy.is_there()));
    assert_eq!(chronicle.consumers.len(), 1);
    assert_eq!(chronicle.consumers[0].running, chronicle.consumers[0].instances);
    assert!(chronicle.lines.is_sorted_by_key(|line| line.time));
}

#[test]
fn an_event_that_fared_well_has_a_story_and_no_finding() {
    let plan = load("scenarios/quickstart.toml", &["duration=5s"]).cells[0].plan(Seed(3));
    let (outcome, _) = run_seed(&plan, WaitOptions::default(), |_| {});
    assert!(findings(&outcome).is_empty());
    let mut numbers = 0..100;
    let (_, _, chronicle) = numbers
        .find_map(|number| Some(follow(&plan, EventId(number), |_| {})).filter(|f| !f.2.lines.is_empty()))
        .unwrap();
    assert!(chronicle.copies.iter().all(|copy| copy.is_there()));
    assert!(chronicle.lines.iter().any(|line| matches!(line.what, Told::Applied { .. })));
}

#[test]
fn the_command_answers_the_questions_of_whoever_is_on_call_first() {
    let scratch = Scratch::new("explain");
    let out = scratch.path("run");
    let plan = failing(MARKER, SHORT, EvidenceKind::Lost);
    let seed = plan.seed.0.to_string();
    let ran = hikyaku(&["run", MARKER, "--set", "duration=15s", "--seed", &seed, "--out", &out]);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{}", stderr(&ran));
    let explained = hikyaku(&["explain", &out, "--runs", "10"]);
    let text = stdout(&explained);
    assert_eq!(explained.status.code(), Some(0), "{text}{}", stderr(&explained));
    let line =
        |words: &str| text.lines().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(line("in the queue?") < line("consumer running?"));
    assert!(line("consumer running?") < line("the story of e"));
    assert!(line("the story of e") < line("promise  consumer:"));
    assert!(text.contains("between `insert-if-absent ledger.seen` and `add ledger.balance`"), "{text}");
    assert!(text.lines().any(|line| line.contains("transaction = [") && line.contains("verified")), "{text}");
    let stories: Vec<_> =
        fs::read_dir(format!("{out}/explained")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(stories.len(), 1);
    for file in ["story.txt", "story.svg", "story.png", "story.csv"] {
        assert!(fs::metadata(stories[0].join(file)).unwrap().len() > 100, "{file}");
    }
    let json = hikyaku(&["explain", &out, "--runs", "0", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["same"], true);
    assert_eq!(value["events"][0]["findings"][0]["kind"], "lost");
    let unknown = hikyaku(&["explain", &out, "--event", "e99999999999", "--runs", "0"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("never mentions e99999999999"), "{}", stderr(&unknown));
    let above = hikyaku(&["explain", "scenarios"]);
    assert_eq!(above.status.code(), Some(2));
    assert!(stderr(&above).contains("holds no plan.toml"), "{}", stderr(&above));
    let code = hikyaku(&["explain", "S043"]);
    assert_eq!(code.status.code(), Some(0));
}

/// Changes that change nothing that matters: whatever they shift by a millisecond or by a name, they are no cure. Whoever brings
/// the events keeps its name: with another one, other events arrive, and that is no placebo but another run. A consumer of another
/// name draws other failures, which moves what waits for its four hundredth step; reruns must not take that for a cure either.
fn placebos(plan: &Plan) -> Vec<Cure> {
    let mut lingering = plan.clone();
    let producers = lingering.services.iter_mut().flat_map(|service| &mut service.producers);
    producers.for_each(|producer| producer.linger += Duration::from_millis(1));
    let mut renamed = plan.clone();
    for service in renamed.services.iter_mut().filter(|service| !matches!(service.trigger, Trigger::Requests(_))) {
        service.name.push_str("-renamed");
    }
    for node in &mut renamed.nodes {
        if matches!(node.kind, NodeKind::Instance { .. } | NodeKind::Callers { .. }) {
            node.name.push_str("-renamed");
        }
    }
    let cure = |change: &str, plan: Plan| Cure { change: change.to_string(), plan };
    vec![cure("linger + 1 ms", lingering), cure("other names", renamed)]
}

#[test]
fn a_placebo_is_never_a_cure() {
    for hazard in ["marker_first", "acks_1", "commit_before", "add_twice"] {
        let plan = failing(
            &format!("tests/data/hazards/{hazard}.toml"),
            &["duration=30s"],
            match hazard {
                "add_twice" => EvidenceKind::RepeatedHarmful,
                _ => EvidenceKind::Lost,
            },
        );
        let (outcome, _) = run(&plan);
        let finding = findings(&outcome)[0].clone();
        let mut concrete = plan.clone();
        concrete.faults = pinned(&plan, &outcome);
        concrete.chaos = None;
        for cure in cures(&concrete, &finding) {
            assert!(!cure.change.contains("linger") && !cure.change.contains("name"), "{hazard}: {}", cure.change);
        }
        let harm = (finding.place, finding.kind);
        let trial = Trial { plan: &concrete, harm, runs: 60, jobs: 2, stop: &|| false };
        let verification = verify(&trial, placebos(&concrete), &mut |_| {});
        assert!(verification.before.0 >= 5, "{hazard}: {:?}: nothing could be shown", verification.before);
        let after: Vec<(u64, u64)> = verification.tried.iter().map(|tried| tried.after).collect();
        println!("{hazard}: {:?} before, then {after:?}", verification.before);
        for tried in &verification.tried {
            assert!(!verification.is_verified(tried), "{hazard}: {} is offered as a cure", tried.cure.change);
        }
    }
}

/// "How far did order e12 get?", asked of a folder alone: nothing is run, and each place has an answer.
#[test]
fn how_far_an_event_has_come_is_read_off_the_saved_history() {
    let scratch = Scratch::new("how-far");
    let out = scratch.path("run");
    let ran = hikyaku(&["run", MARKER, "--set", "duration=15s", "--seed", "0", "--out", &out]);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{}", stderr(&ran));
    let asked = |event: &str| hikyaku(&["explain", &out, "--event", event, "--runs", "0"]);
    let told = asked("e3");
    let text = stdout(&told);
    assert_eq!(told.status.code(), Some(0), "{text}{}", stderr(&told));
    for words in ["e3 has no bad fate", "how far?", "payments        there since", "ledger.balance  there since"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    // A plan that would give another run, beside the history that was saved: the history is what is told.
    let folder = walk(Path::new(&out), "history.jsonl").expect("a run directory");
    let plan = fs::read_to_string(folder.join("plan.toml")).unwrap();
    fs::write(folder.join("plan.toml"), plan.replacen("sequence = 0", "sequence = 7", 1)).unwrap();
    assert_eq!(stdout(&asked("e3")), text, "nothing was run");
    fs::write(folder.join("plan.toml"), &plan).unwrap();
    // A history that breaks off in a line is said, and the run is run again.
    let history = fs::read_to_string(folder.join("history.jsonl")).unwrap();
    fs::write(folder.join("history.jsonl"), &history[..history.len() / 2]).unwrap();
    let again = asked("e3");
    assert!(stderr(&again).contains("cannot be read"), "{}", stderr(&again));
    assert_eq!(stdout(&again), text);
}

/// The folder below this one that has the file.
fn walk(folder: &Path, file: &str) -> Option<PathBuf> {
    if folder.join(file).is_file() {
        return Some(folder.to_path_buf());
    }
    let mut folders: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().find_map(|folder| walk(folder, file))
}
