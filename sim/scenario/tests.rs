//! What a scenario may say, and what is answered to one that is wrong.

mod hostile;
mod mistakes;

use super::plan::*;
use super::*;
use crate::types::settings::OffsetReset;
use crate::types::{Duration, NodeId, Spread};

fn no_parent(_: &str, _: &str) -> Result<(String, String), String> {
    Err("there are no files here".into())
}

fn read(text: &str) -> Result<Family, Diagnostics> {
    parse("test.toml", text, &[], &no_parent)
}

fn good(text: &str) -> Family {
    read(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

const NOTIFIER: &str = r#"
format   = 1
about    = "A notifier dies between mail and commit: is a mail missing, is one sent twice?"
duration = "30s"
[cluster]
brokers = 1
[topic.orders]
partitions = 2
[store.mailer]
tables  = ["sent"]
latency = "20ms"
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]
[service.notifier]
on                = "consume orders"
auto-offset-reset = "earliest"
steps             = ["add mailer.sent", "commit"]
[fault]
crash = "when any after(notifier.add) for 2s crash self"
[expect]
mailer.sent = "repeats"
"#;

const RESET: &str = r#"
format = 1
row    = "C3"
about  = "A consumer is away for ten seconds: does the reset policy act when it comes back?"
cluster.brokers = 1
topic.visits    = { partitions = 2 }
store.stats     = { tables = ["count"] }
[service.site]
on    = "requests"
rate  = "50/s"
steps = ["publish visits", "respond ok"]
[service.counter]
on    = "consume visits"
steps = ["add stats.count", "commit"]
[fault]
away = "at 20s for 10s restart counter"
[matrix]
service.counter.auto-offset-reset = ["earliest", "latest"]
offsets                           = ["none", "expired"]
[variant]
expired = { fault.expiry = "when fired(away) +5s expire offsets(counter)" }
[grid.stats.count]
offsets  = ["none",         "expired"]
earliest = ["exactly-once", "repeats"]
latest   = ["exactly-once", "loses"]
"#;

#[test]
fn a_notifier_with_its_fault_is_read() {
    let family = good(NOTIFIER);
    assert_eq!(family.cells.len(), 1);
    assert!(family.warnings.is_empty(), "{}", family.warnings);
    let plan = family.cells[0].plan(Seed(3));
    let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["broker-1", "shop-1", "callers-shop", "notifier-1", "mailer"]);
    assert_eq!(plan.faults[0].duration, Some(Duration::from_secs(2)));
    assert_eq!(plan.faults[0].action, FaultAction::Crash(Target::Oneself));
    let FaultTrigger::When { ordinal: Ordinal::These(drawn), .. } = &plan.faults[0].trigger else { panic!() };
    assert!((1..=540).contains(&drawn[0]), "{drawn:?}");
    assert_eq!(plan, family.cells[0].plan(Seed(3)));
    assert_ne!(plan.faults, family.cells[0].plan(Seed(4)).faults);
}

/// The page cache hides it: without a loss of power the verdict would say that it was survived.
#[test]
fn rot_that_nobody_reads_is_warned_of() {
    let with = |more: &str| {
        let text = NOTIFIER.replace("[fault]", &format!("[fault]\nrot = \"at 1s rot broker(1)\"\n{more}"));
        good(&text).warnings.short()
    };
    let (alone, with_power) = (with(""), with("power = \"at 2s for 1s lose-power broker(1)\"\n"));
    assert!(alone.contains("warning[S078]") && !with_power.contains("S078"), "{alone}\n{with_power}");
}

#[test]
fn a_family_has_a_cell_for_each_pair_of_values() {
    let family = good(RESET);
    let ids: Vec<&str> = family.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "auto-offset-reset=earliest,offsets=none",
            "auto-offset-reset=earliest,offsets=expired",
            "auto-offset-reset=latest,offsets=none",
            "auto-offset-reset=latest,offsets=expired",
        ]
    );
    let plan = family.cells[3].plan(Seed(0));
    assert_eq!(plan.faults.len(), 2);
    let Trigger::Consume(consume) = &plan.services[1].trigger else { panic!() };
    assert_eq!(consume.consumer.auto_offset_reset, OffsetReset::Latest);
    let Expectation::Place(expectation) = &plan.expectations[0] else { panic!() };
    assert_eq!(expectation.loss, Tolerance::Required);
    assert_eq!(expectation.duplicates, Tolerance::None);
}

