//! Requests of clients and followers: executed at once, or parked until what they wait for has happened.
//!
//! Kafka: KafkaApis, DelayedProduce, DelayedFetch.

use super::transactions::Verified;
use super::*;

impl Broker {
    /// The connection is free; nothing of it waits.
    pub(super) fn execute(&mut self, from: ReplyTo, request: Request, step: &mut Step) {
        let response = match request {
            Request::Produce(produce) => return self.handle_produce(from, produce, step),
            Request::Fetch(fetch) => return self.handle_fetch(from, fetch, step),
            Request::JoinGroup(_)
            | Request::SyncGroup(_)
            | Request::Heartbeat { .. }
            | Request::LeaveGroup { .. }
            | Request::ConsumerGroupHeartbeat(_)
            | Request::OffsetCommit(_)
            | Request::OffsetFetch { .. } => {
                self.connections.park(from.connection, Parked::Coordinator { from }, None);
                return self.coordinate(step, |coordinator, step| coordinator.handle_request(from, request, step));
            }
            Request::Metadata(request) => Response::Metadata(self.describe_cluster(&request)),
            Request::ListOffsets(request) => Response::ListOffsets(self.list_offsets(&request)),
            Request::OffsetForLeaderEpoch(request) => Response::OffsetForLeaderEpoch(self.list_epoch_ends(&request)),
            Request::InitProducerId { transaction: None } => self.init_producer_id(step),
            Request::AddOffsetsToTxn(AddOffsetsToTxnRequest { id, producer, epoch, group }) => {
                let partitions = vec![self.offsets_partition(group)];
                let add = AddPartitionsToTxnRequest { id, producer, epoch, partitions, verify_only: false };
                return self.handle_transaction_request(from, &Request::AddPartitionsToTxn(add), step);
            }
            Request::InitProducerId { transaction: Some(_) } | Request::AddPartitionsToTxn(_) | Request::EndTxn(_) => {
                return self.handle_transaction_request(from, &request, step);
            }
            Request::WriteTxnMarkers { markers } => return self.handle_write_markers(from, markers, step),
            Request::TxnOffsetCommit(commit) => return self.handle_txn_offset_commit(from, commit, step),
            Request::FindCoordinator { key } => self.find_coordinator(key),
            // A router gives these to the controller, and the last two never come here.
            Request::BrokerRegistration(_)
            | Request::BrokerHeartbeat(_)
            | Request::AlterPartition(_)
            | Request::AllocateProducerIds { .. }
            | Request::Vote(_)
            | Request::BeginQuorumEpoch { .. }
            | Request::FetchQuorum(_)
            | Request::Call(_)
            | Request::Store(_)
            | Request::Endpoint(_)
            | Request::CallService(_)
            | Request::PollRows(_)
            | Request::KeptPositions(_) => return,
        };
        step.reply(from, response);
    }

    /// A transaction that is new to a partition is asked about before anything of it is appended.
    fn handle_produce(&mut self, from: ReplyTo, produce: ProduceRequest, step: &mut Step) {
        let stamp = produce.batches.iter().find_map(|(_, batch)| batch.producer);
        if let (Some(id), Some(stamp)) = (produce.transactional_id, stamp) {
            let tokens = self.begin_verification(produce.batches.iter().map(|(partition, batch)| (*partition, batch)));
            if !tokens.is_empty() {
                return self.verify(from, Request::Produce(produce), (id, stamp.id, stamp.epoch), tokens, step);
            }
        }
        self.append_produced(from, produce, &Verified::new(), ErrorCode::None, step);
    }

    /// All batches are appended before any waiting reader is answered, as in Kafka. Those that had to be verified share
    /// the `error` of that.
    pub(super) fn append_produced(
        &mut self,
        from: ReplyTo,
        produce: ProduceRequest,
        tokens: &Verified,
        error: ErrorCode,
        step: &mut Step,
    ) {
        let mut answers = Vec::with_capacity(produce.batches.len());
        let mut remaining = 0;
        for (index, (id, batch)) in produce.batches.iter().enumerate() {
            let ticket = AckTicket::Request { connection: from.connection, index: index as u16 };
            let token = tokens.get(id).copied();
            let produced = match self.places.get(*id).copied() {
                Some(_) if token.is_some() && error != ErrorCode::None => {
                    Produced::Answered { error, base_offset: Offset::ZERO }
                }
                Some(place) => {
                    let (partition, to) = (&mut self.slots[place].partition, Some(from.peer));
                    partition.produce_verified(batch, token, produce.acks, ticket, to, &self.image, step)
                }
                None => Produced::Answered { error: self.error_of_absent(*id), base_offset: Offset::ZERO },
            };
            let (error, base_offset) = match produced {
                Produced::Answered { error, base_offset } => (error, base_offset),
                Produced::Parked => {
                    remaining += 1;
                    (ErrorCode::RequestTimedOut, Offset::ZERO)
                }
            };
            answers.push(ProducePartitionResponse { partition: *id, error, base_offset });
        }
        if remaining > 0 {
            let deadline = Some(step.time() + produce.timeout);
            self.connections.park(from.connection, Parked::Produce { from, answers, remaining }, deadline);
        } else if produce.acks != Acks::None {
            step.reply(from, Response::Produce(answers));
        } else if answers.iter().any(|answer| answer.error != ErrorCode::None) {
            // Nobody waits for an answer: a closed connection is what makes the producer ask who leads
            // (Kafka: KafkaApis.handleProduceRequest).
            self.connections.forget(from.connection);
            step.hang_up(from);
        }
        for (id, _) in &produce.batches {
            if let Some(place) = self.places.get(*id).copied() {
                self.settle(place, step);
            }
        }
    }

