//! One run of a service's list of steps for one event, and the table of those that run now.

use super::commits::CommitToken;
use crate::types::note::StepOutcome;
use crate::types::*;

/// Where a consumed event stood, and under which assignment it was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub partition: TopicPartition,
    pub offset: Offset,
    /// Counts the assignments of this process; a record of an older one is not ours any more.
    pub round: u32,
    /// Counts the polls of this process.
    pub batch: u64,
}

/// An event that waits for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub message: Message,
    pub source: Option<Source>,
    /// Which row of a polled table it is.
    pub row: Option<RowNumber>,
    /// Who called, when the event came by a call.
    pub reply: Option<ReplyTo>,
    /// The step that asks, when another service called.
    pub asked_by: Option<(ServiceId, u16)>,
    /// Taken once more: its first delivery stands for it in commits.
    pub again: bool,
}

#[derive(Clone, Debug)]
pub struct Flow {
    pub message: Message,
    pub source: Option<Source>,
    pub row: Option<RowNumber>,
    /// Whom an answer is owed; taken when it is given.
    pub reply: Option<ReplyTo>,
    /// The step that asks, when another service called.
    pub asked_by: Option<(ServiceId, u16)>,
    /// From 1.
    pub attempt: u32,
    pub step: u16,
    pub rung: u16,
    /// How often the current rung has acted.
    pub tries: u32,
    /// It is done as far as commits are concerned.
    pub counted: bool,
    /// A repetition that no commit is owed for.
    pub again: bool,
    /// A present row ended the list early.
    pub skipped: bool,
    /// Its offset is part of the open transaction.
    pub offset_sent: bool,
    /// The group has refused its offset: this process is no member any more, or of another round.
    pub refused: bool,
    /// Of the call that it is at.
    pub call: CallProgress,
    pub state: FlowState,
}

/// How far a run of a `call` step has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallProgress {
    pub run: CallRun,
    /// The attempt that is out or was last; from 1.
    pub attempt: u16,
    /// Of an attempt nobody here can tell whether it was executed.
    pub unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    // Ready to go on.
    /// Begins its step.
    Begin,
    /// Its step has a result.
    Finish(StepOutcome),
    /// Begins the list again.
    Restart,
    CommitAgain,
    /// Its failure goes (on) to the ladder.
    Climb,
    /// Its dead letter is not out: waits, then publishes another.
    DeadLetterFailed,
    /// Another attempt of its call is due.
    CallAgain,
    /// It is given up: on to `commit` or `respond`.
    JumpToEnd,
    // Waiting.
    Working {
        timer: TimerKey,
        fails: bool,
    },
    Storing {
        correlation: Correlation,
        timer: TimerKey,
    },
    Calling {
        correlation: Correlation,
        timer: TimerKey,
    },
    /// Between two attempts of a call.
    CallBackoff(TimerKey),
    Publishing {
        send: SendId,
        wait: bool,
    },
    Committing(CommitToken),
    CommitBackoff(TimerKey),
    /// Between two attempts of the list.
    Backoff(TimerKey),
    DeadLettering {
        send: SendId,
        wait: bool,
    },
    DeadLetterBackoff(TimerKey),
    SendingOffsets,
    EndingTransaction,
    /// Its step has failed; the transaction is being aborted before the failure goes to the ladder.
    Aborting,
}

/// When a timer is due, and a number that keeps the order of equal times.
pub type TimerKey = (Time, u64);

/// A slot in the table of running flows; reused when its flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId(u32);

/// The flows that run now: at most one for each worker.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    slots: Vec<Option<Flow>>,
    free: Vec<FlowId>,
}

impl Flow {
    pub fn new(arrival: Arrival) -> Flow {
        Flow {
            message: arrival.message,
            source: arrival.source,
            row: arrival.row,
            reply: arrival.reply,
            asked_by: arrival.asked_by,
            attempt: 1,
            step: 0,
            rung: 0,
            tries: 0,
            counted: arrival.again,
            again: arrival.again,
            skipped: false,
            offset_sent: false,
            refused: false,
            call: CallProgress::default(),
            state: FlowState::Begin,
        }
    }
}

impl Flows {
    pub fn insert(&mut self, flow: Flow) -> FlowId {
        if let Some(id) = self.free.pop() {
            self.slots[id.0 as usize] = Some(flow);
            return id;
        }
        self.slots.push(Some(flow));
        FlowId(self.slots.len() as u32 - 1)
    }

    pub fn remove(&mut self, id: FlowId) -> Flow {
        self.free.push(id);
        self.slots[id.0 as usize].take().expect("a flow ends once")
    }

    pub fn get(&mut self, id: FlowId) -> &mut Flow {
        self.slots[id.0 as usize].as_mut().expect("a running flow")
    }

    pub fn running(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.slots.iter().enumerate().filter_map(|(slot, flow)| Some((FlowId(slot as u32), flow.as_ref()?)))
    }
}
