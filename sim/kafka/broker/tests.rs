//! One broker between a controller and peers that a test plays by hand.

use std::sync::Arc;

use super::*;
use crate::types::metadata::{MetadataRecord, PartitionState};
use crate::types::note;
use crate::types::record::{ProducerStamp, Records};
use crate::types::settings::IsolationLevel;

const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
const CONTROLLER: NodeId = NodeId(9);

struct Bench {
    broker: Broker,
    now: Time,
    rng: Rng,
    log_end: u64,
    /// The metadata fetch that is out, and the last registration or heartbeat.
    quorum: Option<Correlation>,
    notes: Vec<note::Note>,
}

impl Bench {
    fn new() -> Bench {
        let topic = TopicSettings { replication: 2, min_insync_replicas: 1, ..TopicSettings::default() };
        let config = BrokerConfig {
            id: NodeId(1),
            rack: None,
            voters: vec![CONTROLLER],
            settings: BrokerSettings::default(),
            topics: BTreeMap::from([(TopicId(0), topic)]),
            offsets_topic: TopicId(7),
            transactions_topic: None,
            groups: Vec::new(),
            guards: Guards::ALL,
        };
        Bench {
            broker: Broker::new(config),
            now: Time::ZERO,
            rng: Seed(1).stream("test"),
            log_end: 0,
            quorum: None,
            notes: Vec::new(),
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut outbox = Outbox::default();
        let now = Now { monotonic: self.now, wall_clock: self.now };
        self.broker.handle(input, &mut Step { now, rng: &mut self.rng, out: &mut outbox });
        let mut effects = Vec::new();
        for output in outbox.0 {
            match output {
                Output::Note(note) => self.notes.push(note),
                Output::Effect(effect) => {
                    if let Effect::Send { correlation, request: Request::FetchQuorum(_), .. } = &effect {
                        self.quorum = Some(*correlation);
                    } else {
                        effects.push(effect);
                    }
                }
            }
        }
        effects
    }

    /// Lets time pass, with a controller that has nothing new to tell.
    fn advance(&mut self, length: Duration) -> Vec<Effect> {
        let until = self.now + length;
        let mut effects = Vec::new();
        while let Some((time, name)) = self.broker.next_deadline().filter(|(time, _)| *time <= until) {
            assert!(self.now < time, "a deadline that does not move: {name}");
            self.now = time.min(self.now + Duration::from_millis(400));
            effects.extend(self.handle(Input::Timeout));
            self.answer_quorum(Vec::new());
        }
        self.now = until;
        effects
    }

    fn respond(&mut self, channel: Channel, from: NodeId, correlation: Correlation, response: Response) -> Vec<Effect> {
        self.handle(Input::Response { channel, from, correlation, response })
    }

    fn commit(&mut self, records: Vec<MetadataRecord>) -> Vec<Effect> {
        let entry = QuorumEntry { offset: Offset(self.log_end), epoch: QuorumEpoch(1), records };
        self.log_end += 1;
        self.answer_quorum(vec![entry])
    }

    fn answer_quorum(&mut self, entries: Vec<QuorumEntry>) -> Vec<Effect> {
        let response = FetchQuorumResponse {
            error: ErrorCode::None,
            epoch: QuorumEpoch(1),
            leader: Some(CONTROLLER),
            high_watermark: Offset(self.log_end),
            diverging: None,
            entries,
        };
        let correlation = self.quorum.take().expect("a metadata fetch is out");
        self.respond(QUORUM_CHANNEL, CONTROLLER, correlation, Response::FetchQuorum(response))
    }

    /// Started, registered, unfenced, and leader (or follower) of the partition.
    fn up(leader: NodeId) -> Bench {
        let mut bench = Bench::new();
        bench.start();
        bench.commit(vec![register(2, 0), state(leader, 0)]);
        // The heartbeat leaves at once: catching up is news.
        let (correlation, heartbeat) = heartbeat_of(&bench.commit(vec![register(1, 2)]));
        assert!(!heartbeat.want_fence);
        bench.answer_heartbeat(correlation, false);
        bench
    }

    fn start(&mut self) {
        let image = Box::<StorageImage>::default();
        assert!(self.handle(Input::Started { image, incarnation: Incarnation(1) }).is_empty());
        let registration = self.commit(vec![]);
        let [Effect::Send { correlation, request: Request::BrokerRegistration(_), .. }] = registration[..] else {
            panic!("{registration:?}");
        };
        let answer = Response::BrokerRegistration { error: ErrorCode::None, broker_epoch: BrokerEpoch(2) };
        let heartbeat = self.respond(LIFECYCLE_CHANNEL, CONTROLLER, correlation, answer);
        assert!(!heartbeat_of(&heartbeat).1.want_shut_down);
        assert!(heartbeat_of(&heartbeat).1.want_fence, "not caught up yet");
        let correlation = heartbeat_of(&heartbeat).0;
        self.answer_heartbeat(correlation, false);
    }

    fn answer_heartbeat(&mut self, correlation: Correlation, should_shut_down: bool) -> Vec<Effect> {
        let answer = BrokerHeartbeatResponse { error: ErrorCode::None, is_fenced: false, should_shut_down };
        self.respond(LIFECYCLE_CHANNEL, CONTROLLER, correlation, Response::BrokerHeartbeat(answer))
    }

    fn request(&mut self, connection: u32, correlation: u64, request: Request) -> Vec<Effect> {
        self.handle(Input::Request { from: from(connection, correlation), request })
    }
}

fn heartbeat_of(effects: &[Effect]) -> (Correlation, BrokerHeartbeatRequest) {
    let heartbeat = effects.iter().find_map(|effect| match effect {
        Effect::Send { correlation, request: Request::BrokerHeartbeat(heartbeat), .. } => {
            Some((*correlation, heartbeat.clone()))
        }
        _ => None,
    });
    heartbeat.unwrap_or_else(|| panic!("no heartbeat in {effects:?}"))
}

fn from(connection: u32, correlation: u64) -> ReplyTo {
    ReplyTo { connection: ConnectionId(connection), correlation: Correlation(correlation), peer: NodeId(2) }
}

fn register(broker: u16, epoch: u64) -> MetadataRecord {
    MetadataRecord::RegisterBroker {
        registration: BrokerRegistration { broker: NodeId(broker), incarnation: Incarnation(1), rack: None },
        broker_epoch: BrokerEpoch(epoch),
        fenced: false,
    }
}

fn state(leader: NodeId, epoch: u32) -> MetadataRecord {
    let state = PartitionState {
        replicas: vec![NodeId(1), NodeId(2)],
        in_sync_replicas: vec![NodeId(1), NodeId(2)],
        eligible_leader_replicas: Vec::new(),
        reassignment: None,
        last_known_leader: None,
        leader: Some(leader),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        recovering: false,
    };
    MetadataRecord::Partition { partition: PARTITION, state }
}

fn produce(send: u64, stamp: Option<ProducerStamp>) -> Request {
    let message = Message {
        event: EventId(send),
        origin: ServiceId(0),
        key: Key(0),
        version: 1,
        size: 100,
        poison: false,
        attempt: 0,
        caller_attempt: 0,
    };
    let record = Record { send: SendId(send), message, timestamp: Time(0) };
    let batch = RecordBatch::new(stamp, Arc::new(Records::Messages(vec![record])));
    let timeout = Duration::from_secs(30);
    Request::Produce(ProduceRequest {
        attempt: 1,
        transactional_id: None,
        acks: Acks::All,
        timeout,
        batches: vec![(PARTITION, batch)],
    })
}

fn fetch(offset: u64, replica: bool) -> Request {
    Request::Fetch(FetchRequest {
        replica: replica.then_some(FetchReplica { broker: NodeId(2), broker_epoch: BrokerEpoch(0) }),
        max_wait: Duration::from_millis(500),
        min_bytes: ByteCount(1),
        max_bytes: ByteCount(1 << 20),
        partitions: vec![FetchPartition {
            partition: PARTITION,
            current_leader_epoch: Some(LeaderEpoch(0)),
            fetch_offset: Offset(offset),
            last_fetched_epoch: (offset > 0).then_some(LeaderEpoch(0)),
            max_bytes: ByteCount(1 << 20),
        }],
        session_epoch: 1,
        isolation_level: IsolationLevel::ReadUncommitted,
        rack: None,
    })
}

/// `connection:correlation kind` of each reply, and other effects by their kind.
fn say(effects: &[Effect]) -> Vec<String> {
    let say = |effect: &Effect| match effect {
        Effect::Reply { to, response } => {
            let what = match response {
                Response::Produce(answers) => format!("produce {:?} {}", answers[0].error, answers[0].base_offset),
                Response::Fetch(fetch) => {
                    let count: usize = fetch.partitions.iter().map(|partition| partition.batches.len()).sum();
                    format!("fetch {:?} {count} hw={}", fetch.partitions[0].error, fetch.partitions[0].high_watermark)
                }
                Response::ListOffsets(listed) => format!("offset {}", listed[0].offset),
                other => format!("{other:?}"),
            };
            format!("{}:{} {what}", to.connection.0, to.correlation.0)
        }
        Effect::Storage(StorageOperation::Append { .. }) => "append".to_string(),
        Effect::Storage(StorageOperation::Flush { .. }) => "flush".to_string(),
        Effect::Storage(StorageOperation::WriteCleanShutdown { .. }) => "clean shutdown".to_string(),
        Effect::Storage(other) => format!("{other:?}"),
        Effect::Send { to, request, .. } => format!("send {to} {:?}", request.kind()),
        Effect::HangUp { on } => format!("hang up on {}", on.peer),
        Effect::Close { to, .. } => format!("close {to}"),
        Effect::Exit { clean } => format!("exit clean={clean}"),
    };
    effects.iter().map(say).collect()
}

fn latest() -> Request {
    Request::ListOffsets(ListOffsetsRequest {
        earliest: false,
        isolation_level: IsolationLevel::ReadUncommitted,
        partitions: vec![(PARTITION, None)],
    })
}

#[test]
fn a_broker_whose_quorum_has_forgotten_ends() {
    let mut bench = Bench::up(NodeId(2));
    let goes_on = bench.commit(vec![register(2, 7)]);
    assert!(!goes_on.iter().any(|effect| matches!(effect, Effect::Exit { .. })), "{goes_on:?}");
    // The same broker under an older epoch: no log that goes on from here says that.
    let forgotten = bench.commit(vec![register(2, 3)]);
    assert_eq!(forgotten, [Effect::Exit { clean: false }]);
}

#[test]
fn a_waiting_fetch_completes_on_append_and_the_ack_follows_the_high_watermark() {
    let mut bench = Bench::up(NodeId(1));
    assert!(bench.request(1, 1, fetch(0, true)).is_empty(), "a follower waits");
    assert!(bench.request(2, 1, fetch(0, false)).is_empty(), "a consumer waits");
    assert_eq!(say(&bench.request(3, 1, produce(0, None))), ["append", "1:1 fetch None 1 hw=0"]);
    assert_eq!(
        say(&bench.request(1, 2, fetch(1, true))),
        ["3:1 produce None 0", "2:1 fetch None 1 hw=1"],
        "the second fetch tells that the follower has it"
    );
    assert_eq!(say(&bench.advance(Duration::from_millis(500))), ["1:2 fetch None 0 hw=1"]);
}

#[test]
fn pipelined_requests_execute_one_at_a_time_and_in_order() {
    let mut bench = Bench::up(NodeId(1));
    assert_eq!(say(&bench.request(3, 1, produce(0, None))), ["append"]);
    assert!(bench.request(3, 2, latest()).is_empty(), "queued behind the first");
    assert!(bench.request(3, 3, produce(1, None)).is_empty(), "queued, not appended");
    assert!(bench.request(3, 4, latest()).is_empty());
    assert_eq!(say(&bench.request(4, 1, latest())), ["4:1 offset 0"], "another connection is not held up");
    assert_eq!(say(&bench.request(1, 1, fetch(0, true))), ["1:1 fetch None 1 hw=0"]);
    assert_eq!(
        say(&bench.request(1, 2, fetch(1, true))),
        ["3:1 produce None 0", "3:2 offset 1", "append", "1:2 fetch None 1 hw=1"]
    );
    assert_eq!(say(&bench.request(1, 3, fetch(2, true))), ["3:3 produce None 1", "3:4 offset 2"]);
}

#[test]
fn a_produce_that_nobody_replicates_times_out_and_its_connection_goes_on() {
    let mut bench = Bench::up(NodeId(1));
    bench.request(3, 1, produce(0, None));
    bench.request(3, 2, latest());
    bench.now += Duration::from_secs(30);
    let effects = say(&bench.handle(Input::Timeout));
    assert!(effects.contains(&"3:1 produce RequestTimedOut 0".to_string()), "{effects:?}");
    assert!(effects.contains(&"3:2 offset 0".to_string()), "{effects:?}");
}

#[test]
fn a_batch_that_is_sent_again_meets_another_fate() {
    let sent = |attempt| match produce(7, None) {
        Request::Produce(produce) => Request::Produce(ProduceRequest { attempt, ..produce }).identity(),
        other => other.identity(),
    };
    assert_eq!(sent(1), produce(7, None).identity(), "the first attempt is keyed by its batch alone");
    assert_eq!([sent(1), sent(2), sent(3)].iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn without_an_answer_an_error_ends_the_connection_and_what_is_queued_on_it() {
    let unanswered = |send| match produce(send, None) {
        Request::Produce(produce) => Request::Produce(ProduceRequest { acks: Acks::None, ..produce }),
        other => other,
    };
    let mut bench = Bench::up(NodeId(1));
    assert_eq!(say(&bench.request(3, 1, unanswered(0))), ["append"], "no error, no word");
    bench.request(3, 2, fetch(1, false));
    bench.request(3, 3, unanswered(1));
    bench.request(3, 4, unanswered(2));
    assert_eq!(
        say(&bench.commit(vec![state(NodeId(2), 1)])),
        ["3:2 fetch NotLeaderOrFollower 0 hw=0", "send n2 Fetch", "hang up on n2"],
        "the third is refused, and the fourth never read"
    );
}

#[test]
fn losing_the_leadership_answers_everybody_who_waits() {
    let mut bench = Bench::up(NodeId(1));
    bench.request(3, 1, produce(0, None));
    bench.request(2, 1, fetch(0, false));
    let effects = say(&bench.commit(vec![state(NodeId(2), 1)]));
    assert_eq!(
        effects,
        ["3:1 produce NotLeaderOrFollower 0", "2:1 fetch NotLeaderOrFollower 0 hw=0", "send n2 Fetch"],
        "and the broker follows"
    );
}

#[test]
fn held_metadata_is_applied_as_one_when_it_is_let_go() {
    let mut bench = Bench::up(NodeId(1));
    bench.handle(Input::Command(Command::HoldMetadata(true)));
    assert!(bench.commit(vec![state(NodeId(2), 1)]).is_empty());
    assert!(bench.commit(vec![state(NodeId(1), 2)]).is_empty());
    assert_eq!(bench.broker.partition(PARTITION).unwrap().leader_epoch(), Some(LeaderEpoch(0)));
    let heartbeats = bench.notes.len();
    bench.handle(Input::Command(Command::HoldMetadata(false)));
    assert_eq!(bench.broker.partition(PARTITION).unwrap().leader_epoch(), Some(LeaderEpoch(2)));
    let led = bench.notes[heartbeats..].iter().filter(|note| matches!(note, note::Note::BecameFollower { .. }));
    assert_eq!(led.count(), 0, "what came between is never seen");
}

#[test]
fn a_broker_asks_to_be_unfenced_when_it_has_read_its_own_registration() {
    let mut bench = Bench::new();
    bench.start();
    let before = bench.commit(vec![register(2, 0), state(NodeId(1), 0)]);
    assert!(before.is_empty());
    assert!(bench.broker.partition(PARTITION).is_none(), "an old role is not taken");
    let after = bench.commit(vec![register(1, 2), state(NodeId(2), 1)]);
    assert!(!heartbeat_of(&after).1.want_fence);
    assert_eq!(bench.broker.partition(PARTITION).unwrap().following(), Some(NodeId(2)));
}

#[test]
fn a_controlled_shutdown_flushes_marks_and_exits_when_it_is_granted() {
    let mut bench = Bench::up(NodeId(1));
    bench.request(3, 1, produce(0, None));
    let asked = bench.handle(Input::Command(Command::ShutDown));
    let (correlation, heartbeat) = heartbeat_of(&asked);
    assert!(heartbeat.want_shut_down);
    assert!(bench.answer_heartbeat(correlation, false).is_empty(), "it still leads");
    let (correlation, _) = heartbeat_of(&bench.advance(Duration::from_secs(2)));
    assert_eq!(say(&bench.answer_heartbeat(correlation, true)), ["flush", "clean shutdown", "exit clean=true"]);
    assert!(bench.request(3, 2, latest()).is_empty(), "it is gone");
}

#[test]
fn a_proposal_is_sent_again_until_the_controller_answers() {
    let mut bench = Bench::up(NodeId(1));
    bench.request(3, 1, produce(0, None));
    let proposal = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send { correlation, request: Request::AlterPartition(_), .. } => Some(*correlation),
            _ => None,
        })
    };
    // Fetches stop: the follower is out of the set after the lag time, at the next check.
    let first = proposal(&bench.advance(Duration::from_secs(45))).expect("a proposal");
    assert!(proposal(&bench.handle(Input::Disconnected { channel: CONTROLLER_CHANNEL, peer: CONTROLLER })).is_none());
    let second = proposal(&bench.advance(CONNECT_BACKOFF)).expect("sent again");
    assert_ne!(first, second);
    let answer = |error| AlterPartitionResponse {
        error,
        partition: PARTITION,
        leader: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(1),
        in_sync_replicas: vec![NodeId(1)],
    };
    let refused = Response::AlterPartition(answer(ErrorCode::NotController));
    bench.respond(CONTROLLER_CHANNEL, CONTROLLER, second, refused);
    let third = proposal(&bench.advance(CONNECT_BACKOFF)).expect("sent once more");
    let accepted = Response::AlterPartition(answer(ErrorCode::None));
    bench.respond(CONTROLLER_CHANNEL, CONTROLLER, third, accepted);
    assert_eq!(bench.broker.partition(PARTITION).unwrap().high_watermark(), Offset(1));
}

