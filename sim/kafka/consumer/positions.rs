//! Where each partition stands, and how it gets there: from the committed offset, else by the reset policy; checked
//! against the log when its leader changes.
//!
//! Source: SubscriptionState.FetchState, OffsetFetcher, ConsumerCoordinator.initWithCommittedOffsetsIfNeeded; KIP-320.

use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub standing: Standing,
    /// The next record to hand out.
    pub offset: Offset,
    /// Epoch of the last record handed out; `None` when unknown.
    pub offset_epoch: Option<LeaderEpoch>,
    /// The position is right for leaders up to this epoch.
    checked_epoch: LeaderEpoch,
    /// Nothing is asked about the partition before.
    pub not_before: Time,
    /// What the application has stored, for commits by the clock.
    pub stored: Option<Offset>,
    /// A replica that is nearer than the leader, as the leader has said, and until when that is believed. KIP-392.
    pub preferred: Option<(NodeId, Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// What has the group committed? Leaves to: Valid, AwaitingValidation, AwaitingReset, WithoutPosition.
    AwaitingCommitted,
    /// Where does the log begin or end? Leaves to: Valid.
    AwaitingReset { asked: bool },
    /// Is the position still in the new leader's log? Leaves to: Valid (perhaps further back), AwaitingReset.
    AwaitingValidation { asked: bool },
    /// Fetched from and handed out.
    Valid,
    /// The application keeps positions itself, and says this one. Leaves to: Valid, AwaitingReset, WithoutPosition.
    AwaitingApplication,
    /// No position and no policy to find one: every poll throws.
    WithoutPosition,
}

impl Position {
    pub fn unknown(standing: Standing) -> Position {
        Position {
            standing,
            offset: Offset::ZERO,
            offset_epoch: None,
            checked_epoch: LeaderEpoch(0),
            not_before: Time::ZERO,
            stored: None,
            preferred: None,
        }
    }

    /// True when the position has to be checked against a new leader's log.
    pub fn follow_leader(&mut self, leader_epoch: LeaderEpoch) -> bool {
        if leader_epoch <= self.checked_epoch {
            return false;
        }
        self.not_before = Time::ZERO;
        self.checked_epoch = leader_epoch;
        let is_checkable = self.standing == Standing::Valid && self.offset_epoch.is_some();
        if is_checkable {
            self.standing = Standing::AwaitingValidation { asked: false };
        }
        is_checkable
    }
}

impl Consumer {
    /// Asks for every position that is missing. In a poll only.
    pub(super) fn settle_positions(&mut self, step: &mut Step) {
        if self.unsettled == 0 {
            return;
        }
        self.ask_committed(step);
        self.ask_leaders(step);
        if self.positions.values().any(|position| position.standing == Standing::WithoutPosition) {
            self.is_polling = false;
            self.membership.poll_deadline = step.time() + self.settings.max_poll_interval;
            self.events.push_back(ConsumerEvent::Failed(ErrorCode::OffsetOutOfRange));
        }
    }

    pub(super) fn handle_offset_fetch(&mut self, error: ErrorCode, offsets: Vec<CommittedOffset>, step: &mut Step) {
        let now = step.time();
        if error != ErrorCode::None {
            self.offset_fetch = OffsetFetchState::Idle { not_before: now + self.settings.retry_backoff };
            if matches!(error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) {
                self.forget_coordinator(None, step);
            }
            return;
        }
        self.offset_fetch = OffsetFetchState::Idle { not_before: now };
        for committed in offsets {
            let partition = committed.partition;
            if self.positions.get(&partition).map(|position| position.standing) != Some(Standing::AwaitingCommitted) {
                continue;
            }
            match committed.offset {
                Some(offset) => {
                    self.set_position(partition, offset, committed.leader_epoch, PositionReason::Committed, step);
                    self.check_position(partition);
                }
                None => self.reset_position(partition),
            }
        }
    }

