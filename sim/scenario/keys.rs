//! Every key of every table: its name, what it takes, what it means. Reading, messages and the schema for editors all
//! come from these tables, so that they cannot disagree.
//!
//! Settings of Kafka are read straight into the structs of `types::settings`; their defaults live there.

use crate::types::settings::{
    Acks, Assignor, BrokerSettings, CleanupPolicy, ConsumerSettings, GroupProtocol, IsolationLevel, OffsetReset,
    ProducerSettings, RemoteAssignor, ReplicaSelector, TopicSettings,
};

use super::values::{Kind, Scalar};

/// One key of a table, or one keyword of a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// Known to the language and not to this version: refused by name, never ignored.
    pub built: bool,
    pub about: &'static str,
}

pub const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, built: true, about }
}

pub const fn later(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, built: false, about }
}

/// A key that goes straight into a struct of settings.
pub struct Setting<S: 'static> {
    pub key: Key,
    pub set: fn(&mut S, &Scalar),
}

macro_rules! settings {
    ($name:ident: $type:ty { $($key:literal $field:ident $get:ident $kind:expr, $about:literal;)* }) => {
        pub const $name: &[Setting<$type>] = &[$(
            Setting { key: key($key, $kind, $about), set: |settings, scalar| settings.$field = scalar.$get().into() },
        )*];
    };
}

const COUNT16: Kind = Kind::Integer(1, 1_000);
const COUNT32: Kind = Kind::Integer(1, 1_000_000_000);

