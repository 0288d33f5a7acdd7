//! A small plan, and a builder of histories for it.

use std::sync::Arc;

use crate::checks::{Judge, RunOutcome, WaitOptions};
use crate::history::event::StopReason;
use crate::history::{Event, Happening};
use crate::scenario::plan::*;
use crate::types::metadata::PartitionState;
use crate::types::note::*;
use crate::types::request::{ErrorCode, Present, Stands};
use crate::types::settings::*;
use crate::types::*;

pub const SHOP: ServiceId = ServiceId(0);
pub const BILLING: ServiceId = ServiceId(1);
pub const ORDERS: PlaceId = PlaceId(0);
pub const INVOICES: PlaceId = PlaceId(1);
pub const DEAD: PlaceId = PlaceId(2);
pub const P0: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
pub const B1: NodeId = NodeId(1);
pub const B2: NodeId = NodeId(2);
pub const SHOP_1: NodeId = NodeId(10);
pub const BILLING_1: NodeId = NodeId(11);
pub const BILLING_2: NodeId = NodeId(12);
pub const DB: NodeId = NodeId(13);
pub const CALLERS: NodeId = NodeId(14);
pub const GROUP: GroupId = GroupId(0);
pub const CRASH: FaultId = FaultId(0);

/// The effect of billing on `db.invoices`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Billing {
    Insert,
    Add,
    Upsert,
}

pub fn plan(effect: Billing) -> Plan {
    let operation = match effect {
        Billing::Insert => StoreStep::InsertIfAbsent {
            table: INVOICES,
            row: RowBy::Event,
            present: Present::Skip,
            stands: Stands::ForGood,
        },
        Billing::Add => StoreStep::Add { table: INVOICES, by: 1 },
        Billing::Upsert => StoreStep::Upsert { table: INVOICES, version_guard: false },
    };
    let node = |id: NodeId, name: &str, kind: NodeKind| NodePlan { id, name: name.to_string(), kind, rack: None };
    let settings = TopicSettings { replication: 2, min_insync_replicas: 2, ..TopicSettings::default() };
    let topic = |id: u16, name: &str, place: PlaceId| TopicPlan {
        id: TopicId(id),
        name: name.to_string(),
        place,
        owner: None,
        settings: settings.clone(),
    };
    Plan {
        scenario: "story".to_string(),
        cell: String::new(),
        about: String::new(),
        rows: Vec::new(),
        seed: Seed(7),
        stream_version: STREAM_VERSION,
        duration: Duration::from_secs(60),
        drain: Duration::from_secs(300),
        chart: None,
        chaos: None,
        guards_off: Vec::new(),
        settings_stated: 0,
        cluster: ClusterPlan {
            brokers: 2,
            controllers: vec![B1],
            restart: Duration::from_secs(5),
            settings: BrokerSettings::default(),
        },
        network: NetworkPlan {
            default: LinkPlan { latency: Spread::ZERO, loss: Ratio::ZERO, bandwidth: None },
            between: Vec::new(),
            sequence: 0,
        },
        disk: DiskPlan {
            default: DiskSettings { write: Spread::ZERO, flush: Spread::ZERO, write_back: None },
            on: Vec::new(),
        },
        nodes: vec![
            node(B1, "broker-1", NodeKind::Broker),
            node(B2, "broker-2", NodeKind::Broker),
            node(SHOP_1, "shop-1", NodeKind::Instance { service: SHOP, number: 1 }),
            node(BILLING_1, "billing-1", NodeKind::Instance { service: BILLING, number: 1 }),
            node(BILLING_2, "billing-2", NodeKind::Instance { service: BILLING, number: 2 }),
            node(DB, "db", NodeKind::Store { store: 0 }),
            node(CALLERS, "callers-shop", NodeKind::Callers { service: SHOP }),
        ],
        topics: vec![topic(0, "orders", ORDERS), topic(1, "dead", DEAD)],
        groups: vec![GroupPlan { id: GROUP, name: "billing".to_string() }],
        endpoints: Vec::new(),
        stores: vec![StorePlan {
            name: "db".to_string(),
            node: DB,
            owner: None,
            latency: Spread::Constant(Duration::from_millis(1)),
            timeout: Duration::from_secs(30),
            errors: Ratio::ZERO,
            lost_requests: Ratio::ZERO,
            lost_answers: Ratio::ZERO,
        }],
        places: vec![
            PlacePlan { id: ORDERS, name: "orders".to_string(), kind: PlaceKind::Topic { topic: TopicId(0) } },
            PlacePlan { id: INVOICES, name: "db.invoices".to_string(), kind: PlaceKind::Table { store: 0 } },
            PlacePlan { id: DEAD, name: "dead".to_string(), kind: PlaceKind::Topic { topic: TopicId(1) } },
        ],
        services: vec![shop(), billing(operation)],
        faults: Vec::new(),
        expectations: vec![Expectation::Place(exactly_once(INVOICES))],
        floors: Vec::new(),
    }
}

