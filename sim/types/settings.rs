//! Settings under their Kafka names with Kafka 4.1's defaults (`Default` is the default of the stock Java client or broker).

use serde::{Deserialize, Serialize};

use super::*;

/// Kafka: `acks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Acks {
    /// The producer does not wait for an answer, and none is sent.
    #[serde(rename = "0")]
    None,
    /// The leader answers after its own append.
    #[serde(rename = "1")]
    Leader,
    /// The leader answers when all in-sync replicas have the batch.
    #[default]
    #[serde(rename = "all")]
    All,
}

/// Whose client a service uses: what it does where nobody says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientLibrary {
    /// Kafka's own, from 3.0 on.
    #[default]
    Java,
    /// librdkafka 2.x and what is built on it. Source: its CONFIGURATION.md.
    Librdkafka,
    /// kafkajs 2.x. Source: its documentation of producers, consumers and retries; consumer/runner.js.
    /// Kafka differs: kafkajs sends heartbeats between messages, and here they go on while a handler works.
    Kafkajs,
}

/// When offsets are committed by the client itself, and which: where nothing else is said, what was handed out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoCommit {
    /// In a poll, when the interval has passed: whoever polls again is done with what it had.
    /// Kafka: ConsumerCoordinator.maybeAutoCommitOffsetsAsync.
    #[default]
    InPoll,
    /// By the clock, whatever the application has in hand. librdkafka: enable.auto.offset.store.
    ByClock,
    /// By the clock, what the application has stored. librdkafka: enable.auto.offset.store=false, rd_kafka_offset_store.
    Stored,
    /// Behind each batch, what the handler is through with, and waits for the answer before it fetches on.
    /// kafkajs: Runner.fetch, resolveOffset, autoCommitOffsets.
    BehindBatch,
}

impl AutoCommit {
    /// What is committed is what the application says, and not what was handed out.
    pub fn is_told(self) -> bool {
        match self {
            AutoCommit::Stored | AutoCommit::BehindBatch => true,
            AutoCommit::InPoll | AutoCommit::ByClock => false,
        }
    }
}

/// From which replica a consumer is told to read. Kafka: `replica.selector.class`, KIP-392.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReplicaSelector {
    /// Always the leader.
    #[default]
    LeaderSelector,
    /// The most caught-up replica in sync of the consumer's rack, if there is one.
    RackAwareReplicaSelector,
}

/// Kafka: `transaction.version`, a feature level of the cluster. 0 and 1 differ in the format of a record only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
pub enum TransactionVersion {
    /// Producers add partitions before they write, and the producer epoch stays from one transaction to the next: what
    /// comes late may fall into a later transaction (KIP-890, motivation).
    One,
    /// Brokers add partitions when they are written, and each end of a transaction raises the producer epoch.
    #[default]
    Two,
}

impl From<u16> for TransactionVersion {
    fn from(level: u16) -> TransactionVersion {
        if level < 2 { TransactionVersion::One } else { TransactionVersion::Two }
    }
}

impl From<TransactionVersion> for u16 {
    fn from(version: TransactionVersion) -> u16 {
        match version {
            TransactionVersion::One => 1,
            TransactionVersion::Two => 2,
        }
    }
}

