//! Everything that takes work away again: refused commits, rebalances, lost partitions, shutdown.
//!
//! A revocation lets what runs come to its end, commits what is done and abandons the rest (ConsumerRebalanceListener,
//! onPartitionsRevoked). Lost partitions leave no such chance: what waits is dropped, what runs goes on as a zombie
//! whose commit the coordinator refuses. A clean shutdown is a revocation of everything, then leaving.

use super::commits::CommitToken;
use super::flow::{Arrival, Flow, FlowId, FlowState, Source};
use super::interpreter::{Ask, CommitPurpose, Interpreter};
use crate::scenario::plan::OnRevoke;
use crate::types::note::{Note, StepOutcome};
use crate::types::request::{CallResponse, ErrorCode, Response};
use crate::types::settings::{Assignor, GroupProtocol};
use crate::types::*;

/// A shutdown is forced after this long. Kafka: the default of KafkaConsumer.close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Before a commit that was not answered is asked for again.
const COMMIT_BACKOFF: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Created,
    /// Takes events. Leaves to `Draining` at a shutdown or the `close` rung, to `Exited` at the `crash` rung.
    Running,
    /// Takes nothing new; what runs comes to its end. Leaves to `Committing` or `Closing`.
    Draining {
        until: Time,
    },
    /// What is done is being committed. Leaves to `Committed`.
    Committing {
        until: Time,
    },
    /// That commit is answered, for better or worse. Leaves to `Closing`.
    Committed {
        until: Time,
    },
    /// Clients leave the group and flush. Leaves to `Exited`.
    Closing {
        until: Time,
    },
    Exited,
}

/// Partitions on their way out.
#[derive(Clone, Debug)]
pub struct Revoking {
    partitions: Vec<TopicPartition>,
    stage: RevokingStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RevokingStage {
    /// Waits for what runs.
    Finishing,
    /// The commit of what is done is out.
    Committing,
    /// The commit is answered, for better or worse.
    Committed,
}

impl Phase {
    pub fn deadline(self) -> Option<Time> {
        match self {
            Phase::Draining { until }
            | Phase::Committing { until }
            | Phase::Committed { until }
            | Phase::Closing { until } => Some(until),
            Phase::Created | Phase::Running | Phase::Exited => None,
        }
    }
}

impl Interpreter {
    pub fn handle_assigned(&mut self, partitions: &[TopicPartition]) {
        self.commits.assign(partitions);
        self.kept.as_mut().into_iter().for_each(|kept| kept.assign(partitions));
    }

    pub fn handle_revoking(&mut self, partitions: Vec<TopicPartition>, step: &mut Step) {
        self.forget_latest(&partitions);
        self.drop_waiting(&partitions, step);
        self.revoking = Some(Revoking { partitions, stage: RevokingStage::Finishing });
    }

    /// Somebody else has the partitions already.
    pub fn handle_lost(&mut self, partitions: &[TopicPartition], step: &mut Step) {
        self.forget_latest(partitions);
        self.drop_waiting(partitions, step);
        self.disown(partitions);
        if let Some(revoking) = &mut self.revoking {
            revoking.partitions.retain(|partition| !partitions.contains(partition));
            if revoking.partitions.is_empty() {
                self.revoking = None;
            }
        }
    }

    pub fn handle_commit_done(&mut self, token: CommitToken, result: Result<(), ErrorCode>, step: &mut Step) {
        let Some(purpose) = self.commits_out.remove(&token) else { return self.end_async_commit(token, result) };
        if result.is_err() {
            self.commits.failed();
        }
        match purpose {
            CommitPurpose::Step(id) => self.handle_step_commit(id, result, step),
            CommitPurpose::Background => {}
            CommitPurpose::Revocation => {
                if let Some(revoking) = &mut self.revoking {
                    revoking.stage = RevokingStage::Committed;
                }
            }
            CommitPurpose::Closing => {
                if let Phase::Committing { until } = self.phase {
                    self.phase = Phase::Committed { until };
                }
            }
        }
    }

    /// The application can do nothing about this error but die of it.
    pub fn handle_fatal(&mut self) -> Ask {
        self.phase = Phase::Exited;
        Ask::Exit { clean: false }
    }

    /// Stop cleanly: nothing new is begun.
    pub fn shut_down(&mut self, step: &mut Step) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Draining { until: step.time() + SHUTDOWN_TIMEOUT };
        let mut waiting = self.intake.take_where(|_| true);
        waiting.extend(self.held.drain(..));
        self.drop_arrivals(waiting, step);
        self.stop_backoffs(|_| true, step);
    }