fn shop() -> ServicePlan {
    let step = |text: &str, action: Action| StepPlan { text: text.to_string(), action, of: None };
    ServicePlan {
        id: SHOP,
        name: "shop".to_string(),
        owner: None,
        instances: vec![SHOP_1],
        workers: 1,
        worker_order: WorkerOrder::Key,
        restart: Duration::from_secs(1),
        headroom_thousandths: None,
        trigger: Trigger::Requests(RequestsPlan {
            callers: CALLERS,
            interval: Duration::from_millis(100),
            arrivals: Arrivals::Poisson,
            keys: Keys::Uniform(10),
            size: ByteCount(100),
            count: None,
            caller_timeout: Duration::from_secs(30),
            caller_attempts: 1,
            caller_backoff: Duration::from_secs(1),
            caller_id: CallerId::Fixed,
        }),
        steps: vec![
            step(
                "publish orders",
                Action::Publish { topic: TopicId(0), producer: 0, wait: true, key: PublishKey::Key },
            ),
            step("respond ok", Action::Respond),
        ],
        ladder: vec![Rung::Refuse],
        producers: vec![ProducerSettings::default()],
        transactional: None,
    }
}

fn billing(operation: StoreStep) -> ServicePlan {
    let step = |text: &str, action: Action| StepPlan { text: text.to_string(), action, of: None };
    ServicePlan {
        id: BILLING,
        name: "billing".to_string(),
        owner: None,
        instances: vec![BILLING_1, BILLING_2],
        workers: 1,
        worker_order: WorkerOrder::Key,
        restart: Duration::from_secs(1),
        headroom_thousandths: Some(1500),
        trigger: Trigger::Consume(ConsumePlan {
            group: GROUP,
            topics: vec![TopicId(0)],
            consumer: ConsumerSettings::default(),
            static_membership: false,
            commit_of: CommitOf::Contiguous,
            on_revoke: OnRevoke::Commit,
        }),
        steps: vec![
            step("insert db.invoices", Action::Store { store: 0, operations: vec![operation] }),
            step("commit", Action::Commit { every: CommitEvery::Record, how: CommitHow::Sync }),
        ],
        ladder: vec![
            Rung::Retry { times: 1, backoff: Spread::ZERO },
            Rung::DeadLetter { topic: TopicId(1), producer: 0, wait: true },
        ],
        producers: vec![ProducerSettings::default()],
        transactional: None,
    }
}

/// `exactly-once` with the defaults of the language.
pub fn exactly_once(place: PlaceId) -> PlaceExpectation {
    PlaceExpectation {
        place,
        text: "exactly-once".to_string(),
        loss: Tolerance::None,
        duplicates: Tolerance::None,
        stale: Tolerance::None,
        phantoms: Tolerance::Allowed,
        parked: Tolerance::Allowed,
        pending: Tolerance::None,
        order: OrderExpectation::Any,
        of: None,
        blame: None,
    }
}

/// Changes the one expectation of the plan.
pub fn expect(plan: &mut Plan, change: impl FnOnce(&mut PlaceExpectation)) {
    match &mut plan.expectations[0] {
        Expectation::Place(expectation) => change(expectation),
        _ => panic!("the plan's first expectation is of a place"),
    }
}