settings!(BROKER_SETTINGS: BrokerSettings {
    "unclean-leader-election-enable" unclean_leader_election_enable boolean Kind::Boolean, "A replica that lacks acknowledged records may become leader.";
    "replica-lag-time-max" replica_lag_time_max duration Kind::Period, "A follower behind for longer leaves the in-sync set.";
    "replica-fetch-wait-max" replica_fetch_wait_max duration Kind::Duration, "How long a leader may hold a follower's fetch.";
    "replica-fetch-backoff" replica_fetch_backoff duration Kind::Period, "Pause of a follower after a failed fetch.";
    "broker-heartbeat-interval" broker_heartbeat_interval duration Kind::Period, "Between two heartbeats of a broker to the controller.";
    "broker-session-timeout" broker_session_timeout duration Kind::Period, "A broker silent for longer is fenced.";
    "controller-quorum-election-timeout" controller_quorum_election_timeout duration Kind::Period, "How long a vote may take.";
    "controller-quorum-fetch-timeout" controller_quorum_fetch_timeout duration Kind::Period, "A voter that hears nothing for longer calls an election.";
    "controller-quorum-election-backoff-max" controller_quorum_election_backoff_max duration Kind::Duration, "Longest pause between two elections.";
    "controller-quorum-request-timeout" controller_quorum_request_timeout duration Kind::Period, "How long a voter waits for an answer.";
    "controller-quorum-append-linger" controller_quorum_append_linger duration Kind::Duration, "How long appends to the metadata log may wait for each other.";
    "auto-leader-rebalance-enable" auto_leader_rebalance_enable boolean Kind::Boolean, "Leadership returns to preferred replicas by itself.";
    "leader-imbalance-check-interval" leader_imbalance_check_interval duration Kind::Period, "Between two checks for leaders that are not preferred.";
    "controlled-shutdown-enable" controlled_shutdown_enable boolean Kind::Boolean, "A broker that stops cleanly hands its leaderships over first.";
    "group-initial-rebalance-delay" group_initial_rebalance_delay duration Kind::Duration, "How long the first round of an empty group waits for more members.";
    "group-min-session-timeout" group_min_session_timeout duration Kind::Duration, "Shortest session timeout that a member may ask for.";
    "group-max-session-timeout" group_max_session_timeout duration Kind::Duration, "Longest session timeout that a member may ask for.";
    "group-consumer-session-timeout" group_consumer_session_timeout duration Kind::Period, "A member of a consumer group that is silent for longer is taken out (KIP-848).";
    "group-consumer-heartbeat-interval" group_consumer_heartbeat_interval duration Kind::Period, "Between two heartbeats of a member of a consumer group (KIP-848).";
    "offsets-retention" offsets_retention duration Kind::Duration, "Committed offsets of an empty group live so long.";
    "offsets-retention-check-interval" offsets_retention_check_interval duration Kind::Period, "Between two checks for expired offsets.";
    "offsets-topic-num-partitions" offsets_topic_num_partitions u16 COUNT16, "Partitions of the offsets topic; by default one for each group.";
    "transaction-state-log-num-partitions" transaction_state_log_num_partitions u16 COUNT16, "Partitions of the transactions topic.";
    "transaction-state-log-replication-factor" transaction_state_log_replication_factor u16 COUNT16, "Replicas of the transactions topic; by default 3, or all brokers if fewer.";
    "transaction-state-log-min-isr" transaction_state_log_min_isr u16 COUNT16, "Replicas in sync without which no transaction goes on; by default 2.";
    "transaction-max-timeout" transaction_max_timeout duration Kind::Duration, "Longest transaction-timeout of a producer.";
    "transaction-abort-timed-out-transaction-cleanup-interval" transaction_abort_timed_out_transaction_cleanup_interval duration Kind::Duration, "Between two looks for transactions that have taken too long.";
    "transaction-version" transaction_version u16 Kind::Integer(1, 2), "2: every transaction has a producer epoch of its own (KIP-890); 1: what comes late may fall into a later one.";
    "producer-epoch-last" producer_epoch_last u16 Kind::Integer(3, 32_767), "The epoch at which a transactional producer gets a new id; a constant of Kafka.";
    "offsets-topic-replication-factor" offsets_topic_replication_factor u16 COUNT16, "Replicas of the offsets topic; by default 3, or all brokers if fewer.";
    "offsets-topic-segment-bytes" offsets_topic_segment_bytes size Kind::Size, "A segment of the offsets topic is closed at this size, and may be compacted.";
    "transaction-state-log-segment-bytes" transaction_state_log_segment_bytes size Kind::Size, "A segment of the transactions topic is closed at this size, and may be compacted.";
    "log-cleaner-backoff" log_cleaner_backoff duration Kind::Period, "Between two looks for logs to compact.";
    "log-retention-check-interval" log_retention_check_interval duration Kind::Period, "Between two checks for records beyond their retention.";
    "producer-id-expiration" producer_id_expiration duration Kind::Duration, "An idle producer is forgotten after this long.";
    "producer-batches-retained" producer_batches_retained u16 COUNT16, "Batches remembered for each idempotent producer and partition.";
    "eligible-leader-replicas-version" eligible_leader_replicas_version u16 Kind::Integer(0, 1), "1: replicas that left the in-sync set at its minimum stay eligible (KIP-966); 0: off.";
    "replica-selector-class" replica_selector_class replica_selector Kind::Words(&["LeaderSelector", "RackAwareReplicaSelector"]), "Consumers read from the leader, or from a replica in sync of their own rack (KIP-392).";
});

settings!(TOPIC_SETTINGS: TopicSettings {
    "partitions" partitions u16 COUNT16, "Partitions of the topic.";
    "replication" replication u16 COUNT16, "Replicas of each partition.";
    "min-insync-replicas" min_insync_replicas u16 COUNT16, "acks=all needs so many in-sync replicas.";
    "cleanup-policy" cleanup_policy cleanup_policy Kind::Words(&["delete", "compact", "compact,delete"]), "Old records go by retention, or when a newer one of their key is there, or both.";
    "min-cleanable-dirty-ratio" min_cleanable_dirty_ratio ratio Kind::Ratio, "A log is compacted when this share of its bytes is new since the last time.";
    "min-compaction-lag" min_compaction_lag duration Kind::Duration, "No record is compacted away before it is so old.";
    "retention" retention duration_or_endless Kind::DurationOr("forever"), "How long records are kept.";
    "segment" segment duration Kind::Duration, "A segment is closed after this long.";
    "segment-bytes" segment_bytes size Kind::Size, "A segment is closed at this size.";
    "max-message-bytes" max_message_bytes size Kind::Size, "Largest batch that a leader takes.";
    "unclean-leader-election-enable" unclean_leader_election_enable boolean Kind::Boolean, "A replica that lacks acknowledged records may become leader.";
});

