//! A follower: asks the leader for what comes after its log, and cuts where the two differ.
//!
//! It never truncates because its role changed; the leader's diverging epoch tells it how far (KIP-101 scenario 1,
//! KIP-279, KIP-595). Kafka: AbstractFetcherThread, ReplicaFetcherThread.

use super::*;

#[derive(Clone, Debug)]
pub struct Follower {
    leader: Option<NodeId>,
    leader_epoch: LeaderEpoch,
    /// The fetch offset that the answer on its way belongs to.
    awaited: Option<Offset>,
    delayed_until: Option<Time>,
}

/// What an answer of the leader did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The next fetch may go out at once.
    Applied,
    /// This partition waits out the back-off first.
    Delayed,
    /// It answered another question.
    Ignored,
}

impl Follower {
    pub fn new(leader: Option<NodeId>, leader_epoch: LeaderEpoch) -> Follower {
        Follower { leader, leader_epoch, awaited: None, delayed_until: None }
    }

    pub fn next_fetch(&mut self, replica: &Replica, leader: NodeId, now: Time) -> Option<FetchPartition> {
        if self.leader != Some(leader) || self.delayed_until.is_some_and(|until| now < until) {
            return None;
        }
        self.delayed_until = None;
        self.awaited = Some(replica.log.end_offset());
        Some(FetchPartition {
            partition: replica.id,
            current_leader_epoch: Some(self.leader_epoch),
            fetch_offset: replica.log.end_offset(),
            last_fetched_epoch: replica.log.last_epoch(),
            max_bytes: REPLICA_FETCH_MAX_BYTES,
        })
    }

    pub fn handle_fetched(
        &mut self,
        replica: &mut Replica,
        from: NodeId,
        fetched: FetchedPartition,
        step: &mut Step,
    ) -> Fetched {
        let current = self.leader == Some(from)
            && self.awaited == Some(fetched.fetch_offset)
            && fetched.fetch_offset == replica.log.end_offset();
        if !current {
            return Fetched::Ignored;
        }
        self.awaited = None;
        match fetched.error {
            ErrorCode::None if fetched.diverging.is_some() => self.truncate(replica, &fetched, step),
            ErrorCode::None => self.append(replica, fetched, step),
            ErrorCode::OffsetOutOfRange => self.restart(replica, &fetched, step),
            _ => self.delay(replica, step),
        }
    }

    /// What a broker does that never asks whether it leads: it writes into a log that nobody will copy.
    pub fn produce_without_leading(
        &mut self,
        replica: &mut Replica,
        batch: &RecordBatch,
        acks: Acks,
        to: Option<NodeId>,
        step: &mut Step,
    ) -> Produced {
        let epoch = replica.log.last_epoch().unwrap_or(self.leader_epoch);
        let (error, offsets) = match replica.log.append_as_leader(batch, epoch, step.now.wall_clock) {
            Ok(LeaderAppend::New(batch)) => {
                let offsets = (batch.base_offset, batch.end_offset());
                replica.note_append(AppendRole::Leader, batch, step);
                (ErrorCode::None, offsets)
            }
            Ok(LeaderAppend::Duplicate { base_offset, end_offset }) => (ErrorCode::None, (base_offset, end_offset)),
            Err(error) => (error, (Offset::ZERO, Offset::ZERO)),
        };
        replica.note_answer(epoch, acks, error, offsets, to, step);
        Produced::Answered { error, base_offset: offsets.0 }
    }

    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn delayed_until(&self) -> Option<Time> {
        self.delayed_until
    }

    fn append(&mut self, replica: &mut Replica, fetched: FetchedPartition, step: &mut Step) -> Fetched {
        for batch in fetched.batches {
            if replica.log.append_as_follower(&batch).is_err() {
                return self.delay(replica, step);
            }
            replica.note_append(AppendRole::Follower, batch, step);
        }
        let (start, end) = (replica.log.start_offset(), replica.log.end_offset());
        replica.set_high_watermark(fetched.high_watermark.clamp(start, end), self.leader_epoch, false, step);
        replica.start_at(fetched.log_start_offset.min(replica.high_watermark), self.leader_epoch, step);
        Fetched::Applied
    }

    /// Kafka: AbstractFetcherThread.getOffsetTruncationState.
    fn truncate(&mut self, replica: &mut Replica, fetched: &FetchedPartition, step: &mut Step) -> Fetched {
        let diverging = fetched.diverging.expect("called for a diverging answer");
        let to = match replica.log.end_offset_for_epoch(diverging.epoch) {
            Some(_) if !replica.settings.guards.stand(Guard::FloorEpoch) => diverging.end_offset,
            // The leader's epoch is unknown here: cut to what is older, and ask again.
            Some(own) if own.epoch != diverging.epoch => own.end_offset,
            Some(own) => own.end_offset.min(diverging.end_offset),
            None => diverging.end_offset,
        };
        replica.truncate_to(to.min(replica.log.end_offset()), self.leader_epoch, step);
        Fetched::Applied
    }

    /// The log is not where the leader's is. It begins anew only when the leader has forgotten everything it ends with;
    /// a log that is merely too long is cut (KAFKA-2143).
    ///
    /// Kafka differs: the follower asks for the leader's offsets; here the refusal carries them.
    fn restart(&mut self, replica: &mut Replica, fetched: &FetchedPartition, step: &mut Step) -> Fetched {
        if replica.log.end_offset() < fetched.log_start_offset {
            replica.start_at(fetched.log_start_offset, self.leader_epoch, step);
            return Fetched::Applied;
        }
        match fetched.diverging {
            Some(leader) if leader.end_offset < replica.log.end_offset() => {
                replica.truncate_to(leader.end_offset, self.leader_epoch, step);
                Fetched::Applied
            }
            Some(_) | None => self.delay(replica, step),
        }
    }

    fn delay(&mut self, replica: &Replica, step: &Step) -> Fetched {
        self.delayed_until = Some(step.time() + replica.settings.replica_fetch_backoff);
        Fetched::Delayed
    }
}

/// Kafka: `replica.fetch.max.bytes`.
const REPLICA_FETCH_MAX_BYTES: ByteCount = ByteCount(1 << 20);