/// A crash of `billing-1` without a heal of its own.
pub fn crash_fault(name: &str) -> FaultPlan {
    FaultPlan {
        id: CRASH,
        name: name.to_string(),
        text: "at 1s crash instance(billing, 1)".to_string(),
        trigger: FaultTrigger::At(Duration::from_secs(1)),
        action: FaultAction::Crash(Target::Node(BILLING_1)),
        duration: None,
        every: None,
        times: None,
    }
}

/// Tells a history line by line.
pub struct Story {
    judge: Judge,
    now: Time,
    number: u64,
    next_offset: u64,
    leader: NodeId,
    leader_epoch: LeaderEpoch,
}

pub fn event_id(number: u64) -> EventId {
    EventId(u64::from(SHOP.0) << 48 | number)
}

/// Events of one key are numbered in the order of their versions.
pub fn message(number: u64, key: u64, version: u32) -> Message {
    Message {
        event: event_id(number),
        origin: SHOP,
        key: Key(key),
        version,
        size: 100,
        poison: false,
        attempt: 0,
        caller_attempt: 0,
    }
}

pub fn at(milliseconds: u64) -> Time {
    Time::LOAD_START + Duration::from_millis(milliseconds)
}

impl Story {
    /// The cluster is up, broker 1 leads `orders/0`, and `billing-1` stands at its start.
    pub fn new(plan: &Plan) -> Story {
        Story::with_options(plan, WaitOptions::default())
    }

    pub fn with_options(plan: &Plan, options: WaitOptions) -> Story {
        let mut story = Story {
            judge: Judge::with_options(plan, options),
            now: Time::ZERO,
            number: 0,
            next_offset: 0,
            leader: B1,
            leader_epoch: LeaderEpoch(0),
        };
        for node in [B1, B2, SHOP_1, BILLING_1, BILLING_2] {
            story.happen(node, Happening::Started { incarnation: Incarnation(1) });
        }
        story.leads(B1, 0, 0);
        story.position(BILLING_1, 0, PositionReason::ResetEarliest);
        story
    }

    pub fn at(&mut self, milliseconds: u64) -> &mut Story {
        self.now = at(milliseconds);
        self
    }

    pub fn happen(&mut self, node: NodeId, what: Happening) -> &mut Story {
        self.judge.observe(&Event { time: self.now, number: self.number, node, what });
        self.number += 1;
        self
    }

    pub fn note(&mut self, node: NodeId, note: Note) -> &mut Story {
        self.happen(node, Happening::Note(note))
    }

    // --- the queue ---

    pub fn leads(&mut self, node: NodeId, epoch: u32, end: u64) -> &mut Story {
        (self.leader, self.leader_epoch, self.next_offset) = (node, LeaderEpoch(epoch), end);
        self.note(
            node,
            Note::BecameLeader {
                partition: P0,
                leader_epoch: LeaderEpoch(epoch),
                log_end_offset: Offset(end),
                high_watermark: Offset(end),
            },
        )
    }

    pub fn leads_uncleanly(&mut self, node: NodeId, epoch: u32, end: u64) -> &mut Story {
        let leader_epoch = LeaderEpoch(epoch);
        self.note(node, Note::ElectedUncleanly { partition: P0, leader_epoch }).leads(node, epoch, end)
    }

