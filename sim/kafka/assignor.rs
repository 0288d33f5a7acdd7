//! Who reads what: the strategies by which partitions are dealt to the members of a group.
//!
//! In a classic group the leading member calls this, in a consumer group the coordinator does; the strategies are the same.
//! Every partition of every subscribed topic goes to one member that subscribed it. Members are ordered by id; Kafka orders
//! ids as text, here as numbers.
//!
//! Kafka: RangeAssignor, RoundRobinAssignor, AbstractStickyAssignor; UniformAssignor of the coordinator.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::*;

/// A member as an assignor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub member: MemberId,
    pub topics: Vec<TopicId>,
    /// What it has and may keep. Of two who name a partition, the first one has it.
    pub owned: Vec<TopicPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Of each topic a contiguous share.
    Range,
    /// One partition after the other, over all topics.
    RoundRobin,
    /// Even, and otherwise as before.
    Sticky,
}

/// For every candidate, in the order of members.
pub fn assign(
    strategy: Strategy,
    members: &[Candidate],
    partition_count: impl Fn(TopicId) -> u16,
) -> Vec<(MemberId, Vec<TopicPartition>)> {
    let mut members: Vec<&Candidate> = members.iter().collect();
    members.sort_by_key(|candidate| candidate.member);
    let topics: BTreeSet<TopicId> = members.iter().flat_map(|candidate| candidate.topics.iter().copied()).collect();
    let partitions = |topic| (0..partition_count(topic)).map(move |number| TopicPartition::new(topic, number));
    let all: Vec<TopicPartition> = topics.into_iter().flat_map(partitions).collect();
    let shares = match strategy {
        Strategy::Range => range(&members, &all, partition_count),
        Strategy::RoundRobin => round_robin(&members, &all),
        Strategy::Sticky => sticky(&members, &all),
    };
    members.iter().map(|candidate| candidate.member).zip(shares).collect()
}

/// What a member says that it owns, and the round in which it was given that. KIP-792.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    pub member: MemberId,
    /// `None`: it was thrown out since.
    pub generation: Option<Generation>,
    pub partitions: &'c [TopicPartition],
}

/// Who of those that name a partition has it: who was given it last. Two that were given it in the same round contradict each
/// other, and neither has it. Kafka: AbstractStickyAssignor.
pub fn owners(claims: &[Claim], guards: Guards) -> BTreeMap<TopicPartition, MemberId> {
    let mut best: BTreeMap<TopicPartition, (Option<Generation>, Option<MemberId>)> = BTreeMap::new();
    for claim in claims {
        for partition in claim.partitions {
            let known = best.entry(*partition).or_insert((claim.generation, None));
            *known = match known {
                (_, None) => (claim.generation, Some(claim.member)),
                // A mutant believes whoever says it last.
                (_, Some(_)) if !guards.stand(Guard::OwnedGeneration) => (claim.generation, Some(claim.member)),
                (generation, Some(_)) if *generation < claim.generation => (claim.generation, Some(claim.member)),
                (generation, Some(_)) if *generation == claim.generation => (claim.generation, None),
                (_, Some(_)) => continue,
            };
        }
    }
    best.into_iter().filter_map(|(partition, (_, owner))| Some((partition, owner?))).collect()
}

/// What somebody else owns is given to nobody in this round: its owner gives it back first, and joins again. KIP-429.
/// Kafka: CooperativeStickyAssignor.adjustAssignment.
pub fn hold_back_what_moves(
    assigned: &mut [(MemberId, Vec<TopicPartition>)],
    owners: &BTreeMap<TopicPartition, MemberId>,
) {
    for (member, share) in assigned {
        share.retain(|partition| owners.get(partition).is_none_or(|owner| owner == member));
    }
}

fn range(
    members: &[&Candidate],
    all: &[TopicPartition],
    partition_count: impl Fn(TopicId) -> u16,
) -> Vec<Vec<TopicPartition>> {
    let mut shares = vec![Vec::new(); members.len()];
    for partition in all {
        let subscribed = subscribers(members, partition.topic);
        let count = partition_count(partition.topic);
        let owner = subscribed[range_owner(partition.partition.into(), count.into(), subscribed.len())];
        shares[owner].push(*partition);
    }
    shares
}

/// The first `partitions % members` members get one partition more than the others.
fn range_owner(number: usize, partitions: usize, members: usize) -> usize {
    let (share, extra) = (partitions / members, partitions % members);
    let longer = extra * (share + 1);
    if number < longer { number / (share + 1) } else { extra + (number - longer) / share }
}

fn round_robin(members: &[&Candidate], all: &[TopicPartition]) -> Vec<Vec<TopicPartition>> {
    let mut shares = vec![Vec::new(); members.len()];
    let mut next = 0;
    for partition in all {
        while !members[next % members.len()].topics.contains(&partition.topic) {
            next += 1;
        }
        shares[next % members.len()].push(*partition);
        next += 1;
    }
    shares
}

