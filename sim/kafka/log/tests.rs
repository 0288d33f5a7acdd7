//! Random appends, truncations and terms against a model that keeps single records.

use std::sync::Arc;

use super::*;
use crate::types::random::Random;
use crate::types::record::{Marker, ProducerStamp, Records, TransactionOutcome};

/// One record each, so that every derived fact can be counted anew.
#[derive(Clone, Default)]
struct Model {
    start: u64,
    records: Vec<(LeaderEpoch, u64)>,
    terms: Vec<(LeaderEpoch, u64)>,
}

impl Model {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    fn begin(&mut self, epoch: LeaderEpoch) {
        if self.terms.iter().all(|term| term.0 < epoch) {
            let end = self.end();
            self.terms.retain(|term| term.1 < end);
            self.terms.push((epoch, end));
        }
    }

    fn append(&mut self, epoch: LeaderEpoch, sends: impl Iterator<Item = u64>) {
        self.begin(epoch);
        self.records.extend(sends.map(|send| (epoch, send)));
    }

    fn truncate(&mut self, to: u64) {
        self.records.truncate((to - self.start) as usize);
        self.terms.retain(|term| term.1 < to);
    }

    fn epoch_end(&self, requested: LeaderEpoch) -> Option<DivergingEpoch> {
        let floor = self.terms.iter().rev().find(|term| term.0 <= requested).map_or(requested, |term| term.0);
        if self.terms.last().map(|term| term.0) == Some(requested) {
            return Some(DivergingEpoch { epoch: requested, end_offset: Offset(self.end()) });
        }
        let next = self.terms.iter().find(|term| requested < term.0)?;
        Some(DivergingEpoch { epoch: floor, end_offset: Offset(next.1) })
    }
}

fn settings() -> LogSettings {
    LogSettings::new(&BrokerSettings::default(), &TopicSettings::default(), Guards::ALL)
}

fn batch(first: u64, count: u64, producer: Option<(u64, u64)>) -> RecordBatch {
    let record = |send| Record {
        send: SendId(send),
        message: Message {
            event: EventId(send),
            origin: ServiceId(0),
            key: Key(0),
            version: 1,
            size: 100,
            poison: false,
            attempt: 0,
            caller_attempt: 0,
        },
        timestamp: Time(send),
    };
    RecordBatch::new(
        producer.map(|(id, sequence)| ProducerStamp {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence as u32),
            transactional: false,
        }),
        Arc::new(Records::Messages((first..first + count).map(record).collect())),
    )
}

fn sends(batches: &[RecordBatch]) -> Vec<u64> {
    batches.iter().flat_map(|batch| batch.messages()).map(|record| record.send.0).collect()
}

#[test]
fn a_log_agrees_with_single_records() {
    for seed in 0..40 {
        let mut rng = Seed(seed).stream("log");
        let mut log = Log::recover(LogImage::default(), settings());
        let mut model = Model::default();
        let (mut epoch, mut send, mut producer) = (LeaderEpoch(0), 0, 0);
        for _ in 0..200 {
            match rng.below(10) {
                0 => {
                    epoch = LeaderEpoch(epoch.0 + 1 + rng.below(3) as u32);
                    log.begin_epoch(epoch);
                    model.begin(epoch);
                }
                1 if model.end() > model.start => {
                    let boundaries = log.batches().iter().map(|batch| batch.base_offset.0).collect::<Vec<_>>();
                    let to = boundaries[rng.below(boundaries.len() as u64) as usize];
                    assert_eq!(log.truncate_to(Offset(to)), Offset(to));
                    model.truncate(to);
                    assert_producers_follow(&log);
                    // A producer that lost records starts another session.
                    producer += 10;
                }
                2 if seed % 2 == 0 && model.end() > model.start => {
                    let to = log.batches()[log.batches().len() / 2].base_offset;
                    log.start_at(to);
                    let gone = (to.0 - model.start) as usize;
                    model.records.drain(..gone);
                    model.start = to.0;
                    let covering = model.terms.iter().rposition(|term| term.1 <= to.0).unwrap_or(0);
                    model.terms.drain(..covering);
                    model.terms[0].1 = model.terms[0].1.max(to.0);
                }
                _ => {
                    let count = 1 + rng.below(4);
                    let id = producer + rng.below(3);
                    let sequence = next_sequence(&log, id);
                    let appended = log.append_as_leader(&batch(send, count, sequence.map(|s| (id, s))), epoch, Time(0));
                    assert!(matches!(appended, Ok(LeaderAppend::New(_))), "{appended:?}");
                    model.append(epoch, send..send + count);
                    send += count;
                }
            }
            assert_agrees(&log, &model, epoch, &mut rng);
        }
    }
}

