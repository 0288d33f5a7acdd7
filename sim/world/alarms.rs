//! The next instant of each thing that can only wait for one: the timer of a process, the operation of a disk.
//!
//! A tournament tree: every inner node holds the winner of its two children, so that setting an alarm plays one game on
//! each level and the earliest of all is always at the top. Unlike in a heap, an alarm that is set anew leaves nothing
//! behind; processes set theirs after every step. Knuth, "The Art of Computer Programming" 3, 5.4.1.

use crate::types::Time;

#[derive(Debug)]
pub struct Alarms {
    /// The earliest alarm below each node, with its number: 1 is the top, the children of `i` are `2 i` and `2 i + 1`, and
    /// the second half are the alarms themselves.
    earliest: Vec<(Time, u32)>,
}

impl Alarms {
    /// `count` alarms, none of them set.
    pub fn new(count: usize) -> Alarms {
        let leaves = count.next_power_of_two().max(2);
        let mut earliest = vec![(Time::NEVER, 0); 2 * leaves];
        for number in 0..leaves {
            earliest[leaves + number].1 = number as u32;
        }
        for inner in (1..leaves).rev() {
            earliest[inner] = earliest[2 * inner];
        }
        Alarms { earliest }
    }

    /// The earliest alarm and its number; of equal ones the smallest number. `Time::NEVER` when none is set.
    pub fn first(&self) -> (Time, usize) {
        let (time, number) = self.earliest[1];
        (time, number as usize)
    }

    pub fn set(&mut self, number: usize, time: Time) {
        let mut place = self.earliest.len() / 2 + number;
        let mut winner = (time, number as u32);
        loop {
            let known = &mut self.earliest[place];
            if known.0 == winner.0 && known.1 == winner.1 {
                return;
            }
            *known = winner;
            if place == 1 {
                return;
            }
            let rival = self.earliest[place ^ 1];
            // Of equal times the left one wins, which stands at an even place.
            if rival.0 < winner.0 || (rival.0 == winner.0 && place % 2 == 1) {
                winner = rival;
            }
            place /= 2;
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