    pub(super) fn finish_batch(&mut self, connection: ConnectionId, index: u16, ack: FinishedAck, step: &mut Step) {
        let Some(Parked::Produce { answers, remaining, .. }) = self.connections.parked(connection) else {
            unreachable!("an acknowledgement for a request that does not wait");
        };
        let answer = &mut answers[usize::from(index)];
        (answer.error, answer.base_offset) = (ack.error, ack.base_offset);
        *remaining -= 1;
        if *remaining == 0
            && let Some(Parked::Produce { from, answers, .. }) = self.connections.release(connection)
        {
            step.reply(from, Response::Produce(answers));
        }
    }

    fn handle_fetch(&mut self, from: ReplyTo, fetch: FetchRequest, step: &mut Step) {
        let may_wait = 0 < fetch.min_bytes.0 && !fetch.max_wait.is_zero() && !fetch.partitions.is_empty();
        let answer = if may_wait && self.finds_nothing(&fetch) { None } else { self.answer_to(&fetch, may_wait) };
        if let Some(replica) = fetch.replica {
            self.count_follower(&fetch.partitions, answer.as_deref(), replica, step);
        }
        match answer {
            Some(partitions) => step.reply(from, Response::Fetch(FetchResponse { partitions })),
            None => {
                let deadline = step.time() + fetch.max_wait;
                watch(&mut self.slots, &self.places, from.connection, &fetch);
                let parked = Parked::Fetch { from, request: fetch };
                self.connections.park(from.connection, parked, Some(deadline));
            }
        }
    }

    /// What a follower tells with its fetch is counted after the read; acknowledgements leave before its answer does.
    /// A fetch that waits was refused nowhere.
    fn count_follower(
        &mut self,
        questions: &[FetchPartition],
        answer: Option<&[FetchedPartition]>,
        replica: FetchReplica,
        step: &mut Step,
    ) {
        for (index, question) in questions.iter().enumerate() {
            let is_read = answer.is_none_or(|partitions| partitions[index].is_read());
            if let Some(place) = self.places.get(question.partition).copied().filter(|_| is_read) {
                self.slots[place].partition.handle_follower_fetch(question, replica, &self.image, step);
            }
        }
        for question in questions {
            if let Some(place) = self.places.get(question.partition).copied() {
                self.settle(place, step);
            }
        }
    }

    /// Looks again at every fetch that waits on a partition.
    pub(super) fn wake(&mut self, place: usize, list: impl Fn(&mut Slot) -> &mut Vec<ConnectionId>, step: &mut Step) {
        let mut waiting = std::mem::take(list(&mut self.slots[place]));
        for connection in waiting.drain(..) {
            self.retry_fetch(connection, Patience::Waits, step);
        }
        // Keeps the allocation; whoever waits on has been put on the new list.
        let again = list(&mut self.slots[place]);
        waiting.append(again);
        *again = waiting;
    }

    /// Timed out: produce says so, fetch answers what there is.
    pub(super) fn expire_request(&mut self, connection: ConnectionId, step: &mut Step) {
        match self.connections.parked(connection) {
            Some(Parked::Fetch { .. }) => self.retry_fetch(connection, Patience::Exhausted, step),
            Some(Parked::Produce { .. }) => {
                let Some(Parked::Produce { from, answers, .. }) = self.connections.release(connection) else { return };
                for (index, answer) in answers.iter().enumerate() {
                    if let Some(place) = self.places.get(answer.partition).copied() {
                        let ticket = AckTicket::Request { connection, index: index as u16 };
                        self.slots[place].partition.abandon(ticket, step);
                    }
                }
                step.reply(from, Response::Produce(answers));
            }
            Some(Parked::Coordinator { .. }) | None => unreachable!("only produce and fetch have a deadline"),
        }
    }

