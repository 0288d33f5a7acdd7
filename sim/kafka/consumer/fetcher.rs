//! Fetching ahead and handing out.
//!
//! At most one fetch is out to each broker, and none while that broker's records are still kept here: a fetch of the
//! caught-up partitions alone would be parked and keep the others waiting behind it. The next fetch leaves in the step
//! in which the last kept record is handed out, so a broker's records are under way while the application works.
//! Kept batches are the shared ones of the response; handing out copies the returned records and nothing else.
//!
//! Source: AbstractFetch.prepareFetchRequests, FetchCollector, CompletedFetch.

use std::collections::BTreeSet;

use super::*;
use crate::types::record::{AbortedTransaction, TransactionOutcome};

/// A fetch that may not wait at all would be asked again in the same instant, for ever.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct Buffers {
    /// In the order in which they came.
    kept: VecDeque<KeptBatches>,
    sources: BTreeMap<NodeId, Source>,
    /// Something changed since the last look for partitions to fetch.
    is_fetch_wanted: bool,
}

/// What one fetch brought for one partition, as far as it is not handed out.
#[derive(Clone, Debug)]
struct KeptBatches {
    partition: TopicPartition,
    from: NodeId,
    batches: Vec<RecordBatch>,
    /// Batch and record to hand out next.
    next: (usize, usize),
    aborted: AbortedFilter,
}

/// Which batches of a fetch are left out. Kafka: CompletedFetch.consumeAbortedTransactionsUpTo, isBatchAborted.
#[derive(Clone, Debug, Default)]
struct AbortedFilter {
    /// Not reached yet, by first offset, the last one first.
    coming: Vec<AbortedTransaction>,
    /// Producers in the middle of an aborted transaction.
    within: BTreeSet<ProducerId>,
}

/// A broker that is fetched from.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    is_in_flight: bool,
    /// How many partitions have kept batches of this broker.
    kept: u32,
    session_epoch: u32,
}

impl Buffers {
    pub fn new() -> Buffers {
        Buffers { kept: VecDeque::new(), sources: BTreeMap::new(), is_fetch_wanted: true }
    }

    pub fn want_fetch(&mut self) {
        self.is_fetch_wanted = true;
    }

    pub fn fetch_lost(&mut self, from: NodeId) {
        self.sources.entry(from).or_default().is_in_flight = false;
        self.is_fetch_wanted = true;
    }

    pub fn drop_partition(&mut self, partition: TopicPartition) {
        let sources = &mut self.sources;
        self.kept.retain(|kept| {
            let is_other = kept.partition != partition;
            if !is_other {
                sources.entry(kept.from).or_default().kept -= 1;
            }
            is_other
        });
        self.is_fetch_wanted = true;
    }

    pub fn clear(&mut self) {
        self.kept.clear();
        self.sources.values_mut().for_each(|source| source.kept = 0);
        self.is_fetch_wanted = true;
    }

    fn keep(&mut self, from: NodeId, fetched: FetchedPartition) {
        self.sources.entry(from).or_default().kept += 1;
        let FetchedPartition { partition, batches, mut aborted, .. } = fetched;
        aborted.reverse();
        let aborted = AbortedFilter { coming: aborted, within: BTreeSet::new() };
        self.kept.push_back(KeptBatches { partition, from, batches, next: (0, 0), aborted });
    }

    fn drop_front(&mut self) {
        let done = self.kept.pop_front().expect("something is kept");
        let source = self.sources.entry(done.from).or_default();
        source.kept -= 1;
        self.is_fetch_wanted |= source.kept == 0;
    }

    /// Idle and drained.
    fn is_fetchable(&self, from: NodeId) -> bool {
        self.sources.get(&from).is_none_or(|source| !source.is_in_flight && source.kept == 0)
    }
}

impl AbortedFilter {
    /// Whether the next batch holds nothing for the application.
    fn leaves_out(&mut self, batch: &RecordBatch, guards: Guards) -> bool {
        let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) else { return false };
        // A mutant looks at who has aborted anything, not at where it began.
        let everywhere = !guards.stand(Guard::AbortedFilter);
        while let Some(next) = self.coming.last()
            && (everywhere || next.first_offset <= batch.base_offset)
        {
            self.within.insert(next.producer);
            self.coming.pop();
        }
        if let Some(marker) = batch.marker() {
            if marker.outcome == TransactionOutcome::Abort || everywhere {
                self.within.remove(&stamp.id);
            }
            return true;
        }
        self.within.contains(&stamp.id)
    }
}

