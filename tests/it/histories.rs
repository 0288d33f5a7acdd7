//! A saved history is judged and told like the live one.

use hikyaku::checks::chronicle::Chronicler;
use hikyaku::checks::{Judge, RunOutcome};
use hikyaku::history::Event;
use hikyaku::history::export::{Names, Recorder};
use hikyaku::history::import::Reader;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::{EventId, Seed};
use hikyaku::world;

use crate::common::load;

/// What a run is judged to be while it runs, and its history as it would be saved.
fn live(plan: &Plan) -> (RunOutcome, Vec<Event>, String) {
    let mut recorder = Recorder::new(Names::of(plan), Vec::new(), std::io::sink()).unwrap();
    let (mut judge, mut events) = (Judge::new(plan), Vec::new());
    world::run(plan, |event| {
        recorder.write(event).unwrap();
        events.push(event.clone());
        judge.observe(event);
    });
    let (lines, _) = recorder.finish().unwrap();
    (judge.finish(), events, String::from_utf8(lines).unwrap())
}

fn read(plan: &Plan, lines: &str) -> Vec<Event> {
    let mut reader = Reader::new(plan);
    lines.lines().map(|line| reader.json(line).unwrap_or_else(|why| panic!("{line}: {why}"))).collect()
}

/// Scenarios that between them do everything that a history can tell of.
const RUNS: [(&str, &[&str], u64); 10] = [
    ("scenarios/marker_before_work_loses.toml", &["duration=15s"], 1),
    ("scenarios/acks_1_loses.toml", &["duration=12s", "service.shop.rate=100/s"], 0),
    ("scenarios/orders_survive_chaos.toml", &["duration=20s"], 2),
    ("scenarios/outbox_makes_the_dual_write_one.toml", &["duration=15s"], 0),
    ("scenarios/one_api_that_does_everything_leaves_orders_unsettled.toml", &["duration=15s"], 0),
    ("scenarios/a_message_that_always_fails_blocks_is_lost_or_parked.toml", &[], 0),
    ("scenarios/many_duties_in_one_consumer_fail_together.toml", &["duration=20s"], 0),
    ("tests/data/transactions_attacked.toml", &["duration=15s"], 1),
    ("tests/data/producers_attacked.toml", &["duration=20s"], 1),
    ("tests/data/mutants/eligible.toml", &["duration=15s"], 1),
];

#[test]
fn a_saved_history_is_judged_like_the_live_one() {
    for (path, sets, seed) in RUNS {
        let family = load(path, sets);
        for cell in family.cells.iter().take(3) {
            let plan = cell.plan(Seed(seed));
            let (outcome, events, lines) = live(&plan);
            let again = read(&plan, &lines);
            assert_eq!(again.len(), events.len());
            let place = |event: &Event| (event.time, event.number, event.node);
            assert!(events.iter().map(place).eq(again.iter().map(place)), "{path} {}", cell.id);
            let mut judge = Judge::of_saved(&plan);
            again.iter().for_each(|event| judge.observe(event));
            let saved = judge.finish();
            let same = |what: &str, one: String, other: String| assert_eq!(one, other, "{what} of {path} {}", cell.id);
            same("fates", format!("{:?}", outcome.places), format!("{:?}", saved.places));
            same("figures", format!("{:?}", outcome.services), format!("{:?}", saved.services));
            same("promises", format!("{:?}", outcome.expectations), format!("{:?}", saved.expectations));
            same("counts", format!("{:?}", outcome.counters), format!("{:?}", saved.counters));
            same("faults", format!("{:?}", outcome.faults), format!("{:?}", saved.faults));
            assert!(saved.invariant_violations.is_empty());
            for number in (0..200).step_by(17) {
                let [live, saved] = [&events, &again].map(|events| {
                    let mut chronicler = Chronicler::new(EventId(number));
                    events.iter().for_each(|event| chronicler.observe(event));
                    chronicler.finish(&plan)
                });
                assert_eq!(live, saved, "the story of e{number} in {path} {}", cell.id);
            }
        }
    }
}

/// A batch that ends in front of its begin.
const BACKWARDS: &str = concat!(
    r#"{"seconds":1,"node":"broker-1","what":"batch-appended","partition":"orders/0","#,
    r#""offset":9,"end-offset":1,"leader-epoch":0,"role":"leader"}"#,
);

#[test]
fn what_is_damaged_is_told_and_never_guessed() {
    let plan = load("scenarios/quickstart.toml", &["duration=1s"]).cells[0].plan(Seed(0));
    let mut reader = Reader::new(&plan);
    let problem = |reader: &mut Reader, line: &str| reader.json(line).expect_err(line).to_string();
    for (line, words) in [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        (r#"{"seconds":1,"node":"nobody","what":"paused"}"#, "the plan has no node `nobody`"),
        (r#"{"seconds":-21,"node":"world","what":"paused"}"#, "no run has the time -21"),
        (r#"{"seconds":1,"node":"world","what":"danced"}"#, "nothing is called `danced`"),
        (r#"{"seconds":1,"node":"world","what":"stopped"}"#, "there is no `outcome`"),
        (r#"{"seconds":1,"node":"world","what":"stopped","outcome":"boredom"}"#, "`outcome` cannot be `boredom`"),
        (r#"{"seconds":1,"node":"world","what":"power-lost","lost":-1}"#, "`lost` cannot be `-1`"),
        (BACKWARDS, "no batch goes from `offset` to `end-offset`"),
    ] {
        assert!(problem(&mut reader, line).contains(words), "{line}: {}", problem(&mut reader, line));
    }
}
