//! What a broker asks of the active controller besides heartbeats: changes of in-sync sets, and blocks of producer ids.
//!
//! A proposal is sent again until it is answered or nobody waits for the answer any more. Kafka:
//! DefaultAlterPartitionManager, RPCProducerIdManager, NodeToControllerChannelManager.

use std::collections::BTreeMap;

use crate::kafka::partition::Proposal;
use crate::types::request::*;
use crate::types::*;

use super::{Ask, CONNECT_BACKOFF, CONTROLLER_CHANNEL};

#[derive(Clone, Debug, Default)]
pub struct ControllerLink {
    /// At most one for each partition; a newer one replaces it.
    waiting: BTreeMap<TopicPartition, Proposal>,
    in_flight: BTreeMap<Correlation, (Ask, Proposal)>,
    not_before: Time,
    ids: ProducerIds,
}

/// Producer ids this broker may give out, as a block of the controller's. KIP-730.
#[derive(Clone, Debug, Default)]
struct ProducerIds {
    next: u64,
    end: u64,
    wanted: bool,
    in_flight: Option<Ask>,
}

impl ControllerLink {
    pub fn propose(&mut self, proposal: Proposal) {
        self.waiting.insert(proposal.request.partition, proposal);
    }

    /// Sends what waits, and gives up what was not answered in time.
    pub fn advance(
        &mut self,
        controller: Option<NodeId>,
        broker: (NodeId, Option<BrokerEpoch>),
        correlations: &mut Correlation,
        step: &mut Step,
    ) {
        let expired = self.asks().find(|ask| ask.deadline <= step.time());
        if let Some(ask) = expired {
            step.close(CONTROLLER_CHANNEL, ask.to);
            self.handle_disconnected(ask.to, step);
        }
        let Some(to) = controller else { return };
        if step.time() < self.not_before {
            return;
        }
        while let Some((_, proposal)) = self.waiting.pop_first() {
            let ask = Ask::new(to, correlations, step.time() + REQUEST_TIMEOUT);
            step.send(CONTROLLER_CHANNEL, to, ask.correlation, Request::AlterPartition(proposal.request.clone()));
            self.in_flight.insert(ask.correlation, (ask, proposal));
        }
        if let (true, None, (broker, Some(broker_epoch))) = (self.ids.wanted, self.ids.in_flight, broker) {
            let ask = Ask::new(to, correlations, step.time() + REQUEST_TIMEOUT);
            step.send(CONTROLLER_CHANNEL, to, ask.correlation, Request::AllocateProducerIds { broker, broker_epoch });
            self.ids.in_flight = Some(ask);
        }
    }

    /// The proposal that the controller has answered, if the answer is for its partition to judge.
    pub fn handle_alter_partition(
        &mut self,
        correlation: Correlation,
        response: &AlterPartitionResponse,
        step: &mut Step,
    ) -> Option<Proposal> {
        let (_, proposal) = self.in_flight.remove(&correlation)?;
        if matches!(response.error, ErrorCode::NotController | ErrorCode::StaleBrokerEpoch | ErrorCode::RequestTimedOut)
        {
            self.not_before = step.time() + CONNECT_BACKOFF;
            self.send_again(correlation, proposal);
            return None;
        }
        if response.error != ErrorCode::None {
            self.not_before = step.time() + CONNECT_BACKOFF;
        }
        Some(proposal)
    }

    pub fn handle_producer_ids(
        &mut self,
        correlation: Correlation,
        error: ErrorCode,
        first: ProducerId,
        count: u64,
        step: &mut Step,
    ) {
        if self.ids.in_flight.is_none_or(|ask| ask.correlation != correlation) {
            return;
        }
        self.ids.in_flight = None;
        if error == ErrorCode::None {
            self.ids = ProducerIds { next: first.0, end: first.0 + count, ..ProducerIds::default() };
        } else {
            self.not_before = step.time() + CONNECT_BACKOFF;
        }
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        if !self.asks().any(|ask| ask.to == peer) {
            return;
        }
        self.not_before = step.time() + CONNECT_BACKOFF;
        self.ids.in_flight = self.ids.in_flight.filter(|ask| ask.to != peer);
        let (broken, whole) = std::mem::take(&mut self.in_flight).into_iter().partition(|(_, (ask, _))| ask.to == peer);
        self.in_flight = whole;
        let broken: BTreeMap<Correlation, (Ask, Proposal)> = broken;
        for (correlation, (_, proposal)) in broken.into_iter().rev() {
            self.send_again(correlation, proposal);
        }
    }

    /// It waits once more, unless a newer one of its partition waits or is under way: nobody awaits the answer of the older.
    fn send_again(&mut self, correlation: Correlation, proposal: Proposal) {
        let partition = proposal.request.partition;
        let mut later = self.in_flight.range(correlation..).map(|(_, (_, other))| other.request.partition);
        if !later.any(|other| other == partition) {
            self.waiting.entry(partition).or_insert(proposal);
        }
    }

