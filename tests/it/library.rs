//! The library as its users see it, from inside this package: handlers that hold, handlers with every kind of mistake, and
//! what they may and may not do. `tests/library` is the same from a package of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hikyaku::{Context, Error, Report, Request, Result, Scenario, Verdict};

/// Orders come in, are queued, and become rows; the consuming process dies at a step of the seed's choice.
const BILLING: &str = r#"
    format   = 1
    about    = "An order becomes an invoice: what does a crash of its consumer do?"
    duration = "6s"
    cluster.brokers = 1
    topic.orders    = { partitions = 4 }
    store.db        = { tables = ["invoices"] }

    [service.shop]
    on    = "requests"
    rate  = "40/s"
    steps = ["publish orders", "respond ok"]

    [service.billing]
    on                = "consume orders"
    instances         = 2
    auto-offset-reset = "earliest"
    session-timeout   = "6s"
    steps             = ["insert-if-absent db.invoices", "commit"]

    [fault]
    crash = "when any 2 step(billing) for 1s crash self"
    deal  = "at 3s rebalance billing"

    [expect]
    db.invoices = "exactly-once"
"#;

fn billing() -> Scenario {
    Scenario::parse(BILLING).seeds(0..6)
}

/// Effect before commit.
async fn careful(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        for record in consumer.poll(Duration::from_millis(500)).await? {
            context.sleep(Duration::from_millis(2)).await;
            db.insert_if_absent("invoices", &record).await?;
        }
        consumer.commit_sync().await?;
    }
}

/// Commit before effect.
async fn hasty(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        let records = consumer.poll(Duration::from_millis(500)).await?;
        consumer.commit_sync().await?;
        for record in records {
            context.sleep(Duration::from_millis(2)).await;
            db.insert_if_absent("invoices", &record).await?;
        }
    }
}

fn digests(report: &Report) -> Vec<u128> {
    report.digests().map(|(_, _, digest)| digest).collect()
}

#[test]
fn a_careful_handler_holds_over_crashes_and_rebalances_and_one_seed_is_one_run() {
    let report = billing().handler("billing", careful).run();
    report.assert_holds();
    let outcomes: Vec<_> = report.outcomes().collect();
    for outcome in &outcomes {
        let counters = &outcome.counters;
        assert!(1 <= counters.crashes && 1 <= counters.rebalances && 100 < counters.accepted, "{counters:?}");
    }
    assert!(6 < outcomes.iter().map(|outcome| outcome.counters.crashes).sum::<u64>(), "two crashes in some seeds");
    assert!(outcomes.iter().any(|outcome| 0 < outcome.counters.redeliveries), "a crash repeats what was not committed");
    let again = billing().handler("billing", careful).jobs(1).run();
    assert_eq!(digests(&report), digests(&again), "on one thread as on many");
}

#[test]
fn a_commit_before_the_effect_is_caught_as_the_same_mistake_in_steps_is() {
    let report = billing().handler("billing", hasty).run();
    assert_eq!(report.verdict(), Verdict::Violated, "{report}");
    let failures = report.failures();
    let told = failures[0].signatures[0].to_string();
    assert_eq!(told, "db.invoices loss · group · crashed", "{report}");
    let text = report.to_string();
    assert!(text.contains("committed before it was processed"), "{text}");
    assert!(text.contains(&format!("HIKYAKU_SEED={} cargo test library::", failures[0].seed)), "{text}");
}

