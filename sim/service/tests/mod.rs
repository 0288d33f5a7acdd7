//! Transcripts of the interpreter beside a real store; unit tests of callers, arrivals and the process as a whole.
//!
//! `cargo test --lib service`, and with `UPDATE_GOLDENFILES=1` to write the transcripts anew.

mod callers;
mod process;
mod stage;
mod system;

use stage::Stage;

macro_rules! transcripts {
    ($($claim:ident),* $(,)?) => {$(
        #[test]
        fn $claim() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sim/service/transcripts/", stringify!($claim), ".txt");
            goldenscript::run(&mut Stage::default(), path).expect("a transcript");
        }
    )*};
}

transcripts! {
    a_marker_before_the_work_loses_when_the_process_dies_between,
    a_commit_before_the_work_loses_when_the_process_dies_behind_it,
    a_batch_is_committed_before_any_of_it_is_processed,
    a_retry_starts_the_list_again,
    an_insert_of_a_present_row_fails_and_climbs_the_ladder,
    a_present_row_jumps_to_the_commit,
    a_transaction_is_all_or_nothing,
    a_lost_answer_is_executed_and_unknown,
    a_failed_call_is_refused,
    a_call_is_tried_again_and_executed_twice,
    a_key_that_is_honoured_is_done_once,
    a_breaker_fails_calls_at_once_until_one_comes_through,
    an_optional_call_lets_the_list_go_on,
    calls_wait_for_a_place_of_the_endpoint,
    a_call_to_a_dead_endpoint_is_in_doubt,
    who_comes_when_too_many_wait_is_refused,
    a_blocked_record_blocks_what_stands_behind_it,
    a_pool_commits_contiguously_unless_told_otherwise,
    a_pool_keeps_the_order_of_a_key,
    a_commit_waits_for_its_interval,
    a_failed_commit_is_made_again_unless_a_newer_one_was_made,
    a_position_in_the_store_is_compared_and_set_with_the_effect,
    what_is_stored_is_what_the_clock_commits,
    a_lease_is_waited_for_and_taken_over_and_confirmed,
    a_revocation_commits_what_is_done,
    lost_partitions_leave_a_zombie,
    a_refused_commit_ends_the_batch,
    a_dead_letter_is_out_before_the_commit,
    a_version_guard_keeps_the_newer_value,
    a_shutdown_finishes_what_runs,
    the_crash_and_close_rungs_end_the_process,
    calls_wait_for_a_worker,
    a_redelivered_message_is_handled_once_more_and_commits_nothing,
    steps_are_for_events_of_their_origin,
    a_transaction_of_the_queue_is_aborted_before_the_ladder,
    an_offset_counts_when_its_transaction_is_committed,
    a_row_that_is_seen_late_is_skipped_by_the_highest_number_only,
    a_relay_polls_again_what_it_had_not_committed,
}
