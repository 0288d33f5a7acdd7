//! Commits that are wanted, under way, or answered and not yet reported.
//!
//! A commit that waits (commitSync) is repeated until it is definite or its time is over; one that does not
//! (commitAsync) is sent once. Results are reported in the order in which the application made its commits. In a classic group
//! each attempt carries the generation of the first, so that a round in between makes it fail: the Java client holds the
//! application's thread for as long, and no round can begin.
//!
//! Source: ConsumerCoordinator.commitOffsetsSync, commitOffsetsAsync, maybeAutoCommitOffsetsAsync.

use super::*;

/// One call of [`Consumer::commit`], numbered in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// A commit of the application or of the consumer itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CommitNumber(u64);

#[derive(Clone, Debug)]
pub(super) struct Commits {
    queue: VecDeque<Commit>,
    next_number: u64,
    next_id: u64,
    next_automatic: Time,
}

#[derive(Clone, Debug)]
struct Commit {
    number: CommitNumber,
    /// `None`: automatic.
    id: Option<CommitId>,
    waits: bool,
    offsets: Vec<CommittedOffset>,
    /// A commit that waits gives up then.
    deadline: Time,
    state: CommitState,
    /// As whom it was sent first.
    sent_as: Option<(MemberId, Generation)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CommitState {
    Waiting { not_before: Time },
    InFlight,
    Done(Result<(), ErrorCode>),
}

impl Commits {
    pub fn new() -> Commits {
        Commits { queue: VecDeque::new(), next_number: 0, next_id: 0, next_automatic: Time::NEVER }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The commit before a round or at close is not over.
    pub fn is_committing_automatically(&self) -> bool {
        let is_over = |commit: &Commit| matches!(commit.state, CommitState::Done(_));
        self.queue.iter().any(|commit| commit.id.is_none() && commit.waits && !is_over(commit))
    }

    fn push(&mut self, id: Option<CommitId>, waits: bool, offsets: Vec<CommittedOffset>, deadline: Time) {
        self.next_number += 1;
        let number = CommitNumber(self.next_number);
        let state = CommitState::Waiting { not_before: Time::ZERO };
        self.queue.push_back(Commit { number, id, waits, offsets, deadline, state, sent_as: None });
    }
}

impl Consumer {
    /// `wait` is commitSync: retriable errors are retried until `default.api.timeout`. Otherwise commitAsync: sent once.
    /// RequestTimedOut as a result means that nobody can tell whether it was done.
    pub fn commit(&mut self, offsets: Vec<(TopicPartition, Offset)>, wait: bool, step: &mut Step) -> CommitId {
        let id = CommitId(self.commits.next_id);
        self.commits.next_id += 1;
        let offsets: Vec<CommittedOffset> = offsets
            .into_iter()
            .map(|(partition, offset)| CommittedOffset {
                partition,
                offset: Some(offset),
                leader_epoch: self.epoch_at(partition, offset),
            })
            .collect();
        let deadline = step.time() + self.settings.default_api_timeout;
        self.commits.push(Some(id), wait, offsets, deadline);
        self.advance(step);
        id
    }

    /// Everything returned by polls so far, or what the application has stored of it. False when there is nothing to commit,
    /// or nobody to commit as.
    pub(super) fn commit_positions(&mut self, wait: bool, deadline: Time, step: &mut Step) -> bool {
        let offsets: Vec<CommittedOffset> = self
            .positions
            .iter()
            .filter(|(_, position)| position.standing == Standing::Valid)
            .filter_map(|(partition, position)| {
                let offset = match self.settings.auto_commit {
                    AutoCommit::InPoll | AutoCommit::ByClock => position.offset,
                    AutoCommit::Stored | AutoCommit::BehindBatch => position.stored?,
                };
                let leader_epoch = position.offset_epoch.filter(|_| offset == position.offset);
                Some(CommittedOffset { partition: *partition, offset: Some(offset), leader_epoch })
            })
            .collect();
        if offsets.is_empty() || self.membership.identity().is_none() {
            return false;
        }
        self.commits.push(None, wait, offsets, deadline);
        self.advance_commits(step);
        true
    }