    /// Both clients are through with closing.
    pub fn closed(&mut self) -> Option<Ask> {
        if !self.is_closing() {
            return None;
        }
        self.phase = Phase::Exited;
        Some(Ask::Exit { clean: true })
    }

    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// What a revocation needs next.
    pub(super) fn revocation_duty(&mut self, step: &mut Step) -> Option<Ask> {
        let offsets = match self.revoking.as_ref()?.stage {
            RevokingStage::Committing => return None,
            RevokingStage::Committed => Vec::new(),
            RevokingStage::Finishing if !self.commits_on_revoke() => Vec::new(),
            RevokingStage::Finishing if self.flows.iter().any(|(_, flow)| self.is_revoking(flow)) => return None,
            RevokingStage::Finishing => self.commits.take_last(step.time()),
        };
        if offsets.is_empty() {
            let revoking = self.revoking.take()?;
            self.disown(&revoking.partitions);
            return Some(Ask::FinishRevocation);
        }
        self.revoking.as_mut()?.stage = RevokingStage::Committing;
        let token = self.commit_token(CommitPurpose::Revocation);
        Some(Ask::Commit { token, offsets, wait: true })
    }

    /// The partitions are somebody else's from now on.
    fn disown(&mut self, partitions: &[TopicPartition]) {
        self.commits.forget(partitions);
        self.kept.as_mut().into_iter().for_each(|kept| kept.forget(partitions));
    }

    /// What a shutdown needs next.
    pub(super) fn closing_duty(&mut self, step: &mut Step) -> Option<Ask> {
        let until = self.phase.deadline()?;
        if until <= step.time() {
            self.phase = Phase::Exited;
            return Some(Ask::Exit { clean: true });
        }
        let commits = match self.phase {
            Phase::Draining { .. } if self.flows.running() > 0 => return None,
            Phase::Draining { .. } => self.commits_on_revoke() && self.commits.uncertain(),
            Phase::Committed { .. } => false,
            Phase::Created | Phase::Running | Phase::Committing { .. } | Phase::Closing { .. } | Phase::Exited => {
                return None;
            }
        };
        let offsets = if commits { self.commits.take_last(step.time()) } else { Vec::new() };
        if offsets.is_empty() {
            self.phase = Phase::Closing { until };
            return Some(Ask::Close);
        }
        self.phase = Phase::Committing { until };
        let token = self.commit_token(CommitPurpose::Closing);
        Some(Ask::Commit { token, offsets, wait: true })
    }

    /// Records that nobody will process here.
    pub(super) fn abandon(&mut self, count: u32, step: &mut Step) {
        if count > 0 {
            step.note(Note::Abandoned { service: self.id(), count });
        }
    }

    /// Ends a flow without a result: refused when a caller waits, abandoned when it was consumed.
    pub(super) fn give_up(&mut self, id: FlowId, step: &mut Step) {
        if self.flows.get(id).source.is_none() {
            self.refuse_flow(id, step);
        } else {
            self.abandon_flow(id);
            self.abandon(1, step);
        }
    }

    /// Ends a flow without any result.
    pub(super) fn abandon_flow(&mut self, id: FlowId) {
        let flow = self.remove_flow(id);
        if let Some(source) = flow.source.filter(|_| !flow.counted) {
            self.commits.count_down(source.batch);
        }
    }

    /// The batch that had to be committed first is: it may be processed.
    pub(super) fn release_held(&mut self) {
        self.uncommitted_batch = None;
        while let Some(arrival) = self.held.pop_front() {
            self.intake.push(arrival);
        }
    }

    fn handle_step_commit(&mut self, id: FlowId, result: Result<(), ErrorCode>, step: &mut Step) {
        let flow = self.flows.get(id);
        let (source, before_work) = (flow.source.expect("only consumed events commit"), flow.step == 0);
        let Err(error) = result else {
            if before_work && self.uncommitted_batch == Some(source.batch) {
                self.release_held();
            }
            self.resolve(id, StepOutcome::Done);
            return;
        };
        let keeps = self.keeps(source, error);
        if keeps && !before_work {
            return self.resolve(id, StepOutcome::Failed);
        }
        if self.commits.owns(source) && (keeps || !is_fencing(error)) {
            let timer = self.set_timer(id, step.time() + COMMIT_BACKOFF);
            self.flows.get(id).state = FlowState::CommitBackoff(timer);
            return;
        }
        // CommitFailedException leaves the loop over the batch; the next poll() brings the group's new round.
        if !self.is_pool() {
            let mut waiting = self.intake.take_where(|_| true);
            waiting.extend(self.held.drain(..));
            self.drop_arrivals(waiting, step);
        }
        if before_work {
            // What is not known to be committed must not be processed: it is fetched again by whoever owns it now.
            let held: Vec<Arrival> = self.held.drain(..).collect();
            self.drop_arrivals(held, step);
            let (service, message) = (self.id(), self.flows.get(id).message);
            let outcome = StepOutcome::Failed;
            step.note(Note::StepDone { service, step: 0, event: message.event, outcome });
            self.abandon_flow(id);
            self.abandon(1, step);
        } else {
            self.resolve(id, StepOutcome::Failed);
        }
    }

