//! The page behind each code: what the rule is and why it is there.

/// The page of a code, when there is one: `explain_code("S043")`.
pub fn explain_code(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, text)| *text)
}

/// All codes, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|(code, _)| *code)
}

const CODES: &[(&str, &str)] = &[
    (
        "S001",
        "The file is not TOML.\n\nA scenario is a TOML 1.0 file: keys and values on one line each, strings in quotes, tables under [headers]. Nothing else is read until this is right, because the meaning of what follows a syntax error is a guess.",
    ),
    (
        "S002",
        "`format` is missing or not known.\n\n`format = 1` is read before everything else, so that a file for a newer version gives one clear message instead of many wrong ones.",
    ),
    (
        "S003",
        "The file uses TOML 1.1.\n\nInline tables over several lines, trailing commas in them, and the escapes \\e and \\x are refused, because most editors and parsers refuse them too. Use a [table], one line, or \\u00XX.",
    ),
    (
        "S004",
        "The file cannot be read.\n\nIt is missing, not text in UTF-8, or larger than 1 MiB. A scenario is a page, written by a person.",
    ),
    ("S005", "The file nests too deeply.\n\nNothing in the language is deeper than six tables."),
    (
        "S006",
        "`extends` leads nowhere or in a circle.\n\nA scenario has at most one parent, its path is relative to the file, and the chain ends in a scenario without `extends`.",
    ),
    (
        "S009",
        "The language knows this, and this version does not do it yet.\n\nNothing that is written is ever ignored: a fault that silently does nothing would make a promise look kept.",
    ),
    (
        "S010",
        "A key is not known in this table.\n\nSettings of Kafka have their names with dashes, without `.ms` (the value is a duration) and with `-bytes` for `.bytes` (the value is a size).",
    ),
    ("S011", "A key is missing.\n\nIt has no default, because every default would decide the answer for you."),
    (
        "S012",
        "A value has the wrong type.\n\nDurations, sizes, rates, shares and factors are strings with their unit; counts are bare numbers.",
    ),
    (
        "S013",
        "A `--set` cannot be understood.\n\nIt is PATH=VALUE; the path is that of a key, the value is TOML, or else a string.",
    ),
    ("S014", "`without` names something that is not inherited."),
    (
        "S020",
        "A name is used that nothing defines.\n\nServices, topics, stores and endpoints are defined by their headers: [topic.orders]. In a cell without its variant, a thing with `only` does not exist.",
    ),
    (
        "S021",
        "A name is taken.\n\nServices, topics, stores and endpoints share one namespace, so that a reference never needs its kind.",
    ),
    (
        "S022",
        "A name is not possible.\n\nNames have small letters, digits and dashes, begin with a letter, have at most 63 characters, and are no word of the language.",
    ),
    (
        "S030",
        "A value cannot be read.\n\nA number without its unit is an error: nobody can tell whether 10 is milliseconds or seconds.",
    ),
    (
        "S031",
        "A value has a unit of another kind.\n\n`%` is for shares and probabilities, `x` for factors, B for sizes, /s for rates, s and ms for durations.",
    ),
    ("S032", "A value is out of its range."),
    ("S033", "A word is not among those that this key takes."),
    (
        "S035",
        "Two values contradict each other.\n\n1 <= min-insync-replicas <= replication <= brokers, and an odd number of controllers.",
    ),
    ("S040", "A sentence has no known verb."),
    ("S041", "A sentence is incomplete."),
    ("S042", "A keyword is missing, or stands twice."),
    (
        "S043",
        "A word does not belong here.\n\nThe verb and each keyword take the words up to the next keyword; a word too many is nearly always a keyword that was misspelt.",
    ),
    ("S044", "What a keyword says cannot be understood."),
    (
        "S050",
        "The trigger and the steps do not fit each other.\n\nA service has one trigger, and a list of steps that runs once for each event.",
    ),
    (
        "S051",
        "A step names a place that does not exist, or of another kind.\n\nStore steps name `store.table`; `publish` and `dead-letter` name a topic.",
    ),
    (
        "S052",
        "A consuming service never says that it is done, or says it twice.\n\nEither a `commit` stands among its steps, or the client commits automatically. The place of `commit` in the list is the delivery semantics.",
    ),
    (
        "S053",
        "The ladder does not end in one final rung.\n\nRetrying passes on; one of block, dead-letter, skip, refuse, crash, close is last.",
    ),
    ("S054", "A rung does not fit the trigger.\n\nOnly callers can be refused; only a consumer can close."),
    (
        "S055",
        "`respond` is missing, stands twice, or nobody waits for it.\n\nA `requests` service says `respond ok` exactly once: this is its promise to the caller.",
    ),
    (
        "S056",
        "`headroom` and bare `work` belong together.\n\nThe one bare `work` gets the time that the stated headroom leaves beside the other steps: instances x workers / (headroom x peak rate).",
    ),
    (
        "S057",
        "A step cannot stand in a transaction.\n\nA transaction is one request to one store: rows and counters, all or nothing. A kafka-transaction is what one producer publishes for one event and, with commit, its offset; one worker has one at a time.",
    ),
    (
        "S058",
        "Events go round in a circle.\n\nA service publishes to a topic that leads back to itself, so each event would live for ever.",
    ),
    (
        "S059",
        "Settings contradict each other.\n\nIdempotence needs acks=all; delivery-timeout is at least linger + request-timeout; heartbeat-interval is below session-timeout, which is at least 6s (the broker's minimum); broker-heartbeat-interval is below broker-session-timeout.",
    ),
    (
        "S060",
        "An axis cannot be understood.\n\nAn axis is a path with a list of values, or a free name with a list of variants.",
    ),
    (
        "S061",
        "An axis has a value that is no variant.\n\nA value of a free axis is `none`, a [variant], or a name that some `only` mentions.",
    ),
    ("S062", "A variant is on no axis, so no cell has it."),
    ("S063", "Two axes or variants of one cell set the same key."),
    ("S064", "A case or a row of a grid matches no cell."),
    (
        "S065",
        "A grid is not a table.\n\nIts first row is an axis with its values; each other row is a value of one other axis and has as many entries.",
    ),
    ("S066", "The family is too big."),
    ("S070", "A fault has no trigger, or two.\n\n`at D` or `when STATE`."),
    ("S071", "The target of a fault cannot be understood."),
    ("S072", "A fault lies outside the load phase.\n\nFaults act in [0, duration); at its end everything is healed."),
    (
        "S073",
        "`for`, `every` or `times` is missing, or does not fit the fault.\n\nA pause, a cut or a slow disk needs its length; an instant has none, unless it repeats.",
    ),
    ("S074", "A state or point of a fault cannot be."),
    (
        "S075",
        "`self` has no point.\n\n`self` is where the point of the trigger was reached; an instant and a state of the cluster have none.",
    ),
    (
        "S076",
        "`[chaos]` cannot be understood.\n\n`profile`, `window`, `rate`, `length`, `families`, `budget`; \
         for example `[chaos]` with `profile = \"heavy\"` or `families = { network = 3, process = 1 }`.",
    ),
    (
        "S077",
        "A key cannot be set while the system runs.\n\n\
         `set PATH to VALUE` changes what is read live: the rate, instances and `work` of a service, stores, endpoints, links, retention. \
         Anything else is a value of [matrix].",
    ),
    (
        "S078",
        "Nothing shows what a fault has done.\n\nThe page cache hides bits that rot, and a crash keeps it: only who lost power reads the medium again.",
    ),
    ("S080", "An expectation is about something that does not exist."),
    ("S081", "No step writes the place that is judged."),
    ("S082", "An expectation has an unknown word or attribute."),
    ("S083", "A bound cannot be understood."),
    ("S084", "A floor cannot be understood."),
    (
        "S085",
        "A hazard is required of few seeds.\n\nIt must be seen in at least one; with fewer than ten seeds that is luck.",
    ),
    ("S086", "An effect has no expectation, so nothing is said about it."),
    (
        "S087",
        "A service is not measured by this.\n\nAvailability and latency are what callers see, of services that are asked; \
         waits, recovery, lag and rebalances are about a backlog, of services that consume.",
    ),
];
