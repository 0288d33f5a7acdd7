//! The buffer of a producer: batches by partition, in order, until their outcome is known. Kafka: RecordAccumulator.
//!
//! Batches are numbered in the order of their creation and owned by one map, so its first entry is the next whose
//! delivery timeout can pass, and order by number is order by sequence within a partition. Queues, connections and
//! sequences hold numbers only. The buffer gives out whole `batch.size` pieces, as Kafka's BufferPool does.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sequences::Sequences;
use crate::types::record::ProducerStamp;
use crate::types::request::ErrorCode;
use crate::types::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchId(u64);

/// Batches are numbered in steps of this, so that the parts of one that is split find room behind it.
const NUMBERS: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub partition: TopicPartition,
    content: Content,
    pub bytes: u64,
    /// Start of the linger and of the delivery timeout.
    pub created: Time,
    /// Attempts that have ended without success.
    pub failures: u32,
    /// Back-off after the last failure.
    pub not_before: Time,
    /// Leader epoch of the last attempt: with a newer leader the back-off is over. KIP-951.
    pub tried: Option<LeaderEpoch>,
    pub stamp: Option<ProducerStamp>,
    /// Some attempt ended without telling whether it was appended.
    pub maybe_appended: bool,
    /// The same, and no answer since then said that the log does not hold the batch.
    pub unsettled: bool,
    /// Why the last attempt failed.
    pub error: ErrorCode,
    pub in_flight: bool,
    /// Numbers from its own on that are free for its parts.
    numbers: u64,
    /// Whoever flushes waits for it. Only a mutant leaves one out.
    counts: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Open(Vec<Record>),
    Closed(Arc<Records>),
}

impl Content {
    fn closed(records: Vec<Record>) -> Content {
        Content::Closed(Arc::new(Records::Messages(records)))
    }
}

impl Batch {
    pub fn records(&self) -> &[Record] {
        match &self.content {
            Content::Open(records) => records,
            Content::Closed(records) => match &**records {
                Records::Messages(records) => records,
                Records::Groups(_) | Records::Metadata(_) | Records::Marker(_) | Records::Transactions(_) => &[],
            },
        }
    }

    /// No record is added any more; the content is shared from now on.
    pub fn close(&mut self) -> Arc<Records> {
        if let Content::Open(records) = &mut self.content {
            self.content = Content::closed(std::mem::take(records));
        }
        match &self.content {
            Content::Closed(records) => Arc::clone(records),
            Content::Open(_) => unreachable!("the batch was closed above"),
        }
    }
}

/// One partition as this producer sees it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// To be sent, the next first.
    pub batches: VecDeque<BatchId>,
    /// Batches out on connections, also those whose delivery timeout passed meanwhile.
    pub in_flight: u32,
    pub sequences: Sequences,
    pub place: Place,
}

/// Where the partition waits for its next batch to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing to send. Leaves when a record is appended.
    #[default]
    Empty,
    /// For its linger or back-off to pass.
    Timed(Time),
    /// For an answer or a producer id: order forbids to send now.
    Held,
    /// For metadata that names a leader.
    Leaderless,
    /// For room on the connection to its leader.
    Ready(NodeId),
}

#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    batch_size: u64,
    buffer_memory: u64,
    used: u64,
    created: u64,
    batches: FewMap<BatchId, Batch>,
    /// A place that is free again; only a mutant gives one back.
    recycled: Option<BatchId>,
    queues: PartitionTable<Queue>,
    uncounted: usize,
}

impl Accumulator {
    pub fn new(batch_size: ByteCount, buffer_memory: ByteCount) -> Accumulator {
        Accumulator {
            batch_size: batch_size.0,
            buffer_memory: buffer_memory.0,
            used: 0,
            created: 0,
            batches: FewMap::new(),
            recycled: None,
            queues: PartitionTable::default(),
            uncounted: 0,
        }
    }

    /// The caller has asked [`Accumulator::fits`].
    pub fn append(&mut self, partition: TopicPartition, record: Record, now: Time) {
        let bytes = u64::from(record.message.size);
        if let Some(batch) = self.open_batch(partition)
            && batch.bytes + bytes <= self.batch_size
        {
            let Some(batch) = self.last_batch_mut(partition) else {
                unreachable!("the open batch is the last");
            };
            batch.bytes += bytes;
            if let Content::Open(records) = &mut batch.content {
                records.push(record);
            }
            return;
        }
        let id = self.recycled.take().unwrap_or(BatchId(self.created));
        self.created = self.created.max(id.0 + NUMBERS);
        self.used += self.cost(bytes);
        let records = vec![record];
        self.batches.insert(
            id,
            Batch {
                partition,
                content: Content::Open(records),
                bytes,
                created: now,
                failures: 0,
                not_before: Time::ZERO,
                tried: None,
                stamp: None,
                maybe_appended: false,
                unsettled: false,
                error: ErrorCode::None,
                in_flight: false,
                numbers: NUMBERS,
                counts: true,
            },
        );
        self.queue_mut(partition).batches.push_back(id);
    }