#[test]
fn every_scenario_of_the_project_is_read_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 13, "{files:?}");
    for file in files {
        let family = load(&file, &[]).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert!(family.warnings.is_empty(), "{}", family.warnings);
        assert!(family.seeds.end <= 20);
    }
}

fn plans_of_all_kinds() -> Vec<Plan> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut plans = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let family = load(&entry.unwrap().path(), &[]).unwrap();
        plans.extend(family.cells.iter().map(|cell| cell.plan(Seed(7))));
    }
    plans.extend(good(RICH).cells.iter().map(|cell| cell.plan(Seed(7))));
    plans
}

/// Something of everything that a plan can say.
const RICH: &str = r#"
format = 1
about = "everything"
row = ["X1", "X2"]
seeds = "10..40"
[cluster]
brokers = 3
racks = ["a", "b", "c"]
replica-selector-class = "RackAwareReplicaSelector"
controller-nodes = "separate"
default-replication-factor = 3
min-insync-replicas = 2
log-retention-bytes = "1GiB"
[network]
latency = "lognormal 1ms p99 9ms"
loss = "0.5%"
bandwidth = "100 MiB/s"
between = { "rack(a) | rack(b)" = { latency = "8ms ±1ms" }, "broker(1) -> shop" = { loss = "1%" } }
[disk]
flush = "5ms or 1% 500ms"
write-back = "never"
on = { "broker(2)" = { flush = "200ms" } }
[client]
metadata-max-age = "1m"
[topic.orders]
partitions = 4
retention = "forever"
owner = "team a"
[topic.dead]
[topic.done]
[store.db]
tables = ["rows", "seen", "sum"]
lost-answers = "1%"
[service.shop]
on = "requests"
rate = "1k msg/s"
arrivals = "burst 10"
keys = "zipf 1.1 of 500"
steps = [{ transaction = ["insert db.rows", "add db.sum by 2"] }, "publish orders acks 1 key id", "respond ok"]
workers = 8
caller-attempts = 3
[service.till]
on = { consume = "orders" }
auto-offset-reset = "earliest"
partition-assignment-strategy = "roundrobin"
worker-order = "any"
commit-of = "highest"
on-revoke = "abandon"
client-rack = "b"
instances = 3
headroom = "1.5x"
steps = ["check db.seen present continue", "work exp errors 1% poison 0.1%", "upsert db.rows version-guard", "insert-if-absent db.seen key offset", { publish = "done", async = true }, "commit-async every 5s"]
on-failure = ["retry 3 backoff 100ms..5s", "dead-letter dead async"]
[service.last]
on = "consume done, dead"
auto-offset-reset = "none"
enable-auto-commit = true
steps = "add db.sum of shop"
[fault]
a = "at 5s for 5s every 1s times 3 reset shop | brokers kind produce"
b = "when each isr-change(orders/any) +1s for 2s cut leader(orders/0) -> followers(orders/0)"
c = "when lag(till) > 1000 for 5s pause any(2, instance(till))"
d = "when 2nd rebalance(till) lose-power owner(orders/1, till)"
e = "when healed(a) for 3s delay callers | shop by exp 50ms"
f = "when any 5 inside(till.insert-if-absent) crash self"
g = { at = "3s", for = "9s", drop = "rack(a) | rest", rate = "30%" }
h = "at 2s for 9s throttle brokers | brokers to 1MiB/s"
i = "at 1s for 4s skew broker(any) by -3s"
j = "at 9s restart brokers rolling"
k = "at 9s for 4s slow coordinator(till) by 10x"
l = "at 9s elect orders"
s = "at 9s elect orders/1"
t = "at 9s reassign orders/1 to 3,1"
m = "at 9s enforce-retention orders"
n = "when any after(last.commit) crash instance(last, 1)"
o = "at 9s for 2s hold-metadata broker(2)"
p = "at 9s for 1s slow-disk replicas(orders/2) by 3x"
q = "when under-min-isr(orders/0) for 1s isolate controller"
r = "at 8s wipe follower(orders/0)"
[expect]
db.rows = { delivery = "may-repeat may-lose", parked = "any", order = "per-key", duplicates = "<= 1%" }
db.seen = { delivery = "best-effort", of = "db.rows", blame = "consumer" }
db.sum = "loses repeats goes-stale"
orders = "at-least-once"
shop.availability = [">= 99%", "mean > 99.9%"]
shop.latency-p99 = "p95 < 2s"
till.recovery = ["90s..3m", "theory ±10%", "before ±10%"]
till.lag-max = "120 ±5%"
till.throughput = "any"
till.effective-headroom = "> 1.2x size=none"
[floor]
accepted = 50
crashes = "50 over all seeds"
[matrix]
size = ["none", "big"]
[variant.big]
cluster.brokers = 5
expect.db.seen.blame = "queue"
"#;