#[test]
fn a_follower_copies_and_asks_again_at_once() {
    let mut bench = Bench::new();
    bench.start();
    bench.commit(vec![register(2, 0), state(NodeId(2), 0)]);
    let effects = bench.commit(vec![register(1, 2)]);
    let fetches = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send { correlation, request: Request::Fetch(fetch), .. } => {
                Some((*correlation, fetch.partitions[0].fetch_offset, fetch.session_epoch))
            }
            _ => None,
        })
    };
    let (correlation, offset, session) = fetches(&effects).expect("a first fetch");
    assert_eq!((offset, session), (Offset(0), 1));
    let Request::Produce(request) = produce(5, None) else { unreachable!() };
    let fetched = FetchedPartition {
        partition: PARTITION,
        error: ErrorCode::None,
        fetch_offset: Offset(0),
        high_watermark: Offset(0),
        log_start_offset: Offset(0),
        diverging: None,
        aborted: Vec::new(),
        preferred_read_replica: None,
        batches: vec![request.batches[0].1.clone()],
    };
    let response = Response::Fetch(FetchResponse { partitions: vec![fetched] });
    let effects = bench.respond(FETCH_CHANNEL, NodeId(2), correlation, response.clone());
    assert_eq!(say(&effects), ["append", "send n2 Fetch"]);
    assert_eq!(fetches(&effects).map(|(_, offset, session)| (offset, session)), Some((Offset(1), 2)));
    assert!(bench.respond(FETCH_CHANNEL, NodeId(2), correlation, response).is_empty(), "a late copy is dropped");
    assert!(bench.handle(Input::Disconnected { channel: FETCH_CHANNEL, peer: NodeId(2) }).is_empty());
    let effects = bench.advance(Duration::from_secs(1));
    assert_eq!(fetches(&effects).map(|(_, offset, session)| (offset, session)), Some((Offset(1), 3)));
}