/// Everybody keeps what it has; what nobody has goes to who has least; then partitions move from who has most to who has at
/// least two less, until nobody has.
fn sticky(members: &[&Candidate], all: &[TopicPartition]) -> Vec<Vec<TopicPartition>> {
    let mut free: BTreeSet<TopicPartition> = all.iter().copied().collect();
    let mut shares: Vec<BTreeSet<TopicPartition>> = Vec::with_capacity(members.len());
    for candidate in members {
        let keeps = |partition: &&TopicPartition| candidate.topics.contains(&partition.topic) && free.remove(partition);
        shares.push(candidate.owned.iter().filter(keeps).copied().collect());
    }
    let least = |shares: &[BTreeSet<TopicPartition>], topic| {
        let subscribed = subscribers(members, topic);
        subscribed.into_iter().min_by_key(|index| shares[*index].len()).expect("a subscribed topic")
    };
    for partition in free {
        let owner = least(&shares, partition.topic);
        shares[owner].insert(partition);
    }
    loop {
        let mut richest: Vec<usize> = (0..members.len()).collect();
        richest.sort_by_key(|index| std::cmp::Reverse(shares[*index].len()));
        let step = richest.iter().find_map(|from| {
            shares[*from].iter().rev().find_map(|partition| {
                let to = least(&shares, partition.topic);
                (shares[to].len() + 2 <= shares[*from].len()).then_some((*from, to, *partition))
            })
        });
        let Some((from, to, partition)) = step else { break };
        shares[from].remove(&partition);
        shares[to].insert(partition);
    }
    shares.into_iter().map(|share| share.into_iter().collect()).collect()
}

fn subscribers(members: &[&Candidate], topic: TopicId) -> Vec<usize> {
    (0..members.len()).filter(|index| members[*index].topics.contains(&topic)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Strategy; 3] = [Strategy::Range, Strategy::RoundRobin, Strategy::Sticky];

    fn candidate(member: u64, topics: &[u16], owned: &[u16]) -> Candidate {
        Candidate {
            member: MemberId(member),
            topics: topics.iter().copied().map(TopicId).collect(),
            owned: owned.iter().map(|number| TopicPartition::new(TopicId(0), *number)).collect(),
        }
    }

    fn counts(strategy: Strategy, members: u64, partitions: &[u16]) -> Vec<usize> {
        let topics: Vec<u16> = (0..partitions.len() as u16).collect();
        let members: Vec<_> = (1..=members).map(|id| candidate(id, &topics, &[])).collect();
        let assigned = assign(strategy, &members, |topic| partitions[usize::from(topic.0)]);
        assigned.into_iter().map(|(_, partitions)| partitions.len()).collect()
    }

    fn numbers(assigned: &[(MemberId, Vec<TopicPartition>)]) -> Vec<Vec<u16>> {
        assigned.iter().map(|(_, share)| share.iter().map(|partition| partition.partition).collect()).collect()
    }

    #[test]
    fn range_gives_the_first_members_one_more_of_each_topic() {
        assert_eq!(counts(Strategy::Range, 3, &[7, 2]), [4, 3, 2]);
    }

    #[test]
    fn round_robin_and_sticky_spread_over_topics() {
        assert_eq!(counts(Strategy::RoundRobin, 3, &[7, 2]), [3, 3, 3]);
        assert_eq!(counts(Strategy::Sticky, 3, &[7, 2]), [3, 3, 3]);
    }

    #[test]
    fn more_members_than_partitions_leave_some_idle() {
        for strategy in ALL {
            assert_eq!(counts(strategy, 4, &[2]), [1, 1, 0, 0]);
        }
    }

    #[test]
    fn sticky_moves_no_more_than_it_must() {
        let members = [candidate(1, &[0], &[0, 1, 2, 3]), candidate(2, &[0], &[4, 5]), candidate(3, &[0], &[])];
        assert_eq!(numbers(&assign(Strategy::Sticky, &members, |_| 6)), [vec![0, 1], vec![4, 5], vec![2, 3]]);
    }

    #[test]
    fn of_two_who_name_a_partition_the_first_has_it() {
        let members = [candidate(1, &[0], &[0]), candidate(2, &[0], &[0, 1])];
        assert_eq!(numbers(&assign(Strategy::Sticky, &members, |_| 2)), [vec![0], vec![1]]);
    }

    #[test]
    fn the_latest_round_says_who_owns_and_a_contradiction_says_nobody() {
        let numbers: Vec<TopicPartition> = (0..3).map(|number| TopicPartition::new(TopicId(0), number)).collect();
        let claim = |member, generation: Option<u32>, partitions| Claim {
            member: MemberId(member),
            generation: generation.map(Generation),
            partitions,
        };
        let claims = [
            claim(1, Some(4), &numbers[..1]),
            claim(2, Some(5), &numbers[..2]),
            claim(3, Some(5), &numbers[1..]),
            claim(4, None, &numbers[2..]),
            claim(5, None, &numbers[..1]),
        ];
        let known = owners(&claims, Guards::ALL);
        assert_eq!(known, BTreeMap::from([(numbers[0], MemberId(2)), (numbers[2], MemberId(3))]));
        let believed = owners(&claims, Guards::ALL.without(Guard::OwnedGeneration));
        assert_eq!(believed[&numbers[0]], MemberId(5), "a mutant believes the last");
    }

    #[test]
    fn what_moves_is_given_to_nobody_at_first() {
        let partition = |number| TopicPartition::new(TopicId(0), number);
        let mut assigned = [(MemberId(1), vec![partition(0)]), (MemberId(2), vec![partition(1), partition(2)])];
        hold_back_what_moves(
            &mut assigned,
            &BTreeMap::from([(partition(0), MemberId(1)), (partition(1), MemberId(1))]),
        );
        assert_eq!(numbers(&assigned), [vec![0], vec![2]]);
    }

    #[test]
    fn nobody_gets_what_it_does_not_subscribe() {
        for strategy in ALL {
            let members = [candidate(1, &[0], &[]), candidate(2, &[1], &[]), candidate(3, &[0, 1], &[])];
            let assigned = assign(strategy, &members, |_| 4);
            for (member, share) in &assigned {
                let topics = &members.iter().find(|candidate| candidate.member == *member).unwrap().topics;
                assert!(share.iter().all(|partition| topics.contains(&partition.topic)));
            }
            assert_eq!(assigned.iter().map(|(_, share)| share.len()).sum::<usize>(), 8, "{strategy:?}");
        }
    }
}