    /// Positions as of the previous poll: called before anything new is handed out.
    pub(super) fn commit_automatically_when_due(&mut self, step: &mut Step) {
        if !self.settings.enable_auto_commit || !self.may_hand_out() {
            return;
        }
        let now = step.time();
        if self.settings.auto_commit == AutoCommit::BehindBatch {
            if std::mem::take(&mut self.is_stored_anew) {
                self.commit_positions(true, now + self.settings.default_api_timeout, step);
            }
            return;
        }
        if self.commits.next_automatic <= now {
            self.begin_auto_commit_interval(step);
            self.commit_positions(false, now + self.settings.default_api_timeout, step);
        }
        self.arm(self.commits.next_automatic, "auto commit");
    }

    /// The batch is not committed yet that the next one has to wait for.
    pub(super) fn awaits_commit(&self) -> bool {
        self.settings.auto_commit == AutoCommit::BehindBatch && self.commits.is_committing_automatically()
    }

    pub(super) fn begin_auto_commit_interval(&mut self, step: &mut Step) {
        if self.settings.enable_auto_commit {
            self.commits.next_automatic = step.time() + self.settings.auto_commit_interval;
        }
    }

    /// Sends what can be sent and reports what is over.
    pub(super) fn advance_commits(&mut self, step: &mut Step) {
        if self.commits.is_empty() {
            return;
        }
        let now = step.time();
        for index in 0..self.commits.queue.len() {
            let state = self.advance_commit(index, now, step);
            self.commits.queue[index].state = state;
        }
        self.report_commits();
    }

    fn advance_commit(&mut self, index: usize, now: Time, step: &mut Step) -> CommitState {
        let Commit { state, waits, deadline, .. } = self.commits.queue[index];
        let is_late = waits && deadline <= now;
        match state {
            CommitState::Done(result) => CommitState::Done(result),
            CommitState::Waiting { .. } if self.commits.queue[index].offsets.is_empty() => CommitState::Done(Ok(())),
            CommitState::Waiting { .. } if is_late => CommitState::Done(Err(ErrorCode::RequestTimedOut)),
            CommitState::InFlight if is_late => {
                self.note_answer(index, ErrorCode::RequestTimedOut, step);
                CommitState::Done(Err(ErrorCode::RequestTimedOut))
            }
            CommitState::InFlight => {
                self.arm(deadline, "commit timeout");
                CommitState::InFlight
            }
            CommitState::Waiting { not_before } => {
                if let Some(error) = self.commit_refusal() {
                    return CommitState::Done(Err(error));
                }
                self.arm(deadline, "commit timeout");
                if now < not_before {
                    self.arm(not_before, "commit retry");
                    return CommitState::Waiting { not_before };
                }
                self.send_commit(index, step)
            }
        }
    }

    fn note_answer(&self, index: usize, error: ErrorCode, step: &mut Step) {
        for committed in &self.commits.queue[index].offsets {
            let offset = committed.offset.unwrap_or_default();
            step.note(Note::CommitAnswered { group: self.group, partition: committed.partition, offset, error });
        }
    }