/// Broker and cluster settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct BrokerSettings {
    pub unclean_leader_election_enable: bool,
    pub replica_lag_time_max: Duration,
    pub replica_fetch_wait_max: Duration,
    pub replica_fetch_backoff: Duration,
    pub broker_heartbeat_interval: Duration,
    pub broker_session_timeout: Duration,
    pub controller_quorum_election_timeout: Duration,
    pub controller_quorum_fetch_timeout: Duration,
    pub controller_quorum_election_backoff_max: Duration,
    pub controller_quorum_request_timeout: Duration,
    /// How long the active controller may hold an append back to write several at once. Kafka: quorum linger.
    pub controller_quorum_append_linger: Duration,
    pub auto_leader_rebalance_enable: bool,
    pub leader_imbalance_check_interval: Duration,
    pub controlled_shutdown_enable: bool,
    pub group_initial_rebalance_delay: Duration,
    pub group_min_session_timeout: Duration,
    pub group_max_session_timeout: Duration,
    /// A member of a consumer group that is silent for longer is taken out. KIP-848.
    pub group_consumer_session_timeout: Duration,
    /// What the coordinator tells members of consumer groups. KIP-848.
    pub group_consumer_heartbeat_interval: Duration,
    pub offsets_retention: Duration,
    pub offsets_retention_check_interval: Duration,
    /// Kafka has 50. One for each group is enough here: empty partitions carry nothing but cost.
    pub offsets_topic_num_partitions: u16,
    pub offsets_topic_replication_factor: u16,
    /// A segment of the offsets topic is closed at this size, and may be compacted. Kafka: `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: ByteCount,
    pub log_retention_check_interval: Duration,
    /// Between two looks of the log cleaner. Kafka: `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff: Duration,
    pub producer_id_expiration: Duration,
    /// Batches remembered per idempotent producer and partition. Kafka: ProducerStateEntry.NUM_BATCHES_TO_RETAIN.
    pub producer_batches_retained: u16,
    pub eligible_leader_replicas_version: u16,
    pub replica_selector_class: ReplicaSelector,
    /// Kafka has 50. One for each service with transactions is enough here.
    pub transaction_state_log_num_partitions: u16,
    pub transaction_state_log_replication_factor: u16,
    pub transaction_state_log_min_isr: u16,
    /// As that of the offsets topic. Kafka: `transaction.state.log.segment.bytes`.
    pub transaction_state_log_segment_bytes: ByteCount,
    /// Longest `transaction.timeout.ms` a producer may ask for.
    pub transaction_max_timeout: Duration,
    /// Between two looks for transactions that have taken too long.
    pub transaction_abort_timed_out_transaction_cleanup_interval: Duration,
    pub transaction_version: TransactionVersion,
    /// With this epoch a transactional producer writes nothing any more; it has got a new id by then. A constant of Kafka,
    /// `Short.MAX_VALUE`, which a simulation may lower so that it is reached.
    pub producer_epoch_last: u16,
}

impl Default for BrokerSettings {
    fn default() -> BrokerSettings {
        BrokerSettings {
            unclean_leader_election_enable: false,
            replica_lag_time_max: Duration::from_secs(30),
            replica_fetch_wait_max: Duration::from_millis(500),
            replica_fetch_backoff: Duration::from_secs(1),
            broker_heartbeat_interval: Duration::from_secs(2),
            broker_session_timeout: Duration::from_secs(9),
            controller_quorum_election_timeout: Duration::from_secs(1),
            controller_quorum_fetch_timeout: Duration::from_secs(2),
            controller_quorum_election_backoff_max: Duration::from_secs(1),
            controller_quorum_request_timeout: Duration::from_secs(2),
            controller_quorum_append_linger: Duration::from_millis(25),
            auto_leader_rebalance_enable: true,
            leader_imbalance_check_interval: Duration::from_secs(300),
            controlled_shutdown_enable: true,
            group_initial_rebalance_delay: Duration::from_secs(3),
            group_min_session_timeout: Duration::from_secs(6),
            group_max_session_timeout: Duration::from_secs(1800),
            group_consumer_session_timeout: Duration::from_secs(45),
            group_consumer_heartbeat_interval: Duration::from_secs(5),
            offsets_retention: Duration::from_secs(7 * 86_400),
            offsets_retention_check_interval: Duration::from_secs(600),
            offsets_topic_num_partitions: 1,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: ByteCount(100 << 20),
            log_retention_check_interval: Duration::from_secs(300),
            log_cleaner_backoff: Duration::from_secs(15),
            producer_id_expiration: Duration::from_secs(86_400),
            producer_batches_retained: 5,
            eligible_leader_replicas_version: 1,
            replica_selector_class: ReplicaSelector::LeaderSelector,
            transaction_state_log_num_partitions: 1,
            transaction_state_log_replication_factor: 3,
            transaction_state_log_min_isr: 2,
            transaction_state_log_segment_bytes: ByteCount(100 << 20),
            transaction_max_timeout: Duration::from_secs(900),
            transaction_abort_timed_out_transaction_cleanup_interval: Duration::from_secs(10),
            transaction_version: TransactionVersion::Two,
            producer_epoch_last: ProducerEpoch::LAST.0,
        }
    }
}

/// What happens to old records. Kafka: `cleanup.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CleanupPolicy {
    /// Segments go when they are older or the log is larger than retention allows.
    #[default]
    #[serde(rename = "delete")]
    Delete,
    /// Of each key the newest record stays, for ever.
    #[serde(rename = "compact")]
    Compact,
    /// Both.
    #[serde(rename = "compact,delete")]
    CompactAndDelete,
}

