//! Following: this broker's own fetches, and its leaders' changes of in-sync sets.

use super::fetchers::Fetcher;
use super::*;
use crate::types::settings::IsolationLevel;

impl Broker {
    pub(super) fn advance_fetcher(&mut self, leader: NodeId, step: &mut Step) {
        let Some(broker_epoch) = self.lifecycle.broker_epoch() else { return };
        let Some(fetcher) = self.fetchers.get_mut(leader) else { return };
        if fetcher.in_flight.is_some_and(|ask| ask.deadline <= step.time()) {
            step.close(FETCH_CHANNEL, leader);
            return self.lose_fetch(leader, step);
        }
        if fetcher.in_flight.is_some() || step.time() < fetcher.not_before || fetcher.slots.is_empty() {
            return;
        }
        let partitions = ask_partitions(fetcher, &mut self.slots, leader, step.time());
        if partitions.is_empty() {
            return;
        }
        fetcher.session_epoch += 1;
        let ask = Ask::new(leader, &mut self.correlations, step.time() + REPLICA_SOCKET_TIMEOUT);
        fetcher.in_flight = Some(ask);
        let request = FetchRequest {
            replica: Some(FetchReplica { broker: self.config.id, broker_epoch }),
            max_wait: self.config.settings.replica_fetch_wait_max,
            min_bytes: REPLICA_FETCH_MIN_BYTES,
            max_bytes: REPLICA_FETCH_RESPONSE_MAX_BYTES,
            partitions,
            session_epoch: fetcher.session_epoch,
            isolation_level: IsolationLevel::ReadUncommitted,
            rack: None,
        };
        step.send(FETCH_CHANNEL, leader, ask.correlation, Request::Fetch(request));
    }

    pub(super) fn handle_replica_fetched(
        &mut self,
        from: NodeId,
        correlation: Correlation,
        response: FetchResponse,
        step: &mut Step,
    ) {
        let Some(fetcher) = self.fetchers.get_mut(from) else { return };
        if fetcher.in_flight.is_none_or(|ask| ask.correlation != correlation) {
            return;
        }
        fetcher.in_flight = None;
        fetcher.not_before = step.time();
        for fetched in response.partitions {
            if let Some(place) = self.places.get(fetched.partition).copied() {
                self.slots[place].partition.handle_fetched(from, fetched, step);
                self.settle(place, step);
            }
        }
        self.advance_fetcher(from, step);
    }

    /// Kafka delays every partition of a failed fetch.
    pub(super) fn lose_fetch(&mut self, leader: NodeId, step: &mut Step) {
        let backoff = self.config.settings.replica_fetch_backoff;
        if let Some(fetcher) = self.fetchers.get_mut(leader)
            && fetcher.in_flight.take().is_some()
        {
            fetcher.not_before = step.time() + backoff;
        }
    }

    pub(super) fn handle_alter_partition(
        &mut self,
        correlation: Correlation,
        response: &AlterPartitionResponse,
        step: &mut Step,
    ) {
        if let Some(proposal) = self.link.handle_alter_partition(correlation, response, step)
            && let Some(place) = self.places.get(proposal.request.partition).copied()
        {
            let partition = &mut self.slots[place].partition;
            partition.handle_alter_partition(proposal.number, response, &self.image, step);
            self.settle(place, step);
        }
    }
}

/// Questions of all followers that may ask. When none may, the fetcher sleeps until the first may again.
fn ask_partitions(fetcher: &mut Fetcher, slots: &mut [Slot], leader: NodeId, now: Time) -> Vec<FetchPartition> {
    let mut partitions = Vec::with_capacity(fetcher.slots.len());
    let mut wake = Time::NEVER;
    for place in &fetcher.slots {
        let partition = &mut slots[*place].partition;
        match partition.next_fetch(leader, now) {
            Some(question) => partitions.push(question),
            None => wake = wake.min(partition.fetch_delayed_until().unwrap_or(Time::NEVER)),
        }
    }
    if partitions.is_empty() {
        fetcher.not_before = wake;
    }
    partitions
}

/// Kafka: `replica.fetch.min.bytes`.
const REPLICA_FETCH_MIN_BYTES: ByteCount = ByteCount(1);
/// Kafka: `replica.fetch.response.max.bytes`.
const REPLICA_FETCH_RESPONSE_MAX_BYTES: ByteCount = ByteCount(10 << 20);
/// Kafka: `replica.socket.timeout.ms`.
const REPLICA_SOCKET_TIMEOUT: Duration = Duration::from_secs(30);