// Settings of topics that a cluster gives to all of them, under their broker names.
settings!(CLUSTER_TOPIC_SETTINGS: TopicSettings {
    "num-partitions" partitions u16 COUNT16, "Partitions of a topic that does not say.";
    "default-replication-factor" replication u16 COUNT16, "Replicas of a topic that does not say.";
    "min-insync-replicas" min_insync_replicas u16 COUNT16, "acks=all needs so many in-sync replicas.";
    "log-retention" retention duration_or_endless Kind::DurationOr("forever"), "How long records are kept.";
    "log-roll" segment duration Kind::Duration, "A segment is closed after this long.";
    "log-segment-bytes" segment_bytes size Kind::Size, "A segment is closed at this size.";
    "message-max-bytes" max_message_bytes size Kind::Size, "Largest batch that a leader takes.";
});

settings!(PRODUCER_SETTINGS: ProducerSettings {
    "acks" acks acks Kind::Words(&["0", "1", "all"]), "When a send is acknowledged: at once, by the leader, by all in-sync replicas.";
    "enable-idempotence" enable_idempotence boolean Kind::Boolean, "The queue recognises repeated batches.";
    "retries" retries u32 Kind::Integer(0, i32::MAX as u64), "Attempts after the first, within delivery-timeout.";
    "max-in-flight-requests-per-connection" max_in_flight_requests_per_connection u32 Kind::Integer(1, 1_000_000), "Requests under way to one broker.";
    "delivery-timeout" delivery_timeout duration Kind::Duration, "A record must be acknowledged within this, or fails.";
    "request-timeout" request_timeout duration Kind::Duration, "How long a client waits for an answer.";
    "linger" linger duration Kind::Duration, "How long a batch waits for more records.";
    "batch-size" batch_size size Kind::Size, "Most bytes in a batch.";
    "buffer-memory" buffer_memory size Kind::Size, "Most bytes that wait in the producer.";
    "max-block" max_block duration Kind::Duration, "How long a send waits for metadata or memory.";
    "retry-backoff" retry_backoff duration Kind::Period, "First pause before another attempt.";
    "retry-backoff-max" retry_backoff_max duration Kind::Period, "Longest pause before another attempt.";
    "reconnect-backoff" reconnect_backoff duration Kind::Period, "First pause before connecting again.";
    "reconnect-backoff-max" reconnect_backoff_max duration Kind::Period, "Longest pause before connecting again.";
    "metadata-max-age" metadata_max_age duration Kind::Duration, "Metadata is refreshed after this long.";
    "transaction-timeout" transaction_timeout duration Kind::Duration, "A transaction that is open for longer is aborted.";
    "max-request-size" max_request_size size Kind::Size, "Most bytes in a request.";
});