    pub(super) fn handle_list_offsets(
        &mut self,
        asked: Vec<TopicPartition>,
        earliest: bool,
        offsets: Vec<ListedOffset>,
        step: &mut Step,
    ) {
        self.retry_positions(&asked, step.time() + self.settings.retry_backoff);
        let why = if earliest { PositionReason::ResetEarliest } else { PositionReason::ResetLatest };
        for listed in offsets {
            let Some(position) = self.positions.get(&listed.partition) else { continue };
            if !matches!(position.standing, Standing::AwaitingReset { .. }) {
                continue;
            }
            if listed.error == ErrorCode::None {
                self.set_position(listed.partition, listed.offset, Some(listed.leader_epoch), why, step);
            } else {
                self.metadata.want_refresh();
            }
        }
    }

    /// The log of the new leader either still holds the position or says where it was cut. KIP-320.
    pub(super) fn handle_epoch_ends(&mut self, asked: Vec<TopicPartition>, ends: Vec<EpochEndOffset>, step: &mut Step) {
        self.retry_positions(&asked, step.time() + self.settings.retry_backoff);
        for answer in ends {
            let Some(position) = self.positions.get_mut(&answer.partition) else { continue };
            if !matches!(position.standing, Standing::AwaitingValidation { .. }) {
                continue;
            }
            match (answer.error, answer.end) {
                (ErrorCode::None, Some(end)) if end.end_offset < position.offset => {
                    let (offset, epoch) = (end.end_offset, Some(end.epoch));
                    self.set_position(answer.partition, offset, epoch, PositionReason::Truncated, step);
                }
                (ErrorCode::None, Some(_)) => {
                    position.standing = Standing::Valid;
                    position.not_before = Time::ZERO;
                }
                (ErrorCode::None, None) => self.reset_position(answer.partition),
                (_, _) => self.metadata.want_refresh(),
            }
        }
        self.count_unsettled();
        self.buffers.want_fetch();
    }

    /// Not answered: ask again, later.
    pub(super) fn retry_positions(&mut self, partitions: &[TopicPartition], not_before: Time) {
        for partition in partitions {
            let Some(position) = self.positions.get_mut(partition) else { continue };
            match &mut position.standing {
                Standing::AwaitingReset { asked } | Standing::AwaitingValidation { asked } if *asked => {
                    *asked = false;
                    position.not_before = not_before;
                }
                Standing::AwaitingReset { .. }
                | Standing::AwaitingValidation { .. }
                | Standing::AwaitingCommitted
                | Standing::AwaitingApplication
                | Standing::Valid
                | Standing::WithoutPosition => {}
            }
        }
    }

    /// The position is unusable; the policy decides where to go on.
    pub(super) fn reset_position(&mut self, partition: TopicPartition) {
        self.buffers.drop_partition(partition);
        let Some(position) = self.positions.get_mut(&partition) else { return };
        position.not_before = Time::ZERO;
        position.standing = match self.settings.auto_offset_reset {
            settings::OffsetReset::Earliest | settings::OffsetReset::Latest => Standing::AwaitingReset { asked: false },
            settings::OffsetReset::None => Standing::WithoutPosition,
        };
        self.count_unsettled();
    }

    pub(super) fn set_position(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
        offset_epoch: Option<LeaderEpoch>,
        why: PositionReason,
        step: &mut Step,
    ) {
        let checked_epoch = self.metadata.leader(partition).map_or(LeaderEpoch(0), |(_, epoch)| epoch);
        let position = self.positions.get_mut(&partition).expect("the position of an assigned partition");
        let standing = Standing::Valid;
        // The leader is asked first, and says again who is nearer.
        let (not_before, preferred) = (Time::ZERO, None);
        *position = Position { standing, offset, offset_epoch, checked_epoch, not_before, stored: None, preferred };
        self.count_unsettled();
        self.buffers.want_fetch();
        step.note(Note::PositionSet { group: self.group, partition, offset, why });
    }

    /// The epoch to commit with an offset: known when it is the position.
    pub(super) fn epoch_at(&self, partition: TopicPartition, offset: Offset) -> Option<LeaderEpoch> {
        let position = self.positions.get(&partition)?;
        if position.offset == offset { position.offset_epoch } else { None }
    }

    pub(super) fn count_unsettled(&mut self) {
        self.unsettled = self.positions.values().filter(|position| position.standing != Standing::Valid).count();
    }