    /// Forgets proposals whose answer nobody awaits.
    pub fn retain_waiting(&mut self, mut is_awaited: impl FnMut(&Proposal) -> bool) {
        self.waiting.retain(|_, proposal| is_awaited(proposal));
    }

    /// A new producer id, or `None` until the next block is here.
    pub fn next_producer_id(&mut self) -> Option<ProducerId> {
        if self.ids.next == self.ids.end {
            self.ids.wanted = true;
            return None;
        }
        self.ids.next += 1;
        Some(ProducerId(self.ids.next - 1))
    }

    pub fn next_deadline(&self, controller: Option<NodeId>) -> Option<Time> {
        if self.in_flight.is_empty() && self.waiting.is_empty() && !self.ids.wanted && self.ids.in_flight.is_none() {
            return None;
        }
        let wants = !self.waiting.is_empty() || (self.ids.wanted && self.ids.in_flight.is_none());
        let send = (wants && controller.is_some()).then_some(self.not_before);
        self.asks().map(|ask| ask.deadline).chain(send).min()
    }

    fn asks(&self) -> impl Iterator<Item = Ask> {
        self.in_flight.values().map(|(ask, _)| *ask).chain(self.ids.in_flight)
    }
}

/// Kafka: `controller.socket.timeout.ms`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
    const CONTROLLERS: [NodeId; 2] = [NodeId(7), NodeId(8)];

    struct Bench {
        link: ControllerLink,
        correlations: Correlation,
        time: Time,
        sent: Vec<(Correlation, PartitionEpoch)>,
    }

    impl Bench {
        fn new() -> Bench {
            let link = ControllerLink::default();
            Bench { link, correlations: Correlation(0), time: Time::ZERO, sent: Vec::new() }
        }

        fn step<R>(&mut self, act: impl FnOnce(&mut ControllerLink, &mut Correlation, &mut Step) -> R) -> R {
            let (mut outbox, mut rng) = (Outbox::default(), Seed(1).stream("test"));
            let now = Now { monotonic: self.time, wall_clock: self.time };
            let mut step = Step { now, rng: &mut rng, out: &mut outbox };
            let result = act(&mut self.link, &mut self.correlations, &mut step);
            self.sent.extend(outbox.0.iter().filter_map(|output| match output {
                Output::Effect(Effect::Send { correlation, request: Request::AlterPartition(request), .. }) => {
                    Some((*correlation, request.partition_epoch))
                }
                Output::Effect(_) | Output::Note(_) => None,
            }));
            result
        }

        /// What is sent to a controller once more time has passed.
        fn advance(&mut self, controller: NodeId) -> Vec<(Correlation, PartitionEpoch)> {
            self.time += CONNECT_BACKOFF;
            self.step(|link, correlations, step| link.advance(Some(controller), (NodeId(1), None), correlations, step));
            std::mem::take(&mut self.sent)
        }

        /// Proposes on top of what the partition is at, and sends it.
        fn propose(&mut self, partition_epoch: u32, controller: NodeId) -> Correlation {
            let request = AlterPartitionRequest {
                broker: NodeId(1),
                broker_epoch: BrokerEpoch(1),
                partition: PARTITION,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(partition_epoch),
                in_sync_replicas: Vec::new(),
            };
            self.link.propose(Proposal { number: u64::from(partition_epoch), request });
            self.advance(controller)[0].0
        }

        fn refuse(&mut self, correlation: Correlation) {
            let response = AlterPartitionResponse {
                error: ErrorCode::NotController,
                partition: PARTITION,
                leader: None,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
                in_sync_replicas: Vec::new(),
            };
            assert!(self.step(|link, _, step| link.handle_alter_partition(correlation, &response, step)).is_none());
        }

        /// Partition epochs of what is sent.
        fn sent_to(&mut self, controller: NodeId) -> Vec<u32> {
            self.advance(controller).into_iter().map(|(_, epoch)| epoch.0).collect()
        }
    }

    #[test]
    fn of_several_that_a_connection_takes_with_it_the_newest_is_sent_again() {
        let mut bench = Bench::new();
        (1..=3).for_each(|epoch| _ = bench.propose(epoch, CONTROLLERS[0]));
        bench.step(|link, _, step| link.handle_disconnected(CONTROLLERS[0], step));
        assert_eq!(bench.sent_to(CONTROLLERS[0]), [3]);
    }

    #[test]
    fn an_older_one_that_is_refused_is_not_sent_behind_a_newer_one() {
        let mut bench = Bench::new();
        let older = bench.propose(1, CONTROLLERS[0]);
        let newer = bench.propose(2, CONTROLLERS[1]);
        bench.refuse(older);
        assert_eq!(bench.sent_to(CONTROLLERS[1]), [0; 0]);
        bench.step(|link, _, step| link.handle_disconnected(CONTROLLERS[0], step));
        bench.refuse(newer);
        assert_eq!(bench.sent_to(CONTROLLERS[1]), [2]);
    }
}