/// What `handler` makes of the first seed.
fn first_seed<F>(handler: impl Fn(Context) -> F + Send + Sync + 'static) -> Report
where
    F: Future<Output = Result> + Send + 'static,
{
    billing().handler("billing", handler).seeds(0..1).run()
}

#[test]
fn a_panic_of_a_handler_is_a_finding_with_its_place() {
    let report = first_seed(|context| async move {
        let records = context.consumer().poll(Duration::from_secs(60)).await?;
        assert_eq!(records.len(), 0, "I cannot work with records");
        Ok(())
    });
    let failures = report.failures();
    assert_eq!(failures.len(), 1, "{report}");
    let place = format!("tests/it/library.rs:{}", line!() - 5);
    assert!(failures[0].reasons[0].contains("the handler of billing-"), "{report}");
    assert!(failures[0].reasons[0].contains("I cannot work with records"), "{report}");
    assert!(failures[0].reasons[0].contains(&place), "{place} in {report}");
}

#[test]
fn what_a_handler_may_not_do_is_a_finding_that_says_so() {
    let told = |report: Report| report.failures().first().map(|failure| failure.reasons[0].clone()).unwrap_or_default();
    let thread = told(first_seed(|context| async move {
        context.sleep(Duration::from_secs(1)).await;
        std::thread::spawn(|| {}).join().map_err(|_| Error::own("no thread"))
    }));
    assert!(thread.contains("panicked"), "{thread}");
    let endless = told(first_seed(|context| async move {
        loop {
            let _ = context.consumer().poll(Duration::ZERO).await?;
        }
    }));
    assert!(endless.contains("the handler of billing-1 goes on and on without letting time pass"), "{endless}");
    let undeclared = told(first_seed(|context| async move {
        for record in context.consumer().poll(Duration::from_secs(60)).await? {
            context.publish("orders", &record).await?;
        }
        Ok(())
    }));
    assert!(undeclared.contains("declares no step that publishes to `orders`; add \"publish orders\""), "{undeclared}");
    assert!(undeclared.contains("tests/it/library.rs"), "the place of the call: {undeclared}");
    let spawned = told(first_seed(|context| async move {
        hikyaku::madsim::task::spawn(async { panic!("in the background") });
        context.sleep(Duration::from_secs(60)).await;
        Ok(())
    }));
    assert!(spawned.contains("in the background"), "{spawned}");
}

#[test]
fn an_error_of_a_handler_is_a_crash_of_its_process_and_is_told() {
    let report = first_seed(|context| async move {
        let consumer = context.consumer();
        let records = consumer.poll(Duration::from_millis(500)).await?;
        if context.now() < Duration::from_secs(23) {
            return if records.len() == 0 { careful(context).await } else { Err(Error::own("not yet")) };
        }
        drop(records);
        careful(context).await
    });
    let ends: Vec<String> = report.handler_failures().map(|(_, failure)| failure.error.to_string()).collect();
    assert!(ends.iter().all(|error| error == "not yet"), "{ends:?}");
}

#[test]
fn a_handler_that_reads_what_outlives_a_run_is_told_that_it_is_no_run_of_its_seed() {
    let calls = Arc::new(AtomicU64::new(0));
    let report = first_seed(move |context| {
        let calls = Arc::clone(&calls);
        async move {
            let db = context.store("db");
            loop {
                for record in context.consumer().poll(Duration::from_millis(500)).await? {
                    context.sleep(Duration::from_micros(calls.fetch_add(1, Ordering::Relaxed))).await;
                    db.insert_if_absent("invoices", &record).await?;
                }
                context.consumer().commit_sync().await?;
            }
        }
    });
    is_told_with_its_first_event(&report);
}

#[test]
fn a_handler_that_reads_a_real_file_is_told_that_it_is_no_run_of_its_seed() {
    // What the runtime does not contain: a file that reads differently every time.
    let report = first_seed(|context| async move {
        let db = context.store("db");
        loop {
            for record in context.consumer().poll(Duration::from_millis(500)).await? {
                let drawn = std::fs::read("/proc/sys/kernel/random/uuid").map_err(|_| Error::own("no such file"))?;
                let length = drawn.iter().map(|byte| u64::from(*byte)).sum();
                context.sleep(Duration::from_micros(length)).await;
                db.insert_if_absent("invoices", &record).await?;
            }
            context.consumer().commit_sync().await?;
        }
    });
    is_told_with_its_first_event(&report);
}

/// The two sides of the difference are one event of the history, and what is before it was the same.
fn is_told_with_its_first_event(report: &Report) {
    let (_, seed, difference) = report.nondeterministic().next().expect("two runs differ");
    let (number, sides) =
        difference.strip_prefix("event ").and_then(|told| told.split_once(": once ")).expect(difference);
    let (once, then) = sides.split_once(", then ").expect(difference);
    let marked = format!("{{\"number\":{number},");
    assert!(once.starts_with(&marked) && then.starts_with(&marked) && once != then, "{difference}");
    assert_eq!(seed, 0);
    assert!(report.to_string().contains("NOT DETERMINISTIC: seed 0"), "{report}");
    assert!(std::panic::catch_unwind(|| report.assert_holds()).is_err(), "it must not pass for one that holds");
}

/// What a clock of the runtime shows.
fn simulated() -> Duration {
    hikyaku::madsim::time::TimeHandle::current().elapsed()
}

#[test]
fn what_a_handler_spawned_dies_with_its_process() {
    // When a process of an instance started, and when something of it was last alive.
    let lives = Arc::new(Mutex::new(BTreeMap::<(usize, Duration), Duration>::new()));
    let told = Arc::clone(&lives);
    let scenario = billing().handler("billing", move |context| {
        let (lives, life) = (Arc::clone(&told), (context.instance(), simulated()));
        async move {
            hikyaku::madsim::task::spawn(async move {
                loop {
                    hikyaku::madsim::time::sleep(Duration::from_millis(10)).await;
                    lives.lock().unwrap().insert(life, simulated());
                }
            });
            careful(context).await
        }
    });
    scenario.seeds(3..4).jobs(1).run().assert_holds();
    let lives: Vec<((usize, Duration), Duration)> = lives.lock().unwrap().clone().into_iter().collect();
    let restarts: Vec<_> = lives.windows(2).filter(|pair| pair[0].0.0 == pair[1].0.0).collect();
    assert!(!restarts.is_empty(), "{lives:?}");
    for pair in restarts {
        let (last, next) = (pair[0].1, pair[1].0.1);
        assert!(
            last < next - Duration::from_millis(980),
            "alive at {last:?}, though down for a second before {next:?}"
        );
    }
}

#[test]
fn clocks_of_a_handler_are_the_simulated_one() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    first_seed(move |context| {
        let told = Arc::clone(&told);
        async move {
            let before = (context.now(), simulated());
            context.sleep(Duration::from_micros(10)).await;
            let exact = (context.now() - before.0, simulated() - before.1);
            hikyaku::madsim::time::sleep(Duration::from_secs(3)).await;
            let spawned = hikyaku::madsim::task::spawn(async { hikyaku::madsim::rand::random::<u64>() });
            let drawn = spawned.await.map_err(Error::own)?;
            told.lock().unwrap().push((context.instance(), exact, context.now() - before.0, drawn));
            careful(context).await
        }
    });
    let seen = seen.lock().unwrap();
    // Two instances, each started once or more, in a run that is made twice.
    assert!(4 <= seen.len(), "{seen:?}");
    let half = seen.len() / 2;
    assert_eq!(seen[..half], seen[half..], "the second run sees what the first one saw");
    for (_, (ours, madsims), long, _) in seen.iter() {
        assert_eq!(*ours, Duration::from_micros(10));
        assert!(madsims.abs_diff(*ours) < Duration::from_micros(1), "{madsims:?}");
        assert!(long.abs_diff(Duration::from_micros(3_000_010)) < Duration::from_micros(1), "{long:?}");
    }
    assert_ne!(seen[0].3, seen[1].3, "draws differ within a run");
}