    fn retry_fetch(&mut self, connection: ConnectionId, patience: Patience, step: &mut Step) {
        let Some(fetch) = self.connections.waiting_fetch(connection) else { return };
        let waits = patience == Patience::Waits;
        match self.answer_to(fetch, waits) {
            Some(partitions) => {
                if let Some(Parked::Fetch { from, .. }) = self.connections.release(connection) {
                    step.reply(from, Response::Fetch(FetchResponse { partitions }));
                }
            }
            None => watch(&mut self.slots, &self.places, connection, fetch),
        }
    }

    /// What each partition of a fetch gives now. `None`: too little for one that may wait.
    fn answer_to(&self, fetch: &FetchRequest, waits: bool) -> Option<Vec<FetchedPartition>> {
        let follower = fetch.replica.map(|replica| FollowerReader::new(replica, &self.image));
        let mut answered = Answered::default();
        let mut partitions = Vec::with_capacity(fetch.partitions.len());
        for question in &fetch.partitions {
            let budget = answered.rest(fetch.max_bytes);
            let fetched = match (self.places.get(question.partition).copied(), follower) {
                (Some(place), Some(follower)) => {
                    self.slots[place].partition.read_as_follower(question, follower, budget)
                }
                (Some(place), None) => self.read_as_consumer(place, question, fetch, budget),
                (None, _) => self.refuse_absent(question),
            };
            answered.count(&fetched);
            partitions.push(fetched);
        }
        (!waits || answered.is_enough(fetch)).then_some(partitions)
    }

    /// A consumer that has told its rack may read from a follower, and is told of one that is nearer. KIP-392.
    fn read_as_consumer(
        &self,
        place: usize,
        question: &FetchPartition,
        fetch: &FetchRequest,
        budget: ByteCount,
    ) -> FetchedPartition {
        let partition = &self.slots[place].partition;
        let from = if fetch.rack.is_some() { ReadFrom::AnyReplica } else { ReadFrom::Leader };
        match fetch.rack.and_then(|rack| self.preferred_read_replica(partition, question, rack)) {
            Some(replica) => partition.redirect(question, replica),
            None => partition.read_as_consumer(question, from, fetch.isolation_level, budget),
        }
    }

    /// A leader in the reader's rack is never left. Kafka: RackAwareReplicaSelector, ReplicaManager.findPreferredReadReplica.
    fn preferred_read_replica(&self, partition: &Partition, question: &FetchPartition, rack: u16) -> Option<NodeId> {
        let in_rack = |node: NodeId| {
            let broker = self.image.brokers.get(&node).filter(|broker| !broker.fenced);
            broker.is_some_and(|broker| broker.registration.rack == Some(rack))
        };
        let leads = self.config.settings.replica_selector_class == ReplicaSelector::LeaderSelector;
        if leads || in_rack(self.config.id) {
            return None;
        }
        partition.most_caught_up(question.fetch_offset, in_rack)
    }

    /// Whether no partition has anything to say to a fetch. Most fetches begin so, and it is cheaper to know than to
    /// read.
    fn finds_nothing(&self, fetch: &FetchRequest) -> bool {
        let follower = fetch.replica.map(|replica| FollowerReader::new(replica, &self.image));
        fetch.rack.is_none()
            && fetch.partitions.iter().all(|question| {
                let place = self.places.get(question.partition).copied();
                place.is_some_and(|place| {
                    self.slots[place].partition.has_nothing_for(question, follower, fetch.isolation_level)
                })
            })
    }

    fn describe_cluster(&self, request: &MetadataRequest) -> MetadataResponse {
        let all: Vec<TopicId>;
        let topics = if request.topics.is_empty() {
            all = self.config.topics.keys().copied().collect();
            &all
        } else {
            &request.topics
        };
        let known = self.lifecycle.is_caught_up();
        let active = self.image.brokers.values().filter(|broker| known && !broker.fenced);
        MetadataResponse {
            brokers: active.map(|broker| broker.registration.broker).collect(),
            topics: topics.iter().map(|topic| self.describe_topic(*topic)).collect(),
            controller: self.quorum.leader(),
        }
    }