    /// The batch's outcome is known: its memory is free.
    pub fn remove(&mut self, id: BatchId) -> Option<Batch> {
        let batch = self.batches.remove(&id)?;
        self.used -= self.cost(batch.bytes);
        self.uncounted -= usize::from(!batch.counts);
        Some(batch)
    }

    /// Halves a batch of several records and gives the number of the second half, whose sequence follows that of the first.
    /// Kafka differs: it first tries `batch.size` once more.
    pub fn split(&mut self, id: BatchId, counts: bool) -> BatchId {
        let Some(mut batch) = self.remove(id) else { unreachable!("a batch that is split is owned") };
        let records = batch.records();
        let at = records.len() / 2;
        assert!(0 < at && 1 < batch.numbers, "a batch of one record cannot be split");
        let bytes = |records: &[Record]| records.iter().map(|record| u64::from(record.message.size)).sum();
        let (front, back) = (records[..at].to_vec(), records[at..].to_vec());
        batch.numbers /= 2;
        batch.in_flight = false;
        let second = BatchId(id.0 + batch.numbers);
        let stamp =
            batch.stamp.map(|stamp| ProducerStamp { base_sequence: stamp.base_sequence.plus(at as u32), ..stamp });
        let counts = counts && batch.counts;
        let halves = [
            (id, Batch { bytes: bytes(&front), content: Content::closed(front), ..batch.clone() }),
            (second, Batch { bytes: bytes(&back), content: Content::closed(back), stamp, counts, ..batch }),
        ];
        for (id, half) in halves {
            self.used += self.cost(half.bytes);
            self.uncounted += usize::from(!half.counts);
            self.batches.insert(id, half);
        }
        second
    }

    /// Memory comes in whole pieces.
    fn cost(&self, bytes: u64) -> u64 {
        bytes.max(self.batch_size).max(1)
    }

    /// The next batch takes this place.
    pub fn recycle(&mut self, id: BatchId) {
        self.recycled = Some(id);
    }

    pub fn batch_mut(&mut self, id: BatchId) -> Option<&mut Batch> {
        self.batches.get_mut(&id)
    }

    pub fn queue_mut(&mut self, partition: TopicPartition) -> &mut Queue {
        self.queues.or_insert_with(partition, || Queue {
            batches: VecDeque::new(),
            in_flight: 0,
            sequences: Sequences::default(),
            place: Place::Empty,
        })
    }

    pub fn queue(&self, partition: TopicPartition) -> Option<&Queue> {
        self.queues.get(partition)
    }

    pub fn batch(&self, id: BatchId) -> Option<&Batch> {
        self.batches.get(&id)
    }

    /// Whether a record of this size finds room.
    pub fn fits(&self, partition: TopicPartition, bytes: u64) -> bool {
        let open = self.open_batch(partition);
        let is_in_batch = open.is_some_and(|batch| batch.bytes + bytes <= self.batch_size);
        is_in_batch || self.used + self.cost(bytes) <= self.buffer_memory
    }

    /// Whether it ever could.
    pub fn is_too_large(&self, bytes: u64) -> bool {
        self.buffer_memory < self.cost(bytes)
    }

    /// Nothing more goes into the first batch of the queue: it is full, or another one follows.
    pub fn is_full(&self, queue: &Queue, first: &Batch) -> bool {
        queue.batches.len() > 1 || self.batch_size <= first.bytes
    }

    /// The batch whose delivery timeout passes next.
    pub fn oldest(&self) -> Option<(BatchId, &Batch)> {
        self.batches.first()
    }

    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.queues.iter().map(|(partition, _)| partition).collect()
    }

    /// Every batch has its outcome.
    pub fn is_flushed(&self) -> bool {
        self.batches.len() == self.uncounted
    }

    pub fn check_invariants(&self) {
        assert!(self.batches.is_empty() == (self.used == 0), "buffer memory leaks");
    }

    fn open_batch(&self, partition: TopicPartition) -> Option<&Batch> {
        let last = self.queues.get(partition)?.batches.back()?;
        self.batches.get(last).filter(|batch| matches!(batch.content, Content::Open(_)))
    }

    fn last_batch_mut(&mut self, partition: TopicPartition) -> Option<&mut Batch> {
        let last = self.queues.get(partition)?.batches.back()?;
        self.batches.get_mut(last)
    }
}
