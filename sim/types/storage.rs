//! What a process keeps on its disk, and the operations it asks for.
//!
//! Operations are performed in the order they were asked for, and nothing asked for later overtakes them. An append
//! reaches the page cache: it survives a crash of the process, and a power loss only once it was flushed.

use std::collections::BTreeMap;

use super::record::Compacted;
use super::request::QuorumEntry;
use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StorageOperation {
    /// Adds a batch at the end of a partition's log.
    Append {
        partition: TopicPartition,
        batch: RecordBatch,
    },
    /// Cuts a partition's log so that it ends at `to`. Durable at once.
    Truncate {
        partition: TopicPartition,
        to: Offset,
    },
    /// Forgets everything below `to` (retention), or the whole log when it ends before `to`, but for what it said of
    /// producers. Durable at once.
    StartAt {
        partition: TopicPartition,
        to: Offset,
        producers: Vec<ProducerSnapshot>,
    },
    /// Writes the high watermark checkpoint of all partitions given.
    Checkpoint {
        high_watermarks: Vec<(TopicPartition, Offset)>,
    },
    Flush {
        partition: TopicPartition,
    },
    AppendQuorum {
        entry: QuorumEntry,
    },
    TruncateQuorum {
        to: Offset,
    },
    FlushQuorum,
    /// Epoch and vote; not durable before [`StorageOperation::FlushQuorum`].
    WriteQuorumState(QuorumState),
    /// The marker of a clean shutdown; read and removed at the next start. Kafka: CleanShutdownFileHandler.
    WriteCleanShutdown {
        broker_epoch: BrokerEpoch,
    },
    /// Removes a partition's log and what is known of it. Durable at once.
    Delete {
        partition: TopicPartition,
    },
    /// Compaction has left of these batches what is given, and has come as far as `to`. Segments are written anew beside the old
    /// ones and renamed: durable at once. Kafka: LogCleaner, UnifiedLog.replaceSegments.
    Compact {
        partition: TopicPartition,
        to: Offset,
        batches: Vec<(Offset, Compacted)>,
    },
}

/// Raft's durable term and vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuorumState {
    pub epoch: QuorumEpoch,
    pub voted_for: Option<NodeId>,
}

/// What a process finds on its disk when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageImage {
    pub partitions: BTreeMap<TopicPartition, LogImage>,
    pub quorum_log: Vec<QuorumEntry>,
    pub quorum_state: QuorumState,
    pub clean_shutdown: Option<BrokerEpoch>,
}

/// One replica's log on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogImage {
    pub start_offset: Offset,
    pub batches: Vec<RecordBatch>,
    /// From the last checkpoint.
    pub high_watermark: Offset,
    /// Of what lay below the start. Kafka: the snapshot that was taken when the segment at the start was begun.
    pub producers: Vec<ProducerSnapshot>,
    /// Kafka: the cleaner-offset-checkpoint.
    pub compacted_to: Offset,
}

/// What a snapshot says of one producer. Kafka: ProducerStateManager.writeSnapshot.
///
/// Kafka differs: it writes down the last batch only. An earlier one that comes again after a restart is then out of order, and
/// not known to be there already.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProducerSnapshot {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// Oldest first; none when a marker has raised the epoch since.
    pub batches: Vec<SequenceRange>,
    pub last_timestamp: Time,
    pub coordinator_epoch: Option<LeaderEpoch>,
}

/// Where a batch of a producer stands in its sequence, and in the log. Kafka: BatchMetadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequenceRange {
    pub first: Sequence,
    pub last: Sequence,
    pub base_offset: Offset,
    pub end_offset: Offset,
}