    /// A leader that is not alive is not told. Kafka: KRaftMetadataCache.
    fn describe_topic(&self, topic: TopicId) -> TopicMetadata {
        let range = TopicPartition::new(topic, 0)..=TopicPartition::new(topic, u16::MAX);
        let describe = |state: &crate::types::metadata::PartitionState| PartitionMetadata {
            leader: state.leader.filter(|leader| self.image.is_active(*leader)),
            leader_epoch: state.leader_epoch,
        };
        // Before it has caught up with its own registration a broker knows nothing worth telling.
        let partitions: Vec<PartitionMetadata> = match self.lifecycle.is_caught_up() {
            true => self.image.partitions.range(range).map(|(_, state)| describe(state)).collect(),
            false => Vec::new(),
        };
        let error = if partitions.is_empty() { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
        TopicMetadata { topic, error, partitions }
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> Vec<ListedOffset> {
        let list = |(id, current): &(TopicPartition, Option<LeaderEpoch>)| match self.partition(*id) {
            Some(partition) => partition.list_offset(request.earliest, *current, request.isolation_level),
            None => ListedOffset {
                partition: *id,
                error: self.error_of_absent(*id),
                offset: Offset::ZERO,
                leader_epoch: LeaderEpoch::default(),
            },
        };
        request.partitions.iter().map(list).collect()
    }

    fn list_epoch_ends(&self, request: &OffsetForLeaderEpochRequest) -> Vec<EpochEndOffset> {
        let list = |question: &EpochQuestion| match self.partition(question.partition) {
            Some(partition) => partition.epoch_end(question),
            None => {
                let error = self.error_of_absent(question.partition);
                EpochEndOffset { partition: question.partition, error, end: None }
            }
        };
        request.partitions.iter().map(list).collect()
    }

    /// Without a block of ids the client is told to come again. Kafka: RPCProducerIdManager.
    fn init_producer_id(&mut self, step: &mut Step) -> Response {
        let epoch = ProducerEpoch::default();
        if self.lifecycle.broker_epoch().is_some() {
            if let Some(id) = self.link.next_producer_id() {
                return Response::InitProducerId { error: ErrorCode::None, id, epoch };
            }
            let broker = (self.config.id, self.lifecycle.broker_epoch());
            self.link.advance(self.quorum.leader(), broker, &mut self.correlations, step);
        }
        Response::InitProducerId { error: ErrorCode::CoordinatorLoadInProgress, id: ProducerId::default(), epoch }
    }

    fn find_coordinator(&self, key: CoordinatorKey) -> Response {
        let leader = match key {
            CoordinatorKey::Group(group) => {
                let leader = self.image.partitions.get(&self.offsets_partition(group));
                leader.and_then(|state| state.leader).filter(|leader| self.image.is_active(*leader))
            }
            CoordinatorKey::Transaction(id) => self.find_transaction_coordinator(id),
        };
        match leader.filter(|_| self.lifecycle.is_caught_up()) {
            Some(coordinator) => Response::FindCoordinator { error: ErrorCode::None, coordinator },
            None => {
                Response::FindCoordinator { error: ErrorCode::CoordinatorNotAvailable, coordinator: NodeId::default() }
            }
        }
    }

    /// Kafka: MetadataCache.contains decides between a stale client and an unknown name.
    pub(super) fn error_of_absent(&self, partition: TopicPartition) -> ErrorCode {
        if self.image.partitions.contains_key(&partition) {
            ErrorCode::NotLeaderOrFollower
        } else {
            ErrorCode::UnknownTopicOrPartition
        }
    }

    fn refuse_absent(&self, question: &FetchPartition) -> FetchedPartition {
        FetchedPartition {
            partition: question.partition,
            error: self.error_of_absent(question.partition),
            fetch_offset: question.fetch_offset,
            high_watermark: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            diverging: None,
            aborted: Vec::new(),
            preferred_read_replica: None,
            batches: Vec::new(),
        }
    }
}

/// Whether a fetch may go on waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    Exhausted,
}

/// What the partitions of a fetch have given so far.
#[derive(Default)]
struct Answered {
    bytes: u64,
    /// An error, a divergence or a nearer replica is answered at once.
    urgent: bool,
}

impl Answered {
    fn count(&mut self, fetched: &FetchedPartition) {
        self.bytes += fetched.batches.iter().map(|batch| batch.size().0.max(1)).sum::<u64>();
        self.urgent |= !fetched.is_read() || fetched.preferred_read_replica.is_some();
    }

    fn rest(&self, max_bytes: ByteCount) -> ByteCount {
        ByteCount(max_bytes.0.saturating_sub(self.bytes))
    }

    fn is_enough(&self, fetch: &FetchRequest) -> bool {
        self.urgent || fetch.min_bytes.0 <= self.bytes
    }
}

/// Puts the connection of a fetch that waits on the lists of its partitions.
fn watch(slots: &mut [Slot], places: &PartitionTable<usize>, connection: ConnectionId, fetch: &FetchRequest) {
    for question in &fetch.partitions {
        let Some(place) = places.get(question.partition).copied() else { continue };
        let slot = &mut slots[place];
        let list = if fetch.replica.is_some() { &mut slot.followers } else { &mut slot.consumers };
        if !list.contains(&connection) {
            list.push(connection);
        }
    }
}
