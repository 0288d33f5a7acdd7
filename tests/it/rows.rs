//! What a scenario shows hangs on one setting: with it flipped, the verdict, the sentence and the numbers of the chart are others.

use std::fs;

use crate::common::{Scratch, hikyaku, stderr, stdout};

/// What a report says: its first word, what stands behind the question, and the numbers of a chart.
#[derive(Debug)]
struct Shown {
    verdict: String,
    sentence: String,
    numbers: String,
}

fn shown(scratch: &Scratch, scenario: &str, sets: &[&str]) -> Shown {
    shown_in("backlog", scratch, scenario, sets)
}

fn shown_in(chart: &str, scratch: &Scratch, scenario: &str, sets: &[&str]) -> Shown {
    let out = scratch.path("run");
    let _ = fs::remove_dir_all(&out);
    let path = format!("scenarios/{scenario}.toml");
    let mut arguments = vec!["run", &path, "--seeds", "0..2", "--out", &out];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let ran = hikyaku(&arguments);
    let text = stdout(&ran);
    assert!(matches!(ran.status.code(), Some(0 | 1 | 3)), "{scenario} {sets:?}: {text}{}", stderr(&ran));
    let mut lines = text.lines();
    let verdict = lines.next().and_then(|line| line.split(' ').next()).expect("a verdict").to_string();
    let sentence: Vec<&str> = lines.skip(1).take_while(|line| !line.trim().is_empty()).collect();
    let numbers = fs::read_to_string(format!("{out}/{chart}.csv")).expect("the numbers of the chart");
    Shown { verdict, sentence: sentence.join("\n"), numbers }
}

/// The scenario, the cell that is looked at, the one setting, and a word of the reason when it is flipped.
const DECISIVE: [(&str, &str, &str, &str); 4] = [
    (
        "a_shared_queue_shares_its_trouble",
        "queues=split",
        "variant.split.service.mail-api.steps=[\"publish duties\", \"respond ok\"]",
        "payer wait-p99",
    ),
    ("groups_scale_alone", "service.analytics.instances=2", "topic.orders.partitions=1", "analytics wait-p99"),
    (
        "consumers_should_divide_the_partitions",
        "service.billing.instances=5",
        "topic.orders.partitions=20",
        "it recovered after",
    ),
    (
        "retries_repeats_and_hot_keys_eat_headroom",
        "eaten-by=retention",
        "variant.retention.topic.orders.retention=1h",
        "db.bookings loss: not seen",
    ),
];

#[test]
fn one_setting_decides_what_a_row_shows() {
    for (scenario, cell, setting, reason) in DECISIVE {
        let scratch = Scratch::new("rows");
        let (as_is, flipped) = (shown(&scratch, scenario, &[cell]), shown(&scratch, scenario, &[cell, setting]));
        assert_eq!(as_is.verdict, "HOLDS", "{scenario}: {}", as_is.sentence);
        assert_ne!(flipped.verdict, "HOLDS", "{scenario} with {setting}");
        assert!(flipped.sentence.contains(reason), "{scenario} with {setting}: {}", flipped.sentence);
        assert!(!as_is.sentence.contains(reason), "{scenario}: {}", as_is.sentence);
        assert_ne!(as_is.numbers, flipped.numbers, "{scenario} with {setting}: the same numbers");
    }
}

