//! Decisions on hand-made images, and transcripts of whole quorums on an in-memory network.

mod chaos;
mod decisions;
mod driver;

use driver::Driver;

fn transcript(claim: &str) {
    let path = format!("{}/sim/kafka/controller/transcripts/{claim}.txt", env!("CARGO_MANIFEST_DIR"));
    goldenscript::run(&mut Driver::default(), path).expect("a transcript that can be read");
}

macro_rules! transcripts {
    ($($claim:ident)*) => {$(
        #[test]
        fn $claim() {
            transcript(stringify!($claim));
        }
    )*};
}

transcripts! {
    a_majority_elects_one_leader
    a_lone_voter_elects_itself_at_once
    a_new_leader_keeps_committed_entries
    an_isolated_leader_resigns_and_its_uncommitted_entry_is_truncated
    no_vote_goes_to_a_shorter_log
    a_vote_survives_power_loss
    a_voter_that_comes_back_disturbs_nobody
    without_flush_two_leaders_share_an_epoch
    a_silent_broker_leaves_the_in_sync_set_and_its_leadership
    a_stopping_broker_hands_its_leaderships_over_first
    the_last_complete_replica_is_awaited
    the_last_replica_standing_leads_again_only_when_it_lost_nothing
    a_last_known_leader_leads_only_when_it_is_there
    replicas_move_when_the_new_ones_are_in_sync
    a_stale_alter_partition_is_refused
    without_the_partition_epoch_check_a_stale_alter_partition_wins
    a_broker_that_registered_anew_is_ineligible
    without_the_broker_epoch_check_a_lost_log_is_admitted
    leaderships_return_to_preferred_replicas
    a_restarted_broker_waits_for_its_old_session
    without_flush_committed_metadata_is_lost
    a_new_controller_gives_every_broker_a_full_session
}
