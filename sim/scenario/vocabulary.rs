//! The verbs and keywords of steps, rungs and faults: what may be said.

use super::keys::{Key, key};
use super::sentence::{Argument, Grammar, Verb};
use super::values::Kind;

const NAME: Argument = Argument::Required(Kind::Name);
const PLACE: Argument = Argument::Required(Kind::Argument("a table, as `store.table`"));
const TARGET: Argument = Argument::Required(Kind::Argument("a target, such as `leader(orders/0)`"));
const LINK: Argument = Argument::Required(Kind::Argument("a link, as `A | B` or `A -> B`"));
const TOPIC_PARTITION: Argument = Argument::Required(Kind::Argument("a topic, or `topic/partition`"));
const PRESENT: Key =
    key("present", Kind::Words(&["skip", "continue", "fail"]), "What to do when the row is there already.");
const ROW: Key = key("key", Kind::Words(&["id", "offset"]), "Rows by event id, or by topic, partition and offset.");
const REQUEST_KIND: Key = key("kind", Kind::Name, "Only requests of this kind, in Kafka's words: `fetch`.");
const PATH: Argument = Argument::Required(Kind::Argument("the path of a key, such as `service.shop.rate`"));
const TO: Key = key("to", Kind::Phrase("a value"), "The new value.");

const fn verb(name: &'static str, value: Argument, keywords: &'static [Key], about: &'static str) -> Verb {
    Verb { name, value, keywords, about }
}

pub const STEPS: Grammar = Grammar {
    what: "a step",
    common: &[key("of", Kind::Name, "Only for events from this origin.")],
    verbs: &[
        verb(
            "work",
            Argument::Optional(Kind::Phrase("a spread of a duration, `exp`, or nothing")),
            &[
                key("errors", Kind::Ratio, "Share of attempts that fail."),
                key("poison", Kind::Ratio, "Share of events that fail here always."),
            ],
            "Processing time.",
        ),
        verb("insert", PLACE, &[ROW], "A row by event id; fails if there is one."),
        verb(
            "insert-if-absent",
            PLACE,
            &[
                PRESENT,
                ROW,
                key(
                    "expires",
                    Kind::Duration,
                    "For how long the row is known; then it is as if it had never been there.",
                ),
                key(
                    "lease",
                    Kind::Duration,
                    "Pending until `confirm`: others fail meanwhile, and take over when so much time has passed.",
                ),
            ],
            "A row by event id, unless there is one.",
        ),
        verb("check", PLACE, &[PRESENT, ROW], "Looks and writes nothing."),
        verb("upsert", PLACE, &[key("version-guard", Kind::Boolean, "Only if newer.")], "Overwrites by key."),
        verb("add", PLACE, &[key("by", Kind::Integer(1, 1_000_000_000), "How much.")], "Adds to the row of the key."),
        verb(
            "publish",
            NAME,
            &[
                key("async", Kind::Boolean, "Does not wait for the acknowledgement."),
                key("key", Kind::Words(&["key", "id", "none"]), "Key of the record."),
            ],
            "A record to a topic.",
        ),
        verb(
            "commit",
            Argument::Optional(Kind::Argument("a table that keeps the position, as `store.table`")),
            &[key("every", Kind::Phrase("record, batch, a number or a duration"), "How often.")],
            "Says done: commits the offset, or, with a place, keeps the position in a table, compared and set.",
        ),
        verb(
            "commit-async",
            Argument::None,
            &[
                key("every", Kind::Phrase("record, batch, a number or a duration"), "How often."),
                key(
                    "retry",
                    Kind::BooleanOr("always"),
                    "A failed commit is repeated, unless a newer one was made; `always` repeats it all the same.",
                ),
            ],
            "Says done without waiting for an answer.",
        ),
        verb("respond", Argument::Required(Kind::Words(&["ok"])), &[], "Accepted: the promise to the caller."),
        verb(
            "call",
            NAME,
            &[
                key("timeout", Kind::Duration, "How long to wait for an answer."),
                key("attempts", Kind::Integer(1, 1_000), "How often to try."),
                key("backoff", Kind::Spread, "Pause between attempts."),
                key(
                    "idempotency-key",
                    Kind::Words(&["id", "attempt"]),
                    "Key by which the other side knows a repetition.",
                ),
                key("breaker", Kind::Integer(1, 1_000_000), "Opens after so many failures in a row."),
                key("breaker-reset", Kind::Duration, "How long it stays open."),
                key("optional", Kind::Boolean, "A failure is swallowed."),
            ],
            "A request to an endpoint or a service.",
        ),
        verb("confirm", PLACE, &[ROW], "A leased row stands for good; fails if somebody else has taken it over."),
        verb(
            "store-offset",
            Argument::None,
            &[],
            "The offset behind the event is what librdkafka commits next, by its clock.",
        ),
    ],
};

