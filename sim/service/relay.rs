//! A relay: the half of a service that polls a table and says which of its rows are done with.
//!
//! The one idea: the store knows what is done with, and the process knows no more than what it was told. With `unsent` it
//! asks for rows that are not marked, every time anew. With a cursor it asks behind the last row that it was given, and
//! where it does not know one, after a start or a commit that failed, behind the cursor that the store keeps.
//!
//! It deliberately does not look for rows that were seen late, and instances do not share a table between them: two of
//! them take the same rows. Sources: the polling publisher and transactional outbox of Richardson, "Microservices Patterns"
//! (2018), 3.3; Debezium's documentation of its outbox event router for why it reads in the order of commits.

use std::collections::VecDeque;

use super::flow::{Arrival, FlowId};
use super::interpreter::{Interpreter, STORE_CHANNEL};
use super::retreat::Phase;
use super::steps::Begun;
use crate::scenario::plan::{CommitEvery, PollPlan, Trigger};
use crate::types::note::{Note, StepOutcome};
use crate::types::request::{Cursor, PollRowsRequest, PolledRow, Request, StoreOperation, StoreRequest};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Relay {
    /// Rows that were handed out and are not committed, in order, and whether their lists have reached `commit`.
    in_hand: VecDeque<(RowNumber, bool)>,
    /// The last row that the store gave us, for a reader with a cursor.
    position: Option<RowNumber>,
    /// The next poll is due.
    due: Time,
    /// The poll that is out, where it is out to, and until when its answer is waited for.
    asked: Option<(Correlation, NodeId, Time)>,
    polls: u64,
}

impl Relay {
    pub fn new() -> Relay {
        Relay { in_hand: VecDeque::new(), position: None, due: Time::ZERO, asked: None, polls: 0 }
    }

    pub fn next_deadline(&self) -> (Time, TimerName) {
        match self.asked {
            Some((_, _, until)) => (until, "answer to a poll"),
            None => (self.due, "poll of a table"),
        }
    }

    /// A row's list has reached its commit.
    fn mark(&mut self, row: RowNumber) {
        if let Some(entry) = self.in_hand.iter_mut().find(|entry| entry.0 == row) {
            entry.1 = true;
        }
    }

    /// What the commit of a row covers: with marks everything that is done, with a cursor what is done from the front.
    fn take_done(&mut self, cursor: Cursor) -> Vec<RowNumber> {
        let mut taken = Vec::new();
        match cursor {
            Cursor::Unsent => self.in_hand.retain(|(row, done)| {
                if *done {
                    taken.push(*row);
                }
                !*done
            }),
            Cursor::HighestId | Cursor::CommitOrder => {
                while let Some((row, true)) = self.in_hand.front() {
                    taken.push(*row);
                    self.in_hand.pop_front();
                }
            }
        }
        taken
    }
}

impl Interpreter {
    /// When the next poll, or its patience, is due. A relay polls when its rows are done with.
    pub(super) fn relay_deadline(&self) -> Option<(Time, TimerName)> {
        let relay = self.relay.as_ref()?;
        (relay.asked.is_some() || self.is_idle()).then(|| relay.next_deadline())
    }

    /// Polls when it is time.
    pub(super) fn relay_duty(&mut self, step: &mut Step) {
        let Trigger::Poll(poll) = self.service().trigger else { return };
        let idle = self.is_idle();
        let Some(relay) = &mut self.relay else { return };
        if relay.asked.is_some_and(|(_, _, until)| until <= step.time()) {
            relay.asked = None;
        }
        if !idle || relay.asked.is_some() || step.time() < relay.due {
            return;
        }
        relay.polls += 1;
        // What is left in hand here belongs to lists that were given up.
        relay.in_hand.clear();
        relay.due = step.time() + poll.every;
        let (after, polls) = (relay.position, relay.polls);
        let (node, patience) = self.store_of(poll.store);
        let correlation = Correlation(self.next_number());
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        let request = PollRowsRequest {
            table: poll.table,
            service: self.id(),
            cursor: poll.cursor,
            after,
            limit: poll.batch,
            attempt: random::combine(process, polls),
        };
        self.relay.as_mut().expect("a relay polls").asked = Some((correlation, node, step.time() + patience));
        step.send(STORE_CHANNEL, node, correlation, Request::PollRows(request));
    }