impl CleanupPolicy {
    pub fn deletes(self) -> bool {
        match self {
            CleanupPolicy::Delete | CleanupPolicy::CompactAndDelete => true,
            CleanupPolicy::Compact => false,
        }
    }

    pub fn compacts(self) -> bool {
        match self {
            CleanupPolicy::Compact | CleanupPolicy::CompactAndDelete => true,
            CleanupPolicy::Delete => false,
        }
    }
}

/// Topic settings. What plans of before do not say of compaction is Kafka's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TopicSettings {
    pub partitions: u16,
    pub replication: u16,
    pub min_insync_replicas: u16,
    /// What happens to old records. Kafka: `cleanup.policy`.
    #[serde(default)]
    pub cleanup_policy: CleanupPolicy,
    /// `None` keeps records for ever.
    pub retention: Option<Duration>,
    pub retention_bytes: Option<ByteCount>,
    /// A log is compacted when this share of its bytes has come since the last time. Kafka: `min.cleanable.dirty.ratio`.
    #[serde(default = "half")]
    pub min_cleanable_dirty_ratio: Ratio,
    /// No record is superseded before it is so old. Kafka: `min.compaction.lag.ms`.
    #[serde(default)]
    pub min_compaction_lag: Duration,
    pub segment: Duration,
    pub segment_bytes: ByteCount,
    /// Largest batch that a leader takes.
    pub max_message_bytes: ByteCount,
    pub unclean_leader_election_enable: bool,
}

fn half() -> Ratio {
    Ratio(500_000_000)
}

impl Default for TopicSettings {
    fn default() -> TopicSettings {
        TopicSettings {
            partitions: 1,
            replication: 1,
            min_insync_replicas: 1,
            cleanup_policy: CleanupPolicy::Delete,
            retention: Some(Duration::from_secs(7 * 86_400)),
            retention_bytes: None,
            min_cleanable_dirty_ratio: half(),
            min_compaction_lag: Duration::ZERO,
            segment: Duration::from_secs(7 * 86_400),
            segment_bytes: ByteCount(1 << 30),
            max_message_bytes: ByteCount(1_048_588),
            unclean_leader_election_enable: false,
        }
    }
}

/// Producer settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ProducerSettings {
    pub acks: Acks,
    pub enable_idempotence: bool,
    pub retries: u32,
    pub max_in_flight_requests_per_connection: u32,
    pub delivery_timeout: Duration,
    pub request_timeout: Duration,
    pub linger: Duration,
    pub batch_size: ByteCount,
    pub buffer_memory: ByteCount,
    pub max_block: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    pub metadata_max_age: Duration,
    pub max_request_size: ByteCount,
    /// A transaction that is open for longer is aborted by its coordinator.
    pub transaction_timeout: Duration,
}

impl Default for ProducerSettings {
    fn default() -> ProducerSettings {
        ProducerSettings {
            acks: Acks::All,
            enable_idempotence: true,
            retries: i32::MAX as u32,
            max_in_flight_requests_per_connection: 5,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            linger: Duration::from_millis(5),
            batch_size: ByteCount(16 << 10),
            buffer_memory: ByteCount(32 << 20),
            max_block: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            max_request_size: ByteCount(1 << 20),
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

impl ProducerSettings {
    /// Defaults of a library.
    pub fn of(library: ClientLibrary) -> ProducerSettings {
        let java = ProducerSettings::default();
        match library {
            ClientLibrary::Java => java,
            // As many in flight as there are, and nothing that would tell a copy or keep them in order.
            ClientLibrary::Librdkafka => ProducerSettings {
                enable_idempotence: false,
                max_in_flight_requests_per_connection: 1_000_000,
                delivery_timeout: Duration::from_secs(300),
                batch_size: ByteCount(1_000_000),
                buffer_memory: ByteCount(1 << 30),
                max_request_size: ByteCount(1_000_000),
                reconnect_backoff: Duration::from_millis(100),
                reconnect_backoff_max: Duration::from_secs(10),
                ..java
            },
            // Each call of send() is a request of its own; five retries are over before any time for delivery would be.
            ClientLibrary::Kafkajs => ProducerSettings {
                enable_idempotence: false,
                max_in_flight_requests_per_connection: 1_000_000,
                retries: 5,
                linger: Duration::ZERO,
                delivery_timeout: Duration::from_secs(300),
                retry_backoff: Duration::from_millis(300),
                retry_backoff_max: Duration::from_secs(30),
                ..java
            },
        }
    }
}

/// Kafka: `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetReset {
    Earliest,
    Latest,
    None,
}

/// Kafka: `isolation.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// Everything that is replicated, also what is aborted or undecided.
    #[default]
    ReadUncommitted,
    /// What is decided, without what was aborted.
    ReadCommitted,
}

/// Kafka: `partition.assignment.strategy`, one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assignor {
    #[default]
    Range,
    RoundRobin,
    /// As even as round robin; otherwise everybody gets what it had.
    Sticky,
    /// The same, and nobody gives back what it will have again. KIP-429.
    CooperativeSticky,
}