impl Consumer {
    /// No round comes before the records.
    pub(super) fn may_hand_out(&self) -> bool {
        match (&self.membership.protocol, self.membership.stage) {
            // What a member keeps is read all the while; a poll joins, and takes what a round has given, before records.
            (Protocol::Classic(_), stage) if self.is_cooperative() => match stage {
                Stage::Stable { rejoin } => !rejoin,
                Stage::Joining { in_flight } => in_flight,
                Stage::Syncing => !self.is_round_waiting(),
                Stage::Committing => true,
                Stage::Outside | Stage::Revoking => false,
            },
            (Protocol::Classic(_), stage) => stage == (Stage::Stable { rejoin: false }),
            (Protocol::Consumer(_), Stage::Stable { .. }) => self.is_settled(),
            // What is to be given back is not kept any more; the rest goes on.
            (Protocol::Consumer(_), Stage::Committing) => true,
            (Protocol::Consumer(_), Stage::Outside | Stage::Joining { .. } | Stage::Syncing | Stage::Revoking) => false,
        }
    }

    /// Closes the poll with kept records, when there are any, and sends the next fetches.
    pub(super) fn hand_out(&mut self, step: &mut Step) -> bool {
        if self.buffers.kept.is_empty() {
            return false;
        }
        let limit = self.settings.max_poll_records.max(1) as usize;
        let mut records = Vec::new();
        while records.len() < limit && !self.buffers.kept.is_empty() {
            self.take_kept(limit, &mut records, step);
        }
        if records.is_empty() {
            return false;
        }
        self.events.push_back(ConsumerEvent::Records(records));
        self.is_polling = false;
        self.membership.poll_deadline = step.time() + self.settings.max_poll_interval;
        self.arm(self.membership.poll_deadline, "max poll interval");
        self.fetch(step);
        true
    }

    /// Sends a fetch to every broker that is idle, drained, and leads a partition with a position, or is nearer than its
    /// leader.
    pub(super) fn fetch(&mut self, step: &mut Step) {
        if !std::mem::take(&mut self.buffers.is_fetch_wanted) {
            return;
        }
        let now = step.time();
        let mut retry = Time::NEVER;
        let mut fetches: Vec<(NodeId, Vec<FetchPartition>)> = Vec::new();
        for (partition, position) in &self.positions {
            if position.standing != Standing::Valid || self.membership.leaving.contains(partition) {
                continue;
            }
            if now < position.not_before {
                retry = retry.min(position.not_before);
                continue;
            }
            let Some((leader, leader_epoch)) = self.metadata.leader(*partition) else {
                self.metadata.want_refresh();
                continue;
            };
            let wanted = FetchPartition {
                partition: *partition,
                current_leader_epoch: Some(leader_epoch),
                fetch_offset: position.offset,
                last_fetched_epoch: None,
                max_bytes: self.settings.max_partition_fetch_bytes,
            };
            let from = position.preferred.filter(|(_, until)| now < *until).map_or(leader, |(replica, _)| replica);
            match fetches.iter_mut().find(|(broker, _)| *broker == from) {
                Some((_, partitions)) => partitions.push(wanted),
                None if self.buffers.is_fetchable(from) => {
                    let mut partitions = Vec::with_capacity(self.positions.len());
                    partitions.push(wanted);
                    fetches.push((from, partitions));
                }
                None => {}
            }
        }
        self.arm(retry, "fetch retry");
        for (from, partitions) in fetches {
            self.send_fetch(from, partitions, step);
        }
    }

    pub(super) fn handle_fetch(&mut self, from: NodeId, response: FetchResponse, step: &mut Step) {
        self.buffers.fetch_lost(from);
        for fetched in response.partitions {
            self.keep_fetched(from, fetched, step);
        }
    }

    /// What G21 does: positions go behind what was fetched, and nobody gets it.
    pub(super) fn skip_kept(&mut self) {
        for kept in std::mem::take(&mut self.buffers.kept) {
            let end = kept.batches.last().map(RecordBatch::end_offset);
            let Some((end, position)) = end.zip(self.positions.get_mut(&kept.partition)) else { continue };
            position.offset = position.offset.max(end);
        }
        self.buffers.clear();
    }

    /// The broker may be gone: its partitions are read from their leaders until one of them says otherwise.
    pub(super) fn lose_fetch(&mut self, from: NodeId) {
        self.buffers.fetch_lost(from);
        let nearer =
            self.positions.values_mut().filter(|position| position.preferred.is_some_and(|(node, _)| node == from));
        nearer.for_each(|position| position.preferred = None);
    }

    fn keep_fetched(&mut self, from: NodeId, fetched: FetchedPartition, step: &mut Step) {
        let partition = fetched.partition;
        if self.membership.leaving.contains(&partition) {
            return;
        }
        let Some(position) = self.positions.get_mut(&partition) else { return };
        let is_expected = position.standing == Standing::Valid && position.offset == fetched.fetch_offset;
        match fetched.error {
            ErrorCode::None if fetched.preferred_read_replica.is_some() => {
                let until = step.time() + self.settings.metadata_max_age;
                position.preferred = fetched.preferred_read_replica.map(|replica| (replica, until));
            }
            ErrorCode::None => {
                if fetched.batches.is_empty() || is_expected {
                    // Nothing to decide.
                } else if self.guards.stand(Guard::FetchPositionCheck) {
                    return;
                } else {
                    // A mutant goes on wherever the answer happens to be.
                    position.offset = fetched.fetch_offset;
                    position.standing = Standing::Valid;
                    self.count_unsettled();
                    self.buffers.drop_partition(partition);
                }
                if !fetched.batches.is_empty() {
                    self.buffers.keep(from, fetched);
                }
            }
            // A follower may not have the record yet, or not any more: the leader is asked. Kafka: FetchCollector.
            ErrorCode::OffsetOutOfRange if position.preferred.take().is_some() => {}
            ErrorCode::OffsetOutOfRange if is_expected => self.reset_position(partition),
            ErrorCode::OffsetOutOfRange => {}
            _ => {
                position.preferred = None;
                position.not_before = step.time() + self.settings.retry_backoff;
                self.metadata.want_refresh();
            }
        }
    }

