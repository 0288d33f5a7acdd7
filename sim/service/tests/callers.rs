//! The outside world: arrivals, patience, what a caller may conclude.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::system::{self, INSTANCES, SERVICE};
use crate::scenario::plan::{Arrivals, CallerId, Keys, RequestsPlan, Rung, Trigger};
use crate::service::Callers;
use crate::service::arrivals::{ArrivalTimes, KeyChoice};
use crate::types::note::{CallerOutcome, Note};
use crate::types::request::{CallResponse, Request, Response};
use crate::types::*;

const START: u64 = Time::LOAD_START.0;
const MILLISECOND: u64 = 1_000_000;

fn requests(change: impl FnOnce(&mut RequestsPlan)) -> RequestsPlan {
    let mut requests = system::requests(Duration::from_millis(100), Arrivals::Constant, Keys::Uniform(3));
    requests.count = Some(1);
    change(&mut requests);
    requests
}

fn callers(requests: RequestsPlan) -> Callers {
    let plan = system::plan(Trigger::Requests(requests), Vec::new(), vec![Rung::Refuse], 1);
    Callers::new(Arc::new(plan), SERVICE)
}

fn at(callers: &mut Callers, milliseconds: u64, input: Input) -> Vec<Output> {
    let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("callers"));
    let time = Time(START + milliseconds * MILLISECOND);
    let now = Now { monotonic: time, wall_clock: time };
    callers.handle(input, &mut Step { now, rng: &mut rng, out: &mut out });
    callers.check_invariants();
    out.0.into()
}

fn attempts(outputs: &[Output]) -> Vec<(u16, NodeId)> {
    let attempt = |output: &Output| match output {
        Output::Note(Note::Attempted { attempt, instance, .. }) => Some((*attempt, *instance)),
        _ => None,
    };
    outputs.iter().filter_map(attempt).collect()
}

fn settled(outputs: &[Output]) -> Option<CallerOutcome> {
    outputs.iter().find_map(|output| match output {
        Output::Note(Note::CallerSettled { outcome, .. }) => Some(*outcome),
        _ => None,
    })
}

fn answer(attempt: u64, response: CallResponse) -> Input {
    let correlation = Correlation(attempt);
    Input::Response { channel: Channel(0), from: INSTANCES[0], correlation, response: Response::Call(response) }
}

#[test]
fn a_caller_tries_another_instance_and_gives_up_not_knowing() {
    let mut callers = callers(requests(|requests| requests.caller_attempts = 2));
    assert_eq!(callers.next_deadline(), Some((Time::LOAD_START, "arrival")));
    assert_eq!(attempts(&at(&mut callers, 0, Input::Timeout)), [(1, INSTANCES[0])]);
    assert_eq!(attempts(&at(&mut callers, 1000, Input::Timeout)), [], "the patience is over, the backoff begins");
    assert_eq!(attempts(&at(&mut callers, 1500, Input::Timeout)), [(2, INSTANCES[1])]);
    let late = answer(1, CallResponse::Accepted(EventId(1 << 48)));
    assert_eq!(settled(&at(&mut callers, 1600, late)), None, "an answer to an attempt given up is not heard");
    assert_eq!(settled(&at(&mut callers, 2500, Input::Timeout)), Some(CallerOutcome::Unknown));
    assert_eq!(callers.unsettled(), 0);
    assert_eq!(callers.next_deadline(), None);
}

#[test]
fn refused_only_if_every_attempt_was() {
    let refused = || CallResponse::Refused(EventId(1 << 48));
    let mut first = callers(requests(|requests| requests.caller_attempts = 2));
    at(&mut first, 0, Input::Timeout);
    at(&mut first, 10, answer(1, refused()));
    at(&mut first, 510, Input::Timeout);
    assert_eq!(settled(&at(&mut first, 520, answer(2, refused()))), Some(CallerOutcome::Refused));

    let mut second = callers(requests(|requests| requests.caller_attempts = 2));
    at(&mut second, 0, Input::Timeout);
    at(&mut second, 10, Input::Disconnected { channel: Channel(0), peer: INSTANCES[0] });
    at(&mut second, 510, Input::Timeout);
    assert_eq!(settled(&at(&mut second, 520, answer(2, refused()))), Some(CallerOutcome::Unknown));
}

