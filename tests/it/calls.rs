//! Calls: endpoints of other people, services that call each other, and the scenarios that show what follows.

use hikyaku::checks::{RunOutcome, Verdict};
use hikyaku::scenario::plan::{Boundary, FaultFamily, Plan};
use hikyaku::types::Seed;

use crate::common::{Scratch, hikyaku, load, parse, run, run_all, stderr, stdout};

/// Example A of the language, as it is written there.
const EXAMPLE_A: &str = r#"
format   = 1
about    = "A notifier dies between mail and commit: is a mail missing, is one sent twice?"
duration = "30s"
[cluster]
brokers = 1
[topic.orders]
partitions = 2
[endpoint.mailer]
latency = "20ms"
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]
[service.notifier]
on                = "consume orders"
auto-offset-reset = "earliest"
steps             = ["call mailer timeout 1s", "commit"]
[fault]
crash = "when any after(notifier.call) for 2s crash self"
[expect]
mailer = "repeats"
"#;

fn fates<'a>(plan: &Plan, outcome: &'a RunOutcome, name: &str) -> &'a hikyaku::checks::PlaceFates {
    let place = plan.places.iter().find(|place| place.name == name).expect("a place of the plan");
    outcome.places.iter().find(|fates| fates.place == place.id).expect("its fates")
}

#[test]
fn a_notifier_that_dies_between_mail_and_commit_sends_one_twice() {
    let family = parse("example-a", EXAMPLE_A);
    for seed in 0..5 {
        let plan = family.cells[0].plan(Seed(seed));
        let (outcome, _) = run(&plan);
        assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
        let mailer = fates(&plan, &outcome, "mailer");
        assert_eq!((mailer.lost, mailer.repeated_harmful), (0, 1), "seed {seed}");
        assert_eq!(mailer.blamed, [(Boundary::Consumer, 1)]);
    }
}

/// Exit code and what is printed of a scenario with some of its settings changed.
fn told(scenario: &str, sets: &[&str]) -> (Option<i32>, String) {
    let scratch = Scratch::new(&format!("calls-{scenario}"));
    let (path, out) = (format!("scenarios/{scenario}.toml"), scratch.path("out"));
    let mut arguments = vec!["run", &path, "--out", &out, "--set", "seeds=3"];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let output = hikyaku(&arguments);
    (output.status.code(), stdout(&output) + &stderr(&output))
}

/// As it stands the cell holds; with its one decisive setting changed it does not, and says why.
fn flips(scenario: &str, cell: &[&str], decisive: &str, why: &str) {
    let (code, text) = told(scenario, cell);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = told(scenario, &[cell, &[decisive]].concat());
    assert_eq!(code, Some(1), "{decisive}\n{text}");
    assert!(text.starts_with("VIOLATED") && text.contains(why), "{why}\n{text}");
}

const KEYS: &str = "only_a_key_that_is_honoured_pays_once";

#[test]
fn a_key_that_the_bank_forgets_pays_twice() {
    let forgets = "variant.always.endpoint.bank.idempotency-keys=false";
    for strike in ["strike=crash", "strike=silence"] {
        flips(KEYS, &["key=per-event", "known=always", strike], forgets, "bank duplicates");
    }
    let keeps = "variant.for-3s.endpoint.bank.idempotency-keys=1m";
    flips(KEYS, &["key=per-event", "known=for-3s", "strike=crash"], keeps, "not seen in any of 3 seeds");
}

