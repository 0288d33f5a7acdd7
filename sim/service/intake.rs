//! Events that wait for a worker, in order of arrival, or each key in its own lane.
//!
//! By key: while an event of a key runs, later ones of that key wait in its lane, and any free worker takes the next
//! event whose key is free. Source of the idea: Confluent's Parallel Consumer, ordering KEY.

use std::collections::{BTreeMap, VecDeque};

use super::flow::Arrival;
use crate::types::Key;

#[derive(Clone, Debug)]
pub struct Intake {
    by_key: bool,
    queue: VecDeque<Arrival>,
    /// Taken from a lane whose key has just become free; they go first.
    released: VecDeque<Arrival>,
    /// Keys that run or are released, with what waits behind them.
    lanes: BTreeMap<Key, VecDeque<Arrival>>,
    waiting: usize,
}

impl Intake {
    pub fn new(by_key: bool) -> Intake {
        Intake { by_key, queue: VecDeque::new(), released: VecDeque::new(), lanes: BTreeMap::new(), waiting: 0 }
    }

    pub fn push(&mut self, arrival: Arrival) {
        self.queue.push_back(arrival);
        self.waiting += 1;
    }

    /// The next event that may run.
    pub fn pop(&mut self) -> Option<Arrival> {
        if let Some(arrival) = self.released.pop_front() {
            self.waiting -= 1;
            return Some(arrival);
        }
        while let Some(arrival) = self.queue.pop_front() {
            if self.by_key {
                if let Some(lane) = self.lanes.get_mut(&arrival.message.key) {
                    lane.push_back(arrival);
                    continue;
                }
                self.lanes.insert(arrival.message.key, VecDeque::new());
            }
            self.waiting -= 1;
            return Some(arrival);
        }
        None
    }

    /// An event of this key has ended.
    pub fn release(&mut self, key: Key) {
        if !self.by_key {
            return;
        }
        let lane = self.lanes.get_mut(&key).expect("a running key has a lane");
        match lane.pop_front() {
            Some(next) => self.released.push_back(next),
            None => {
                self.lanes.remove(&key);
            }
        }
    }

    /// Takes out what waits and fits, in no order that matters.
    pub fn take_where(&mut self, fits: impl Fn(&Arrival) -> bool) -> Vec<Arrival> {
        let mut taken = Vec::new();
        for queue in self.lanes.values_mut().chain([&mut self.queue]) {
            take(queue, &fits, &mut taken);
        }
        let before = taken.len();
        take(&mut self.released, &fits, &mut taken);
        self.waiting -= taken.len();
        for arrival in &taken[before..] {
            self.release(arrival.message.key);
        }
        taken
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

fn take(queue: &mut VecDeque<Arrival>, fits: &impl Fn(&Arrival) -> bool, taken: &mut Vec<Arrival>) {
    queue.retain(|arrival| {
        if fits(arrival) {
            taken.push(*arrival);
        }
        !fits(arrival)
    });
}
