//! Transcripts: a producer against a scripted cluster. Each file is a claim; its commands are told in [`cluster`].
//!
//! `UPDATE_GOLDENFILES=1 cargo test --lib producer` writes new expectations; read the difference line by line.

mod chaos;
mod cluster;

use self::cluster::Cluster;

macro_rules! transcripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let path = concat!("sim/kafka/producer/transcripts/", stringify!($name), ".txt");
            goldenscript::run(&mut Cluster::default(), path).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    )*};
}

transcripts! {
    a_batch_behind_a_gap_fails_when_the_log_may_hold_it
    a_batch_is_acknowledged_by_its_leader
    a_batch_waits_for_its_linger_or_its_size
    a_broker_that_is_down_leaves_outcomes_certain
    a_batch_whose_place_is_taken_is_not_moved_behind
    a_certain_failure_leaves_no_gap_behind
    a_gap_after_a_delivery_timeout_costs_an_epoch
    a_later_success_closes_the_gap_of_a_delivery_timeout
    a_leader_that_lost_records_costs_an_epoch
    a_lost_answer_repeats_the_same_sequence
    a_lost_answer_without_idempotence_repeats_the_record
    a_new_epoch_waits_for_batches_in_flight
    a_new_epoch_at_once_repeats_what_is_in_flight
    a_new_leader_is_found_by_metadata
    a_record_waits_for_memory_and_not_for_ever
    a_batch_that_is_too_large_is_split
    a_silent_broker_costs_the_connection
    a_first_batch_goes_alone
    a_forgotten_producer_goes_on_in_a_new_epoch
    acks_0_forgets_what_was_sent
    at_most_five_requests_are_in_flight
    close_sends_what_is_buffered
    keyless_records_stick_until_a_batch_is_drained
    not_enough_replicas_after_append_is_uncertain
    records_wait_for_the_number_of_partitions
    retries_keep_their_order_with_idempotence
    retries_lose_their_order_without_idempotence
    retries_that_are_used_up_fail
}

/// The same failure with and without the guard: only what the producer claims to know differs.
#[test]
fn every_error_has_a_meaning() {
    use super::refusal::{Cure, Refusal};
    use crate::types::request::ErrorCode;
    use crate::types::settings::Acks;
    use crate::types::{Guard, Guards};

    let meaning = |error, acks| {
        let refusal = Refusal::new(error, acks, Guards::ALL);
        (refusal.cure, refusal.maybe_appended)
    };
    assert_eq!(meaning(ErrorCode::NotEnoughReplicas, Acks::All), (Cure::Retry, false));
    assert_eq!(meaning(ErrorCode::NotEnoughReplicasAfterAppend, Acks::All), (Cure::Retry, true));
    assert_eq!(meaning(ErrorCode::NotLeaderOrFollower, Acks::All), (Cure::RefreshAndRetry, true));
    assert_eq!(meaning(ErrorCode::NotLeaderOrFollower, Acks::Leader), (Cure::RefreshAndRetry, false));
    assert_eq!(meaning(ErrorCode::RequestTimedOut, Acks::All), (Cure::Retry, true));
    assert_eq!(meaning(ErrorCode::InvalidRequest, Acks::All), (Cure::GiveUp, false));
    let mutant = Guards::ALL.without(Guard::AfterAppendIsUncertain);
    assert!(!Refusal::new(ErrorCode::NotEnoughReplicasAfterAppend, Acks::All, mutant).maybe_appended);
}
