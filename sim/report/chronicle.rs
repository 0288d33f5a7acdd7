//! The chronicle of an event in words, for a terminal and for pages. It decides nothing: every line is one that the checks told.

use std::borrow::Cow;

use super::charts::sequence::{SequenceChart, SequenceMark, SequenceRow};
use crate::checks::chronicle::{Chronicle, ConsumerAtEnd, CopyAtEnd, Line, Told};
use crate::checks::{RemovedBy, word};
use crate::history::event::StopReason;
use crate::history::export::Names;
use crate::scenario::plan::Plan;
use crate::types::note::{CallerOutcome, PositionReason, StepOutcome, StoreEffect};
use crate::types::request::ErrorCode;
use crate::types::*;

/// Sentences about what a plan has numbers for.
pub struct Words<'a> {
    plan: &'a Plan,
    names: Names,
}

impl<'a> Words<'a> {
    pub fn new(plan: &'a Plan) -> Words<'a> {
        Words { plan, names: Names::of(plan) }
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    fn nodes(&self, nodes: &[NodeId]) -> String {
        nodes.iter().map(|node| self.names.node(*node)).collect::<Vec<_>>().join(", ")
    }

    fn somebody(&self, node: Option<NodeId>) -> Cow<'_, str> {
        node.map_or(Cow::Borrowed("nobody"), |node| self.names.node(node))
    }

    /// What the line says, without its time and node.
    pub fn sentence(&self, line: &Line) -> String {
        match &line.what {
            Told::Arrived => "arrives".to_string(),
            Told::Attempted { instance, attempt: 1 } => format!("calls {}", self.names.node(*instance)),
            Told::Attempted { instance, attempt } => format!("calls {}, attempt {attempt}", self.names.node(*instance)),
            Told::Settled(CallerOutcome::Accepted) => "was told ok".to_string(),
            Told::Settled(CallerOutcome::Refused) => "was told no".to_string(),
            Told::Settled(CallerOutcome::Unknown) => "gives up without an answer".to_string(),
            Told::FlowStarted { attempt, source, .. } => {
                let source = source.map_or(String::new(), |(partition, offset)| {
                    format!(" for {} offset {offset}", self.names.partition(partition))
                });
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                format!("begins its steps{source}{again}")
            }
            Told::StepReached { service, step } => {
                format!("reaches `{}`, and is not through with it", self.names.step(*service, *step))
            }
            Told::StepDone { service, step, outcome } => {
                let step = self.names.step(*service, *step);
                match outcome {
                    StepOutcome::Done => format!("`{step}` is done"),
                    StepOutcome::Skipped => format!("`{step}` finds a row, and the rest is skipped"),
                    StepOutcome::Failed => format!("`{step}` fails"),
                    StepOutcome::Unknown => format!("`{step}` ends without anybody knowing how"),
                }
            }
            Told::FlowDone { skipped: false, .. } => "is through with its steps".to_string(),
            Told::FlowDone { skipped: true, .. } => {
                "is through with its steps, for a row was there already".to_string()
            }
            Told::RungReached { service, rung } => {
                let ladder = self.plan.services.get(usize::from(service.0)).map_or(&[][..], |service| &service.ladder);
                let rung = ladder.get(usize::from(*rung)).map_or(String::new(), word);
                format!("goes by its ladder: {rung}")
            }
            Told::Redelivered { .. } => "is given it once more by a fault".to_string(),
            Told::Applied { place, effect, caller } => {
                let place = self.names.place(*place);
                let done = match effect {
                    StoreEffect::Inserted => format!("{place} has a new row"),
                    StoreEffect::Overwrote { newer: true } => format!("{place} is overwritten"),
                    StoreEffect::Overwrote { newer: false } => format!("{place} is overwritten by an older version"),
                    StoreEffect::Unchanged => format!("{place} has it already, and nothing changes"),
                    StoreEffect::Added => format!("{place} is added to"),
                    StoreEffect::Executed { .. } => format!("{place} does it"),
                };
                format!("{done}, for {}", self.names.node(*caller))
            }
            Told::Redriven { source: (partition, offset), to } => format!(
                "sends the dead letter {} offset {offset} back to {}",
                self.names.partition(*partition),
                self.names.topic(*to)
            ),
            Told::AnswerLost => "gives no answer, or refuses".to_string(),
            Told::Called { to, attempt: 1 } => format!("asks {}", self.names.node(*to)),
            Told::Called { to, attempt } => format!("asks {} again, attempt {attempt}", self.names.node(*to)),
            Told::CallFailed { attempt, outcome: StepOutcome::Failed } => format!("is told no, attempt {attempt}"),
            Told::CallFailed { attempt, .. } => format!("has no answer in time, attempt {attempt}"),
            Told::RowSeen { place, number, rank } => {
                format!(
                    "its row of {} is seen from now on: number {number}, the {} to be seen",
                    self.names.place(*place),
                    ordinal(rank.0)
                )
            }
            Told::RowPolled { place, .. } => format!("has its row of {} from a poll", self.names.place(*place)),
            Told::RowMarked { place } => format!("its row of {} is marked as done", self.names.place(*place)),
            Told::CursorPassed { service, place, to, read } => {
                let (service, place) = (self.names.service(*service), self.names.place(*place));
                let how = if *read { "" } else { ", and no poll has returned its row" };
                format!("the cursor of {service} in {place} moves to {to}{how}")
            }
            Told::SeenTooLate { service, place, cursor } => {
                let (service, place) = (self.names.service(*service), self.names.place(*place));
                format!("the cursor of {service} in {place} stands at {cursor} already: no poll will find it")
            }
            Told::Sent { partition } => format!("hands it to its producer, for {}", self.names.partition(*partition)),
            Told::Appended { partition, offset } => {
                format!("appends it as leader: {} offset {offset}", self.names.partition(*partition))
            }
            Told::Copied { partition, offset } => {
                format!("copies {} offset {offset}", self.names.partition(*partition))
            }
            Told::Recovered { partition, offset } => {
                format!("finds {} offset {offset} on its disk", self.names.partition(*partition))
            }
            Told::NotRecovered { partition, offset } => {
                format!("does not find {} offset {offset} on its disk", self.names.partition(*partition))
            }
            Told::Replicated { partition, offset } => {
                format!("all in-sync replicas have {} offset {offset}", self.names.partition(*partition))
            }
            Told::Answered { error: ErrorCode::None, to, .. } => format!("acknowledges it to {}", self.names.node(*to)),
            Told::Answered { error, to, .. } => {
                format!("answers {} to {}", word(&format!("{error:?}")), self.names.node(*to))
            }
            Told::Acknowledged { partition, offset: Some(offset) } => {
                format!("learns that it is queued: {} offset {offset}", self.names.partition(*partition))
            }
            Told::Acknowledged { partition, offset: None } => {
                format!("takes it for queued in {}, without an answer (acks=0)", self.names.partition(*partition))
            }
            Told::SendFailed { error, certain } => {
                let sure = if *certain { "it is in no log" } else { "nobody can tell whether it is in a log" };
                format!("its producer gives up ({error:?}): {sure}")
            }
            Told::Led { partition, leader_epoch, holds_it } => {
                let with = if *holds_it { "and has it" } else { "WITHOUT it" };
                format!("leads {} in epoch {leader_epoch}, {with}", self.names.partition(*partition))
            }
            Told::ElectedUnclean { partition, leader } => {
                let leader = self.somebody(*leader);
                format!("elects {leader} for {} from outside the in-sync set", self.names.partition(*partition))
            }
            Told::Truncated { partition, offset } => {
                format!("CUTS {} offset {offset} from its log", self.names.partition(*partition))
            }
            Told::Expired { partition, offset, by } => {
                let partition = self.names.partition(*partition);
                match by {
                    RemovedBy::Retention => format!("retention removes {partition} offset {offset}"),
                    RemovedBy::Operator => format!("DELETES {partition} offset {offset}, as an operator says"),
                }
            }
            Told::Compacted { partition, offset } => {
                let partition = self.names.partition(*partition);
                format!("compaction removes {partition} offset {offset}: a newer record of its key is there")
            }
            Told::PassedCompacted { group, partition, offset } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                format!("goes on BEHIND it: compaction has removed {partition} offset {offset} (group {group})")
            }
            Told::Delivered { group, partition, offset } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                format!("is given {partition} offset {offset} (group {group})")
            }
            Told::PassedOver { group, partition, position, why } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                format!("goes on BEHIND it: {partition} from offset {position}, {} (group {group})", reason(*why))
            }
            Told::SetBack { group, partition, position, why } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                format!("goes back: {partition} from offset {position}, {} (group {group})", reason(*why))
            }
            Told::Committed { group, partition, offset, by } => {
                let (partition, group, by) =
                    (self.names.partition(*partition), self.names.group(*group), self.names.node(*by));
                format!(
                    "has the commit of {by}: group {group} is past {partition} offset {}",
                    offset.0.saturating_sub(1)
                )
            }
            Told::OffsetForgotten { group, partition, offset } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                format!("forgets that group {group} is past {partition} offset {}", offset.0.saturating_sub(1))
            }
            Told::Assigned { group, partition } => {
                format!("owns {} (group {})", self.names.partition(*partition), self.names.group(*group))
            }
            Told::TakenAway { group, partition, in_order } => {
                let (partition, group) = (self.names.partition(*partition), self.names.group(*group));
                let how = if *in_order { "gives back" } else { "has lost" };
                format!("{how} {partition} (group {group})")
            }
            Told::FaultFired { fault, nodes, peers } => {
                let name = self.names.fault(*fault);
                let text = self.plan.faults.get(usize::from(fault.0)).map_or("", |fault| &fault.text);
                let at = match (nodes.is_empty(), peers.is_empty()) {
                    (true, _) => String::new(),
                    (false, true) => format!(" at {}", self.nodes(nodes)),
                    (false, false) => format!(" between {} and {}", self.nodes(nodes), self.nodes(peers)),
                };
                format!("fault `{name}`{at}: {text}")
            }
            Told::FaultHealed { fault } => format!("fault `{}` is over", self.names.fault(*fault)),
            Told::Stopped { why } => match why {
                StopReason::Crash => "crashes",
                StopReason::PowerLoss => "loses power",
                StopReason::Clean => "stops in order",
                StopReason::Own => "crashes by its own ladder",
            }
            .to_string(),
            Told::PowerLost { lost } => format!("{lost} writes were not on its disk yet"),
            Told::Started => "is back".to_string(),
            Told::Paused => "stands still".to_string(),
            Told::Resumed => "goes on".to_string(),
        }
    }

    /// Is it in the queue? One sentence for each copy, or one for none.
    pub fn in_the_queue(&self, chronicle: &Chronicle) -> Vec<String> {
        if chronicle.copies.is_empty() {
            let sent = chronicle.lines.iter().any(|line| matches!(line.what, Told::Sent { .. }));
            let why = if sent { "no leader ever appended it" } else { "it was never handed to a producer" };
            return vec![format!("no: {why}")];
        }
        chronicle.copies.iter().map(|copy| self.copy(copy)).collect()
    }

    fn copy(&self, copy: &CopyAtEnd) -> String {
        let at = format!("{} offset {}", self.names.partition(copy.partition), copy.offset);
        let leader = self.somebody(copy.leader);
        match (copy.is_there(), copy.expired, copy.holders.is_empty()) {
            (true, _, _) => format!("yes: {at}, on {}; {leader} leads", self.nodes(&copy.holders)),
            (false, Some(RemovedBy::Retention), _) => format!("no: it was {at}, and retention has removed it"),
            (false, Some(RemovedBy::Operator), _) => format!("no: it was {at}, and an operator has deleted it"),
            (false, None, _) if copy.compacted => format!("no: it was {at}, and compaction has removed it"),
            (false, None, true) => format!("no: it was {at}, and no log has it any more; {leader} leads"),
            (false, None, false) => {
                format!("no: it was {at}; only {} has it, and {leader} leads", self.nodes(&copy.holders))
            }
        }
    }

    /// Is the consumer running? One sentence for each service and partition.
    pub fn consumer(&self, consumer: &ConsumerAtEnd) -> String {
        let instances =
            format!("{} of {} of {}", consumer.running, consumer.instances, self.names.service(consumer.service));
        let running = match (consumer.running, consumer.instances) {
            (0, _) => format!("NO: {instances} run"),
            (running, of) if running == of => format!("yes: {instances} run"),
            _ => format!("in part: {instances} run"),
        };
        let owner = self.somebody(consumer.owner);
        let partition = self.names.partition(consumer.partition);
        let committed = match consumer.committed {
            None => "nothing committed".to_string(),
            Some(offset) if consumer.end <= offset => format!("committed {offset}, no lag"),
            Some(offset) => format!("committed {offset}, lag {}", consumer.end.0 - offset.0),
        };
        format!("{running}; {owner} owns {partition}, {committed}")
    }
}