/// The same for rows about what is lost, repeated or put out of order, which another chart shows.
#[test]
fn one_setting_decides_what_becomes_of_the_effects() {
    let retries = "retries_are_safe_in_the_java_client_and_not_in_librdkafka";
    let partitions = "adding_partitions_under_load_breaks_the_order";
    let commits = "commits_that_are_not_waited_for_widen_the_window";
    let cases: [(&str, &[&str], &str, &str); 6] = [
        (
            commits,
            &["commit=retry-always", "stop=older-lost"],
            "variant.retry-always.service.booking.steps=[\"add db.bookings\", \"commit-async every 50 retry\"]",
            "db.bookings duplicates: not seen",
        ),
        (
            retries,
            &["producer=librdkafka-idempotent", "strike=lost-answers"],
            "variant.librdkafka-idempotent.service.shop.enable-idempotence=false",
            "orders duplicates",
        ),
        (
            retries,
            &["producer=java", "strike=new-id"],
            "variant.new-id.service.shop.caller-id=fixed",
            "db.bookings duplicates: not seen",
        ),
        (
            retries,
            &["producer=librdkafka", "strike=leader-moves"],
            "service.shop.max-in-flight-requests-per-connection=1",
            "orders order",
        ),
        (
            partitions,
            &["partitions=added-when-empty", "auto-offset-reset=earliest"],
            "variant.added-when-empty.fault.add=at 15s set topic.orders.partitions to 6",
            "db.bookings order",
        ),
        (
            partitions,
            &["partitions=added", "auto-offset-reset=latest"],
            "client.metadata-max-age=10m",
            "db.bookings loss: not seen",
        ),
    ];
    for (scenario, cell, setting, reason) in cases {
        let scratch = Scratch::new("effects");
        let with: Vec<&str> = cell.iter().copied().chain([setting]).collect();
        let as_is = shown_in("outcomes", &scratch, scenario, cell);
        let flipped = shown_in("outcomes", &scratch, scenario, &with);
        assert_eq!(as_is.verdict, "HOLDS", "{scenario}: {}", as_is.sentence);
        assert_ne!(flipped.verdict, "HOLDS", "{scenario} with {setting}");
        assert!(flipped.sentence.contains(reason), "{scenario} with {setting}: {}", flipped.sentence);
        assert!(!as_is.sentence.contains(reason), "{scenario}: {}", as_is.sentence);
        assert_ne!(as_is.numbers, flipped.numbers, "{scenario} with {setting}: the same numbers");
    }
}

/// A round stops an eager group for as long as its busiest member needs, and a cooperative one not at all.
#[test]
fn an_eager_group_that_is_made_cooperative_no_longer_stands_still() {
    let scratch = Scratch::new("rounds");
    let scenario = "an_eager_group_stands_still_while_one_is_busy";
    let flipped = "matrix.client.partition-assignment-strategy=[\"cooperative-sticky\", \"range\"]";
    let as_is = shown(&scratch, scenario, &[]);
    assert_eq!(as_is.verdict, "HOLDS", "{}", as_is.sentence);
    assert_eq!(shown(&scratch, scenario, &[flipped]).verdict, "HOLDS", "the order of the cells is nothing");
    let other = shown(&scratch, scenario, &["fault.busy=at 2s for 40s slow instance(booking, 4) by 1.1x"]);
    assert_eq!(other.verdict, "VIOLATED", "nobody is busy, and yet the group stands still: {}", other.sentence);
}

/// A1 and A4 show what they are about in a chart of their own, on the front page; it hangs on the outage.
#[test]
fn the_cascade_and_the_blast_radius_are_on_the_front_page() {
    let scratch = Scratch::new("front");
    let cases = [
        (
            "direct_calls_fail_with_what_they_call",
            "cascade",
            "of requests fail; with pub-sub nothing fails and at most",
        ),
        (
            "many_duties_in_one_consumer_fail_together",
            "blast-radius",
            "hits 4 of 4 duties when they are together, 1 of 4",
        ),
    ];
    for (scenario, stem, message) in cases {
        let out = scratch.path(scenario);
        let ran = hikyaku(&["run", &format!("scenarios/{scenario}.toml"), "--seeds", "0..2", "--out", &out]);
        let text = stdout(&ran).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(message), "{scenario}: {text}{}", stderr(&ran));
        let charts: Vec<&str> = text.split(' ').filter(|word| word.ends_with(".svg")).collect();
        assert!(charts.first().is_some_and(|first| first.ends_with(&format!("{stem}.svg"))), "{charts:?}");
        assert!(fs::metadata(format!("{out}/{stem}.png")).is_ok_and(|file| file.len() > 5_000), "{stem}.png");
    }
}