    /// The answer to a poll.
    pub fn handle_rows(&mut self, correlation: Correlation, rows: Vec<PolledRow>, step: &mut Step) {
        let Trigger::Poll(PollPlan { table, cursor, .. }) = self.service().trigger else { return };
        let (service, running) = (self.id(), self.phase == Phase::Running);
        let Some(relay) = &mut self.relay else { return };
        if relay.asked.is_none_or(|asked| asked.0 != correlation) || !running {
            return;
        }
        relay.asked = None;
        if rows.is_empty() {
            return;
        }
        let numbers = rows.iter().map(|row| row.number).collect();
        step.note(Note::RowsPolled { service, place: table, cursor, rows: numbers });
        relay.in_hand.extend(rows.iter().map(|row| (row.number, false)));
        relay.position = match cursor {
            Cursor::Unsent => None,
            Cursor::HighestId | Cursor::CommitOrder => rows.last().map(|row| row.number),
        };
        for row in rows {
            self.intake.push(Arrival {
                message: row.message,
                source: None,
                row: Some(row.number),
                reply: None,
                asked_by: None,
                again: false,
            });
        }
    }

    /// The store said no to a poll, or its connection broke. The next one follows when it is due.
    pub(super) fn handle_poll_failed(&mut self, fits: impl Fn(Correlation, NodeId) -> bool) {
        if let Some(relay) = &mut self.relay {
            relay.asked = relay.asked.filter(|(correlation, node, _)| !fits(*correlation, *node));
        }
    }

    /// The list of a row has reached its commit.
    pub(super) fn begin_row_commit(
        &mut self,
        id: FlowId,
        row: RowNumber,
        every: CommitEvery,
        step: &mut Step,
    ) -> Begun {
        let Trigger::Poll(poll) = self.service().trigger else {
            panic!("only a relay has rows");
        };
        let service = self.id();
        let flow = self.flows.get(id);
        if flow.again {
            return Begun::NotDue;
        }
        flow.counted = true;
        let (number, message, attempt) = (flow.step, flow.message, flow.attempt);
        let relay = self.relay.as_mut().expect("a service that polls has a relay");
        relay.mark(row);
        if every == CommitEvery::Batch && relay.in_hand.iter().any(|(_, done)| !done) {
            return Begun::NotDue;
        }
        let rows = relay.take_done(poll.cursor);
        let Some(to) = rows.last().copied() else { return Begun::NotDue };
        let operation = match poll.cursor {
            Cursor::Unsent => StoreOperation::MarkSent { table: poll.table, rows },
            Cursor::HighestId | Cursor::CommitOrder => {
                StoreOperation::MoveCursor { table: poll.table, cursor: poll.cursor, to }
            }
        };
        step.note(Note::StepReached { service, step: number, event: message.event });
        let request = StoreRequest {
            message,
            service,
            step: number,
            attempt: self.store_attempt(number, attempt),
            incarnation: self.incarnation,
            operations: vec![operation],
        };
        self.ask_store(id, poll.store, request, step);
        Begun::Waiting
    }

    /// The commit of a row has its outcome: what is not known to be kept is asked for again.
    pub(super) fn end_row_commit(&mut self, outcome: StepOutcome) {
        if let (StepOutcome::Failed | StepOutcome::Unknown, Some(relay)) = (outcome, &mut self.relay) {
            relay.position = None;
        }
    }

    fn is_idle(&self) -> bool {
        self.phase == Phase::Running && self.intake.waiting() == 0 && self.flows.running() == 0
    }
}
