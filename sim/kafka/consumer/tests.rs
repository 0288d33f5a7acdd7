//! Transcripts of the consumer against a coordinator without latency.

use crate::kafka::group::tests::run_transcripts;

#[test]
fn transcripts_of_the_consumer_hold() {
    run_transcripts("sim/kafka/consumer/transcripts");
}