#[test]
fn a_handler_in_place_of_steps_that_it_could_not_do_is_an_error_for_people() {
    let text = "format = 1\nabout = \"who pays?\"\ncluster.brokers = 1\n[endpoint.bank]\n[service.till]\non = \"requests\"\n\
                rate = \"1/s\"\nsteps = [\"call bank timeout 1s\", \"respond ok\"]\n[expect]\nbank = \"exactly-once\"\n";
    let scenario = Scenario::parse(text).handler("till", |_| async { Ok(()) });
    let problem = scenario.try_run().expect_err("it cannot call");
    assert!(problem.contains("`till`") && problem.contains("handlers cannot call endpoints"), "{problem}");
}

#[test]
fn a_wrong_service_or_scenario_is_an_error_for_people() {
    let problem = Scenario::parse(BILLING).handler("biling", careful).try_run().unwrap_err();
    assert!(problem.contains("`biling`") && problem.contains("did you mean `billing`?"), "{problem}");
    let problem = Scenario::parse(BILLING).set("service.billing.on", "sleep").handler("billing", careful).try_run();
    assert!(problem.unwrap_err().contains("error["));
    assert!(Scenario::load("scenarios/none.toml").try_run().unwrap_err().contains("S004"));
}

const SHOP: &str = r#"
    format   = 1
    about    = "A shop saves an order and queues it, many at a time: what does a crash do?"
    duration = "6s"
    cluster.brokers = 1
    topic.orders    = { partitions = 4 }
    store.db        = { tables = ["orders"], latency = "60ms" }

    [service.shop]
    on    = "requests"
    rate  = "40/s"
    steps = ["insert db.orders", "publish orders", "respond ok"]

    [fault]
    crash = "when any 3 step(shop) for 500ms crash self"
    pause = "at 2s for 1s pause shop"

    [expect]
    db.orders = "at-least-once"
    orders    = "at-least-once"
"#;

/// One task for each request: a store that takes 60 ms does not hold up the next caller.
fn shop(answer_first: bool) -> Report {
    let serve = move |context: Context| async move {
        loop {
            let request = context.next_request().await?;
            hikyaku::madsim::task::spawn(serve_one(context.clone(), request, answer_first));
        }
    };
    Scenario::parse(SHOP).handler("shop", serve).seeds(0..6).run()
}

async fn serve_one(context: Context, mut request: Request, answer_first: bool) {
    if answer_first {
        request.accept();
    }
    let saved = async {
        context.store("db").insert("orders", &request).await?;
        context.publish("orders", &request).await
    };
    match saved.await {
        Ok(()) => request.accept(),
        Err(_) => request.refuse(),
    }
}

#[test]
fn a_handler_answers_many_callers_at_once_and_keeps_its_word() {
    let report = shop(false);
    report.assert_holds();
    for outcome in report.outcomes() {
        assert!(100 < outcome.counters.accepted && 1 <= outcome.counters.crashes, "{:?}", outcome.counters);
    }
}

#[test]
fn an_answer_before_the_work_is_the_callers_broken_promise() {
    let report = shop(true);
    let told: Vec<String> = report.failures().iter().flat_map(|f| &f.signatures).map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told == "orders loss · caller · crashed"), "{told:?} {report}");
}