pub const RUNGS: Grammar = Grammar {
    what: "a rung",
    common: &[],
    verbs: &[
        verb(
            "retry",
            Argument::Required(Kind::Integer(1, 1_000_000)),
            &[key("backoff", Kind::Spread, "Pause before another attempt; `a..b` doubles from a to b.")],
            "In place; the list starts again.",
        ),
        verb(
            "block",
            Argument::None,
            &[key("backoff", Kind::Spread, "Pause before another attempt; `a..b` doubles from a to b.")],
            "Tries for ever.",
        ),
        verb(
            "dead-letter",
            NAME,
            &[key("async", Kind::Boolean, "Does not wait for the acknowledgement.")],
            "Puts the event into a topic and goes on.",
        ),
        verb("skip", Argument::None, &[], "Gives the event up."),
        verb("refuse", Argument::None, &[], "Tells the caller no."),
        verb("crash", Argument::None, &[], "The process dies."),
        verb("close", Argument::None, &[], "The consumer leaves cleanly."),
        verb(
            "retry-topic",
            NAME,
            &[
                key("attempts", Kind::Integer(1, 1_000_000), "How often."),
                key("delay", Kind::Duration, "Pause before another attempt."),
            ],
            "The same group reads the event again from another topic.",
        ),
    ],
};

pub const FAULTS: Grammar = Grammar {
    what: "a fault",
    common: &[
        key("at", Kind::Duration, "When it fires, after the load began."),
        key("when", Kind::Phrase("a point or a state"), "What it waits for."),
        key("for", Kind::Duration, "How long until it heals."),
        key("every", Kind::Duration, "Repeats while it lasts."),
        key("times", Kind::Integer(1, 1_000_000), "At most this many firings."),
    ],
    verbs: &[
        verb("crash", TARGET, &[], "The process dies; what it wrote survives in the page cache."),
        verb("lose-power", TARGET, &[], "An arbitrary unflushed suffix of each file goes."),
        verb("wipe", TARGET, &[], "The disk is empty."),
        verb("restart", TARGET, &[key("rolling", Kind::Boolean, "One after the other.")], "Clean stop and start."),
        verb("pause", TARGET, &[], "Silence with open connections."),
        verb("slow", TARGET, &[key("by", Kind::Factor, "Times as slow.")], "Everything takes longer."),
        verb("stall-disk", TARGET, &[], "Writes and flushes hang."),
        verb("slow-disk", TARGET, &[key("by", Kind::Factor, "Times as slow.")], "Writes and flushes take longer."),
        verb("fill-disk", TARGET, &[], "No space is left: writes fail, flushes and deletions do not."),
        verb("fail-disk", TARGET, &[], "Writes and flushes fail."),
        verb("rot", TARGET, &[], "A batch on the medium changes; found and cut off when power was lost."),
        verb("cut", LINK, &[REQUEST_KIND], "Nothing gets through."),
        verb("isolate", TARGET, &[], "Cut off from everybody else."),
        verb("delay", LINK, &[key("by", Kind::Spread, "Added to the latency."), REQUEST_KIND], "A slower link."),
        verb("drop", LINK, &[key("rate", Kind::Ratio, "Share that is lost."), REQUEST_KIND], "A lossy link."),
        verb("throttle", LINK, &[key("to", Kind::Bandwidth, "What is left."), REQUEST_KIND], "A narrow link."),
        verb(
            "reset",
            LINK,
            &[key("rate", Kind::Ratio, "Share of messages that break their connection, and are lost."), REQUEST_KIND],
            "Connections break; what was sent may still be executed.",
        ),
        verb("skew", TARGET, &[key("by", Kind::Shift, "How far the wall clock is off.")], "A wrong clock."),
        verb("jump", TARGET, &[key("by", Kind::Shift, "How far.")], "The wall clock jumps, and stays there."),
        verb("hold-metadata", TARGET, &[], "One broker's view of the metadata stands still."),
        verb("elect", TOPIC_PARTITION, &[], "Preferred replicas become leaders."),
        verb(
            "reassign",
            Argument::Required(Kind::Argument("`topic/partition`")),
            &[key("to", Kind::Argument("numbers of brokers: `2,3,1`"), "Brokers, the preferred leader first.")],
            "Replicas move to other brokers.",
        ),
        verb("rebalance", NAME, &[], "A new round of the group."),
        verb("expire", Argument::Required(Kind::Argument("`offsets(GROUP)`")), &[], "Committed offsets are gone."),
        verb("enforce-retention", NAME, &[], "Retention is applied at once."),
        verb("compact", NAME, &[], "A topic is compacted at once, what is written at the moment too."),
        verb("delete-records", NAME, &[], "Every committed record of a topic is deleted, whoever has read it."),
        verb("redeliver", TARGET, &[], "The message that an instance took last is given to it once more."),
        verb("set", PATH, &[TO], "A key that is read live has another value."),
        verb(
            "fail",
            NAME,
            &[key("rate", Kind::Ratio, "Share of attempts; all by default.")],
            "`work` of a service fails.",
        ),
        verb(
            "poison",
            NAME,
            &[key("times", Kind::Integer(1, 1_000_000), "How many events; one by default.")],
            "The next events of an origin fail in every `work`, always.",
        ),
        verb("repair", NAME, &[], "From now on poison does this service no harm."),
        verb("redrive", NAME, &[], "Dead letters of a topic go back whence they came, once each, in order."),
    ],
};
