//! Random crashes, power losses and isolations of a quorum, judged by Raft's promises: one leader for an epoch, and
//! what was committed anywhere is a prefix of one history. At the end everything heals and the cluster must work.

use super::driver::Driver;
use crate::types::request::QuorumEntry;
use crate::types::settings::BrokerSettings;
use crate::types::*;

/// What every voter together has ever committed.
#[derive(Default)]
struct History(Vec<QuorumEntry>);

impl History {
    fn check(&mut self, driver: &Driver) {
        for (id, committed) in driver.committed() {
            for (known, entry) in self.0.iter().zip(committed) {
                assert!(known == entry, "{id} has committed another entry at {}", entry.offset);
            }
            self.0.extend(committed.iter().skip(self.0.len()).cloned());
        }
    }
}

#[test]
fn random_faults_take_nothing_back() {
    for seed in 0..60 {
        storm(seed, Guards::ALL);
    }
}

/// The same storm tells when the flush is missing (R21): the judge is worth something.
#[test]
#[should_panic(expected = "has committed another entry")]
fn without_flush_random_faults_take_something_back() {
    for seed in 0..60 {
        storm(seed, Guards::ALL.without(Guard::QuorumFlush));
    }
}

fn storm(seed: u64, guards: Guards) {
    let mut random = Seed(seed).stream("chaos");
    let voters = if seed.is_multiple_of(3) { 5 } else { 3 };
    let settings = BrokerSettings { eligible_leader_replicas_version: (seed / 2 % 2) as u16, ..Default::default() };
    let mut driver = Driver::default();
    driver.start(voters, 3, settings, guards, seed.is_multiple_of(2));
    let mut history = History::default();
    for _ in 0..40 {
        hurt(&mut driver, voters, &mut random);
        driver.run_for(Duration::from_millis(1 + random.below(3000)));
        history.check(&driver);
        assert!(!driver.double_leaders, "two leaders in one epoch, seed {seed}");
    }
    driver.heal();
    for node in 11..11 + voters {
        driver.start_again(NodeId(node));
    }
    for broker in 1..=3 {
        driver.begin(NodeId(broker), false);
    }
    driver.run_for(Duration::from_secs(30));
    history.check(&driver);
    driver.assert_works();
}

fn hurt(driver: &mut Driver, voters: u16, random: &mut Rng) {
    let node = NodeId(11 + random.below(u64::from(voters)) as u16);
    let broker = NodeId(1 + random.below(3) as u16);
    match random.below(8) {
        0 => driver.crash(node),
        1 => driver.lose_power(node),
        2 | 3 => driver.start_again(node),
        4 => driver.isolate(node),
        5 => driver.heal(),
        6 => driver.silence(broker),
        _ => driver.begin(broker, random.below(2) == 0),
    }
}