/// Seconds of the scenario: its time 0 is when the load begins.
pub fn seconds(time: Time) -> String {
    let nanoseconds = time.0 as i128 - Time::LOAD_START.0 as i128;
    format!("{:.4} s", nanoseconds as f64 / 1e9)
}

/// Lines that a terminal and a diagram show; the rest stands in the file.
pub const LINES_SHOWN: usize = 36;

/// The lines worth showing: all, or the first ones and the last, with the number of those between.
pub fn abridged(lines: &[Line]) -> (Vec<&Line>, Option<(usize, usize)>) {
    if lines.len() <= LINES_SHOWN {
        return (lines.iter().collect(), None);
    }
    let (first, last) = (LINES_SHOWN * 2 / 3, LINES_SHOWN / 3);
    let shown = lines[..first].iter().chain(&lines[lines.len() - last..]).collect();
    (shown, Some((first, lines.len() - first - last)))
}

/// The chronicle as a diagram, with the title and the lines below it.
pub fn diagram(chronicle: &Chronicle, plan: &Plan, title: String, subtitle: String, footer: String) -> SequenceChart {
    let words = Words::new(plan);
    let (shown, left_out) = abridged(&chronicle.lines);
    let mut lanes: Vec<NodeId> = Vec::new();
    let mut lane_of = |node: NodeId| {
        lanes.iter().position(|lane| *lane == node).unwrap_or_else(|| {
            lanes.push(node);
            lanes.len() - 1
        })
    };
    let mut sender: Vec<(TopicPartition, NodeId)> = Vec::new();
    let mut leader: Vec<(TopicPartition, NodeId)> = Vec::new();
    let latest = |list: &[(TopicPartition, NodeId)], partition: TopicPartition| {
        list.iter().rev().find(|(of, _)| *of == partition).map(|(_, node)| *node)
    };
    let mut rows = Vec::new();
    let mut gap = None;
    for (number, line) in shown.into_iter().enumerate() {
        if let Some((before, count)) = left_out
            && before == number
        {
            gap = Some((rows.len(), count));
        }
        let ends = match &line.what {
            Told::Attempted { instance, .. } => Some((line.node, *instance)),
            Told::Applied { caller, .. } => Some((*caller, line.node)),
            Told::Answered { to, .. } => Some((line.node, *to)),
            Told::Committed { by, .. } => Some((*by, line.node)),
            Told::Appended { partition, .. } => latest(&sender, *partition).map(|sender| (sender, line.node)),
            Told::Copied { partition, .. } | Told::Delivered { partition, .. } => {
                latest(&leader, *partition).map(|leader| (leader, line.node))
            }
            _ => None,
        };
        match &line.what {
            Told::Sent { partition } => sender.push((*partition, line.node)),
            Told::Appended { partition, .. } | Told::Led { partition, .. } => leader.push((*partition, line.node)),
            _ => {}
        }
        let struck = match &line.what {
            Told::FaultFired { nodes, .. } => nodes.first().copied(),
            Told::FaultHealed { .. } => continue,
            _ => Some(line.node),
        };
        let Some(node) = struck.filter(|node| *node != NodeId(0)) else { continue };
        let mark = match ends {
            Some((from, to)) => SequenceMark::Arrow { from: lane_of(from), to: lane_of(to) },
            None if matches!(line.what, Told::Started | Told::Resumed) => SequenceMark::Back { lane: lane_of(node) },
            None if line.what.struck() => {
                let down = matches!(line.what, Told::Stopped { .. } | Told::Paused);
                SequenceMark::Strike { lane: lane_of(node), down }
            }
            None if is_gone(&line.what) => SequenceMark::Gone { lane: lane_of(node) },
            None => SequenceMark::Point { lane: lane_of(node) },
        };
        rows.push(SequenceRow { time: seconds(line.time), label: words.sentence(line), mark });
    }
    let lanes = lanes.iter().map(|node| words.names.node(*node).to_string()).collect();
    SequenceChart { title, subtitle, lanes, rows, left_out: gap, footer }
}

/// The event is not where it was, or will not be where it should be.
pub fn is_gone(told: &Told) -> bool {
    matches!(
        told,
        Told::Truncated { .. }
            | Told::NotRecovered { .. }
            | Told::Expired { .. }
            | Told::Compacted { .. }
            | Told::PassedOver { .. }
            | Told::PassedCompacted { .. }
            | Told::SeenTooLate { .. }
            | Told::CursorPassed { read: false, .. }
            | Told::SendFailed { .. }
            | Told::Led { holds_it: false, .. }
    )
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn reason(why: PositionReason) -> &'static str {
    match why {
        PositionReason::Committed => "where the group had committed",
        PositionReason::ResetEarliest => "reset to earliest",
        PositionReason::ResetLatest => "reset to latest",
        PositionReason::Truncated => "its log was cut",
        PositionReason::Stored => "the position kept in a store",
    }
}