settings!(CONSUMER_SETTINGS: ConsumerSettings {
    "auto-offset-reset" auto_offset_reset offset_reset Kind::Words(&["earliest", "latest", "none"]), "Where to begin without a committed offset. Must be stated.";
    "enable-auto-commit" enable_auto_commit boolean Kind::Boolean, "The client commits by itself. False here, true in Kafka.";
    "auto-commit-interval" auto_commit_interval duration Kind::Duration, "Between two automatic commits.";
    "max-poll-records" max_poll_records u32 COUNT32, "Most records of one poll.";
    "max-poll-interval" max_poll_interval duration Kind::Duration, "A member that does not poll for longer leaves the group.";
    "session-timeout" session_timeout duration Kind::Duration, "A member silent for longer is removed from the group.";
    "heartbeat-interval" heartbeat_interval duration Kind::Duration, "Between two heartbeats of a member.";
    "fetch-max-wait" fetch_max_wait duration Kind::Duration, "How long a broker may hold a fetch.";
    "fetch-min-bytes" fetch_min_bytes size Kind::Size, "A fetch waits for so many bytes.";
    "fetch-max-bytes" fetch_max_bytes size Kind::Size, "Most bytes of one fetch.";
    "max-partition-fetch-bytes" max_partition_fetch_bytes size Kind::Size, "Most bytes of one fetch from one partition.";
    "request-timeout" request_timeout duration Kind::Duration, "How long a client waits for an answer.";
    "default-api-timeout" default_api_timeout duration Kind::Duration, "How long a blocking call of the client may take.";
    "retry-backoff" retry_backoff duration Kind::Period, "First pause before another attempt.";
    "retry-backoff-max" retry_backoff_max duration Kind::Period, "Longest pause before another attempt.";
    "reconnect-backoff" reconnect_backoff duration Kind::Period, "First pause before connecting again.";
    "reconnect-backoff-max" reconnect_backoff_max duration Kind::Period, "Longest pause before connecting again.";
    "metadata-max-age" metadata_max_age duration Kind::Duration, "Metadata is refreshed after this long.";
    "isolation-level" isolation_level isolation Kind::Words(&["read_uncommitted", "read_committed"]), "Whether records of aborted and open transactions are read.";
    "partition-assignment-strategy" partition_assignment_strategy assignor Kind::Words(ASSIGNORS), "How partitions are dealt to members of a classic group.";
    "group-protocol" group_protocol group_protocol Kind::Words(&["classic", "consumer"]), "Rounds in which a member assigns, or heartbeats by which the coordinator does (KIP-848).";
    "group-remote-assignor" group_remote_assignor remote_assignor Kind::Words(&["uniform", "range"]), "How the coordinator deals partitions to members of a consumer group (KIP-848).";
});

const ASSIGNORS: &[&str] = &["range", "roundrobin", "sticky", "cooperative-sticky"];

impl Scalar {
    fn acks(&self) -> Acks {
        match self.text() {
            "0" => Acks::None,
            "1" => Acks::Leader,
            _ => Acks::All,
        }
    }

    fn offset_reset(&self) -> OffsetReset {
        match self.text() {
            "earliest" => OffsetReset::Earliest,
            "latest" => OffsetReset::Latest,
            _ => OffsetReset::None,
        }
    }

    fn cleanup_policy(&self) -> CleanupPolicy {
        match self.text() {
            "compact" => CleanupPolicy::Compact,
            "compact,delete" => CleanupPolicy::CompactAndDelete,
            _ => CleanupPolicy::Delete,
        }
    }

    fn replica_selector(&self) -> ReplicaSelector {
        match self.text() {
            "RackAwareReplicaSelector" => ReplicaSelector::RackAwareReplicaSelector,
            _ => ReplicaSelector::LeaderSelector,
        }
    }

    fn isolation(&self) -> IsolationLevel {
        match self.text() {
            "read_committed" => IsolationLevel::ReadCommitted,
            _ => IsolationLevel::ReadUncommitted,
        }
    }

    fn group_protocol(&self) -> GroupProtocol {
        match self.text() {
            "consumer" => GroupProtocol::Consumer,
            _ => GroupProtocol::Classic,
        }
    }

    fn remote_assignor(&self) -> RemoteAssignor {
        match self.text() {
            "range" => RemoteAssignor::Range,
            _ => RemoteAssignor::Uniform,
        }
    }

    fn assignor(&self) -> Assignor {
        match self.text() {
            "roundrobin" => Assignor::RoundRobin,
            "sticky" => Assignor::Sticky,
            "cooperative-sticky" => Assignor::CooperativeSticky,
            _ => Assignor::Range,
        }
    }
}