    /// A commit was answered, or its connection broke (then the error is REQUEST_TIMED_OUT).
    pub(super) fn handle_commit(
        &mut self,
        number: CommitNumber,
        sent_as: (MemberId, Generation),
        error: ErrorCode,
        step: &mut Step,
    ) {
        // Nobody waits any more for a commit whose time was over.
        let Some(index) = self.commits.queue.iter().position(|commit| commit.number == number) else { return };
        self.note_answer(index, error, step);
        let commit = &mut self.commits.queue[index];
        let retry_at = step.time() + self.settings.retry_backoff;
        let is_automatic = commit.id.is_none();
        commit.state = match error {
            ErrorCode::None => CommitState::Done(Ok(())),
            // The epoch has moved on since it was sent; what is about to be given back is committed with the next one.
            ErrorCode::StaleMemberEpoch if is_automatic && commit.waits => {
                CommitState::Waiting { not_before: retry_at }
            }
            _ if is_retriable(error) && commit.waits => CommitState::Waiting { not_before: retry_at },
            _ => CommitState::Done(Err(error)),
        };
        if is_retriable(error) && is_automatic {
            self.commits.next_automatic = self.commits.next_automatic.min(retry_at);
        }
        match error {
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::RequestTimedOut => {
                self.forget_coordinator(None, step);
            }
            // A member of a consumer group learns from its heartbeats that it was thrown out.
            _ if matches!(self.membership.protocol, Protocol::Consumer(_)) => {}
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
                if self.membership.identity() == Some(sent_as) =>
            {
                self.reset_generation(error);
            }
            ErrorCode::RebalanceInProgress => self.want_rejoin(),
            ErrorCode::FencedInstanceId if self.membership.identity() == Some(sent_as) => {
                self.fail(error);
            }
            _ => {}
        }
    }

    /// The coordinator cannot be found: what does not wait fails.
    pub(super) fn fail_unretried_commits(&mut self) {
        for commit in &mut self.commits.queue {
            if !commit.waits && matches!(commit.state, CommitState::Waiting { .. }) {
                commit.state = CommitState::Done(Err(ErrorCode::CoordinatorNotAvailable));
            }
        }
    }

    /// Why nothing can be committed now. Kafka: generationIfStable() is null.
    fn commit_refusal(&self) -> Option<ErrorCode> {
        match self.membership.stage {
            // The round is over, and has given us our generation.
            Stage::Syncing if self.is_round_waiting() => None,
            Stage::Joining { .. } | Stage::Syncing if matches!(self.membership.protocol, Protocol::Classic(_)) => {
                Some(ErrorCode::RebalanceInProgress)
            }
            Stage::Joining { .. } | Stage::Syncing | Stage::Outside => Some(ErrorCode::UnknownMemberId),
            Stage::Committing | Stage::Revoking | Stage::Stable { .. } => {
                self.membership.identity().is_none().then_some(ErrorCode::UnknownMemberId)
            }
        }
    }

    fn send_commit(&mut self, index: usize, step: &mut Step) -> CommitState {
        let now_as = self.membership.identity().expect("checked by the caller");
        let not_before = step.time();
        let Some(to) = self.coordinator(step.time()) else {
            return CommitState::Waiting { not_before };
        };
        // An epoch of a consumer group goes on while partitions are kept; a generation does not. A mutant signs anew each time.
        let is_round = matches!(self.membership.protocol, Protocol::Classic(_));
        let keeps = is_round && self.guards.stand(Guard::CommitGeneration);
        let commit = &mut self.commits.queue[index];
        let membership = commit.sent_as.filter(|_| keeps).unwrap_or(now_as);
        commit.sent_as = Some(membership);
        let commit = &self.commits.queue[index];
        for committed in &commit.offsets {
            let offset = committed.offset.unwrap_or_default();
            step.note(Note::CommitSent { group: self.group, partition: committed.partition, offset });
        }
        let offsets = commit.offsets.clone();
        let request = Request::OffsetCommit(OffsetCommitRequest {
            group: self.group,
            membership: Some(membership),
            instance: self.settings.group_instance_id,
            offsets,
        });
        let purpose = Purpose::Commit { number: commit.number, membership };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
        CommitState::InFlight
    }

    fn report_commits(&mut self) {
        let mut is_blocked = false;
        let events = &mut self.events;
        self.commits.queue.retain(|commit| match (commit.state, commit.id) {
            (CommitState::Done(_), None) => false,
            (CommitState::Done(result), Some(id)) if !is_blocked => {
                events.push_back(ConsumerEvent::CommitDone { commit: id, result });
                false
            }
            (_, id) => {
                is_blocked |= id.is_some();
                true
            }
        });
    }
}

/// What failed may succeed the next time. Kafka: RetriableException. A broken connection counts as timed out.
pub fn is_retriable(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::RequestTimedOut
            | ErrorCode::UnknownTopicOrPartition
    )
}
