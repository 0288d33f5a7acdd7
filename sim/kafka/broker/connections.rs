//! One request at a time per connection: while one waits, those behind it queue and are executed in order.
//!
//! A connection is remembered only while it is busy. What was read from it is executed even when its client has gone:
//! the broker never learns of that, and the answer falls into the void. Kafka: SocketServer's muted channels,
//! DelayedOperationPurgatory.

use std::collections::VecDeque;

use crate::types::request::{FetchRequest, ProducePartitionResponse, Request};
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// In no order. They are as few as clients are, and requests come and go in them all the time: who is idle again leaves
    /// its place to the next.
    busy: Vec<(ConnectionId, Busy)>,
    /// The earliest deadline of all, and whose it is.
    earliest: Option<(Time, ConnectionId)>,
    /// Free again, with requests in their queue.
    released: VecDeque<ConnectionId>,
}

#[derive(Clone, Debug, Default)]
struct Busy {
    /// `None` between the answer and the next request of the queue.
    parked: Option<Parked>,
    deadline: Option<Time>,
    queue: VecDeque<(ReplyTo, Request)>,
}

/// A request that waits for something.
#[derive(Clone, Debug)]
pub enum Parked {
    /// acks=all: until `remaining` of its batches are replicated.
    Produce { from: ReplyTo, answers: Vec<ProducePartitionResponse>, remaining: u32 },
    /// Until there is enough to read.
    Fetch { from: ReplyTo, request: FetchRequest },
    /// A coordinator answers when it can.
    Coordinator { from: ReplyTo },
}

impl Busy {
    fn is_idle(&self) -> bool {
        self.parked.is_none() && self.queue.is_empty()
    }
}

impl Connections {
    /// Where the next request of this connection has to wait. `None`: it can be executed now.
    pub fn queue_of(&mut self, connection: ConnectionId) -> Option<&mut VecDeque<(ReplyTo, Request)>> {
        self.busy_mut(connection).filter(|busy| !busy.is_idle()).map(|busy| &mut busy.queue)
    }

    pub fn park(&mut self, connection: ConnectionId, parked: Parked, deadline: Option<Time>) {
        let place = self.place_for(connection);
        let busy = &mut self.busy[place].1;
        assert!(busy.parked.is_none(), "a second request of one connection");
        (busy.parked, busy.deadline) = (Some(parked), deadline);
        if let Some(time) = deadline {
            let deadline = (time, connection);
            self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
    }

    pub fn parked(&mut self, connection: ConnectionId) -> Option<&mut Parked> {
        self.busy_mut(connection)?.parked.as_mut()
    }

    /// The fetch that a connection waits with.
    pub fn waiting_fetch(&self, connection: ConnectionId) -> Option<&FetchRequest> {
        match self.busy[self.place(connection)?].1.parked.as_ref()? {
            Parked::Fetch { request, .. } => Some(request),
            Parked::Produce { .. } | Parked::Coordinator { .. } => None,
        }
    }

    /// Takes the waiting request away to answer it; its connection is free for the next one.
    pub fn release(&mut self, connection: ConnectionId) -> Option<Parked> {
        let busy = self.busy_mut(connection)?;
        let parked = busy.parked.take()?;
        busy.deadline = None;
        if !busy.queue.is_empty() {
            self.released.push_back(connection);
        }
        if self.earliest.is_some_and(|(_, first)| first == connection) {
            let deadlines = self.busy.iter().filter_map(|(connection, busy)| Some((busy.deadline?, *connection)));
            self.earliest = deadlines.min();
        }
        Some(parked)
    }

    /// The broker ends the connection: what waits in its queue was never read.
    pub fn forget(&mut self, connection: ConnectionId) {
        if let Some(busy) = self.busy_mut(connection) {
            assert!(busy.parked.is_none(), "a request that waits is answered before its connection ends");
            busy.queue.clear();
        }
    }

    /// The next queued request of a connection that has become free.
    pub fn next_queued(&mut self) -> Option<(ReplyTo, Request)> {
        while let Some(connection) = self.released.pop_front() {
            let Some(busy) = self.busy_mut(connection) else { continue };
            if busy.parked.is_some() {
                continue;
            }
            let next = busy.queue.pop_front();
            if !busy.queue.is_empty() {
                self.released.push_front(connection);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.earliest.map(|(time, _)| time)
    }

    pub fn next_expired(&self, now: Time) -> Option<ConnectionId> {
        self.earliest.filter(|(time, _)| *time <= now).map(|(_, connection)| connection)
    }

    fn place(&self, connection: ConnectionId) -> Option<usize> {
        self.busy.iter().position(|(other, _)| *other == connection)
    }

    /// Its place, or one that it gets now.
    fn place_for(&mut self, connection: ConnectionId) -> usize {
        if let Some(place) = self.place(connection) {
            return place;
        }
        match self.busy.iter().position(|(_, busy)| busy.is_idle()) {
            Some(place) => {
                self.busy[place].0 = connection;
                place
            }
            None => {
                self.busy.push((connection, Busy::default()));
                self.busy.len() - 1
            }
        }
    }

    fn busy_mut(&mut self, connection: ConnectionId) -> Option<&mut Busy> {
        self.busy.iter_mut().find(|(other, _)| *other == connection).map(|(_, busy)| busy)
    }
}
