//! Replicas of a partition move to other brokers (KIP-455) under load, while brokers die: nothing that was acknowledged is lost,
//! and in the end exactly the wanted brokers hold it.

use std::collections::BTreeMap;

use hikyaku::checks::Verdict;
use hikyaku::explore::run_seed;
use hikyaku::history::Happening;
use hikyaku::types::note::Note;
use hikyaku::types::{Duration, NodeId, Offset, Seed, Time};

use crate::common::parse;

const MOVING: &str = r#"
format   = 1
about    = "Replicas move while brokers die: is an acknowledged record lost?"
duration = "40s"

[cluster]
brokers                    = 4
default-replication-factor = 3
min-insync-replicas        = 2
broker-session-timeout     = "4s"
broker-heartbeat-interval  = "1s"

[topic.orders]
partitions = 1

[service.shop]
on      = "requests"
rate    = "100/s"
workers = 500
linger  = "0s"
steps   = ["publish orders", "respond ok"]

[fault]
there = "at 4s reassign orders/0 to 4,3,2"
dies  = "when 1st leader-change(orders/0) +2s for 4s crash leader(orders/0)"
back  = "at 18s reassign orders/0 to 1,2,4"
late  = "at 18s for 3s hold-metadata leader(orders/0)"
fewer = "at 30s reassign orders/0 to 2,1"

[expect]
orders = "exactly-once"
"#;

#[test]
fn acknowledged_records_survive_moving_replicas() {
    for seed in 0..4 {
        let plan = parse("moving", MOVING).cells[0].plan(Seed(seed));
        let topic = plan.topics[0].id;
        let (mut replicas, mut deleted) = (Vec::new(), BTreeMap::<NodeId, u32>::new());
        let (outcome, report) = run_seed(&plan, Default::default(), |event| match &event.what {
            Happening::Note(Note::PartitionChanged { partition, state, .. })
                if partition.topic == topic
                    && state.reassignment.is_none()
                    && replicas.last() != Some(&state.replicas) =>
            {
                replicas.push(state.replicas.clone());
            }
            Happening::Note(Note::LogTruncated { partition, to: Offset(0), .. }) if partition.topic == topic => {
                *deleted.entry(event.node).or_default() += 1;
            }
            _ => {}
        });
        assert_eq!(report.panic, None, "seed {seed}");
        println!("seed {seed}: {replicas:?}, deleted {deleted:?}");
        let moved: Vec<Vec<u16>> = replicas.iter().map(|nodes| nodes.iter().map(|node| node.0).collect()).collect();
        assert_eq!(moved, [vec![1, 2, 3], vec![4, 3, 2], vec![1, 2, 4], vec![2, 1]], "seed {seed}");
        assert!([1, 3, 4].iter().all(|node| deleted.contains_key(&NodeId(*node))), "seed {seed}: {deleted:?}");
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {seed}: {:?}", outcome.reasons);
    }
}

/// An operator asks while nobody leads the quorum: the admin client tries again until somebody does.
#[test]
fn what_an_operator_asks_for_waits_for_a_controller() {
    let text = MOVING.replace("there = ", "gone = \"at 3.9s for 9s crash controller\"\nthere = ");
    for seed in 0..4 {
        let plan = parse("waiting", &text).cells[0].plan(Seed(seed));
        let topic = plan.topics[0].id;
        let (mut replicas, mut controllers) = (Vec::new(), Vec::new());
        let (outcome, _) = run_seed(&plan, Default::default(), |event| match &event.what {
            Happening::Note(Note::BecameController { .. }) => controllers.push(event.time),
            Happening::Note(Note::PartitionChanged { partition, state, .. })
                if partition.topic == topic
                    && state.reassignment.is_none()
                    && replicas.last() != Some(&state.replicas) =>
            {
                replicas.push(state.replicas.clone());
            }
            _ => {}
        });
        let asked = Time::LOAD_START + Duration::from_secs(4);
        assert!(controllers.iter().any(|became| asked < *became), "seed {seed}: nobody was missing");
        assert!(replicas.contains(&[4, 3, 2].map(NodeId).to_vec()), "seed {seed}: {replicas:?}");
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
    }
}
