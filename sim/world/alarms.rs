//! The next instant of each thing that can only wait for one: the timer of a process, the operation of a disk.
//!
//! A tournament tree: every inner node holds the winner of its two children, so that setting an alarm plays one game on
//! each level and the earliest of all is always at the top. Unlike in a heap, an alarm that is set anew leaves nothing
//! behind; processes set theirs after every step. Knuth, "The Art of Computer Programming" 3, 5.4.1.

use crate::types::Time;

#[derive(Debug)]
pub struct Alarms {
    /// By number; a power of two of them.
    times: Vec<Time>,
    /// Winner of each inner node: 1 is the top, the children of `i` are `2 i` and `2 i + 1`.
    winners: Vec<u32>,
}

impl Alarms {
    /// `count` alarms, none of them set.
    pub fn new(count: usize) -> Alarms {
        let leaves = count.next_power_of_two().max(2);
        let mut winners = vec![0; leaves];
        for inner in (1..leaves).rev() {
            winners[inner] = if 2 * inner < leaves { winners[2 * inner] } else { (2 * inner - leaves) as u32 };
        }
        Alarms { times: vec![Time::NEVER; leaves], winners }
    }

    /// The earliest alarm and its number; of equal ones the smallest number. `Time::NEVER` when none is set.
    pub fn first(&self) -> (Time, usize) {
        let winner = self.winners[1] as usize;
        (self.times[winner], winner)
    }

    pub fn set(&mut self, number: usize, time: Time) {
        if self.times[number] == time {
            return;
        }
        self.times[number] = time;
        let leaves = self.times.len();
        let pair = number & !1;
        let mut winner = if self.times[pair + 1] < self.times[pair] { pair + 1 } else { pair };
        let mut inner = (leaves + number) / 2;
        loop {
            let known = std::mem::replace(&mut self.winners[inner], winner as u32) as usize;
            // Where the alarm neither won nor wins, nothing above has changed.
            if inner == 1 || (known == winner && winner != number) {
                return;
            }
            let other = self.winners[inner ^ 1] as usize;
            let (left, right) = if inner & 1 == 0 { (winner, other) } else { (other, winner) };
            winner = if self.times[right] < self.times[left] { right } else { left };
            inner /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Random, Seed};

    #[test]
    fn the_first_is_the_earliest_and_of_equal_ones_the_smallest_number() {
        let mut rng = Seed(1).stream("test");
        for count in [1, 2, 3, 7, 16, 33] {
            let mut alarms = Alarms::new(count);
            let mut times = vec![Time::NEVER; count];
            for _ in 0..2000 {
                let number = rng.below(count as u64) as usize;
                let time = if rng.below(5) == 0 { Time::NEVER } else { Time(rng.below(40)) };
                times[number] = time;
                alarms.set(number, time);
                let earliest = *times.iter().min().unwrap();
                let expected = times.iter().position(|time| *time == earliest).unwrap();
                assert_eq!(alarms.first(), (earliest, expected));
            }
        }
    }
}