/// Producers number their records in the order of the log; every fourth batch has none.
fn next_sequence(log: &Log, id: u64) -> Option<u64> {
    let mine = |batch: &&RecordBatch| batch.producer.is_some_and(|stamp| stamp.id == ProducerId(id));
    let last = log.batches().iter().rev().find(mine).map(|batch| u64::from(batch.last_sequence().unwrap().0) + 1);
    // After retention the log does not tell; the producer state does, so such a producer stays silent.
    if log.start_offset() > Offset::ZERO { None } else { Some(last.unwrap_or(0)) }
}

fn assert_agrees(log: &Log, model: &Model, newest: LeaderEpoch, rng: &mut Rng) {
    assert_eq!(log.end_offset(), Offset(model.end()));
    assert_eq!(log.start_offset(), Offset(model.start));
    assert_eq!(sends(log.batches()), model.records.iter().map(|record| record.1).collect::<Vec<_>>());
    for requested in 0..=newest.0 + 1 {
        let requested = LeaderEpoch(requested);
        assert_eq!(log.end_offset_for_epoch(requested), model.epoch_end(requested), "epoch {requested}");
    }
    let from = model.start + rng.below(model.end() - model.start + 1);
    let below = from + rng.below(model.end() - from + 1);
    let read = log.read(Offset(from), Offset(below), ByteCount(u64::MAX));
    if let (Some(first), Some(last)) = (read.first(), read.last()) {
        assert!(first.base_offset.0 <= from && from < first.end_offset().0);
        assert!(last.end_offset().0 <= below);
    }
    if from < below && read.is_empty() {
        let covering = log.batches().iter().find(|batch| from < batch.end_offset().0).unwrap();
        assert!(below < covering.end_offset().0, "a whole batch below the limit was not read");
    }
}

/// What retention has removed is still known after a restart, and after a truncation to the start.
#[test]
fn a_producer_outlives_its_records_and_its_broker() {
    let mut log = Log::recover(LogImage::default(), settings());
    let sent = |sequence| batch(10 + sequence, 1, Some((3, sequence)));
    for sequence in 0..4 {
        log.append_as_leader(&sent(sequence), LeaderEpoch(0), Time(0)).unwrap();
    }
    log.start_at(Offset(3));
    let image = LogImage {
        start_offset: log.start_offset(),
        batches: log.batches().to_vec(),
        producers: log.producers_below().snapshot(),
        ..LogImage::default()
    };
    let mut restarted = Log::recover(image.clone(), settings());
    let duplicate = |at: u64| Ok(LeaderAppend::Duplicate { base_offset: Offset(at), end_offset: Offset(at + 1) });
    let refused = Err(ErrorCode::OutOfOrderSequenceNumber);
    for sequence in 0..4 {
        let again = restarted.append_as_leader(&sent(sequence), LeaderEpoch(1), Time(0));
        assert_eq!(again, duplicate(sequence), "{sequence}");
    }
    for log in [&mut log, &mut restarted] {
        log.truncate_to(Offset(3));
        assert_eq!(log.append_as_leader(&sent(2), LeaderEpoch(1), Time(0)), duplicate(2));
        assert_eq!(log.append_as_leader(&sent(5), LeaderEpoch(1), Time(0)), refused);
        assert!(matches!(log.append_as_leader(&sent(3), LeaderEpoch(1), Time(0)), Ok(LeaderAppend::New(_))));
    }
    let nothing = LogImage { producers: Vec::new(), ..image };
    let mut forgetful = Log::recover(nothing, settings());
    assert!(forgetful.append_as_leader(&sent(2), LeaderEpoch(1), Time(0)).is_err(), "the log has sequence 3");
}

/// It has missed records, of this producer perhaps, so that its next sequence is nobody's to refuse.
#[test]
fn a_log_that_begins_anew_knows_no_producer() {
    let mut log = Log::recover(LogImage::default(), settings());
    let sent = |sequence| batch(10 + sequence, 1, Some((3, sequence)));
    log.append_as_leader(&sent(0), LeaderEpoch(0), Time(0)).unwrap();
    log.start_at(Offset(5));
    assert!(log.producers_below().snapshot().is_empty());
    assert!(matches!(log.append_as_leader(&sent(4), LeaderEpoch(1), Time(0)), Ok(LeaderAppend::New(_))));
    assert_eq!(log.append_as_leader(&sent(6), LeaderEpoch(1), Time(0)), Err(ErrorCode::OutOfOrderSequenceNumber));
}

