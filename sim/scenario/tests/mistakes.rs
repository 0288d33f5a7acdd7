//! Each mistake has its code, says what is wrong, and how it is put right.

use super::*;

/// A small scenario that is right, with one line changed: (line to replace, or table to add to; new text).
pub const SMALL: &str = r#"format = 1
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
pub fn with(line: &str, new: &str) -> String {
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

pub fn stock(steps: &str) -> String {
    with("steps = [\"insert", &format!("steps = {steps}"))
}

/// Stock calls a bank first.
pub fn bank(step: &str) -> String {
    let calling = stock(&format!("[\"{step}\", \"insert db.rows\", \"commit\"]"));
    calling.replace("[fault]", "[endpoint.bank]\n[fault]")
}

/// Stock calls a ledger, a service of its own.
pub fn called(line: &str, steps: &str) -> String {
    let calling = stock("[\"call ledger timeout 2s\", \"insert db.rows\", \"commit\"]");
    calling.replace("[fault]", &format!("[service.ledger]\non = \"called\"\nsteps = {steps}\n{line}\n[fault]"))
}

/// Stock has a client of librdkafka.
fn rdkafka(line: &str, steps: &str) -> String {
    let client = format!("auto-offset-reset = \"latest\"\nlibrary = \"librdkafka\"\n{line}");
    stock(steps).replace("auto-offset-reset = \"earliest\"", &client)
}

pub fn ladder(rungs: &str) -> String {
    with("auto-offset", &format!("auto-offset-reset = \"latest\"\non-failure = {rungs}"))
}

/// With a relay that polls this table.
pub fn relay(table: &str, keys: &str, steps: &str) -> String {
    let on = format!("on = \"poll {table}\"").replace(" \"", "\"").replace("=\"", "= \"");
    with("[fault]", &format!("[service.relay]\n{on}\n{keys}\nsteps = {steps}\n[fault]"))
}

pub fn fault(sentence: &str) -> String {
    with("crash =", &format!("crash = \"{sentence}\""))
}

pub fn chaos(line: &str) -> String {
    with("[fault]", &format!("[chaos]\n{line}\n[fault]"))
}

pub fn expect(line: &str) -> String {
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
        (
            with("[cluster]", "[cluster]\nbroker-session-timeout = \"2s\""),
            "S059",
            "`broker-session-timeout` is 2s, and a broker sends a heartbeat every 2s",
        ),
        (with("[cluster]", "[cluster]\nbroker-heartbeat-interval = \"10s\""), "S059", "every 10s"),
        // S009: not yet
        // Endpoints and calls
        (with("[topic.dead]", "[endpoint.bank]\nlatncy = \"1ms\""), "S010", "unknown key `latncy`"),
        (
            with("[topic.dead]", "[endpoint.bank]\nidempotency-keys = \"soon\""),
            "S033",
            "neither a truth nor a length of time",
        ),
        (with("[topic.dead]", "[endpoint.bank]\ncapacity = 0"), "S032", "`capacity`"),
        (with("[topic.dead]", "[endpoint.orders]"), "S021", "is the name of"),
        (chaos("families = [\"endpoint\"]"), "S076", "there is no endpoint"),
        (bank("call bank"), "S042", "`timeout`"),
        (bank("call bank timeout 0s"), "S032", "`timeout` of this call is zero"),
        (bank("call bank timeout 2s backoff 1s"), "S044", "add `attempts 3`"),
        (bank("call bank timeout 2s breaker-reset 1s"), "S044", "add `breaker 5`"),
        (bank("call bnk timeout 2s"), "S020", "did you mean `bank`?"),
        (bank("call bank timeout 2s idempotency-key event"), "S033", "id, attempt"),
        (fault("at 5s for 2s set endpoint.bank.errors to 5%"), "S020", "an endpoint `bank`"),
        // S077: what can be set
        (fault("at 5s set service.shop.rat to 5/s"), "S077", "did you mean `service.shop.rate`?"),
        (fault("at 5s set service.stock.rate to 5/s"), "S077", "it consumes what others send"),
        (fault("at 5s set service.shop.rate"), "S042", "`set` needs `to`"),
        (fault("at 5s set service.shop.rate to 5ms"), "S031", "`5ms` is a duration, and this takes a rate"),
        (fault("at 5s set service.shop.rate too 5/s"), "S043", "did you mean `to`?"),
        (fault("at 5s set service.shpo.rate to 5/s"), "S020", "did you mean `shop`?"),
        (fault("at 5s set service.stock.instances to 2"), "S077", "write `instances = 2` in [service.stock]"),
        (fault("at 5s set service.stock.work to 2ms"), "S074", "`stock` has no step `work`"),
        (fault("at 5s set service.stock.workers to 2"), "S077", "is read when the system starts"),
        (fault("at 5s set service.stock.1 to 2ms"), "S077", "step 1 of `stock` is no `work`"),
        (fault("at 5s set store.dp.errors to 5%"), "S020", "did you mean `db`?"),
        (fault("at 5s set store.db.tables to 5%"), "S077", "is read when the system starts"),
        (fault("at 5s set topic.orders.segment to 5s"), "S077", "can be set: partitions, retention, retention-bytes"),
        (fault("at 5s set topic.orders.partitions to 2"), "S077", "write 3 or more, or begin with fewer"),
        (fault("at 5s for 2s set topic.orders.partitions to 9"), "S077", "a partition stays, with its records"),
        (fault("at 5s set topic.orders.partitions to 1.5x"), "S031", "`1.5x` is a factor"),
        (fault("at 5s set cluster.replica-lag-time-max to 5s"), "S077", "is read when the system starts"),
        (fault("at 5s set network.latencie to 5ms"), "S077", "did you mean `network.latency`?"),
        (fault("at 5s set rate to 5/s"), "S077", "no key of this scenario that can be set"),
        (fault("at 5s for 2s fail stock"), "S071", "no step of `stock` is `work`"),
        (fault("at 5s fail stock"), "S073", "`fail` needs `for`"),
        (fault("at 5s for 2s poison shop"), "S073", "`poison` is done in an instant"),
        (fault("at 5s poison shop"), "S071", "add a step such as"),
        (fault("at 5s poison stock"), "S071", "not an origin of events"),
        (fault("at 5s repair stock"), "S071", "no step of `stock` is `work`"),
        (fault("at 5s jump stock"), "S042", "`jump` needs `by`"),
        (fault("at 5s for 5s jump stock by 5s"), "S073", "done in an instant"),
        (fault("at 5s reset shop -> brokers rate 5%"), "S073", "`reset` with `rate` needs `for`"),
        (fault("at 5s for 5s reset shop -> brokers"), "S073", "or a share of messages: `rate 5%`"),
        (fault("at 5s for 5s reset shop -> brokers rate 5"), "S030", "`5` is not a share"),
        // S076: chaos
        (chaos("families = [\"netwrok\"]"), "S076", "did you mean `network`?"),
        (chaos("families = [\"poison\"]"), "S076", "no step is `work`"),
        (chaos("families = []"), "S076", "nothing could go wrong"),
        (chaos("families = {}"), "S076", "nothing could go wrong"),
        (chaos("families = { netwrok = 2 }"), "S076", "did you mean `network`?"),
        (chaos("families = { network = 0 }"), "S032", "between 1 and 100"),
        (chaos("families = { network = { wieght = 2 } }"), "S010", "did you mean `weight`?"),
        (chaos("families = { network = { length = 2 } }"), "S030", "spread"),
        (chaos("families = [\"power\"]"), "S076", "the budget allows no power loss"),
        (chaos("window = \"20s..10s\""), "S076", "no part of it"),
        (chaos("window = \"10%..120%\""), "S076", "not a part of the duration"),
        (chaos("budget = \"all\""), "S076", "neither a table of limits"),
        (chaos("budget = { longest = \"0s\" }"), "S076", "`longest` is zero"),
        (chaos("budget = { broker-down = 1 }"), "S010", "did you mean `brokers-down`?"),
        (chaos("profile = \"heavvy\""), "S033", "did you mean `heavy`?"),
        (chaos("rate = \"4s\""), "S031", "`4s` is a duration"),
        (
            stock("[\"call bank timeout 2s\", \"commit\"]"),
            "S020",
            "nothing defines an endpoint or a called service `bank`",
        ),
        (stock("[\"insert-if-absent db.marks lease 5s\", \"insert db.rows\", \"commit\"]"), "S057", "never confirmed"),
        (stock("[\"insert db.rows\", \"confirm db.marks\", \"commit\"]"), "S057", "no step here leases a row"),
        (
            stock("[\"insert-if-absent db.marks lease 5s expires 1m\", \"confirm db.marks\", \"commit\"]"),
            "S057",
            "leased and expires",
        ),
        (stock("[\"insert-if-absent db.rows expires 0s\", \"commit\"]"), "S032", "no time at all"),
        (stock("[\"insert db.rows lease 5s\", \"commit\"]"), "S043", "found `db.rows lease 5s`"),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nretry-backoff = \"0s\""), "S032", "less than 1ms"),
        (stock("[\"store-offset\", \"commit\"]"), "S059", "`store-offset` is a call of librdkafka"),
        (rdkafka("", "[\"work 1ms\", \"store-offset\", \"commit\"]"), "S052", "nothing commits what"),
        (
            rdkafka("enable-auto-commit = true", "[\"store-offset\", \"store-offset\"]"),
            "S052",
            "stores its offset twice",
        ),
        (with("steps = [\"publish", "steps = [\"store-offset\", \"respond ok\"]"), "S050", "consumes nothing"),
        (stock("[{ kafka-transaction = [\"store-offset\"] }, \"commit\"]"), "S057", "`store-offset` in a transaction"),
        (stock("[\"work 1ms\", \"commit-async retry often\"]"), "S043", "`often` is not a keyword of `commit-async`"),
        (stock("[{ kafka-transaction = [] }, \"commit\"]"), "S057", "a transaction is empty"),
        (stock("[{ kafka-transaction = [\"commit every 5\"] }]"), "S057", "is about its event"),
        (stock("[{ kafka-transaction = [\"commit-async\"] }]"), "S057", "`commit-async` in a transaction"),
        (stock("[{ kafka-transaction = [\"commit\"], every = 3 }]"), "S043", "not a keyword of `kafka-transaction`"),
        (stock("[{ kafka-transaction = [\"commit\"] }, \"commit\"]"), "S052", "commits twice"),
        (stock("[{ kafka-transaction = [{ kafka-transaction = [\"commit\"] }] }]"), "S057", "in a transaction"),
        (
            stock("[{ transaction = [\"insert db.rows\", \"commit\"] }, \"commit\"]"),
            "S057",
            "cannot stand in a transaction",
        ),
        (stock("[{ transaction = [\"insert db.rows\", \"commit db.marx\"] }]"), "S051", "did you mean `db.marks`?"),
        (stock("[\"insert db.rows\", \"commit db.marks every 5\"]"), "S057", "a position is kept with each event"),
        (stock("[\"insert db.rows\", \"commit db.marks\", \"commit\"]"), "S052", "commits twice"),
        (stock("[{ kafka-transaction = [\"commit db.marks\"] }]"), "S057", "no transaction of the queue spans a store"),
        (
            with("auto-offset", "workers = 4\nauto-offset-reset = \"latest\"")
                .replace("\"commit\"", "\"commit db.marks\""),
            "S057",
            "cannot keep its position in a table",
        ),
        (
            with("on = \"requests\"", "on = \"called\""),
            "S050",
            "`rate` belongs to a service that is triggered by `requests`",
        ),
        (bank("call shop timeout 2s"), "S050", "nobody can call `shop`"),
        (called("rate = \"5/s\"", "[\"insert db.marks\", \"respond ok\"]"), "S050", "`rate` belongs to"),
        (called("", "[\"insert db.marks\"]"), "S055", "never answers its callers"),
        (called("", "[\"insert db.marks\", \"respond ok\", \"respond ok\"]"), "S055", "answers twice"),
        (called("", "[\"insert db.marks\", \"commit\", \"respond ok\"]"), "S050", "which consumes nothing"),
        (called("", "[\"call ledger timeout 1s\", \"respond ok\"]"), "S058", "go round in a circle"),
        (called("", "[\"publish orders\", \"respond ok\"]"), "S058", "go round in a circle"),
        (with("rate = ", "max-waiting = 5\nrate = \"10/s\""), "S050", "triggered by `called`"),
        (
            called("", "[\"respond ok\"]").replace("timeout 2s", "timeout 2s idempotency-key id"),
            "S044",
            "knows an event by its id",
        ),
        (relay("db.row", "every = \"1s\"", "[\"commit\"]"), "S051", "`db.row` is not a table of a store"),
        (relay("", "every = \"1s\"", "[\"commit\"]"), "S050", "`poll` names no table"),
        (relay("db.rows", "batch = 5", "[\"commit\"]"), "S011", "`every` is missing"),
        (relay("db.rows", "every = \"1s\"\ncursor = \"last\"", "[\"commit\"]"), "S033", "`last`"),
        (relay("db.rows", "every = \"1s\"\nrate = \"1/s\"", "[\"commit\"]"), "S050", "triggered by `requests`"),
        (relay("db.marks", "every = \"1s\"", "[\"commit\"]"), "S051", "nothing inserts rows into `db.marks`"),
        (relay("db.rows", "every = \"1s\"", "[\"publish dead\"]"), "S052", "never says that it is done"),
        (relay("db.rows", "every = \"1s\"", "[\"commit every 5\"]"), "S052", "would be polled again"),
        (
            relay("db.rows", "every = \"1s\"", "[\"commit every batch\", \"publish dead\"]"),
            "S052",
            "committed behind it",
        ),
        (relay("db.rows", "every = \"1s\"", "[\"commit-async\"]"), "S052", "`commit-async` of rows"),
        (relay("db.rows", "every = \"1s\"", "[\"commit\", \"respond ok\"]"), "S055", "nobody waits for an answer"),
        (relay("db.rows", "every = \"1s\"", "[\"publish orders\", \"commit\"]"), "S058", "round in a circle"),
        (
            relay("db.rows", "every = \"1s\"", "[{ kafka-transaction = [\"publish dead\", \"commit\"] }]"),
            "S057",
            "rows are no offsets",
        ),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nevery = \"1s\""), "S050", "triggered by `poll`"),
        (
            with(
                "auto-offset",
                "auto-offset-reset = \"latest\"\ngroup-protocol = \"consumer\"\nsession-timeout = \"10s\"",
            ),
            "S059",
            "`session-timeout` is a setting of the classic group protocol",
        ),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\ngroup-remote-assignor = \"range\""),
            "S059",
            "`group-remote-assignor` is a setting of the consumer group protocol",
        ),
        (
            with(
                "auto-offset",
                "auto-offset-reset = \"latest\"\nlibrary = \"kafkajs\"\nenable-auto-commit = true\nauto-commit-interval = \"1s\"",
            )
            .replace(", \"commit\"", ""),
            "S009",
            "`auto-commit-interval of kafkajs`",
        ),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\nlibrary = \"kafkajs\"\ngroup-protocol = \"consumer\""),
            "S059",
            "kafkajs knows the classic group protocol only",
        ),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nlibrary = \"rdkafka\""), "S033", "did you mean"),
        (
            with("rate = \"10/s\"", "rate = \"10/s\"\nlibrary = \"librdkafka\"")
                .replace("publish orders", "insert db.marks"),
            "S050",
            "`library` chooses a client of the queue",
        ),
        (
            with(
                "rate = \"10/s\"",
                "rate = \"10/s\"\nlibrary = \"librdkafka\"\nenable-idempotence = true\n\
                 max-in-flight-requests-per-connection = 9",
            ),
            "S059",
            "at most 5 requests in flight",
        ),
        (ladder("[\"retry-topic orders attempts 3 delay 5s\", \"skip\"]"), "S054", "reads this topic already"),
        (ladder("[\"retry-topic dead attempts 3 delay 5s\"]"), "S053", "ends in no final rung"),
        (ladder("[\"retry-topic dead delay 5s\", \"skip\"]"), "S042", "`retry-topic` needs `attempts`"),
        (
            ladder("[\"retry-topic dead attempts 3 delay 5s\", \"dead-letter dead\"]"),
            "S054",
            "`dead` is the retry topic of `stock`",
        ),
        (
            with("rate", "rate = \"10/s\"\non-failure = [\"retry-topic dead attempts 3 delay 5s\", \"refuse\"]"),
            "S054",
            "`retry-topic` is a rung of consumers",
        ),
        (fault("at 5s redrive dead"), "S071", "`dead` has no dead letters"),
        (fault("when after(stock.dead-letter) crash self"), "S074", "has no rung `dead-letter`"),
        (fault("when after(stock.block) crash self"), "S074", "nothing says when it is over"),
        (fault("at 5s jump callers by 5s"), "S071", "nobody there reads a clock"),
        (fault("at 5s wipe db"), "S071", "only brokers and controllers have a disk"),
        (fault("at 5s for 5s hold-metadata shop"), "S071", "only brokers have a view of the metadata"),
        (fault("at 5s compact orders"), "S071", "`orders`: the topic is not compacted"),
        (
            fault("at 5s enforce-retention dead").replace("[topic.dead]", "[topic.dead]\ncleanup-policy = \"compact\""),
            "S071",
            "`dead`: the topic is compacted",
        ),
        (
            fault("at 5s delete-records dead").replace("[topic.dead]", "[topic.dead]\ncleanup-policy = \"compact\""),
            "S071",
            "POLICY_VIOLATION",
        ),
        (fault("when transaction-open(shop) crash shop"), "S074", "`shop` has no transactions of the queue"),
        (fault("when mid-batch(shop) crash self"), "S074", "`shop` polls no batches"),
        (with("[topic.dead]", "[topic.dead]\ncleanup-policy = \"compacted\""), "S033", "`cleanup-policy`"),
        (expect("broker-bytes = \"<= 10\""), "S083", "`broker-bytes` cannot be `<= 10`"),
        (expect("connections = \"<= 10ms\""), "S083", "`connections` cannot be"),
        (expect("unsettled = \"never\""), "S083", "`unsettled` cannot be"),
        (expect("db.rows = { delay-p99 = \"< 10\" }"), "S083", "`delay-p99` cannot be"),
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
        (
            with("about", &format!("about = \"x\"\nduration = \"{}\"", "999999999999999999999999h".repeat(200))),
            "S030",
            "too many digits",
        ),
        (with("about", "about = \"x\"\nduration = \"2 MiB\""), "S031", "is a size, and this takes a duration"),
        (with("rate", "rate = \"10%\""), "S031", "is a share"),
        (with("partitions", "partitions = 0"), "S032", "must lie between 1"),
        (with("partitions", "partitions = 99999999999999999999999"), "S032", "must lie between 1"),
        (with("about", "about = \"x\"\nduration = \"0s\""), "S032", "is zero"),
        (with("brokers", "brokers = 3\nbroker-heartbeat-interval = \"1us\""), "S032", "is less than 1ms"),
        (with("about", "about = \"x\"\nseeds = 0"), "S032", "neither a number of seeds nor a range"),
        (with("about", "about = \"x\"\nseeds = \"9..3\""), "S032", "neither a number of seeds nor a range"),
        (with("rate", "rate = \"10/s\"\nacks = \"2\""), "S033", "is not one of 0, 1, all"),
        (with("rate", "rate = \"10/s\"\narrivals = \"poison\""), "S033", "did you mean `\"poisson\"`?"),
        (with("rate", "rate = \"10/s\"\narrivals = \"diurnel\""), "S033", "did you mean `\"diurnal 50% over 24h\"`?"),
        (with("rate", "rate = \"10/s\"\narrivals = \"diurnal 150% over 24h\""), "S033", "not a way to arrive"),
        (with("rate", "rate = \"10/s\"\narrivals = \"diurnal 50% over 0s\""), "S033", "not a way to arrive"),
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
        (with("auto-offset", "auto-offset-reset = \"latest\"\nacks = \"1\""), "S050", "publishes nothing"),
        (with("rate", "rate = \"10/s\"\nmax-poll-records = 5"), "S050", "triggered by `consume`"),
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
        (with("rate", "rate = \"10/s\"\nbuffer-memory = \"1KiB\""), "S059", "less than one batch of 16KiB"),
        (with("auto-offset", "auto-offset-reset = \"latest\"\nsession-timeout = \"1s\""), "S059", "brokers accept 6s"),
        (
            with("auto-offset", "auto-offset-reset = \"latest\"\nclient-rack = \"a\""),
            "S020",
            "nothing defines a rack `a`",
        ),
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
        (fault("at 5s reassign orders/0"), "S042", "`reassign` needs `to`"),
        (fault("at 5s reassign orders to 1,2"), "S071", "which partition?"),
        (fault("at 5s reassign orders/any to 1,2"), "S071", "name one"),
        (fault("at 5s reassign orders/0 to 1,4"), "S071", "from 1 to 3"),
        (fault("at 5s reassign orders/0 to 1,2,1"), "S071", "each once"),
        (fault("at 5s elect orders/any"), "S071", "the topic alone for all of them"),
        (fault("at 5s elect orders/7"), "S071", "has partitions 0 to 1"),
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
        (expect("shop.recovery = \"< 9s\""), "S087", "`shop` has no `recovery`"),
        (expect("stock.availability = \">= 99%\""), "S087", "`stock` has no `availability`"),
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

/// A table that nobody can find is one problem, and not also a circle of events or a table without rows.
#[test]
fn a_relay_of_an_unknown_table_is_one_problem() {
    let text = relay("db.row", "every = \"1s\"", "[\"publish orders\", \"commit\"]");
    let short = parse("relay.toml", &text, &[], &no_parent).unwrap_err().short();
    let errors: Vec<&str> = short.lines().filter(|line| line.contains("error[")).collect();
    assert!(matches!(errors[..], [error] if error.contains("S051") && error.contains("`db.row`")), "{short}");
}

/// `hikyaku explain CODE` has a page for every code that a message can have, and for no other.
#[test]
fn every_code_has_its_page() {
    let mut used = std::collections::BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/scenario");
    for folder in [folder.clone(), folder.join("lower")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("codes.rs") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (at, _) in text.match_indices("\"S0") {
                used.insert(text[at + 1..at + 5].to_string());
            }
        }
    }
    assert_eq!(used, codes().map(str::to_string).collect());
    assert!(explain_code("s043").unwrap().contains("misspelt"));
    assert_eq!(explain_code("S999"), None);
}
