//! Reading from a follower (KIP-392): a consumer reads from its own rack, goes back to the leader when it must, and is never
//! handed what may yet vanish.

use hikyaku::checks::{Invariant, RunOutcome};
use hikyaku::history::Happening;
use hikyaku::scenario::Family;
use hikyaku::types::note::Note;
use hikyaku::types::{Guard, Seed, Time};

use crate::common::{parse, run};

/// Brokers 1, 2 and 3 stand in racks a, b and c; broker 1 leads the topic, and the consumer stands in rack c.
const THREE_RACKS: &str = r#"
format   = 1
about    = "A consumer reads from the follower in its rack: what does it see, and what when that one is gone?"
duration = "24s"

[cluster]
brokers                    = 3
racks                      = ["a", "b", "c"]
default-replication-factor = 3
min-insync-replicas        = 2
replica-selector-class     = "SELECTOR"

[topic.orders]
partitions = 1

[store.db]
tables = ["bookings"]

[service.shop]
on      = "requests"
rate    = "100/s"
workers = 200
linger  = "0s"
steps   = ["publish orders", "respond ok"]

[service.booking]
on                = "consume orders"
auto-offset-reset = "earliest"
client-rack       = "c"
steps             = ["insert-if-absent db.bookings", "commit-async every 1s"]

[fault]
FAULTS

[expect]
orders      = { delivery = "exactly-once", duplicates = "any" }
db.bookings = "exactly-once"
"#;

fn family(selector: &str, faults: &str) -> Family {
    parse("three-racks", &THREE_RACKS.replace("SELECTOR", selector).replace("FAULTS", faults))
}

/// The longest time within the load in which the consumer got nothing, and what became of the run.
fn longest_silence(selector: &str, faults: &str) -> (f64, RunOutcome) {
    let plan = family(selector, faults).cells[0].plan(Seed(0));
    let (from, until) = (Time::LOAD_START, Time::LOAD_START + plan.duration);
    let (mut last, mut longest) = (from, 0.0_f64);
    let (outcome, report) = hikyaku::explore::run_seed(&plan, Default::default(), |event| {
        if matches!(event.what, Happening::Note(Note::Polled { .. })) && from <= event.time && event.time < until {
            longest = longest.max(event.time.since(last).as_seconds());
            last = event.time;
        }
    });
    assert_eq!(report.panic, None);
    (longest.max(until.since(last).as_seconds()), outcome)
}

const RACK_AWARE: &str = "RackAwareReplicaSelector";

#[test]
fn a_consumer_reads_on_from_its_rack_when_the_leader_is_out_of_its_reach() {
    let cut = "apart = \"at 5s for 10s cut booking | leader(orders/0) kind fetch\"";
    let (silence, outcome) = longest_silence(RACK_AWARE, cut);
    println!("from the follower: {silence} s without a record");
    assert!(silence < 2.0, "silent for {silence} s");
    assert_eq!(outcome.invariant_violations, []);
    assert!(outcome.reasons.is_empty(), "{:?}", outcome.reasons);
    let (silence, _) = longest_silence("LeaderSelector", cut);
    println!("from the leader: {silence} s without a record");
    assert!(silence > 8.0, "silent for {silence} s only");
}

/// Until the follower is fenced, the leader sends the consumer back to it.
#[test]
fn a_consumer_goes_back_to_the_leader_when_its_follower_is_fenced() {
    let (silence, outcome) = longest_silence(RACK_AWARE, "gone = \"at 4s for 19s crash broker(3)\"");
    println!("the follower is gone: {silence} s without a record");
    assert!(silence < 12.0, "silent for {silence} s");
    assert_eq!(outcome.invariant_violations, []);
    assert!(outcome.reasons.is_empty(), "{:?}", outcome.reasons);
}

/// Broker 2 copies nothing for a second, so that broker 3 has records that broker 2 has not; then the leader dies, and broker
/// 2 leads.
#[test]
fn a_follower_that_hands_out_what_is_not_committed_is_found() {
    let faults = r#"
late = "at 7s for 5s cut broker(1) | broker(2) kind fetch"
dies = "at 8s for 14s crash broker(1)"
"#;
    let mut family = family(RACK_AWARE, faults);
    let whole = run(&family.cells[0].plan(Seed(0))).0;
    assert_eq!(whole.invariant_violations, []);
    assert!(whole.reasons.is_empty(), "{:?}", whole.reasons);
    family.switch_off(&[Guard::FollowerReadsToHighWatermark]);
    let found = run(&family.cells[0].plan(Seed(0))).0.invariant_violations;
    println!("without R24: {found:?}");
    assert!(found.iter().any(|found| found.invariant == Invariant::ReadsAreConsistent), "R24 is not seen");
}