/// After a truncation the producers are those of a log that never had more.
fn assert_producers_follow(log: &Log) {
    if log.start_offset() > Offset::ZERO {
        return;
    }
    let image = LogImage { batches: log.batches().to_vec(), ..LogImage::default() };
    assert_eq!(log.producers(), Log::recover(image, settings()).producers());
}

#[test]
fn a_read_is_cut_by_bytes_but_never_empty() {
    let mut log = Log::recover(LogImage::default(), settings());
    for number in 0..10 {
        log.append_as_leader(&batch(number * 2, 2, None), LeaderEpoch(0), Time(0)).unwrap();
    }
    assert_eq!(log.read(Offset(3), Offset(20), ByteCount(1)).len(), 1);
    assert_eq!(log.read(Offset(3), Offset(20), ByteCount(600)).len(), 3);
    assert_eq!(log.read(Offset(3), Offset(7), ByteCount(6000)).len(), 2);
    assert_eq!(log.read(Offset(20), Offset(20), ByteCount(6000)).len(), 0);
}

#[test]
fn a_repeated_batch_is_found_among_the_last_five() {
    let mut log = Log::recover(LogImage::default(), settings());
    for number in 0..7 {
        log.append_as_leader(&batch(number, 1, Some((1, number))), LeaderEpoch(0), Time(0)).unwrap();
    }
    let again =
        |log: &mut Log, sequence| log.append_as_leader(&batch(9, 1, Some((1, sequence))), LeaderEpoch(0), Time(0));
    assert_eq!(again(&mut log, 2), Ok(LeaderAppend::Duplicate { base_offset: Offset(2), end_offset: Offset(3) }));
    assert_eq!(again(&mut log, 1), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(again(&mut log, 8), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert!(matches!(again(&mut log, 7), Ok(LeaderAppend::New(_))));
}

#[test]
fn sequences_wrap_after_the_largest_integer() {
    let mut log = Log::recover(LogImage::default(), settings());
    let largest = u64::from(i32::MAX as u32);
    log.append_as_leader(&batch(0, 1, Some((1, largest))), LeaderEpoch(0), Time(0)).unwrap();
    let next = log.append_as_leader(&batch(1, 1, Some((1, 0))), LeaderEpoch(0), Time(0));
    assert!(matches!(next, Ok(LeaderAppend::New(_))));
}

#[test]
fn without_its_guard_a_truncated_batch_is_still_taken_for_a_duplicate() {
    for (guards, is_duplicate) in [(Guards::ALL, false), (Guards::ALL.without(Guard::ProducerStateFollowsLog), true)] {
        let mut log = Log::recover(LogImage::default(), LogSettings { guards, ..settings() });
        log.append_as_leader(&batch(0, 1, Some((1, 0))), LeaderEpoch(0), Time(0)).unwrap();
        log.truncate_to(Offset(0));
        let again = log.append_as_leader(&batch(0, 1, Some((1, 0))), LeaderEpoch(1), Time(0)).unwrap();
        assert_eq!(matches!(again, LeaderAppend::Duplicate { .. }), is_duplicate);
    }
}

#[test]
fn retention_deletes_whole_segments_below_the_high_watermark() {
    let retention = Some(Duration(10));
    let mut log =
        Log::recover(LogImage::default(), LogSettings { retention, segment_bytes: ByteCount(200), ..settings() });
    for number in 0..6 {
        log.append_as_leader(&batch(number, 1, None), LeaderEpoch(0), Time(0)).unwrap();
    }
    assert_eq!(log.retained_from(Time(12), Offset(6)), Offset(2));
    assert_eq!(log.retained_from(Time(100), Offset(5)), Offset(4));
    log.start_at(log.retained_from(Time(100), Offset(6)));
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(6), Offset(6)));
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(0)).unwrap().end_offset, Offset(6));
}

fn transactional(producer: u64, epoch: u16, outcome: Option<TransactionOutcome>, first: u64) -> RecordBatch {
    let records = match outcome {
        None => Arc::clone(&batch(3 * first, 1 + first % 3, None).records),
        Some(outcome) => Arc::new(Records::Marker(Marker { outcome, coordinator_epoch: LeaderEpoch(0) })),
    };
    let (id, epoch) = (ProducerId(producer), ProducerEpoch(epoch));
    let stamp = ProducerStamp { id, epoch, base_sequence: Sequence::NONE, transactional: true };
    RecordBatch { producer: Some(stamp), records, ..batch(first, 1, None) }
}

