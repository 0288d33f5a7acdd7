//! A controller: one voter of the quorum that keeps the metadata log, and its master while it leads.
//!
//! The idea: decide on one image, act on another. The active controller decides on a *speculative* image that includes
//! its own appends; everybody else, and every answer, sees only what is committed. When leadership is lost the
//! speculative image and the answers that waited are thrown away, and nobody was told anything that is not so.
//!
//! `quorum*.rs` is the Raft part, `decide*.rs` the rules of the cluster as pure functions on an image, `sessions.rs`
//! the memory of who was heard of. A controller knows no log of a partition: it judges by what brokers tell.
//! Source: KIP-500, KIP-595, KIP-631; QuorumController, OffsetControlManager, ReplicationControlManager.

mod decide;
mod decide_partition;
mod quorum;
mod quorum_fetch;
mod quorum_log;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use decide::{
    Decision, decide_fencing, decide_heartbeat, decide_partitions, decide_producer_ids, decide_registration,
    decide_topics,
};
use decide_partition::{
    Rules, alter_partition_response, decide_alter_partition, decide_preferred, decide_reassignment,
};
use quorum::Quorum;
use sessions::Sessions;

use crate::types::metadata::{ClusterImage, MetadataRecord};
use crate::types::note::Note;
use crate::types::request::*;
use crate::types::settings::{BrokerSettings, TopicSettings};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct ControllerConfig {
    pub id: NodeId,
    /// Voters of the quorum, this one included.
    pub voters: Vec<NodeId>,
    /// All brokers of the cluster, in the order in which replicas are placed.
    pub brokers: Vec<NodeId>,
    pub settings: BrokerSettings,
    pub topics: BTreeMap<TopicId, TopicSettings>,
    pub guards: Guards,
}

#[derive(Clone, Debug)]
pub struct Controller {
    config: ControllerConfig,
    quorum: Quorum,
    /// As far as committed.
    image: ClusterImage,
    active: Option<Active>,
    deadline: Option<(Time, TimerName)>,
}

/// What the master of the metadata log has beside the log.
#[derive(Clone, Debug)]
struct Active {
    epoch: QuorumEpoch,
    /// The committed image and everything appended since. Its end is the end of the log.
    image: ClusterImage,
    sessions: Sessions,
    /// Answers that wait for the log to be committed up to an end, in order.
    parked: VecDeque<ParkedReply>,
    /// Next look for leaderships to give back.
    balance_at: Time,
}

#[derive(Clone, Debug)]
struct ParkedReply {
    committed_at: Offset,
    to: ReplyTo,
    response: Response,
    /// The answer when leadership is lost before.
    refusal: Response,
}

