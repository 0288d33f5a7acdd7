//! The partitions of an internal topic that the coordinator of a broker serves.
//!
//! Every group and every transactional id belongs to one partition of its topic, and whoever leads that coordinates it. So
//! each partition is a shard: its log is read, then it serves, and it is given up as one. Groups and transactions differ in
//! what they keep of a log, not in this.
//!
//! Kafka: CoordinatorRuntime, TransactionStateManager.

use std::collections::BTreeMap;

use crate::types::request::ErrorCode;
use crate::types::*;

/// Reading the log of a shard takes this long, and [`LOAD_PER_RECORD`] more for each record.
const LOAD_BASE: Duration = Duration::from_millis(1);
const LOAD_PER_RECORD: Duration = Duration::from_micros(1);

#[derive(Clone, Debug)]
pub struct Shards {
    /// Partitions of the topic.
    partitions: u16,
    led: BTreeMap<u16, Shard>,
}

#[derive(Clone, Copy, Debug)]
struct Shard {
    leader_epoch: LeaderEpoch,
    /// Until then the log is being read.
    loading_until: Option<Time>,
    /// The log was read up to here, and the high watermark has not come so far yet.
    unreplicated_until: Option<Offset>,
}

impl Shards {
    pub fn new(partitions: u16) -> Shards {
        assert!(partitions > 0, "a coordinator's topic without partitions");
        Shards { partitions, led: BTreeMap::new() }
    }

    /// The shard of a group or a transactional id.
    pub fn number_of(&self, id: u16) -> u16 {
        id % self.partitions
    }

    /// The broker leads a shard whose log has so many records. Says when they will have been read.
    pub fn begin(&mut self, number: u16, leader_epoch: LeaderEpoch, records: u64, now: Time) -> Time {
        let ready = now + LOAD_BASE + LOAD_PER_RECORD * records;
        self.led.insert(number, Shard { leader_epoch, loading_until: Some(ready), unreplicated_until: None });
        ready
    }

    /// What was read of the log ends here, and is not replicated to its end: nothing is answered by it until it is.
    pub fn wait_for_replication(&mut self, number: u16, end: Offset) {
        self.led.get_mut(&number).expect("a shard that has begun").unreplicated_until = Some(end);
    }

    /// True when this is what the shard has waited for.
    pub fn replicated(&mut self, number: u16, high_watermark: Offset) -> bool {
        let Some(shard) = self.led.get_mut(&number) else { return false };
        let is_through = shard.unreplicated_until.is_some_and(|end| end <= high_watermark);
        if is_through {
            shard.unreplicated_until = None;
        }
        is_through
    }

    /// False when it was not led.
    pub fn give_up(&mut self, number: u16) -> bool {
        self.led.remove(&number).is_some()
    }

    /// The shards whose logs have been read by now, each once.
    pub fn finish_loads(&mut self, now: Time) -> Vec<u16> {
        let loading = self.led.iter_mut().filter(|(_, shard)| shard.loading_until.is_some_and(|ready| ready <= now));
        loading
            .map(|(number, shard)| {
                shard.loading_until = None;
                *number
            })
            .collect()
    }

    pub fn next_load(&self) -> Option<Time> {
        self.led.values().filter_map(|shard| shard.loading_until).min()
    }

    /// Under which leader epoch the shard of an id serves. Else NOT_COORDINATOR, or COORDINATOR_LOAD_IN_PROGRESS.
    pub fn serving(&self, id: u16) -> Result<LeaderEpoch, ErrorCode> {
        match self.led.get(&self.number_of(id)) {
            None => Err(ErrorCode::NotCoordinator),
            Some(Shard { leader_epoch, loading_until: None, unreplicated_until: None }) => Ok(*leader_epoch),
            Some(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }

    pub fn leads(&self, number: u16) -> bool {
        self.led.contains_key(&number)
    }

    pub fn is_empty(&self) -> bool {
        self.led.is_empty()
    }
}

/// What a failed append means for the client of a coordinator. Kafka: CoordinatorOperationExceptionHelper,
/// TransactionStateManager.appendTransactionToLog.
pub fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotLeaderOrFollower | ErrorCode::StorageError | ErrorCode::FencedLeaderEpoch => {
            ErrorCode::NotCoordinator
        }
        ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut
        | ErrorCode::UnknownTopicOrPartition => ErrorCode::CoordinatorNotAvailable,
        other => other,
    }
}