    /// Moves records of the first kept partition into `records`, up to `limit` of them.
    fn take_kept(&mut self, limit: usize, records: &mut Vec<ConsumerRecord>, step: &mut Step) {
        let kept = self.buffers.kept.front_mut().expect("something is kept");
        let partition = kept.partition;
        let position = self.positions.get_mut(&partition).expect("kept batches of an assigned partition");
        let group = self.group;
        let (mut from, mut taken) = (position.offset, records.len());
        let (now, mut early_from) = (step.now.wall_clock, None);
        while let Some(batch) = kept.batches.get(kept.next.0)
            && records.len() < limit
        {
            // Batches come whole: what lies below the position was handed out before.
            let below = position.offset.0.saturating_sub(batch.base_offset.0) as usize;
            let messages = batch.messages();
            let first = kept.next.1.max(below).min(messages.len());
            let is_left_out = kept.aborted.leaves_out(batch, self.guards);
            let gone = batch.compacted.first_in(first..messages.len());
            if is_left_out || gone == Some(first) {
                let is_there = |index: &usize| !batch.compacted.has(*index);
                let there = (first..messages.len()).find(is_there).filter(|_| !is_left_out);
                kept.next = there.map_or((kept.next.0 + 1, 0), |index| (kept.next.0, index));
                let to = there.map_or(batch.end_offset(), |index| batch.base_offset.plus(index as u64));
                let (gap, count) = (position.offset, (records.len() - taken) as u32);
                if gap < to {
                    if count > 0 {
                        step.note(Note::Polled { group, partition, from, to: gap, count });
                    }
                    step.note(match is_left_out {
                        true => Note::PassedOver { group, partition, from: gap, to },
                        false => Note::PassedCompacted { group, partition, from: gap, to },
                    });
                    (position.offset, position.offset_epoch) = (to, Some(batch.leader_epoch));
                    (from, taken) = (to, records.len());
                }
                continue;
            }
            let end = messages.len().min(first + limit - records.len());
            let end = gone.map_or(end, |gone| end.min(gone));
            let end = match self.delays.get(&partition.topic) {
                None => end,
                Some(delay) => {
                    let early = |record: &Record| now < record.timestamp + *delay;
                    let due = messages[first..end].iter().position(early).map_or(end, |index| first + index);
                    if due < end {
                        position.not_before = step.time() + (messages[due].timestamp + *delay).since(now);
                        early_from = Some(partition);
                    }
                    due
                }
            };
            records.extend((first..end).map(|index| ConsumerRecord {
                partition,
                offset: batch.base_offset.plus(index as u64),
                leader_epoch: batch.leader_epoch,
                record: messages[index],
            }));
            if first < end {
                position.offset = batch.base_offset.plus(end as u64);
                position.offset_epoch = Some(batch.leader_epoch);
            }
            kept.next = if end == messages.len() { (kept.next.0 + 1, 0) } else { (kept.next.0, end) };
            if early_from.is_some() {
                break;
            }
        }
        let is_drained = kept.next.0 == kept.batches.len();
        let (to, count) = (position.offset, (records.len() - taken) as u32);
        if count > 0 {
            step.note(Note::Polled { group, partition, from, to, count });
        }
        if let Some(partition) = early_from {
            self.buffers.drop_partition(partition);
        } else if is_drained {
            self.buffers.drop_front();
        }
    }

    fn send_fetch(&mut self, from: NodeId, partitions: Vec<FetchPartition>, step: &mut Step) {
        let Some(to) = self.usable(self.channel, from, step.time()) else { return };
        let source = self.buffers.sources.entry(from).or_default();
        source.is_in_flight = true;
        source.session_epoch += 1;
        let request = Request::Fetch(FetchRequest {
            replica: None,
            max_wait: self.settings.fetch_max_wait.max(SHORTEST_WAIT),
            min_bytes: self.settings.fetch_min_bytes,
            max_bytes: self.settings.fetch_max_bytes,
            partitions,
            session_epoch: source.session_epoch,
            isolation_level: self.settings.isolation_level,
            rack: self.settings.client_rack,
        });
        self.requests.send(to, Purpose::Fetch, request, self.settings.request_timeout, step);
    }
}