/// A plan that was written down is the plan that was meant.
#[test]
fn a_plan_survives_being_written_as_toml() {
    for plan in plans_of_all_kinds() {
        let written = toml::to_string(&plan).unwrap();
        let back: Plan = toml::from_str(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert_eq!(back, plan);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}

#[test]
fn bare_work_gets_the_time_that_headroom_leaves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let family = load(&folder.join("backlog_recovery_versus_headroom.toml"), &[]).unwrap();
    let ids: Vec<&str> = family.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["headroom=1.0x", "headroom=1.2x", "headroom=1.5x", "headroom=2x", "headroom=3x"]);
    let time = |cell: usize| match family.cells[cell].plan(Seed(0)).services[1].steps[0].action {
        Action::Work { time, .. } => time,
        _ => panic!("work comes first"),
    };
    // 100/s and one instance: 10 ms in all at 1.0x, of which the database takes 1 ms.
    assert_eq!(time(0), Spread::Exponential { mean: Duration::from_millis(9) });
    assert_eq!(time(3), Spread::Exponential { mean: Duration::from_millis(4) });
    let recovery = |cell: usize| match &family.cells[cell].plan(Seed(0)).expectations[1] {
        Expectation::Service { metric: ServiceMetric::Recovery, bounds, .. } => bounds[0].limit.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(recovery(0), Limit::Never);
    assert_eq!(recovery(1), Limit::Theory { tolerance: None });
}

#[test]
fn nodes_are_brokers_then_controllers_then_the_business() {
    let plan = good(RICH).cells[0].plan(Seed(0));
    let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names[..6], ["broker-1", "broker-2", "broker-3", "controller-1", "controller-2", "controller-3"]);
    assert_eq!(names[6..], ["shop-1", "callers-shop", "till-1", "till-2", "till-3", "last-1", "db"]);
    assert_eq!(plan.cluster.controllers, [NodeId(4), NodeId(5), NodeId(6)]);
    let offsets = plan.topics.last().unwrap();
    assert_eq!((offsets.name.as_str(), offsets.settings.partitions, offsets.settings.replication), ("__offsets", 2, 3));
    assert_eq!(plan.places[offsets.place.0 as usize].kind, PlaceKind::Topic { topic: offsets.id });
    assert_eq!(plan.services[2].producers, []);
    assert_eq!(plan.services[1].producers.len(), 1);
    assert!(!plan.services[0].producers[0].enable_idempotence, "acks=1 turns it off, as the client does");
    // Two racks of one broker and one controller each, both ways, and one link one way.
    assert_eq!(plan.network.between.len(), 9);
}

