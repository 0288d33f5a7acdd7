//! What a scenario may say, and what is answered to one that is wrong.

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

/// A small scenario that is right, with one line changed: (line to replace, or table to add to; new text).
const SMALL: &str = r#"format = 1
about = "small"
[cluster]
brokers = 3
[topic.orders]
partitions = 2
[topic.dead]
[store.db]
tables = ["rows", "marks"]
[service.shop]
on = "requests"
rate = "10/s"
steps = ["publish orders", "respond ok"]
[service.stock]
on = "consume orders"
auto-offset-reset = "earliest"
steps = ["insert db.rows", "commit"]
[fault]
crash = "at 5s for 2s crash stock"
[expect]
db.rows = "exactly-once"
"#;

/// Replaces the only line that begins so.
fn with(line: &str, new: &str) -> String {
    let mut found = 0;
    let changed: Vec<&str> = SMALL
        .lines()
        .map(|old| {
            if old.starts_with(line) {
                found += 1;
                new
            } else {
                old
            }
        })
        .collect();
    assert!(found >= 1, "no line begins with {line}");
    changed.join("\n")
}

fn stock(steps: &str) -> String {
    with("steps = [\"insert", &format!("steps = {steps}"))
}

fn fault(sentence: &str) -> String {
    with("crash =", &format!("crash = \"{sentence}\""))
}

fn expect(line: &str) -> String {
    with("db.rows", line)
}