    /// The flow must not begin another attempt: its partition or its process is on the way out.
    pub(super) fn is_retreating(&self, flow: &Flow) -> bool {
        self.phase != Phase::Running || self.is_revoking(flow)
    }

    fn is_revoking(&self, flow: &Flow) -> bool {
        let partition = flow.source.map(|at| at.partition);
        self.revoking.as_ref().is_some_and(|revoking| is_among(partition, &revoking.partitions))
    }

    fn commits_on_revoke(&self) -> bool {
        self.commits_by_step() && self.consume().is_some_and(|consume| consume.on_revoke == OnRevoke::Commit)
    }

    /// A round came in between, and the partition is ours as before: its records do not come again. Eager members give
    /// everything back for a round.
    pub(super) fn keeps(&self, source: Source, error: ErrorCode) -> bool {
        let keeps_partitions = self.consume().is_some_and(|consume| {
            consume.consumer.group_protocol == GroupProtocol::Consumer
                || consume.consumer.partition_assignment_strategy == Assignor::CooperativeSticky
        });
        let is_round = matches!(error, ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration);
        keeps_partitions && is_round && self.commits.owns(source)
    }

    /// A record of a partition that goes away comes again from its next owner, and not here.
    fn forget_latest(&mut self, partitions: &[TopicPartition]) {
        self.latest = self.latest.filter(|latest| !is_among(latest.source.map(|at| at.partition), partitions));
    }

    /// Drops what waits for a worker or for its next attempt.
    pub(super) fn drop_waiting(&mut self, partitions: &[TopicPartition], step: &mut Step) {
        let fits = |arrival: &Arrival| is_among(arrival.source.map(|at| at.partition), partitions);
        let mut waiting = self.intake.take_where(fits);
        let (gone, kept) = self.held.drain(..).partition::<Vec<Arrival>, _>(fits);
        self.held.extend(kept);
        waiting.extend(gone);
        self.drop_arrivals(waiting, step);
        self.stop_backoffs(|flow| is_among(flow.source.map(|at| at.partition), partitions), step);
    }

    fn drop_arrivals(&mut self, waiting: Vec<Arrival>, step: &mut Step) {
        let mut records = 0;
        for arrival in waiting {
            if let Some(source) = arrival.source {
                records += 1;
                if !arrival.again {
                    self.commits.count_down(source.batch);
                }
            }
            if let Some(caller) = arrival.reply {
                step.reply(caller, Response::Call(CallResponse::Refused(arrival.message.event)));
            }
        }
        self.abandon(records, step);
    }

    /// Ends flows between two attempts; a commit that is to be asked for again counts as refused.
    fn stop_backoffs(&mut self, fits: impl Fn(&Flow) -> bool, step: &mut Step) {
        let waiting: Vec<(FlowId, FlowState)> =
            self.flows.iter().filter(|(_, flow)| fits(flow)).map(|(id, flow)| (id, flow.state)).collect();
        for (id, state) in waiting {
            match state {
                FlowState::Backoff(timer) | FlowState::DeadLetterBackoff(timer) => {
                    self.cancel_timer(timer);
                    self.give_up(id, step);
                }
                FlowState::CommitBackoff(timer) => {
                    self.cancel_timer(timer);
                    self.resolve(id, StepOutcome::Failed);
                }
                FlowState::Begin
                | FlowState::Finish(_)
                | FlowState::Restart
                | FlowState::CommitAgain
                | FlowState::Climb
                | FlowState::DeadLetterFailed
                | FlowState::CallAgain
                | FlowState::Calling { .. }
                | FlowState::CallBackoff(_)
                | FlowState::JumpToEnd
                | FlowState::Working { .. }
                | FlowState::Storing { .. }
                | FlowState::Publishing { .. }
                | FlowState::Committing(_)
                | FlowState::SendingOffsets
                | FlowState::EndingTransaction
                | FlowState::Aborting
                | FlowState::DeadLettering { .. } => {}
            }
        }
    }
}

/// The member is not in this round of its group any more, or the round is ending. Kafka: CommitFailedException and
/// RebalanceInProgressException.
pub(super) fn is_fencing(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress)
}

fn is_among(partition: Option<TopicPartition>, partitions: &[TopicPartition]) -> bool {
    partition.is_some_and(|partition| partitions.contains(&partition))
}