    /// A committed position was read from another leader's log, perhaps.
    fn check_position(&mut self, partition: TopicPartition) {
        let position = self.positions.get_mut(&partition).expect("the position of an assigned partition");
        if position.offset_epoch.is_some_and(|epoch| epoch < position.checked_epoch) {
            position.standing = Standing::AwaitingValidation { asked: false };
            self.count_unsettled();
        }
    }

    fn ask_committed(&mut self, step: &mut Step) {
        let now = step.time();
        let OffsetFetchState::Idle { not_before } = self.offset_fetch else { return };
        let is_awaiting =
            |(_, position): &(&TopicPartition, &Position)| position.standing == Standing::AwaitingCommitted;
        let partitions: Vec<TopicPartition> =
            self.positions.iter().filter(is_awaiting).map(|(partition, _)| *partition).collect();
        if partitions.is_empty() {
            return;
        }
        if now < not_before {
            return self.arm(not_before, "offset fetch retry");
        }
        let Some(to) = self.coordinator(now) else { return };
        let require_stable = self.settings.isolation_level == settings::IsolationLevel::ReadCommitted;
        let request = Request::OffsetFetch { group: self.group, partitions, require_stable };
        self.requests.send(to, Purpose::OffsetFetch, request, self.settings.request_timeout, step);
        self.offset_fetch = OffsetFetchState::InFlight;
    }

    /// Resets and validations, one request of each kind for each leader.
    fn ask_leaders(&mut self, step: &mut Step) {
        let now = step.time();
        let mut retry = Time::NEVER;
        let mut questions: BTreeMap<NodeId, (Vec<TopicPartition>, Vec<TopicPartition>)> = BTreeMap::new();
        for (partition, position) in &self.positions {
            let is_reset = match position.standing {
                Standing::AwaitingReset { asked: false } => true,
                Standing::AwaitingValidation { asked: false } => false,
                Standing::AwaitingReset { asked: true }
                | Standing::AwaitingValidation { asked: true }
                | Standing::AwaitingCommitted
                | Standing::AwaitingApplication
                | Standing::Valid
                | Standing::WithoutPosition => continue,
            };
            if now < position.not_before {
                retry = retry.min(position.not_before);
                continue;
            }
            let Some((leader, _)) = self.metadata.leader(*partition) else {
                self.metadata.want_refresh();
                continue;
            };
            let (resets, validations) = questions.entry(leader).or_default();
            if is_reset { resets.push(*partition) } else { validations.push(*partition) }
        }
        self.arm(retry, "position retry");
        for (leader, (resets, validations)) in questions {
            let Some(to) = self.usable(self.channel, leader, now) else { continue };
            self.ask_list_offsets(to, resets, step);
            self.ask_epoch_ends(to, validations, step);
        }
    }

    fn ask_list_offsets(&mut self, to: (Channel, NodeId), partitions: Vec<TopicPartition>, step: &mut Step) {
        if partitions.is_empty() {
            return;
        }
        let earliest = self.settings.auto_offset_reset == settings::OffsetReset::Earliest;
        let mut questions = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            questions.push((*partition, self.metadata.leader(*partition).map(|(_, epoch)| epoch)));
            self.positions.get_mut(partition).expect("listed just now").standing =
                Standing::AwaitingReset { asked: true };
        }
        let request = Request::ListOffsets(ListOffsetsRequest {
            earliest,
            isolation_level: self.settings.isolation_level,
            partitions: questions,
        });
        let purpose = Purpose::ListOffsets { partitions, earliest };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
    }

    fn ask_epoch_ends(&mut self, to: (Channel, NodeId), partitions: Vec<TopicPartition>, step: &mut Step) {
        if partitions.is_empty() {
            return;
        }
        let mut questions = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            let position = self.positions.get_mut(partition).expect("listed just now");
            position.standing = Standing::AwaitingValidation { asked: true };
            questions.push(EpochQuestion {
                partition: *partition,
                current_leader_epoch: self.metadata.leader(*partition).map(|(_, epoch)| epoch),
                leader_epoch: position.offset_epoch.expect("only positions with an epoch are checked"),
            });
        }
        let request = Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest { partitions: questions });
        let purpose = Purpose::ValidateOffsets { partitions };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
    }
}