#[test]
fn a_transaction_without_a_key_pays_twice_and_without_the_transaction_the_receipt_repeats() {
    let scenario = "a_transaction_does_not_take_back_a_payment";
    let cell = ["idempotency-keys=true"];
    let steps = |steps: &str| format!("service.billing.steps={steps}");
    let without_key = steps(r#"[{ kafka-transaction = ["call bank timeout 1s", "publish receipts", "commit"] }]"#);
    flips(scenario, &cell, &without_key, "bank duplicates");
    let bare = steps(r#"["publish receipts", "call bank timeout 1s idempotency-key id", "commit"]"#);
    flips(scenario, &cell, &bare, "receipts duplicates");
}

#[test]
fn a_second_duty_in_the_consumer_of_the_stock_stops_the_stock() {
    let scenario = "many_duties_in_one_consumer_fail_together";
    let two = r#"["insert-if-absent db.reservations present continue", "call relay timeout 1s", "commit"]"#;
    let two = format!("variant.apart.service.stock.steps={two}");
    flips(scenario, &["duties=apart", "outage=mail-away"], &two, "db.reservations delay-max");
    let skip = "variant.together.service.fulfilment.on-failure=skip";
    flips(scenario, &["duties=together", "outage=mail-away"], skip, "relay loss");
}

#[test]
fn calls_fail_with_what_they_call_and_a_queue_with_its_only_broker() {
    let scenario = "direct_calls_fail_with_what_they_call";
    let optional =
        r#"variant.direct.service.shop.steps=["call stock timeout 2s", "respond ok", "call mail timeout 2s optional"]"#;
    for fails in ["fails=none", "fails=relay-silent"] {
        let (code, text) = told(scenario, &[fails]);
        assert_eq!(code, Some(0), "{text}");
    }
    let (code, text) = told(scenario, &["fails=relay-silent", "service.shop.workers=500", optional]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("shop availability"), "{text}");
    let spared = "variant.the-only-broker.fault.down=at 20s for 20s pause relay";
    flips(scenario, &["style=pub-sub", "fails=the-only-broker"], spared, "shop availability");
}

#[test]
fn connections_grow_with_the_product_of_both_sides() {
    let scenario = "direct_calls_need_more_connections_as_instances_grow";
    let smaller = "variant.six-instances-each.service.shop.instances=1";
    flips(scenario, &["size=six-instances-each"], smaller, "1.3x style=pub-sub");
}

#[test]
fn an_order_is_unsettled_where_a_caller_tries_again_what_is_half_done() {
    let scenario = "one_api_that_does_everything_leaves_orders_unsettled";
    flips(scenario, &["shape=everything"], "service.api.caller-attempts=1", "bank duplicates");
    let without_key = r#"variant.queue.service.billing.steps=["call bank timeout 500ms attempts 3", "commit"]"#;
    flips(scenario, &["shape=queue"], without_key, "unsettled");
}

/// A front calls a middle, which calls a bank.
const CHAIN: &str = r#"
format   = 1
about    = "How far does an outage at the end of a chain of calls reach?"
duration = "30s"
[cluster]
brokers = 1
[store.db]
tables = ["paid"]
[endpoint.bank]
[service.front]
on             = "requests"
rate           = "20/s"
workers        = 200
caller-timeout = "10s"
steps          = ["call middle timeout 3s", "respond ok"]
[service.middle]
on          = "called"
instances   = 2
workers     = 2
max-waiting = 10
steps       = ["call bank timeout 2s", "insert-if-absent db.paid present continue", "respond ok"]
[fault]
FAULT
[expect]
bank    = "best-effort"
db.paid = { delivery = "exactly-once", phantoms = "any" }
front.availability = "> 10%"
"#;

fn chain(fault: &str) -> (Plan, RunOutcome) {
    let plan = parse("chain", &CHAIN.replace("FAULT", fault)).cells[0].plan(Seed(1));
    let (outcome, _) = run(&plan);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    (plan, outcome)
}

#[test]
fn an_outage_reaches_the_front_through_every_call() {
    let (plan, well) = chain("");
    assert_eq!((well.counters.refused, well.counters.unknown_outcomes), (0, 0));
    assert!(fates(&plan, &well, "db.paid").once > 500);
    let (_, silent) = chain("silent = \"at 10s for 10s pause bank\"");
    // Those that wait time out, and the middle refuses who comes when its room is full.
    assert!(silent.counters.refused > 100 && silent.counters.unknown_outcomes > 10, "{:?}", silent.counters);
    let (_, dead) = chain("dead = \"at 10s for 5s crash middle\"");
    assert!(dead.counters.refused > 50, "{:?}", dead.counters);
    let front = |outcome: &RunOutcome| outcome.services[0].callers.latency.p99;
    assert!(front(&dead) < front(&silent), "who is dead says so at once, who is silent does not");
}

#[test]
fn another_instance_answers_where_one_is_dead() {
    let fault = "dead = \"at 10s for 10s crash instance(middle, 1)\"";
    let (_, once) = chain(fault);
    let text = CHAIN.replace("FAULT", fault).replace("timeout 3s", "timeout 3s attempts 2");
    let (twice, _) = run(&parse("chain", &text).cells[0].plan(Seed(1)));
    assert!(once.counters.refused > 50 && twice.counters.refused == 0, "{:?} {:?}", once.counters, twice.counters);
}

#[test]
fn a_breaker_spares_the_callers_the_wait() {
    let silent = "silent = \"at 5s for 20s pause bank\"";
    let (_, patient) = chain(silent);
    let text = CHAIN.replace("FAULT", silent).replace("call bank timeout 2s", "call bank timeout 2s breaker 3");
    let (broken, _) = run(&parse("chain", &text).cells[0].plan(Seed(1)));
    let (patient, broken) = (patient.counters, broken.counters);
    assert!(broken.unknown_outcomes < patient.unknown_outcomes, "fewer are left in doubt: {broken:?} {patient:?}");
    assert!(patient.refused < broken.refused, "more are told no, at once: {broken:?} {patient:?}");
}

#[test]
fn chaos_at_an_endpoint_draws_what_endpoints_do_and_a_consumer_that_blocks_loses_nothing() {
    let chaos = "[chaos]\nprofile = \"heavy\"\nfamilies = [\"endpoint\"]\nrate = \"8/min\"\n[expect]";
    let text = EXAMPLE_A.replace("crash = \"when any after(notifier.call) for 2s crash self\"", "");
    let text = text.replace("[expect]", chaos).replace("\"repeats\"", "\"may-repeat\"");
    let family = parse("chaos-at-an-endpoint", &text);
    let mut verbs = std::collections::BTreeSet::new();
    for run in run_all(&family, 0..8) {
        let plan = family.cells[0].plan(run.seed);
        assert!(!plan.faults.is_empty(), "seed {}", run.seed.0);
        for fault in &plan.faults {
            assert_eq!(fault.family(&plan), FaultFamily::Endpoint, "{}", fault.text);
            verbs.extend(
                fault
                    .text
                    .split(' ')
                    .find(|word| ["crash", "pause"].contains(word) || word.contains('.'))
                    .map(str::to_string),
            );
        }
        assert_eq!(run.outcome.verdict, Verdict::Holds, "seed {}: {:?}", run.seed.0, run.outcome.reasons);
    }
    assert!(verbs.len() >= 5, "{verbs:?}");
}

#[test]
fn a_run_with_calls_is_the_same_twice() {
    for scenario in [KEYS, "one_api_that_does_everything_leaves_orders_unsettled"] {
        let family = load(&format!("scenarios/{scenario}.toml"), &["duration=10s"]);
        let plan = family.cells[0].plan(Seed(4));
        assert_eq!(crate::common::digest(&plan), crate::common::digest(&plan));
    }
}