impl Controller {
    pub fn new(config: ControllerConfig) -> Controller {
        let quorum = Quorum::new(config.id, config.voters.clone(), config.settings.clone(), config.guards);
        Controller {
            quorum,
            image: ClusterImage { topics: config.topics.clone(), ..ClusterImage::default() },
            active: None,
            deadline: None,
            config,
        }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Started { image, incarnation: _ } => self.quorum.start(image.quorum_log, image.quorum_state, step),
            Input::Request { from, request } => self.handle_request(from, request, step),
            Input::Response { channel, from, correlation, response } => {
                self.quorum.handle_response(channel, from, correlation, response, step);
            }
            Input::Disconnected { channel, peer } => self.quorum.handle_disconnected(channel, peer, step),
            // Kafka: a fault of the metadata log ends the process. ProcessTerminatingFaultHandler.
            Input::StorageFailed => step.effect(Effect::Exit { clean: false }),
            Input::Command(command) => self.handle_command(command, step),
            Input::Timeout => {
                if self.deadline.is_none_or(|(at, _)| at > step.time()) {
                    return;
                }
                self.handle_timeout(step);
            }
        }
        self.settle(step);
        self.check_invariants();
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        self.deadline
    }

    /// Whether this controller decides: it leads the quorum and has caught up with everything committed.
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// The cluster as far as this controller knows it to be committed.
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    pub fn check_invariants(&self) {
        self.quorum.check_invariants();
        assert!(self.image.end_offset == self.quorum.high_watermark, "image is not what is committed");
        if let Some(active) = &self.active {
            assert!(active.epoch == self.quorum.epoch, "decides in another epoch than it leads");
            assert!(active.image.end_offset == self.quorum.next_offset(), "speculative image is not the log's end");
        }
    }

    // --- requests ---

    fn handle_request(&mut self, from: ReplyTo, request: Request, step: &mut Step) {
        match request {
            Request::Vote(vote) => self.quorum.handle_vote(from, vote, step),
            Request::BeginQuorumEpoch { epoch, leader } => self.quorum.handle_begin_epoch(from, epoch, leader, step),
            Request::FetchQuorum(fetch) => self.quorum.handle_fetch(from, fetch, step),
            Request::BrokerRegistration(registration) => self.handle_registration(from, registration, step),
            Request::BrokerHeartbeat(heartbeat) => self.handle_heartbeat(from, heartbeat, step),
            Request::AlterPartition(alter) => {
                let refusal = alter_partition_response(ErrorCode::NotController, alter.partition, None);
                self.decide(from, refusal, step, |image, rules| decide_alter_partition(image, rules, &alter));
            }
            Request::AllocateProducerIds { broker, broker_epoch } => {
                let (error, first) = (ErrorCode::NotController, ProducerId(0));
                let refusal = Response::AllocateProducerIds { error, first, count: 0 };
                self.decide(from, refusal, step, |image, _| decide_producer_ids(image, broker, broker_epoch));
            }
            // For brokers and for the business; nobody sends them here.
            Request::Metadata(_)
            | Request::Produce(_)
            | Request::Fetch(_)
            | Request::ListOffsets(_)
            | Request::OffsetForLeaderEpoch(_)
            | Request::InitProducerId { .. }
            | Request::FindCoordinator { .. }
            | Request::JoinGroup(_)
            | Request::SyncGroup(_)
            | Request::Heartbeat { .. }
            | Request::LeaveGroup { .. }
            | Request::ConsumerGroupHeartbeat(_)
            | Request::OffsetCommit(_)
            | Request::OffsetFetch { .. }
            | Request::Call(_)
            | Request::Store(_)
            | Request::Endpoint(_)
            | Request::CallService(_)
            | Request::PollRows(_)
            | Request::KeptPositions(_)
            | Request::AddPartitionsToTxn(_)
            | Request::AddOffsetsToTxn(_)
            | Request::EndTxn(_)
            | Request::WriteTxnMarkers { .. }
            | Request::TxnOffsetCommit(_) => {}
        }
    }

    fn handle_registration(&mut self, from: ReplyTo, request: BrokerRegistrationRequest, step: &mut Step) {
        let (broker, now, next_offset) = (request.registration.broker, step.time(), self.quorum.next_offset());
        let has_session = self.active.as_ref().is_some_and(|active| active.sessions.is_valid(broker, now));
        let refusal = Response::BrokerRegistration { error: ErrorCode::NotController, broker_epoch: BrokerEpoch(0) };
        let registered = self.decide(from, refusal, step, |image, rules| {
            decide_registration(image, rules, &request, next_offset, has_session)
        });
        if registered && let Some(active) = &mut self.active {
            active.sessions.begin(broker, now);
        }
    }

    fn handle_heartbeat(&mut self, from: ReplyTo, request: BrokerHeartbeatRequest, step: &mut Step) {
        let broker = request.broker;
        let shutdown_known =
            self.active.as_ref().is_some_and(|active| active.sessions.shutdown_is_known(broker, &active.image));
        let refusal = decide::heartbeat_response(ErrorCode::NotController, true, false);
        let changed =
            self.decide(from, refusal, step, |image, rules| decide_heartbeat(image, rules, &request, shutdown_known));
        let Some(active) = &mut self.active else { return };
        if decide::check_broker(&active.image, broker, request.broker_epoch).is_err() {
            return;
        }
        active.sessions.renew(broker, request.metadata_offset, step.time());
        let stopping = active.image.brokers.get(&broker).is_some_and(|state| state.shutting_down && !state.fenced);
        if stopping && changed {
            active.sessions.begin_shutdown(broker, active.image.end_offset);
        }
        if changed {
            self.create_topics(step);
        }
    }

    // --- time and commands ---

    fn handle_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        if self.quorum.next_deadline().is_some_and(|(at, _)| at <= now) {
            self.quorum.handle_timeout(step);
            self.settle(step);
        }
        let Some(active) = &mut self.active else { return };
        let expired = active.sessions.expire(now);
        let balance = active.balance_at <= now;
        if balance {
            active.balance_at = now + self.config.settings.leader_imbalance_check_interval;
        }
        for broker in expired {
            self.propose(step, |image, rules| decide_fencing(image, rules, broker));
        }
        if balance {
            self.propose(step, |image, rules| decide_preferred(image, rules, |_| true));
        }
    }

    fn handle_command(&mut self, command: Command, step: &mut Step) {
        match command {
            Command::ElectPreferred { topic, partition } => {
                let wanted =
                    |of: TopicPartition| of.topic == topic && partition.is_none_or(|only| of.partition == only);
                self.propose(step, |image, rules| decide_preferred(image, rules, wanted));
            }
            Command::Reassign { partition, to } => {
                self.propose(step, |image, rules| decide_reassignment(image, rules, partition, &to));
            }
            Command::CreatePartitions { topic, count } => {
                let brokers = self.config.brokers.clone();
                self.propose(step, |image, _| decide_partitions(image, &brokers, topic, count));
            }
            Command::ShutDown => {
                // In one process with a broker it is the broker that ends it, when the controller has let it go.
                if !self.config.brokers.contains(&self.config.id) {
                    if self.quorum.epoch_start().is_some() {
                        self.quorum.resign(step);
                        self.settle(step);
                    }
                    step.effect(Effect::Exit { clean: true });
                }
            }
            Command::ExpireOffsets(_)
            | Command::Rebalance(_)
            | Command::HoldMetadata(_)
            | Command::EnforceRetention(_)
            | Command::Compact(_)
            | Command::DeleteRecords(_)
            | Command::Redeliver
            | Command::Redrive(_)
            | Command::Poison(_)
            | Command::Repair
            | Command::EndLoad => {}
        }
    }

    // --- deciding ---

    /// Decides on the speculative image and answers when that is committed; true when anything was changed. An answer
    /// that changes nothing waits too: it may rest on changes of others that are not committed yet.
    fn decide(
        &mut self,
        from: ReplyTo,
        refusal: Response,
        step: &mut Step,
        decide: impl FnOnce(&ClusterImage, Rules) -> Decision,
    ) -> bool {
        let rules = Rules { settings: &self.config.settings, guards: self.config.guards };
        let Some(active) = &mut self.active else {
            step.reply(from, refusal);
            return false;
        };
        let Decision { records, response } = decide(&active.image, rules);
        let changes = !records.is_empty();
        append(&mut self.quorum, active, records, step);
        let committed_at = active.image.end_offset;
        active.parked.push_back(ParkedReply { committed_at, to: from, response, refusal });
        changes
    }

    /// A decision that nobody waits for.
    fn propose(&mut self, step: &mut Step, decide: impl FnOnce(&ClusterImage, Rules) -> Vec<MetadataRecord>) {
        let rules = Rules { settings: &self.config.settings, guards: self.config.guards };
        if let Some(active) = &mut self.active {
            let records = decide(&active.image, rules);
            append(&mut self.quorum, active, records, step);
        }
    }

    fn create_topics(&mut self, step: &mut Step) {
        if self.active.as_ref().is_some_and(|active| active.image.partitions.is_empty()) {
            let brokers = self.config.brokers.clone();
            self.propose(step, |image, _| decide_topics(image, &brokers));
        }
    }

    // --- following the quorum ---

    /// Brings everything that hangs on the quorum in line with it.
    fn settle(&mut self, step: &mut Step) {
        if self.active.as_ref().is_some_and(|active| !self.leads(active.epoch)) {
            self.deactivate(step);
        }
        self.replay_committed(step);
        if self.active.is_none() && self.quorum.epoch_start().is_some_and(|start| self.image.end_offset > start) {
            self.activate(step);
            self.replay_committed(step);
        }
        self.answer_committed(step);
        self.deadline = self.earliest_deadline();
    }

    fn leads(&self, epoch: QuorumEpoch) -> bool {
        self.quorum.epoch == epoch && self.quorum.epoch_start().is_some()
    }

    /// Kafka: QuorumController.claim. Everything of former epochs is committed and replayed by now.
    fn activate(&mut self, step: &mut Step) {
        let settings = &self.config.settings;
        self.active = Some(Active {
            epoch: self.quorum.epoch,
            image: self.image.clone(),
            sessions: Sessions::new(settings.broker_session_timeout, &self.image, step.time()),
            parked: VecDeque::new(),
            balance_at: match settings.auto_leader_rebalance_enable {
                true => step.time() + settings.leader_imbalance_check_interval,
                false => Time::NEVER,
            },
        });
        self.create_topics(step);
    }

    /// Kafka: QuorumController.renounce. What waited may be committed by the next leader, or not: nobody is told.
    fn deactivate(&mut self, step: &mut Step) {
        let Some(active) = self.active.take() else { return };
        for parked in active.parked {
            step.reply(parked.to, parked.refusal);
        }
    }

    fn answer_committed(&mut self, step: &mut Step) {
        let Some(active) = &mut self.active else { return };
        while let Some(parked) = active.parked.pop_front_if(|parked| parked.committed_at <= self.image.end_offset) {
            step.reply(parked.to, parked.response);
        }
    }

    fn replay_committed(&mut self, step: &mut Step) {
        let committed = self.quorum.high_watermark;
        if committed < self.image.end_offset {
            // Voters have forgotten what they said. The log is what there is.
            self.image = ClusterImage { topics: self.config.topics.clone(), ..ClusterImage::default() };
        }
        let epoch_start = self.quorum.epoch_start();
        let mut unclean_before = BTreeSet::new();
        'log: for entry in self.quorum.log.read(self.image.end_offset, committed) {
            for record in &entry.records {
                if !self.image.is_continued_by(record) {
                    // Epochs were given out twice by voters that had forgotten the first time, and what is in this log is of
                    // both. Kafka: ProcessTerminatingFaultHandler.
                    step.effect(Effect::Exit { clean: false });
                    break 'log;
                }
                let unclean = self.image.elects_uncleanly(record);
                self.image.replay(record);
                match epoch_start {
                    Some(start) if entry.offset > start => say(&self.image, record, unclean, step),
                    Some(_) => unclean_before.extend(partition_of(record).filter(|_| unclean)),
                    None => {}
                }
            }
            if epoch_start == Some(entry.offset) {
                say_all(&self.image, &unclean_before, step);
            }
        }
        self.image.end_offset = committed;
    }

    fn earliest_deadline(&self) -> Option<(Time, TimerName)> {
        let session = self.active.as_ref().and_then(|active| active.sessions.next_deadline());
        let balance = self.active.as_ref().map(|active| active.balance_at).filter(|at| *at < Time::NEVER);
        let deadlines = [
            self.quorum.next_deadline(),
            session.map(|at| (at, "broker session")),
            balance.map(|at| (at, "leader imbalance check")),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// Appends records as one entry and replays them on the speculative image.
fn append(quorum: &mut Quorum, active: &mut Active, records: Vec<MetadataRecord>, step: &mut Step) {
    if records.is_empty() {
        return;
    }
    for record in &records {
        active.image.replay(record);
    }
    let offset = quorum.append(records, step);
    assert!(offset == active.image.end_offset, "speculative image is not the log's end");
    active.image.end_offset = offset.plus(1);
}

fn partition_of(record: &MetadataRecord) -> Option<TopicPartition> {
    match record {
        MetadataRecord::Partition { partition, .. } | MetadataRecord::PartitionChanged { partition, .. } => {
            Some(*partition)
        }
        MetadataRecord::RegisterBroker { .. }
        | MetadataRecord::BrokerChanged { .. }
        | MetadataRecord::ProducerIds { .. } => None,
    }
}

/// Says what a committed record changed.
fn say(image: &ClusterImage, record: &MetadataRecord, unclean: bool, step: &mut Step) {
    match record {
        MetadataRecord::RegisterBroker { registration, .. } => say_broker(image, registration.broker, step),
        MetadataRecord::BrokerChanged { broker, .. } => say_broker(image, *broker, step),
        MetadataRecord::Partition { partition, .. } | MetadataRecord::PartitionChanged { partition, .. } => {
            say_partition(image, *partition, unclean, step);
        }
        MetadataRecord::ProducerIds { .. } => {}
    }
}

fn say_broker(image: &ClusterImage, broker: NodeId, step: &mut Step) {
    let state = image.brokers.get(&broker).expect("a broker that a record has just changed");
    let (broker_epoch, fenced, shutting_down) = (state.broker_epoch, state.fenced, state.shutting_down);
    step.note(Note::BrokerChanged { broker, broker_epoch, fenced, shutting_down });
}

fn say_partition(image: &ClusterImage, partition: TopicPartition, unclean: bool, step: &mut Step) {
    let state = image.partitions.get(&partition).expect("a partition that a record has just changed");
    step.note(Note::PartitionChanged { partition, state: Box::new(state.clone()), unclean });
}

/// Everything, once, by a leader whose epoch begins: what its predecessor had committed it may never have said, and what it
/// says from now on counts no more. `unclean`: partitions that entries of former epochs gave an unclean leader.
fn say_all(image: &ClusterImage, unclean: &BTreeSet<TopicPartition>, step: &mut Step) {
    for broker in image.brokers.keys() {
        say_broker(image, *broker, step);
    }
    for partition in image.partitions.keys() {
        say_partition(image, *partition, unclean.contains(partition), step);
    }
}