pub const TOP: &[Key] = &[
    key("format", Kind::Integer(1, 1), "Version of the language."),
    key("about", Kind::Text, "The question that this scenario answers."),
    key("row", Kind::Own("a row of the catalogue, or a list of rows"), "Row of the catalogue of questions."),
    key("extends", Kind::Text, "The scenario whose system this one inherits."),
    key("without", Kind::Own("a list of paths"), "What is not inherited: [\"fault.deploy\"]."),
    key("duration", Kind::Duration, "How long requests arrive and faults act."),
    key("drain", Kind::Duration, "How long the healed system may take to become quiet."),
    key("seeds", Kind::Own("a number of seeds, or \"A..B\""), "Seeds 0..N, or \"A..B\"."),
    key("chart", Kind::Name, "Chart on the front page of the report."),
    key("cluster", Kind::Own("a table"), "The queue: brokers, controllers, settings under their Kafka names."),
    key("network", Kind::Own("a table"), "Latency, loss and bandwidth of links."),
    key("disk", Kind::Own("a table"), "Times of writes and flushes."),
    key("client", Kind::Own("a table"), "Producer and consumer settings of every service."),
    key("topic", Kind::Own("a table of tables"), "Topics."),
    key("store", Kind::Own("a table of tables"), "Databases."),
    key("endpoint", Kind::Own("a table of tables"), "Systems of other people."),
    key("service", Kind::Own("a table of tables"), "Our own programs."),
    key("fault", Kind::Own("a table of faults"), "What goes wrong."),
    key("chaos", Kind::Own("a table"), "Faults drawn from the seed."),
    key("expect", Kind::Own("a table"), "What must hold."),
    key("floor", Kind::Own("a table"), "What must at least have happened."),
    key("matrix", Kind::Own("a table of axes"), "Values to vary."),
    key("variant", Kind::Own("a table of partial scenarios"), "Partial scenarios that an axis lays over the base."),
    key("grid", Kind::Own("a table of grids"), "Expectations as a table over two axes."),
    key("case", Kind::Own("a list of tables"), "Expectations of some cells."),
];

pub const CLUSTER: &[Key] = &[
    key("brokers", Kind::Integer(1, 100), "Number of brokers."),
    key("controllers", Kind::Integer(1, 9), "Voters of the controller quorum, an odd number."),
    key(
        "controller-nodes",
        Kind::Words(&["combined", "separate"]),
        "Voters live on the first brokers, or on nodes of their own.",
    ),
    key("racks", Kind::Own("a list of names"), "Racks, dealt to the brokers in turn."),
    key("restart", Kind::Duration, "Time that a broker is down after a crash without `for`."),
    key("log-retention-bytes", Kind::Size, "Most bytes kept in a partition."),
];

pub const NETWORK: &[Key] = &[
    key("latency", Kind::Spread, "One way."),
    key("loss", Kind::Ratio, "Share of messages that must be sent again by the transport."),
    key("bandwidth", Kind::Bandwidth, "Of each link."),
    key("between", Kind::Own("a table of links"), "Links that differ: \"rack(a) | rack(b)\" = { latency = \"8ms\" }."),
];

pub const LINK: &[Key] = &[NETWORK[0], NETWORK[1], NETWORK[2]];

pub const DISK: &[Key] = &[
    key("write", Kind::Spread, "Time of a write."),
    key("flush", Kind::Spread, "Time of a flush."),
    key("write-back", Kind::DurationOr("never"), "When the page cache reaches the disk unasked."),
    key("on", Kind::Own("a table of disks"), "Disks that differ: \"broker(2)\" = { flush = \"200ms\" }."),
];

pub const DISK_ON: &[Key] = &[DISK[0], DISK[1], DISK[2]];

pub const TOPIC: &[Key] = &[
    key("retention-bytes", Kind::Size, "Most bytes kept in a partition."),
    key("owner", Kind::Text, "The team that deals with it."),
    key("only", Kind::Own("a variant, or a list of variants"), "Exists in cells with this variant."),
];

pub const STORE: &[Key] = &[
    key("tables", Kind::Own("a list of names"), "Tables of the store."),
    key("latency", Kind::Spread, "Round trip as the caller sees it."),
    key("timeout", Kind::Duration, "How long a step waits for an answer."),
    key("errors", Kind::Ratio, "Share of requests that are refused."),
    key("lost-requests", Kind::Ratio, "Share of requests that are never executed, in silence."),
    key("lost-answers", Kind::Ratio, "Share of requests that are executed in silence."),
    key("owner", Kind::Text, "The team that deals with it."),
    key("only", Kind::Own("a variant, or a list of variants"), "Exists in cells with this variant."),
];