/// Kafka: `group.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupProtocol {
    /// Rounds of JoinGroup and SyncGroup; a member assigns.
    #[default]
    Classic,
    /// Heartbeats; the coordinator assigns. KIP-848.
    Consumer,
}

/// Kafka: `group.remote.assignor`; the default is the first of `group.consumer.assignors`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteAssignor {
    #[default]
    Uniform,
    Range,
}

/// Consumer settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConsumerSettings {
    pub auto_offset_reset: OffsetReset,
    pub enable_auto_commit: bool,
    pub auto_commit_interval: Duration,
    /// No setting of Kafka: it is the library that differs.
    #[serde(default)]
    pub auto_commit: AutoCommit,
    pub max_poll_records: u32,
    pub max_poll_interval: Duration,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub fetch_max_wait: Duration,
    pub fetch_min_bytes: ByteCount,
    pub fetch_max_bytes: ByteCount,
    pub max_partition_fetch_bytes: ByteCount,
    pub request_timeout: Duration,
    pub default_api_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    pub metadata_max_age: Duration,
    pub partition_assignment_strategy: Assignor,
    pub group_protocol: GroupProtocol,
    pub group_remote_assignor: RemoteAssignor,
    /// Kafka: `group.instance.id`; `None` for a dynamic member. Given to each instance by its node.
    pub group_instance_id: Option<InstanceId>,
    pub isolation_level: IsolationLevel,
    /// Number of the rack among those of the cluster.
    pub client_rack: Option<u16>,
}

impl Default for ConsumerSettings {
    fn default() -> ConsumerSettings {
        ConsumerSettings {
            auto_offset_reset: OffsetReset::Latest,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            auto_commit: AutoCommit::InPoll,
            max_poll_records: 500,
            max_poll_interval: Duration::from_secs(300),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            fetch_max_wait: Duration::from_millis(500),
            fetch_min_bytes: ByteCount(1),
            fetch_max_bytes: ByteCount(50 << 20),
            max_partition_fetch_bytes: ByteCount(1 << 20),
            request_timeout: Duration::from_secs(30),
            default_api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            partition_assignment_strategy: Assignor::Range,
            group_protocol: GroupProtocol::Classic,
            group_remote_assignor: RemoteAssignor::Uniform,
            group_instance_id: None,
            isolation_level: IsolationLevel::ReadUncommitted,
            client_rack: None,
        }
    }
}

impl ConsumerSettings {
    /// Defaults of a library.
    pub fn of(library: ClientLibrary) -> ConsumerSettings {
        let java = ConsumerSettings::default();
        match library {
            ClientLibrary::Java => java,
            // Its poll hands out one message.
            ClientLibrary::Librdkafka => ConsumerSettings {
                auto_commit: AutoCommit::ByClock,
                isolation_level: IsolationLevel::ReadCommitted,
                max_poll_records: 1,
                reconnect_backoff: Duration::from_millis(100),
                reconnect_backoff_max: Duration::from_secs(10),
                ..java
            },
            // A batch is what a fetch brought; who is not back within its rebalanceTimeout is left out of the round.
            ClientLibrary::Kafkajs => ConsumerSettings {
                auto_commit: AutoCommit::BehindBatch,
                isolation_level: IsolationLevel::ReadCommitted,
                session_timeout: Duration::from_secs(30),
                max_poll_interval: Duration::from_secs(60),
                max_poll_records: 100_000,
                fetch_max_wait: Duration::from_secs(5),
                fetch_max_bytes: ByteCount(10 << 20),
                retry_backoff: Duration::from_millis(300),
                retry_backoff_max: Duration::from_secs(30),
                ..java
            },
        }
    }
}
