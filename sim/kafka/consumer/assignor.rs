//! Who reads what, as the leading member of a classic group decides it.
//!
//! Kafka: RangeAssignor, RoundRobinAssignor. Members are ordered by id; Kafka orders ids as text, here as numbers.

use std::collections::BTreeSet;

use crate::types::settings::Assignor;
use crate::types::*;

/// Every partition of every subscribed topic goes to one member that subscribed it.
pub(super) fn assign(
    assignor: Assignor,
    members: &[(MemberId, Vec<TopicId>)],
    partition_count: impl Fn(TopicId) -> u16,
) -> Vec<(MemberId, Vec<TopicPartition>)> {
    let mut members: Vec<&(MemberId, Vec<TopicId>)> = members.iter().collect();
    members.sort_by_key(|(member, _)| *member);
    let topics: BTreeSet<TopicId> = members.iter().flat_map(|(_, topics)| topics.iter().copied()).collect();
    let mut assignments: Vec<(MemberId, Vec<TopicPartition>)> =
        members.iter().map(|(member, _)| (*member, Vec::new())).collect();
    let mut next = 0;
    for topic in topics {
        let subscribed: Vec<usize> = (0..members.len()).filter(|index| members[*index].1.contains(&topic)).collect();
        let count = partition_count(topic);
        for number in 0..count {
            let owner = match assignor {
                Assignor::Range => subscribed[range_owner(number.into(), count.into(), subscribed.len())],
                Assignor::RoundRobin => {
                    while !members[next % members.len()].1.contains(&topic) {
                        next += 1;
                    }
                    next += 1;
                    (next - 1) % members.len()
                }
            };
            assignments[owner].1.push(TopicPartition::new(topic, number));
        }
    }
    assignments
}

/// The first `partitions % members` members get one partition more than the others.
fn range_owner(number: usize, partitions: usize, members: usize) -> usize {
    let (share, extra) = (partitions / members, partitions % members);
    let longer = extra * (share + 1);
    if number < longer { number / (share + 1) } else { extra + (number - longer) / share }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(assignor: Assignor, members: u64, partitions: &[u16]) -> Vec<Vec<TopicPartition>> {
        let topics: Vec<TopicId> = (0..partitions.len() as u16).map(TopicId).collect();
        let members: Vec<_> = (1..=members).map(|id| (MemberId(id), topics.clone())).collect();
        let assigned = assign(assignor, &members, |topic| partitions[usize::from(topic.0)]);
        assigned.into_iter().map(|(_, partitions)| partitions).collect()
    }

    #[test]
    fn range_gives_the_first_members_one_more_of_each_topic() {
        let owned = counts(Assignor::Range, 3, &[7, 2]);
        assert_eq!(owned.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 2]);
    }

    #[test]
    fn round_robin_spreads_over_topics() {
        let owned = counts(Assignor::RoundRobin, 3, &[7, 2]);
        assert_eq!(owned.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    }

    #[test]
    fn more_members_than_partitions_leave_some_idle() {
        for assignor in [Assignor::Range, Assignor::RoundRobin] {
            let owned = counts(assignor, 4, &[2]);
            assert_eq!(owned.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0, 0]);
        }
    }
}