pub const ENDPOINT: &[Key] = &[
    key("latency", Kind::Spread, "Round trip as the caller sees it."),
    key("errors", Kind::Ratio, "Share of calls that are refused."),
    key("lost-requests", Kind::Ratio, "Share of calls that are never executed, in silence."),
    key("lost-answers", Kind::Ratio, "Share of calls that are executed in silence."),
    key("idempotency-keys", Kind::Own("true, false, or for how long"), "Whether a repeated key is known again."),
    key("capacity", Kind::Integer(1, 1_000), "Calls at once; the others wait."),
    key("owner", Kind::Text, "The team that deals with it."),
    key("only", Kind::Own("a variant, or a list of variants"), "Exists in cells with this variant."),
];

pub const LIBRARY: Key = key(
    "library",
    Kind::Words(&["java", "librdkafka", "kafkajs"]),
    "Whose client it is: its defaults, and when it commits by itself.",
);

pub const SERVICE: &[Key] = &[
    key(
        "on",
        Kind::Phrase("a trigger: \"requests\", \"called\", \"consume TOPIC\" or \"poll STORE.TABLE\""),
        "What starts the list of steps.",
    ),
    key("steps", Kind::Own("a list of steps"), "What is done for each event."),
    key("instances", Kind::Integer(1, 1_000), "Processes of the service."),
    key("workers", Kind::Integer(1, 1_000), "Events at once in one instance."),
    key("worker-order", Kind::Words(&["key", "any"]), "Events of one key one after the other, or any free worker."),
    key("headroom", Kind::Factor, "Capacity of all instances over the peak arrival rate."),
    key("on-failure", Kind::Own("a ladder of rungs"), "What happens when a step fails."),
    key("restart", Kind::Duration, "Time that an instance is down after a crash without `for`."),
    LIBRARY,
    key("owner", Kind::Text, "The team that deals with it."),
    key("only", Kind::Own("a variant, or a list of variants"), "Exists in cells with this variant."),
];

pub const REQUESTS: &[Key] = &[
    key("rate", Kind::Rate, "Arrivals of events."),
    key(
        "arrivals",
        Kind::Phrase("constant, poisson, burst N or diurnal 50% over 24h"),
        "How arrivals are spread in time.",
    ),
    key("keys", Kind::Own("a number of keys, \"zipf 1.1 of N\" or \"unique\""), "How many entities events are about."),
    key("size", Kind::Size, "Of an event."),
    key("count", Kind::Integer(1, 1_000_000_000), "At most this many events."),
    key("caller-timeout", Kind::Duration, "How long a caller waits for an answer."),
    key("caller-attempts", Kind::Integer(1, 1_000), "How often a caller tries."),
    key("caller-backoff", Kind::Duration, "Pause of a caller between attempts."),
    key("caller-id", Kind::Words(&["fixed", "per-attempt"]), "Whether a retry looks like a new event."),
];

pub const CALLED: &[Key] =
    &[key("max-waiting", Kind::Integer(1, 1_000_000), "Calls that wait for a worker; beyond it callers are refused.")];

/// A setting of consumers that names a rack of the cluster.
pub const CLIENT_RACK: Key =
    key("client-rack", Kind::Name, "Rack that the consumer stands in: it may read from a replica there (KIP-392).");

pub const CONSUME: &[Key] = &[
    CLIENT_RACK,
    key("group-id", Kind::Name, "Name of the group; by default that of the service."),
    key("commit-of", Kind::Words(&["contiguous", "highest"]), "What a commit covers when workers finish out of order."),
    key("on-revoke", Kind::Words(&["commit", "abandon"]), "What happens before partitions are given back."),
    key("static-membership", Kind::Boolean, "Members keep their identity over restarts (KIP-345)."),
];