/// Whatever is appended and cut: transactions and producers are those of a log that never had more.
#[test]
fn transactions_follow_the_log() {
    for seed in 0..40 {
        let mut rng = Seed(seed).stream("transactions");
        let mut log = Log::recover(LogImage::default(), settings());
        let mut epochs = [0u16; 3];
        for number in 0..150 {
            let producer = rng.below(3);
            let epoch = &mut epochs[producer as usize];
            match rng.below(8) {
                0 if !log.batches().is_empty() => {
                    let boundaries: Vec<Offset> = log.batches().iter().map(|batch| batch.base_offset).collect();
                    log.truncate_to(boundaries[rng.below(boundaries.len() as u64) as usize]);
                }
                1 | 2 => {
                    let outcome =
                        if rng.below(2) == 0 { TransactionOutcome::Commit } else { TransactionOutcome::Abort };
                    *epoch += 1;
                    let marker = transactional(producer, *epoch, Some(outcome), number);
                    log.append_as_leader(&marker, LeaderEpoch(0), Time(0)).unwrap();
                }
                _ => {
                    let data = transactional(producer, *epoch, None, number);
                    log.append_as_leader(&data, LeaderEpoch(0), Time(0)).unwrap();
                }
            }
            let image = LogImage { batches: log.batches().to_vec(), ..LogImage::default() };
            let recovered = Log::recover(image, settings());
            assert_eq!(log.transactions(), recovered.transactions(), "seed {seed}");
            assert_producers_follow(&log);
            assert_stable_end(&log, Offset(rng.below(log.end_offset().0 + 1)));
        }
    }
}

/// Against a definition that looks at every batch.
fn assert_stable_end(log: &Log, high_watermark: Offset) {
    let stable = log.last_stable_offset(high_watermark);
    assert!(stable <= high_watermark);
    let decided = |at: usize| {
        let producer = log.batches()[at].producer.unwrap().id;
        let later = &mut log.batches()[at..].iter();
        let marker = later.find(|batch| batch.producer.unwrap().id == producer && batch.marker().is_some());
        marker.is_some_and(|marker| marker.base_offset < high_watermark)
    };
    let undecided = (0..log.batches().len()).find(|at| log.batches()[*at].marker().is_none() && !decided(*at));
    let first = undecided.map_or(high_watermark, |at| log.batches()[at].base_offset);
    assert_eq!(stable, first.min(high_watermark));
}

#[test]
fn a_marker_raises_the_epoch_and_a_late_batch_is_refused() {
    for (guards, admitted) in [(Guards::ALL, false), (Guards::ALL.without(Guard::ProducerEpochCheck), true)] {
        let mut log = Log::recover(LogImage::default(), LogSettings { guards, ..settings() });
        let mut append = |batch: RecordBatch| log.append_as_leader(&batch, LeaderEpoch(0), Time(0));
        append(transactional(1, 0, None, 0)).unwrap();
        append(transactional(1, 1, Some(TransactionOutcome::Abort), 1)).unwrap();
        let late = append(transactional(1, 0, None, 2));
        assert_eq!(late.is_ok(), admitted, "{late:?}");
    }
}

#[test]
fn a_marker_may_come_again_but_not_from_a_deposed_coordinator() {
    let marker = |coordinator_epoch| {
        let records = Records::Marker(Marker {
            outcome: TransactionOutcome::Commit,
            coordinator_epoch: LeaderEpoch(coordinator_epoch),
        });
        RecordBatch { records: Arc::new(records), ..transactional(1, 1, None, 0) }
    };
    for (off, again, deposed) in [(None, true, false), (Some(Guard::RepeatedMarker), false, false), {
        (Some(Guard::CoordinatorEpochCheck), true, true)
    }] {
        let guards = off.into_iter().collect();
        let mut log = Log::recover(LogImage::default(), LogSettings { guards, ..settings() });
        let mut append = |batch: RecordBatch| log.append_as_leader(&batch, LeaderEpoch(0), Time(0));
        append(transactional(1, 0, None, 0)).unwrap();
        append(marker(5)).unwrap();
        assert_eq!(append(marker(5)).is_ok(), again, "{off:?}");
        assert_eq!(append(marker(4)).is_ok(), deposed, "{off:?}");
    }
}
