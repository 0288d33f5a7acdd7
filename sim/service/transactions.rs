//! Transactions of the queue in a list of steps: begun, filled and ended by one flow at a time.
//!
//! What was published in a transaction is undone only by an abort. So a step that fails while one is open aborts first,
//! and only then does the failure go to the ladder; and an event counts as done when its transaction is committed, not
//! when its offset was handed over. A fenced producer leaves its application nothing but to end.
//!
//! Kafka: the loop in the documentation of KafkaProducer (sendOffsetsToTransaction, commitTransaction, abortTransaction).

use super::flow::{Flow, FlowId, FlowState};
use super::interpreter::{Ask, Interpreter};
use super::retreat::is_fencing;
use super::steps::Begun;
use crate::types::note::{Note, StepOutcome};
use crate::types::record::TransactionOutcome;
use crate::types::request::ErrorCode;
use crate::types::*;

impl Interpreter {
    /// Only the producer's side of it: nothing is sent.
    pub(super) fn begin_transaction(&mut self, id: FlowId) -> Begun {
        self.transaction = Some(id);
        Begun::Finished(StepOutcome::Done)
    }

    /// Hands the offset of the event over. A repetition that no commit is owed for has none.
    pub(super) fn begin_offsets(&mut self, id: FlowId, group_metadata: bool, step: &mut Step) -> Begun {
        let service = self.id();
        let flow = self.flows.get(id);
        let Some(source) = flow.source.filter(|_| !flow.again) else { return Begun::NotDue };
        step.note(Note::StepReached { service, step: flow.step, event: flow.message.event });
        flow.offset_sent = true;
        flow.state = FlowState::SendingOffsets;
        self.transaction = Some(id);
        let offsets = vec![(source.partition, source.offset.plus(1))];
        // A record of an older assignment would be signed with the new generation.
        if self.commits.round_of(source.partition) != source.round {
            self.flows.get(id).refused = true;
            return Begun::Finished(StepOutcome::Failed);
        }
        Begun::Ask(Ask::SendOffsets { offsets, group_metadata })
    }

    pub(super) fn end_transaction(&mut self, id: FlowId) -> Begun {
        self.flows.get(id).state = FlowState::EndingTransaction;
        Begun::Ask(Ask::EndTransaction(TransactionOutcome::Commit))
    }

    /// The step of a flow has failed. `None`: no transaction of it is open.
    pub(super) fn abort_first(&mut self, id: FlowId) -> Option<Begun> {
        if self.transaction != Some(id) {
            return None;
        }
        self.flows.get(id).state = FlowState::Aborting;
        Some(Begun::Ask(Ask::EndTransaction(TransactionOutcome::Abort)))
    }

    /// The offsets are part of the transaction, or were refused.
    pub fn handle_offsets_sent(&mut self, result: Result<(), ErrorCode>) {
        let Some(id) = self.transaction else { return };
        let source = self.flows.get(id).source;
        let keeps = result.is_err_and(|error| source.is_some_and(|source| self.keeps(source, error)));
        let flow = self.flows.get(id);
        if flow.state == FlowState::SendingOffsets {
            flow.refused = result.is_err_and(is_fencing) && !keeps;
            self.resolve(id, if result.is_ok() { StepOutcome::Done } else { StepOutcome::Failed });
        }
    }

    /// `None`: it cannot be committed and has to be aborted.
    pub fn handle_transaction_ended(&mut self, outcome: Option<TransactionOutcome>, step: &mut Step) {
        let Some(id) = self.transaction else { return };
        match (self.flows.get(id).state, outcome) {
            (FlowState::EndingTransaction, Some(_)) => {
                self.transaction = None;
                self.count_committed(id, step);
                self.resolve(id, StepOutcome::Done);
            }
            (FlowState::EndingTransaction, None) => self.resolve(id, StepOutcome::Failed),
            (FlowState::Aborting, _) => {
                self.transaction = None;
                self.flows.get(id).offset_sent = false;
                let Flow { source, refused, .. } = *self.flows.get(id);
                if source.is_some_and(|source| !self.commits.owns(source)) {
                    // Whoever owns the partition now begins where the last transaction was committed.
                    self.give_up(id, step);
                } else if refused {
                    self.go_back_to(id, step);
                } else {
                    self.make_ready(id, FlowState::Climb);
                }
            }
            (_, _) => {}
        }
    }

    /// Nobody took the partition away, or nobody has said so yet: whoever refused may be deposed. The records from here on are
    /// fetched again after the next poll(), by whoever owns the partition then. Kafka: resetToLastCommittedPositions.
    fn go_back_to(&mut self, id: FlowId, step: &mut Step) {
        if let Some(source) = self.flows.get(id).source {
            self.drop_waiting(&[source.partition], step);
            self.commits.forget(&[source.partition]);
            self.goes_back_to = Some((source.partition, source.offset));
        }
        self.give_up(id, step);
    }

    /// The offset was committed with the transaction: nobody has to ask for it again.
    fn count_committed(&mut self, id: FlowId, step: &Step) {
        let flow = self.flows.get(id);
        if let Some(source) = flow.source.filter(|_| flow.offset_sent)
            && !std::mem::replace(&mut flow.counted, true)
        {
            self.commits.mark(source);
            self.commits.take(step.time());
        }
    }
}