/// Of a service that polls a table.
pub const POLL: &[Key] = &[
    key("every", Kind::Period, "From one poll of the table to the next."),
    key("batch", Kind::Integer(1, 1_000_000), "Most rows of one poll; 100 by default."),
    key(
        "cursor",
        Kind::Words(&["unsent", "highest-id", "commit-order"]),
        "Which rows a poll finds, and in which order.",
    ),
];

/// Keys of triggers that this version does not have.
pub const LATER_TRIGGERS: &[Key] =
    &[later("max-waiting", Kind::Integer(1, 1_000_000), "Beyond it callers are refused.")];

pub const PLACE: &[Key] = &[
    key("delivery", Kind::Phrase("words such as \"exactly-once\" or \"may-repeat\""), "The promise as a set of fates."),
    key("loss", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Events without their effect."),
    key("duplicates", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Effects that count twice."),
    key("stale", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Older values over newer ones."),
    key("phantoms", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Effects of refused events."),
    key("parked", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Events in a dead-letter topic."),
    key("pending", Kind::Phrase("none, allowed, required, any or \"<= 1%\""), "Events not yet done at the end."),
    key("order", Kind::Words(&["per-key", "broken", "any"]), "Order of the effects of one key."),
    key("of", Kind::Argument("a place"), "Owed by every row of this place."),
    key("blame", Kind::Words(BOUNDARIES), "The boundary that every bad fate must be laid to."),
    key("delay-mean", Kind::Own("a bound, or a list of bounds"), "Arrival to effect."),
    key("delay-p50", Kind::Own("a bound, or a list of bounds"), "Arrival to effect."),
    key("delay-p95", Kind::Own("a bound, or a list of bounds"), "Arrival to effect."),
    key("delay-p99", Kind::Own("a bound, or a list of bounds"), "Arrival to effect."),
    key("delay-max", Kind::Own("a bound, or a list of bounds"), "Arrival to effect."),
];

pub const BOUNDARIES: &[&str] = &["caller", "producer", "queue", "group", "consumer", "downstream", "any"];

pub const CHAOS: &[Key] = &[
    key(
        "profile",
        Kind::Words(&["light", "heavy", "swarm"]),
        "heavy: ten times the rate, with bursts; swarm: each family on or off for each seed, those that are on share the rate.",
    ),
    key("window", Kind::Phrase("a part of the duration, as `10%..80%` or `5s..25s`"), "When its faults may fire."),
    key(
        "rate",
        Kind::Rate,
        "Incidents of all listed families together, before the profile's factor; of ten where none are listed.",
    ),
    key("length", Kind::Spread, "How long a fault lasts."),
    key(
        "families",
        Kind::Own("a list of families, or a table of their weights"),
        "Kinds of faults, all that the system has by default; as a table, with the part of the rate that each has.",
    ),
    key(
        "budget",
        Kind::Own("a table of limits, or \"none\""),
        "What may be wrong at once; by default what the promises survive.",
    ),
];

/// Of one family.
pub const FAMILY: &[Key] = &[
    key("weight", Kind::Integer(1, 100), "Parts of the rate; 1 where nothing is said."),
    key("length", Kind::Spread, "How long a fault of this family lasts; as all others by default."),
    key("verbs", Kind::Own("a list of verbs"), "What it may do, as `hold-metadata`; all that it can by default."),
    key("kinds", Kind::Own("a list of requests"), "What faults of links are narrowed to, as `alter-partition`."),
    key("waiting", Kind::Ratio, "How many of its incidents wait for a state or a point; 40% by default."),
    key("states", Kind::Own("a list of states"), "What these wait for, as `leader-change`; anything by default."),
];

pub const BUDGET: &[Key] = &[
    key("brokers-down", Kind::Integer(0, 1_000), "Brokers crashed, paused or cut off at once."),
    key(
        "lossy",
        Kind::Integer(0, 1_000),
        "Brokers that lost power or their disk, until their in-sync sets are whole again.",
    ),
    key("controllers-down", Kind::Integer(0, 1_000), "Voters down at once."),
    key("instances-down", Kind::Integer(0, 1_000), "Instances of each service down at once."),
    key("longest", Kind::Duration, "No fault lasts longer."),
];