#[test]
fn an_id_for_each_attempt_makes_another_event_of_each() {
    let ids = |caller_id| {
        let mut callers = callers(requests(|requests| {
            (requests.caller_attempts, requests.caller_id) = (3, caller_id);
        }));
        let mut seen = Vec::new();
        for milliseconds in [0, 1000, 1500, 2500, 3000] {
            for output in at(&mut callers, milliseconds, Input::Timeout) {
                if let Output::Effect(Effect::Send { request: Request::Call(message), .. }) = output {
                    assert_eq!(message.event, EventId(1 << 48), "for whoever judges it is one event");
                    seen.push(message.id());
                }
            }
        }
        assert_eq!(seen.len(), 3);
        seen
    };
    assert_eq!(ids(CallerId::Fixed), [EventId(1 << 48); 3]);
    let [first, second, third] = ids(CallerId::PerAttempt)[..] else { panic!("three attempts") };
    assert!(first != second && second != third && first != third);
}

#[test]
fn an_accepted_event_is_forgotten() {
    let mut callers = callers(requests(|_| {}));
    at(&mut callers, 0, Input::Timeout);
    let accepted = answer(1, CallResponse::Accepted(EventId(1 << 48)));
    assert_eq!(settled(&at(&mut callers, 1, accepted)), Some(CallerOutcome::Accepted));
    assert_eq!(callers.unsettled(), 0);
}

#[test]
fn versions_count_the_events_of_a_key_and_ids_are_unique() {
    let mut callers = callers(requests(|requests| requests.count = Some(50)));
    let mut seen = BTreeMap::<Key, u32>::new();
    let mut number = 0;
    for output in at(&mut callers, 60_000, Input::Timeout) {
        if let Output::Note(Note::Arrived { message, .. }) = output {
            let version = seen.entry(message.key).or_default();
            *version += 1;
            assert_eq!((message.version, message.event.0), (*version, 1 << 48 | number));
            number += 1;
        }
    }
    assert_eq!((number, seen.len()), (50, 3));
}

#[test]
fn nothing_arrives_outside_the_load_phase() {
    let of_day = Arrivals::Diurnal { amplitude: Ratio(500_000_000), period: Duration::from_secs(50) };
    for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Burst(10), of_day] {
        let plan = requests(|requests| (requests.count, requests.arrivals) = (None, arrivals));
        let end = Time::LOAD_START + Duration::from_secs(100);
        let mut times = ArrivalTimes::new(&plan, end, Seed(3).stream("arrivals test"));
        let mut count = 0u64;
        let mut last = Time::ZERO;
        while let Some(time) = times.peek() {
            assert!(time >= Time::LOAD_START.max(last) && time < end);
            last = time;
            times.advance();
            count += 1;
        }
        assert!((700..1300).contains(&count), "{arrivals:?}: 1000 expected, {count} arrived");
    }
    let mut ended = callers(requests(|requests| requests.count = None));
    at(&mut ended, 0, Input::Command(Command::EndLoad));
    assert_eq!(ended.next_deadline().map(|due| due.1), None);
}

#[test]
fn arrivals_of_a_day_follow_its_hours() {
    let period = Duration::from_secs(1000);
    let arrivals = Arrivals::Diurnal { amplitude: "60%".parse().expect("a share"), period };
    let plan = requests(|requests| (requests.count, requests.arrivals) = (None, arrivals));
    let mut times = ArrivalTimes::new(&plan, Time::LOAD_START + period * 4, Seed(3).stream("arrivals test"));
    let mut quarters = [0u64; 4];
    while let Some(time) = times.peek() {
        let quarter = time.since(Time::LOAD_START).0 / (period.0 / 4);
        quarters[quarter as usize % 4] += 1;
        times.advance();
    }
    // Ten a second on average; of the sine of a day, a quarter has 2/π on average.
    for (count, sign) in quarters.iter().zip([1.0, 1.0, -1.0, -1.0]) {
        let expected = 10_000.0 * (1.0 + sign * 0.6 * std::f64::consts::FRAC_2_PI);
        let z = libm::fabs(*count as f64 - expected) / libm::sqrt(expected);
        assert!(z < 4.0, "{count} instead of {expected:.0}");
    }
}

#[test]
fn zipf_draws_follow_the_law() {
    for thousandths in [500, 1000, 1100, 2000] {
        let of = 50;
        let choice = KeyChoice::new(Keys::Zipf { thousandths, of }, Seed(5).keyed("keys test"));
        let draws = 200_000u64;
        let mut counts = vec![0u64; of as usize];
        for number in 0..draws {
            counts[choice.key(number).0 as usize] += 1;
        }
        let weight = |rank: u64| libm::pow(rank as f64, -f64::from(thousandths) / 1000.0);
        let total: f64 = (1..=of).map(weight).sum();
        for rank in [1, 2, 5, 50] {
            let expected = weight(rank) / total * draws as f64;
            let seen = counts[rank as usize - 1] as f64;
            let z = libm::fabs(seen - expected) / libm::sqrt(expected);
            assert!(z < 4.5, "exponent {thousandths}, rank {rank}: {seen} instead of {expected:.0}");
        }
    }
}
