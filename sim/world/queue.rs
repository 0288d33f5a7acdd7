//! The one ordered heap of a run: everything that will happen, by (time, lane, number).
//!
//! Events of one instant are ordered by their lane (a node or a link) and then by the order in which they were
//! scheduled. So what happens first at an instant does not hang on who scheduled first on an unrelated lane.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::types::Time;

/// Where an event belongs: nodes first, then links, in the order of the plan.
pub type Lane = u32;

#[derive(Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Entry>,
    /// Payloads live beside the heap, so that sifting moves little.
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    scheduled: u64,
}

/// Where an event stands in the heap. Time, lane and number are one number, so that comparing two is one comparison.
#[derive(Clone, Copy, Debug)]
struct Entry {
    order: u128,
    slot: u32,
}

/// Bits of the order that number the events: enough for 10^12 in a run.
const NUMBER_BITS: u32 = 40;
const LANE_BITS: u32 = 24;

impl<T> EventQueue<T> {
    pub fn new() -> EventQueue<T> {
        EventQueue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), scheduled: 0 }
    }

    pub fn push(&mut self, time: Time, lane: Lane, event: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                (self.slots.len() - 1) as u32
            }
        };
        assert!(lane < 1 << LANE_BITS, "lane number out of range");
        let within = u64::from(lane) << NUMBER_BITS | self.scheduled;
        self.heap.push(Entry { order: u128::from(time.0) << 64 | u128::from(within), slot });
        self.scheduled += 1;
    }

    /// Time and lane of the next event.
    pub fn next(&self) -> Option<(Time, Lane)> {
        self.heap.peek().map(|entry| (entry.time(), (entry.order as u64 >> NUMBER_BITS) as Lane))
    }

    pub fn pop(&mut self) -> Option<(Time, T)> {
        let entry = self.heap.pop()?;
        self.free.push(entry.slot);
        let event = self.slots[entry.slot as usize].take().expect("an event for every entry of the heap");
        Some((entry.time(), event))
    }
}

impl Entry {
    fn time(self) -> Time {
        Time((self.order >> 64) as u64)
    }
}

/// The heap has its greatest on top: the earliest is the greatest.
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        other.order.cmp(&self.order)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
    // The heap asks with these; spelled out they are one comparison.
    fn lt(&self, other: &Entry) -> bool {
        self.order > other.order
    }
    fn le(&self, other: &Entry) -> bool {
        self.order >= other.order
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_before_lane_and_lane_before_number() {
        let mut queue = EventQueue::new();
        queue.push(Time(5), 1, "late");
        queue.push(Time(1), 7, "lane 7, first");
        queue.push(Time(1), 7, "lane 7, second");
        queue.push(Time(1), 2, "lane 2");
        let order: Vec<&str> = std::iter::from_fn(|| queue.pop().map(|(_, event)| event)).collect();
        assert_eq!(order, ["lane 2", "lane 7, first", "lane 7, second", "late"]);
    }

    #[test]
    fn slots_are_used_again() {
        let mut queue = EventQueue::new();
        for round in 0..1000 {
            queue.push(Time(round), 0, round);
            assert_eq!(queue.pop(), Some((Time(round), round)));
        }
        assert_eq!(queue.slots.len(), 1);
    }
}
