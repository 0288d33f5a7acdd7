//! The contract between a machine and whoever drives it: an input and the time go in, effects come out in order.

use std::collections::VecDeque;

use super::note::Note;
use super::request::{Request, Response};
use super::storage::{StorageImage, StorageOperation};
use super::*;

/// This node's clocks, already skewed by the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Drives deadlines.
    pub monotonic: Time,
    /// Stamps records.
    pub wall_clock: Time,
}

/// Everything a machine may touch during one step.
pub struct Step<'a> {
    pub now: Now,
    /// The sequential stream of this process.
    pub rng: &'a mut Rng,
    pub out: &'a mut Outbox,
}

impl Step<'_> {
    /// The monotonic clock of this node.
    pub fn time(&self) -> Time {
        self.now.monotonic
    }

    pub fn send(&mut self, channel: Channel, to: NodeId, correlation: Correlation, request: Request) {
        self.effect(Effect::Send { channel, to, correlation, request });
    }

    pub fn reply(&mut self, to: ReplyTo, response: Response) {
        self.effect(Effect::Reply { to, response });
    }

    pub fn hang_up(&mut self, on: ReplyTo) {
        self.effect(Effect::HangUp { on });
    }

    pub fn close(&mut self, channel: Channel, to: NodeId) {
        self.effect(Effect::Close { channel, to });
    }

    pub fn storage(&mut self, operation: StorageOperation) {
        self.effect(Effect::Storage(operation));
    }

    pub fn effect(&mut self, effect: Effect) {
        self.out.0.push_back(Output::Effect(effect));
    }

    /// Says what changed, in order with the effects around it.
    pub fn note(&mut self, note: Note) {
        self.out.0.push_back(Output::Note(note));
    }
}

/// One client inside a process: each has connections of its own. Unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub u8);

/// One connection between two processes, unique in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// Pairs a response with its request; chosen by the requester, unique within its channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correlation(pub u64);

/// Where an answer goes. It is dropped silently when the connection is gone by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo {
    pub connection: ConnectionId,
    pub correlation: Correlation,
    /// The process at the other end.
    pub peer: NodeId,
}

#[derive(Clone, Debug)]
pub enum Input {
    /// First input of a process; everything it knew is gone except what is on its disk.
    Started {
        image: Box<StorageImage>,
        incarnation: Incarnation,
    },
    Request {
        from: ReplyTo,
        request: Request,
    },
    Response {
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
    },
    /// The connection of this channel to this peer is gone, with every answer that was still owed on it. The next send
    /// opens a new one. A connection that could not be opened ends the same way.
    Disconnected {
        channel: Channel,
        peer: NodeId,
    },
    /// A disk operation failed; everything asked for behind it was dropped.
    StorageFailed,
    Command(Command),
    /// Look at your deadlines. May come early or late; never count on the exact instant.
    Timeout,
}

/// What an operator or the outside world tells a process to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Stop cleanly: controlled shutdown of a broker, leaving the group and closing for a service; ends in [`Effect::Exit`].
    ShutDown,
    /// Forget the committed offsets of a group now, as if their retention had passed.
    ExpireOffsets(GroupId),
    /// Begin a new round of a group.
    Rebalance(GroupId),
    /// Stop (true) or go on (false) applying the metadata log.
    HoldMetadata(bool),
    /// Run the retention check of a topic now.
    EnforceRetention(TopicId),
    /// Give a partition of the topic, or every one, back to its preferred leader.
    ElectPreferred { topic: TopicId, partition: Option<u16> },
    /// Move the replicas of a partition to these brokers, the preferred leader first.
    Reassign { partition: TopicPartition, to: Vec<NodeId> },
    /// Add partitions to a topic until it has so many. Kafka: CreatePartitions.
    CreatePartitions { topic: TopicId, count: u16 },
    /// Take the message that was taken last once more, as from a queue that repeats.
    Redeliver,
    /// The next so many events that arrive are poison: they fail in every `work`.
    Poison(u32),
    /// Send dead letters back whence they came.
    Redrive(Redrive),
    /// The program is put right: poison harms it no more.
    Repair,
    /// Callers stop making new events: the load phase is over.
    EndLoad,
    /// Compact the logs of a topic now, what is written at the moment too.
    Compact(TopicId),
    /// Delete every committed record of a topic now. Kafka: DeleteRecords up to the high watermark.
    DeleteRecords(TopicId),
}

/// Dead letters of a service that are to go back, and the group that remembers which ones have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redrive {
    pub service: ServiceId,
    pub from: TopicId,
    pub to: TopicId,
    pub group: GroupId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Send {
        channel: Channel,
        to: NodeId,
        correlation: Correlation,
        request: Request,
    },
    Reply {
        to: ReplyTo,
        response: Response,
    },
    /// A server ends the connection that a request came on. Nothing more that its client has sent on it is executed, and the
    /// client learns that it is gone (Kafka: RequestChannel.closeConnection).
    HangUp {
        on: ReplyTo,
    },
    /// Ends this channel's connection to a peer. What was sent on it may still be executed; its answers are lost.
    Close {
        channel: Channel,
        to: NodeId,
    },
    Storage(StorageOperation),
    /// The process ends itself: `true` after a clean shutdown, `false` for the `crash` rung of a ladder.
    Exit {
        clean: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    Effect(Effect),
    Note(Note),
}

/// Effects and notes in one total order, across nested machines.
#[derive(Clone, Debug, Default)]
pub struct Outbox(pub VecDeque<Output>);

/// The earlier of two deadlines; of equal ones the first.
#[inline]
pub fn earlier(one: Option<(Time, TimerName)>, other: Option<(Time, TimerName)>) -> Option<(Time, TimerName)> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.0 <= other.0 { one } else { other }),
        (one, other) => one.or(other),
    }
}

/// Why the next timeout is due; for histories and logs, so that they say "b2 woke: replica-lag check".
pub type TimerName = &'static str;