#[test]
fn set_replaces_a_value_and_pins_an_axis() {
    let set = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        parse("test.toml", RESET, &sets, &no_parent)
    };
    let family = set(&["auto-offset-reset=latest", "service.site.rate=10/s", "seeds=3"]).unwrap();
    let ids: Vec<&str> = family.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["auto-offset-reset=latest,offsets=none", "auto-offset-reset=latest,offsets=expired"]);
    assert_eq!(family.seeds, 0..3);
    let plan = family.cells[0].plan(Seed(0));
    let Trigger::Requests(requests) = &plan.services[0].trigger else { panic!() };
    assert_eq!(requests.interval, Duration::from_millis(100));
    let family = set(&["matrix.offsets=[\"expired\"]", "matrix.auto-offset-reset=[\"latest\", \"earliest\"]"]).unwrap();
    let ids: Vec<&str> = family.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["auto-offset-reset=latest,offsets=expired", "auto-offset-reset=earliest,offsets=expired"]);
    for (wrong, code) in [
        ("nonsense", "S013"),
        ("=3", "S013"),
        ("servce.site.rate=3", "S013"),
        ("service.site.rate=3", "S030"),
        ("matrix.ofsets=[\"none\"]", "S013"),
        ("matrix.offsets=[\"none\", \"none\"]", "S060"),
    ] {
        let short = set(&[wrong]).unwrap_err().short();
        assert!(short.contains(code) && short.contains("--set:1:"), "{wrong}: {short}");
    }
}

#[test]
fn the_system_is_inherited_and_the_question_is_not() {
    let loader = |_: &str, path: &str| match path {
        "base.toml" => Ok(("base.toml".to_string(), RESET.to_string())),
        "self.toml" => Ok(("child.toml".to_string(), String::new())),
        _ => Err("no such file".to_string()),
    };
    let read = |text: &str| parse("child.toml", text, &[], &loader);
    let child = "format = 1\nextends = \"base.toml\"\nabout = \"child\"\nwithout = [\"variant\"]\nservice.counter.auto-offset-reset = \"latest\"\nexpect.stats.count = \"exactly-once\"\n";
    let family = read(child).unwrap();
    assert_eq!((family.cells.len(), family.about.as_str(), family.rows.len()), (1, "child", 0));
    let circle = read("format = 1\nextends = \"self.toml\"\nabout = \"x\"").unwrap_err().short();
    assert!(circle.contains("S006") && circle.contains("in turn"), "{circle}");
    let stray = read(&child.replace("\"variant\"", "\"fault.awy\"")).unwrap_err().short();
    assert!(stray.contains("S014") && stray.contains("fault.away"), "{stray}");
}

#[test]
fn the_effective_scenario_names_the_origin_of_each_value() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let sets = ["service.shop.rate=7/s".to_string()];
    let text = effective(&folder.join("acks_1_loses.toml"), &sets).unwrap();
    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    assert!(line("service.shop.acks = \"1\"").contains("acks_1_loses.toml:"));
    assert!(line("cluster.brokers = 3").contains("acks_0_loses.toml:"));
    assert!(line("service.shop.rate = \"7/s\"").contains("--set:1"));
}

/// `UPDATE_GOLDENS=1 cargo test --lib scenario` writes it anew, as `hikyaku schema` does.
#[test]
fn the_schema_that_editors_are_given_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/scenario/scenario.schema.json");
    let found = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), found, "{} differs", path.display());
}

#[test]
fn the_schema_knows_every_key_and_is_closed() {
    let schema = schema();
    let property = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path} is missing in the schema"));
    assert_eq!(property("/additionalProperties"), false);
    assert_eq!(property("/properties/cluster/additionalProperties"), false);
    property("/properties/cluster/properties/replica-lag-time-max/pattern");
    property("/properties/topic/additionalProperties/properties/min-insync-replicas");
    property("/properties/service/additionalProperties/properties/steps/items/properties/insert-if-absent");
    property("/properties/fault/additionalProperties/properties/lose-power");
    property("/properties/chaos/properties/budget/properties/lossy");
    property("/properties/endpoint/additionalProperties/properties/lost-answers");
    property("/properties/topic/additionalProperties/properties/cleanup-policy");
    property("/properties/fault/additionalProperties/properties/compact");
    assert!(!schema.to_string().contains("anyOf"));
}
