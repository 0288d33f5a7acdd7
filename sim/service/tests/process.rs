//! A whole instance as the world sees it.

use std::sync::Arc;

use super::system::{self, INSTANCES, SERVICE, STORE};
use crate::service::interpreter::STORE_CHANNEL;
use crate::service::{Service, Store};
use crate::types::note::Note;
use crate::types::request::{CallResponse, Request, Response, StoreResponse};
use crate::types::storage::StorageImage;
use crate::types::*;

fn step<M>(machine: &mut M, now: u64, act: impl FnOnce(&mut M, &mut Step)) -> Vec<Output> {
    let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("process"));
    let now = Now { monotonic: Time(now), wall_clock: Time(now) };
    act(machine, &mut Step { now, rng: &mut rng, out: &mut out });
    out.0.into()
}

fn message(event: u64) -> Message {
    Message {
        event: EventId(event),
        origin: SERVICE,
        key: Key(1),
        version: 1,
        size: 1,
        poison: false,
        attempt: 0,
        caller_attempt: 0,
    }
}

fn caller() -> ReplyTo {
    ReplyTo { connection: ConnectionId(3), correlation: Correlation(4), peer: NodeId(30) }
}

fn service(list: &str) -> Service {
    let arguments = [("on".to_string(), "requests".to_string()), ("list".into(), list.into())];
    let mut service = Service::new(system::from_arguments(&arguments), INSTANCES[0], Guards::ALL);
    let started = Input::Started { image: Box::new(StorageImage::default()), incarnation: Incarnation(1) };
    step(&mut service, 0, |service, step| service.handle(started, step));
    service
}

fn answers(outputs: &[Output]) -> Vec<CallResponse> {
    let answer = |output: &Output| match output {
        Output::Effect(Effect::Reply { response: Response::Call(response), .. }) => Some(*response),
        _ => None,
    };
    outputs.iter().filter_map(answer).collect()
}

#[test]
fn a_call_is_answered_when_the_store_has_answered() {
    let mut service = service("insert 0, respond");
    let call = Input::Request { from: caller(), request: Request::Call(message(5)) };
    let out = step(&mut service, 10, |service, step| service.handle(call, step));
    let Some(Output::Effect(Effect::Send { correlation, .. })) = out.last() else { panic!("no call to the store") };
    let response = Input::Response {
        channel: STORE_CHANNEL,
        from: STORE,
        correlation: *correlation,
        response: Response::Store(StoreResponse::Done),
    };
    let out = step(&mut service, 20, |service, step| service.handle(response, step));
    assert_eq!(answers(&out), [CallResponse::Accepted(EventId(5))]);
}

#[test]
fn a_store_that_breaks_its_connection_leaves_the_outcome_unknown() {
    let mut service = service("insert 0, respond");
    let call = Input::Request { from: caller(), request: Request::Call(message(5)) };
    step(&mut service, 10, |service, step| service.handle(call, step));
    let broken = Input::Disconnected { channel: STORE_CHANNEL, peer: STORE };
    let out = step(&mut service, 20, |service, step| service.handle(broken, step));
    let unknown = Note::StepDone {
        service: SERVICE,
        step: 0,
        event: EventId(5),
        outcome: crate::types::note::StepOutcome::Unknown,
    };
    assert!(out.contains(&Output::Note(unknown)));
    assert_eq!(answers(&out), [CallResponse::Refused(EventId(5))]);
}

#[test]
fn rows_outlive_the_process_of_their_store() {
    let plan = system::from_arguments(&[("latency".into(), "0s".into())]);
    let mut store = Store::new(Arc::clone(&plan), 0);
    let insert = |event| {
        let request = Request::Store(request::StoreRequest {
            incarnation: Incarnation(1),
            message: message(event),
            service: SERVICE,
            step: 0,
            attempt: 1,
            operations: vec![request::StoreOperation::Insert {
                table: PlaceId(0),
                row: request::Row::Event(EventId(event)),
            }],
        });
        Input::Request { from: caller(), request }
    };
    step(&mut store, 0, |store, step| store.handle(insert(1 << 48 | 7), step));
    let rows = store.rows();
    assert_eq!(rows.count(PlaceId(0)), 1);
    let mut store = Store::with_rows(plan, 0, rows);
    let out = step(&mut store, 1, |store, step| store.handle(insert(1 << 48 | 7), step));
    let conflict = Effect::Reply { to: caller(), response: Response::Store(StoreResponse::Conflict) };
    assert_eq!(out, [Output::Effect(conflict)], "executed and answered in the same step");
}
