//! Interesting states: reached, and not reached when one thing is missing.

use super::story::*;
use crate::checks::{State, StatesReached};
use crate::history::{Event, Happening};
use crate::types::metadata::PartitionState;
use crate::types::note::*;
use crate::types::*;

fn reached(events: &[(NodeId, Happening)]) -> Vec<State> {
    let mut states = StatesReached::new(&plan(Billing::Insert));
    for (number, (node, what)) in events.iter().enumerate() {
        let event = Event { time: Time::LOAD_START, number: number as u64, node: *node, what: what.clone() };
        states.observe(&event);
    }
    states.finish()
}

fn partition() -> TopicPartition {
    TopicPartition::new(TopicId(0), 0)
}

fn led_by(leader: u16, epoch: u32, in_sync: &[u16]) -> (NodeId, Happening) {
    let nodes = |ids: &[u16]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
    let state = PartitionState {
        replicas: nodes(&[1, 2, 3]),
        in_sync_replicas: nodes(in_sync),
        eligible_leader_replicas: Vec::new(),
        reassignment: None,
        last_known_leader: None,
        leader: Some(NodeId(leader)),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        recovering: false,
    };
    let changed = Note::PartitionChanged { partition: partition(), state: Box::new(state), unclean: false };
    (NodeId(1), Happening::Note(changed))
}

#[test]
fn a_leader_change_counts_its_records_in_flight_only_while_they_are() {
    let sent = Note::Sent { send: SendId(0), event: EventId(0), partition: partition() };
    let answered = Note::SendSucceeded { send: SendId(0), partition: partition(), offset: None };
    let (sent, answered) = ((SHOP_1, Happening::Note(sent)), (SHOP_1, Happening::Note(answered)));
    let (first, second) = (led_by(1, 0, &[1, 2, 3]), led_by(2, 1, &[1, 2, 3]));
    let open = reached(&[first.clone(), sent.clone(), second.clone()]);
    assert_eq!(open, [State::LeaderChange, State::LeaderChangeWithRecordsInFlight]);
    assert_eq!(reached(&[first, sent, answered, second]), [State::LeaderChange]);
}

#[test]
fn an_in_sync_set_that_is_asked_for_is_in_flight_until_it_is_known() {
    let (epoch, in_sync_replicas) = (LeaderEpoch(0), vec![NodeId(1)]);
    let asked = Note::InSyncProposed { partition: partition(), leader_epoch: epoch, in_sync_replicas };
    let asked = (NodeId(1), Happening::Note(asked));
    let (first, second) = (led_by(1, 0, &[1, 2, 3]), led_by(2, 1, &[2, 3]));
    let open = reached(&[first.clone(), asked, second.clone()]);
    let shrank = [State::LeaderChange, State::LeaderChangeWithAlterPartitionInFlight, State::InSyncSetShrank];
    assert_eq!(open, shrank);
    assert_eq!(reached(&[first, second]), [State::LeaderChange, State::InSyncSetShrank]);
}

#[test]
fn every_state_has_its_place_in_the_list() {
    assert!(State::ALL.windows(2).all(|pair| pair[0] < pair[1]), "in order and each once");
}