    /// One record of `orders/0` in a batch of its own.
    pub fn batch(&self, send: u64, message: Message, offset: u64, epoch: u32) -> RecordBatch {
        RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(epoch),
            ..RecordBatch::new(
                None,
                Arc::new(Records::Messages(vec![Record { send: SendId(send), message, timestamp: self.now }])),
            )
        }
    }

    /// The leader appends; with `replicated` the follower has it too and it becomes readable.
    pub fn appended(&mut self, send: u64, message: Message, replicated: bool) -> u64 {
        let (offset, leader) = (self.next_offset, self.leader);
        self.next_offset += 1;
        let batch = self.batch(send, message, offset, self.leader_epoch.0);
        self.note(leader, Note::BatchAppended { partition: P0, role: AppendRole::Leader, batch: batch.clone() });
        if replicated {
            let follower = if leader == B1 { B2 } else { B1 };
            self.note(follower, Note::BatchAppended { partition: P0, role: AppendRole::Follower, batch });
            self.high_watermark(offset + 1);
        }
        offset
    }

    pub fn high_watermark(&mut self, offset: u64) -> &mut Story {
        let (leader, leader_epoch) = (self.leader, self.leader_epoch);
        let offset = Offset(offset);
        self.note(leader, Note::HighWatermark { partition: P0, leader_epoch, offset, as_leader: true })
    }

    pub fn acknowledged(&mut self, offset: u64, acks: Acks) -> &mut Story {
        self.acknowledged_by(self.leader, self.leader_epoch, offset, acks)
    }

    /// Whoever leads in the eyes of others.
    pub fn acknowledged_by(&mut self, node: NodeId, epoch: LeaderEpoch, offset: u64, acks: Acks) -> &mut Story {
        self.note(
            node,
            Note::ProduceAnswered {
                partition: P0,
                leader_epoch: epoch,
                acks,
                error: ErrorCode::None,
                base_offset: Offset(offset),
                end_offset: Offset(offset + 1),
                to: SHOP_1,
            },
        )
    }

    pub fn partition_changed(
        &mut self,
        leader: Option<NodeId>,
        epoch: u32,
        isr: &[NodeId],
        unclean: bool,
    ) -> &mut Story {
        // One in sync is too few here: the other stays eligible (KIP-966).
        let eligible = [B1, B2].into_iter().filter(|node| isr.len() < 2 && !unclean && !isr.contains(node));
        let state = PartitionState {
            replicas: vec![B1, B2],
            in_sync_replicas: isr.to_vec(),
            eligible_leader_replicas: eligible.collect(),
            reassignment: None,
            last_known_leader: None,
            leader,
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: PartitionEpoch(self.number as u32),
            recovering: false,
        };
        self.note(B1, Note::PartitionChanged { partition: P0, state: Box::new(state), unclean })
    }

    /// The controller has committed these two lists.
    pub fn candidates(&mut self, isr: &[NodeId], elr: &[NodeId], unclean: bool) -> &mut Story {
        let state = PartitionState {
            replicas: vec![B1, B2],
            in_sync_replicas: isr.to_vec(),
            eligible_leader_replicas: elr.to_vec(),
            reassignment: None,
            last_known_leader: None,
            leader: isr.first().copied(),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(self.number as u32),
            recovering: false,
        };
        self.note(B1, Note::PartitionChanged { partition: P0, state: Box::new(state), unclean })
    }

    pub fn registered(&mut self, broker: NodeId, epoch: u64, fenced: bool) -> &mut Story {
        let broker_epoch = BrokerEpoch(epoch);
        self.note(B1, Note::BrokerChanged { broker, broker_epoch, fenced, shutting_down: false })
    }

    // --- callers and producer ---

    pub fn arrived(&mut self, message: Message) -> &mut Story {
        self.note(CALLERS, Note::Arrived { service: SHOP, message });
        self.note(CALLERS, Note::Attempted { event: message.event, attempt: 1, instance: SHOP_1 });
        self.note(SHOP_1, Note::FlowStarted { service: SHOP, message, source: None, attempt: 0 })
    }

    pub fn settled(&mut self, number: u64, outcome: CallerOutcome) -> &mut Story {
        let event = event_id(number);
        self.note(CALLERS, Note::CallerSettled { event, outcome })
    }

    pub fn sent(&mut self, send: u64, number: u64) -> &mut Story {
        self.note(SHOP_1, Note::Sent { send: SendId(send), event: event_id(number), partition: P0 })
    }

    pub fn send_succeeded(&mut self, send: u64, offset: Option<u64>) -> &mut Story {
        let offset = offset.map(Offset);
        self.note(SHOP_1, Note::SendSucceeded { send: SendId(send), partition: P0, offset })
    }

    pub fn shop_done(&mut self, number: u64) -> &mut Story {
        let event = event_id(number);
        self.note(SHOP_1, Note::FlowDone { service: SHOP, event, skipped: false })
    }

    /// Everything up to "accepted", replicated and acknowledged. Returns its offset.
    pub fn ordered(&mut self, message: Message) -> u64 {
        let number = message.event.0;
        self.arrived(message).sent(number, number);
        let offset = self.appended(number, message, true);
        self.acknowledged(offset, Acks::All).send_succeeded(number, Some(offset));
        self.settled(number, CallerOutcome::Accepted).shop_done(number);
        offset
    }

    // --- the consumer ---

    pub fn position(&mut self, node: NodeId, offset: u64, why: PositionReason) -> &mut Story {
        self.note(node, Note::PositionSet { group: GROUP, partition: P0, offset: Offset(offset), why })
    }

    pub fn flow(&mut self, node: NodeId, message: Message, offset: u64) -> &mut Story {
        let (from, to) = (Offset(offset), Offset(offset + 1));
        self.note(node, Note::Polled { group: GROUP, partition: P0, from, to, count: 1 });
        self.note(
            node,
            Note::FlowStarted { service: BILLING, message, source: Some((P0, Offset(offset))), attempt: 0 },
        );
        self.note(node, Note::StepReached { service: BILLING, step: 0, event: message.event })
    }

    pub fn effect(&mut self, caller: NodeId, message: Message, effect: StoreEffect) -> &mut Story {
        self.note(DB, Note::EffectApplied { service: BILLING, step: 0, place: INVOICES, message, effect, caller })
    }

    pub fn step_done(&mut self, node: NodeId, number: u64, step: u16, outcome: StepOutcome) -> &mut Story {
        self.note(node, Note::StepDone { service: BILLING, step, event: event_id(number), outcome })
    }

    pub fn committed(&mut self, node: NodeId, offset: u64) -> &mut Story {
        let offset = Offset(offset);
        self.note(B1, Note::OffsetCommitted { group: GROUP, partition: P0, offset, member: None, by: node })
    }

    pub fn flow_done(&mut self, node: NodeId, number: u64, skipped: bool) -> &mut Story {
        let event = event_id(number);
        self.note(node, Note::FlowDone { service: BILLING, event, skipped })
    }

    /// A whole flow of billing: effect, commit, through.
    pub fn billed(&mut self, node: NodeId, message: Message, offset: u64, effect: StoreEffect) -> &mut Story {
        let number = message.event.0;
        self.flow(node, message, offset).effect(node, message, effect);
        self.step_done(node, number, 0, StepOutcome::Done);
        self.committed(node, offset + 1).flow_done(node, number, false)
    }

    // --- faults and the end ---

    pub fn stopped(&mut self, node: NodeId, why: StopReason) -> &mut Story {
        self.happen(node, Happening::Stopped { why })
    }

    pub fn starts(&mut self, node: NodeId) -> &mut Story {
        self.happen(node, Happening::Started { incarnation: Incarnation(2) })
    }

    pub fn fault(&mut self, nodes: &[NodeId]) -> &mut Story {
        let nodes = nodes.to_vec();
        self.happen(NodeId(0), Happening::FaultFired { fault: CRASH, nodes, peers: Vec::new() })
    }

    pub fn healed(&mut self) -> &mut Story {
        self.happen(NodeId(0), Happening::FaultHealed { fault: CRASH })
    }

    pub fn load_ends(&mut self) -> &mut Story {
        self.happen(NodeId(0), Happening::LoadEnded)
    }

    pub fn violations(&self) -> Vec<crate::checks::InvariantViolation> {
        self.judge.violations().to_vec()
    }

    pub fn ends(mut self, quiet: bool) -> RunOutcome {
        self.at(100_000).load_ends();
        self.at(200_000).happen(NodeId(0), Happening::Ended { quiet });
        self.judge.finish()
    }

    /// The history stops in the middle.
    pub fn cut_off(self) -> RunOutcome {
        self.judge.finish()
    }
}