#[test]
fn each_mistake_has_its_code_and_says_what_is_wrong() {
    good(SMALL);
    let cases: Vec<(String, &str, &str)> = vec![
        // S00x: the file
        ("".into(), "S002", "`format` is missing"),
        ("about = 1".into(), "S002", "write `format = 1`"),
        ("format = 2".into(), "S002", "format 2, and this version knows format 1"),
        ("format = \"1\"".into(), "S002", "not a version"),
        ("format = 1\nformat = 1".into(), "S001", "duplicate key"),
        ("format = 1\nabout = ".into(), "S001", "this is not TOML"),
        ("\u{0}\u{1}\u{1b}[31m".into(), "S001", "this is not TOML"),
        (with("[cluster]", "cluster = { brokers = 3, }"), "S003", "ends in a comma"),
        (with("[cluster]", "cluster = {\n brokers = 3 }"), "S003", "over a line end"),
        (with("about", "about = \"\\e[31m\""), "S003", "new in TOML 1.1"),
        (
            with("about", "about = \"x\"\nextends = \"../../etc/passwd\""),
            "S006",
            "cannot be read: there are no files here",
        ),
        (with("about", "about = \"x\"\nextends = 3"), "S006", "takes a path"),
        (with("about", "about = \"x\"\nwithout = [\"fault\"]"), "S014", "needs `extends`"),
        // S009: not yet
        (with("[topic.dead]", "[endpoint.bank]"), "S009", "`endpoint` is not built yet"),
        (with("[fault]", "[chaos]\n[fault]"), "S009", "`chaos` is not built yet"),
        (stock("[\"call bank timeout 2s\", \"commit\"]"), "S009", "`call` is not built yet"),
        (stock("[\"store-offset\", \"commit\"]"), "S009", "`store-offset` is not built yet"),
        (stock("[{ kafka-transaction = [\"commit\"] }]"), "S009", "`kafka-transaction` is not built yet"),
        (
            stock("[{ transaction = [\"insert db.rows\", \"commit db.marks\"] }]"),
            "S009",
            "`commit PLACE` is not built yet",
        ),
        (with("on = \"requests\"", "on = \"called\""), "S009", "`called` is not built yet"),
        (with("on = \"requests\"", "on = \"poll db.rows\""), "S009", "`poll` is not built yet"),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\ngroup-protocol = \"consumer\""),
            "S009",
            "`group-protocol`",
        ),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nlibrary = \"librdkafka\""), "S009", "`library`"),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\nstatic-membership = true"),
            "S009",
            "`static-membership`",
        ),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\nisolation-level = \"read_committed\""),
            "S009",
            "`isolation-level`",
        ),
        (
            with(
                "auto-offset",
                "auto-offset-reset = \"latest\"\npartition-assignment-strategy = \"cooperative-sticky\"",
            ),
            "S009",
            "`cooperative-sticky` is not built yet",
        ),
        (
            with(
                "auto-offset",
                "auto-offset-reset = \"latest\"\non-failure = [\"retry-topic orders attempts 3 delay 5s\", \"skip\"]",
            ),
            "S009",
            "`retry-topic`",
        ),
        (fault("at 5s set topic.orders.partitions to 4"), "S009", "`set` is not built yet"),
        (fault("at 5s compact orders"), "S009", "`compact` is not built yet"),
        (fault("when transaction-open(shop) crash shop"), "S009", "`transaction-open` is not built yet"),
        (fault("when mid-batch(stock) crash self"), "S009", "`mid-batch` is not built yet"),
        (with("[topic.dead]", "[topic.dead]\ncleanup-policy = \"compact\""), "S009", "`cleanup-policy`"),
        (expect("connections = \"<= 10\""), "S009", "`connections` is not built yet"),
        (expect("db.rows = { delay-p99 = \"< 1s\" }"), "S009", "`delay-p99` is not built yet"),
        // S01x: keys
        (with("brokers", "broker = 3"), "S010", "did you mean `brokers`?"),
        (with("brokers", "brokers = 3\nmin_insync_replicas = 2"), "S010", "did you mean `min-insync-replicas`?"),
        (with("brokers", "brokers = 3\nbrokers.x = 3"), "S001", "not TOML"),
        (with("about", "about = \"x\"\nclustr = 3"), "S010", "unknown key `clustr`"),
        (with("about", ""), "S011", "has no `about`"),
        (with("brokers", ""), "S011", "[cluster] has no `brokers`"),
        (with("rate", ""), "S011", "[service.shop] has no `rate`"),
        (with("auto-offset", ""), "S011", "has no `auto-offset-reset`"),
        (with("tables", ""), "S011", "[store.db] has no `tables`"),
        (with("partitions", "partitions = \"two\""), "S012", "takes a whole number, found a string"),
        (with("[cluster]", "cluster = 3\n[client]"), "S012", "`cluster` takes a table"),
        (with("on = \"requests\"", "on = 3"), "S012", "`on` takes a trigger"),
        (stock("[3]"), "S012", "a step is a sentence or a table, found a number"),
        // S02x: names
        (with("on = \"consume", "on = \"consume order\""), "S020", "nothing defines a topic `order`"),
        (stock("[\"publish ordrs\", \"commit\"]"), "S020", "did you mean `orders`?"),
        (fault("at 5s for 1s crash stok"), "S020", "did you mean `stock`?"),
        (fault("at 5s for 1s crash leader(order/0)"), "S020", "did you mean `orders`?"),
        (with("[topic.dead]", "[topic.db]"), "S021", "the name of a topic and of a store"),
        (with("[topic.dead]", "[topic.leader]"), "S022", "a word of the language"),
        (with("[topic.dead]", "[topic.Dead]"), "S022", "not a name"),
        (with("[topic.dead]", "[topic.\"../../x\\u001B[31m\"]"), "S022", "\\u{1b}"),
        // S03x: units and ranges
        (with("rate", "rate = \"10\""), "S030", "`10` is not a rate"),
        (with("about", "about = \"x\"\nduration = 10"), "S030", "has no unit"),
        (with("about", "about = \"x\"\nduration = \"5 mss\""), "S030", "write `5ms`"),
        (
            with("about", "about = \"x\"\nduration = \"99999999999999999999999999999999999999999999s\""),
            "S030",
            "too many digits",
        ),
        (with("about", "about = \"x\"\nduration = \"2 MiB\""), "S031", "is a size, and this takes a duration"),
        (with("rate", "rate = \"10%\""), "S031", "is a share"),
        (with("partitions", "partitions = 0"), "S032", "must lie between 1"),
        (with("partitions", "partitions = 99999999999999999999999"), "S032", "must lie between 1"),
        (with("about", "about = \"x\"\nduration = \"0s\""), "S032", "is zero"),
        (with("about", "about = \"x\"\nseeds = 0"), "S032", "neither a number of seeds nor a range"),
        (with("about", "about = \"x\"\nseeds = \"9..3\""), "S032", "neither a number of seeds nor a range"),
        (with("rate", "rate = \"10/s\"\nacks = \"2\""), "S033", "is not one of 0, 1, all"),
        (with("rate", "rate = \"10/s\"\narrivals = \"poison\""), "S033", "did you mean `\"poisson\"`?"),
        (with("rate", "rate = \"10/s\"\nkeys = \"zipf of 3\""), "S033", "not a number of keys"),
        (with("partitions", "partitions = 2\nreplication = 5"), "S035", "`replication = 5` but there are 3 brokers"),
        (with("partitions", "partitions = 2\nmin-insync-replicas = 2"), "S035", "acks=all could never succeed"),
        (with("brokers", "brokers = 3\ncontrollers = 2"), "S035", "an even number"),
        // S04x: sentences
        (stock("[\"inser db.rows\", \"commit\"]"), "S040", "did you mean `insert`?"),
        (stock("[{ insert = \"db.rows\", commit = true }]"), "S040", "is a second one"),
        (stock("[\"\", \"commit\"]"), "S041", "a step is empty"),
        (stock("[\"insert\", \"commit\"]"), "S041", "nothing follows it"),
        (fault("at 5s for 2s slow stock"), "S042", "`slow` needs `by`"),
        (stock("[\"add db.rows by 2 by 3\", \"commit\"]"), "S042", "stands twice"),
        (stock("[\"add db.rows bye 2\", \"commit\"]"), "S043", "did you mean `by`?"),
        (stock("[\"call bank timout 2s\", \"commit\"]"), "S043", "`call` takes one name, found `bank timout 2s`"),
        (stock("[\"work 5ms erors 1%\", \"insert db.rows\", \"commit\"]"), "S043", "did you mean `errors`?"),
        (stock("[\"insert db.rows\", \"commit every btch\"]"), "S044", "did you mean `batch`?"),
        (fault("at 5s for 2s cut stock | brokers kind ftch"), "S044", "did you mean `fetch`?"),
        // S05x: flow
        (with("on = \"requests\"", "on = \"request\""), "S050", "did you mean `requests`?"),
        (stock("[]"), "S050", "does nothing"),
        (with("rate", "rate = \"10/s\"\ncommit-of = \"highest\""), "S050", "triggered by `consume`"),
        (stock("[\"insert db.row\", \"commit\"]"), "S051", "did you mean `db.rows`?"),
        (stock("[\"insert db.rows\"]"), "S052", "never says that it is done"),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nenable-auto-commit = true"), "S052", "commits twice"),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\non-failure = \"retry 3 backoff 1s\""),
            "S053",
            "no final rung",
        ),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\non-failure = [\"skip\", \"block\"]"),
            "S053",
            "in the middle",
        ),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\non-failure = [\"refuse\"]"),
            "S054",
            "services with callers",
        ),
        (with("steps = [\"publish", "steps = [\"publish orders\"]"), "S055", "never answers"),
        (stock("[\"insert db.rows\", \"respond ok\", \"commit\"]"), "S055", "nobody waits"),
        (stock("[\"work\", \"insert db.rows\", \"commit\"]"), "S056", "`work` of `stock` has no time"),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nheadroom = \"2x\""), "S056", "has no work"),
        (
            stock("[\"work\", \"insert db.rows\", \"commit\"]\nheadroom = \"100x\""),
            "S056",
            "no time is left for `work`",
        ),
        (stock("[{ transaction = [\"insert db.rows\", \"commit\"] }, \"commit\"]"), "S057", "behind the transaction"),
        (stock("[\"insert db.rows\", \"publish orders\", \"commit\"]"), "S058", "go round in a circle"),
        (
            with("rate", "rate = \"10/s\"\nacks = \"1\"\nenable-idempotence = true"),
            "S059",
            "idempotence needs acks=all",
        ),
        (with("rate", "rate = \"10/s\"\ndelivery-timeout = \"1s\""), "S059", "less than linger + request-timeout"),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nsession-timeout = \"1s\""), "S059", "brokers accept 6s"),
        // S06x: families
        (format!("{SMALL}[matrix]\nbrokers = 3\n"), "S060", "has no list of values"),
        (
            format!("{SMALL}[matrix]\nfailure = [\"none\", \"power\"]\n"),
            "S061",
            "is a value of axis `failure`, but no variant",
        ),
        (format!("{SMALL}[variant.big]\ncluster.brokers = 5\n"), "S062", "is on no axis"),
        (
            format!(
                "{SMALL}[matrix]\na = [\"x\"]\nb = [\"y\"]\n[variant]\nx.cluster.brokers = 5\ny.cluster.brokers = 7\n"
            ),
            "S063",
            "two axes set `cluster.brokers`",
        ),
        (
            format!("{SMALL}[matrix]\ncluster.brokers = [3, 5]\n[[case]]\nwhen = {{ brokers = 4 }}\n"),
            "S064",
            "`4` is not a value of axis `brokers`",
        ),
        (
            format!("{SMALL}[matrix]\ncluster.brokers = [3, 5]\n[[case]]\nwhen = {{ broker = 3 }}\n"),
            "S064",
            "did you mean `brokers`?",
        ),
        (
            format!(
                "{SMALL}[matrix]\ncluster.brokers = [3, 5]\n[grid.db.rows]\nbrokers = [3, 5]\nexpect = [\"repeats\"]\n"
            ),
            "S065",
            "1 entries, and its head has 2",
        ),
        (format!("{SMALL}[matrix]\ncluster.brokers = [3, 3]\n"), "S060", "twice"),
        // S07x: faults
        (fault("crash stock"), "S070", "has no trigger"),
        (fault("at 5s for 2s crash leder(orders/0)"), "S071", "did you mean `leader`?"),
        (fault("at 5s for 2s crash leader(orders/7)"), "S071", "has partitions 0 to 1"),
        (fault("at 5s for 2s crash leader(orders"), "S071", "parentheses do not match"),
        (fault("at 5s for 2s cut stock"), "S071", "a link has two ends"),
        (fault("at 90s for 2s crash stock"), "S072", "the load ends at 1m"),
        (fault("at 5s pause stock"), "S073", "`pause` needs `for`"),
        (fault("at 5s for 5s rebalance stock"), "S073", "done in an instant"),
        (fault("when afer(stock.commit) crash self"), "S074", "did you mean `after`?"),
        (fault("when after(stock.upsert) crash self"), "S074", "has no step `upsert`"),
        (fault("when any leader-change(orders/0) crash stock"), "S074", "cannot be told before the run"),
        (fault("at 5s for 2s crash self"), "S075", "`self` has no point"),
        // S08x: expectations
        (expect("db.row = \"exactly-once\""), "S080", "did you mean `db.rows`?"),
        (expect("stok = \"exactly-once\""), "S080", "neither a place nor a service"),
        (expect("stock = \"exactly-once\""), "S080", "is a service"),
        (expect("db.marks = \"exactly-once\""), "S081", "no step writes `db.marks`"),
        (expect("db.rows = \"exactly-onse\""), "S082", "did you mean `exactly-once`?"),
        (expect("db.rows = { loss = \"alowed\" }"), "S082", "did you mean `allowed`?"),
        (expect("stock.recovry = \"< 5s\""), "S082", "did you mean `recovery`?"),
        (expect("stock.recovery = \"< 5\""), "S083", "cannot be `< 5`"),
        (expect("stock.recovery = \"> 2x brokers=3\""), "S083", "no cell beside this one"),
        (format!("{SMALL}[floor]\ncrash = 1\n"), "S084", "did you mean `crashes`?"),
    ];
    assert!(cases.len() >= 60);
    let mut failures = Vec::new();
    for (text, code, fragment) in &cases {
        let diagnostics = match read(text) {
            Ok(_) => {
                failures.push(format!("{code} {fragment}: was accepted"));
                continue;
            }
            Err(diagnostics) => diagnostics,
        };
        let short = diagnostics.short();
        if !short.lines().any(|line| line.contains(code) && line.contains(fragment)) {
            failures.push(format!("{code} {fragment}:\n{short}"));
        }
        let every_one_cures = diagnostics.iter().all(|diagnostic| diagnostic.help.is_some());
        assert!(every_one_cures, "a message without a cure:\n{short}");
        assert!(!diagnostics.render(false).contains('\u{1b}'), "an escape reaches the terminal");
        assert!(diagnostics.iter().all(|diagnostic| explain_code(diagnostic.code).is_some()), "{short}");
        let _: serde_json::Value = serde_json::from_str(&diagnostics.json()).unwrap();
        assert!(diagnostics.github().starts_with("::"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A file with many mistakes shows all of them, each with its caret. The golden file is what a user sees.
#[test]
fn a_file_of_mistakes_is_answered_line_by_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/scenario/goldens");
    let text = std::fs::read_to_string(folder.join("mistakes.toml")).unwrap();
    let diagnostics = parse("mistakes.toml", &text, &[], &no_parent).unwrap_err();
    compare(&folder.join("mistakes.txt"), &diagnostics.render(false));
    compare(&folder.join("mistakes.short.txt"), &diagnostics.short());
    compare(&folder.join("mistakes.github.txt"), &diagnostics.github());
    assert!(diagnostics.render(true).contains('\u{1b}'));
}

/// `UPDATE_GOLDENS=1 cargo test --lib scenario` writes them anew; the diff is then read line by line.
fn compare(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{} differs", path.display());
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
    assert_eq!(ids, ["headroom=1.0x", "headroom=1.1x", "headroom=1.2x", "headroom=1.5x", "headroom=2x", "headroom=3x"]);
    let time = |cell: usize| match family.cells[cell].plan(Seed(0)).services[1].steps[0].action {
        Action::Work { time, .. } => time,
        _ => panic!("work comes first"),
    };
    // 100/s and one instance: 10 ms in all at 1.0x, of which the database takes 1 ms.
    assert_eq!(time(0), Spread::Exponential { mean: Duration::from_millis(9) });
    assert_eq!(time(4), Spread::Exponential { mean: Duration::from_millis(4) });
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
    for (wrong, code) in
        [("nonsense", "S013"), ("=3", "S013"), ("servce.site.rate=3", "S013"), ("service.site.rate=3", "S030")]
    {
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
    assert!(schema.pointer("/properties/chaos").is_none(), "what is not built is not offered");
    assert!(!schema.to_string().contains("anyOf"));
}

#[test]
fn a_file_that_is_no_scenario_is_refused_before_it_is_read() {
    let folder = std::env::temp_dir().join(format!("hikyaku-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let huge = folder.join("huge.toml");
    std::fs::File::create(&huge).unwrap().set_len(100 << 20).unwrap();
    let binary = write("binary.toml", &[0xFF, 0xFE, 0, 1, 2]);
    for (path, fragment) in [
        (huge, "at most 1048576"),
        (binary, "not UTF-8"),
        (folder.clone(), "not a file"),
        (folder.join("none"), "cannot be read"),
    ] {
        let short = load(&path, &[]).unwrap_err().short();
        assert!(short.contains("S004") && short.contains(fragment), "{short}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn hostile_texts_are_answered_quickly() {
    let deep_tables = format!("format = 1\na = {}1{}", "{ a = ".repeat(10_000), " }".repeat(10_000));
    let deep_lists = format!("format = 1\na = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_keys = format!("format = 1\n{}a = 1", "a.".repeat(100_000));
    let many_keys: String =
        std::iter::once("format = 1\n".to_string()).chain((0..20_000).map(|n| format!("k{n} = {n}\n"))).collect();
    let many_services: String = std::iter::once(SMALL.to_string())
        .chain((0..2_000).map(|n| format!("[service.s{n}]\non = \"consume orders\"\nsteps = [\"publish orders\"]\n")))
        .collect();
    let axes: String = (0..12).map(|n| format!("a{n} = [\"none\", \"b\", \"c\"]\n")).collect();
    let many_cells = format!("{SMALL}[matrix]\n{axes}");
    let deep_words = stock(&format!("[\"{}\", \"commit\"]", "work ".repeat(20_000)));
    let deep_target = fault(&format!("at 5s for 2s crash {}brokers{}", "any(1, ".repeat(5_000), ")".repeat(5_000)));
    let diamonds: String = std::iter::once("format = 1\nabout = \"x\"\ncluster.brokers = 1\n[topic]\nt0 = {}\n".to_string())
        .chain((1..60).map(|n| format!("t{n} = {{}}\n")))
        .chain(["[service.s0]\non = \"requests\"\nrate = \"1M/s\"\nsteps = [\"publish t0\", \"respond ok\"]\n".to_string()])
        .chain((1..60).map(|n| format!("[service.s{n}]\non = \"consume t{}\"\nauto-offset-reset = \"latest\"\nsteps = [\"publish t{n}\", \"publish t{n}\", \"publish t{n}\", \"commit\"]\n", n - 1)))
        .collect();
    for text in
        [deep_tables, deep_lists, deep_keys, many_keys, many_services, many_cells, deep_words, deep_target, diamonds]
    {
        let start = std::time::Instant::now();
        if let Err(diagnostics) = read(&text) {
            assert!(diagnostics.render(false).len() < 4 << 20);
        }
        assert!(start.elapsed().as_secs() < 20, "{} took {:?}", &text[..40], start.elapsed());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        show(&read(&text));
        show(&read(&format!("format = 1\n{text}")));
    }

    #[test]
    fn arbitrary_sentences_never_panic(words in proptest::collection::vec(word(), 0..8)) {
        let sentence = words.join(" ").replace(['"', '\\'], "");
        show(&read(&stock(&format!("[\"{sentence}\", \"commit\"]"))));
        show(&read(&fault(&sentence)));
        show(&read(&expect(&format!("stock.recovery = \"{sentence}\""))));
        show(&read(&with("rate", &format!("rate = \"{sentence}\""))));
    }

    #[test]
    fn mutated_scenarios_never_panic(
        which in 0usize..3,
        edits in proptest::collection::vec((proptest::prelude::any::<usize>(), 0u8..4, word()), 1..5),
    ) {
        let mut text = [RICH, RESET, NOTIFIER][which].to_string();
        for (at, how, word) in edits {
            let at = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((at + word.len()).min(text.len()));
            match how {
                0 => text.insert_str(at, &word),
                1 => text.replace_range(at..end, ""),
                2 => text.replace_range(at..end, &word),
                _ => {
                    let copy = text[at..end].to_string();
                    text.push_str(&copy);
                }
            }
        }
        show(&read(&text));
    }
}

fn show(result: &Result<Family, Diagnostics>) {
    match result {
        Ok(family) => {
            for cell in &family.cells {
                cell.plan(Seed(1));
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            let _ = (diagnostics.render(true), diagnostics.short(), diagnostics.json(), diagnostics.github());
        }
    }
}

fn word() -> impl proptest::strategy::Strategy<Value = String> {
    let known = [
        "work",
        "insert",
        "db.rows",
        "publish",
        "orders",
        "commit",
        "every",
        "batch",
        "at",
        "5s",
        "for",
        "when",
        "any",
        "3rd",
        "after(stock.insert)",
        "crash",
        "self",
        "leader(orders/0)",
        "|",
        "->",
        "cut",
        "by",
        "10x",
        "±5%",
        "theory",
        "<",
        "> 2x",
        "1%",
        "9999999999999999999999999999999s",
        "(",
        ")",
        "any(1,brokers)",
        "±",
        "..",
        "1ms..",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "true",
        "0",
        "-1",
        "18446744073709551615",
        "é",
        "+5s",
        "lag(stock)",
        "restart",
        "rolling",
        "matrix",
        "1.0x",
        "0/s",
        "0.001/h",
        "1M/s",
        "burst 0",
        "zipf 0 of 0",
        "key",
        "key key",
        "lognormal 0s p99 1s",
        "\u{1b}[31m",
        "../..",
    ];
    proptest::strategy::Strategy::boxed(proptest::prop_oneof![
        5 => proptest::sample::select(known.to_vec()).prop_map(str::to_string),
        1 => "\\PC{0,6}",
    ])
}

use proptest::strategy::Strategy as _;
