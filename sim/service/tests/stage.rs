//! The stage of a transcript: an interpreter, a real store, and a script in the part of Kafka's clients.
//!
//! ```text
//! system on=consume list="…" ladder="…" workers=N commit-of=highest on-revoke=abandon latency=2ms lost-answers=100% keys=true capacity=1
//! poll 0@10=e1 0@11=e2/k7/v3      poll() returns records: partition@offset=event, key and version if they matter
//! call e1 | ask e1                somebody outside calls; step 2 of another service does
//! redeliver                       the message that was taken last comes once more
//! row e1 takes=5ms                somebody inserts it into table 0, in a transaction that takes so long
//! wait 5ms                        time passes
//! committed | refused | unanswered   the oldest commit that waits is answered
//! acked | unsent                  the oldest record that waits for its producer
//! taken | not-member              the offset that was sent with a transaction
//! ended commit | abort | never    the transaction; `never`: it has to be aborted
//! revoke 0 | lose 0 | assign 0    a rebalance
//! crash | start | stop | closed   the process
//! unplug | plug                   the endpoint dies, and nobody answers at its address; it is back
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use goldenscript::{Argument, Command as Line, Context, Runner};

use super::system::{self, ENDPOINT, SERVICE, STORE};
use crate::scenario::plan::Plan;
use crate::service::commits::CommitToken;
use crate::service::endpoint::Endpoint;
use crate::service::interpreter::{Ask, Interpreter, Polled, STORE_CHANNEL};
use crate::service::store::Store;
use crate::types::note::{Note, StepOutcome, StoreEffect};
use crate::types::record::TransactionOutcome;
use crate::types::request::{ErrorCode, Request, Response, Row, StoreOperation, StoreRequest};
use crate::types::*;

#[derive(Default)]
pub struct Stage {
    plan: Option<Arc<Plan>>,
    interpreter: Option<Interpreter>,
    store: Option<Store>,
    endpoint: Option<Endpoint>,
    now: u64,
    incarnation: u32,
    /// Commits that wait for an answer.
    commits: VecDeque<CommitToken>,
    /// Records handed to the producer.
    sends: VecDeque<SendId>,
    lines: Vec<String>,
}

impl Runner for Stage {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        self.lines.clear();
        let words: Vec<&str> = line.args.iter().filter_map(positional).collect();
        match line.name.as_str() {
            "system" => self.system(line),
            "start" => self.start(),
            "crash" => self.crash(),
            "wait" => self.wait(words[0].parse::<Duration>().expect("a duration")),
            "poll" => {
                let records: Vec<Polled> = pairs(line).map(|(place, event)| polled(&place, &event)).collect();
                self.act(|interpreter, step| interpreter.handle_records(records.into_iter(), step));
            }
            asking @ ("call" | "ask") => {
                let message = message(words[0]);
                let from = ReplyTo { connection: ConnectionId(0), correlation: Correlation(0), peer: NodeId(30) };
                let asked_by = (asking == "ask").then_some((ServiceId(5), 2));
                self.act(|interpreter, step| interpreter.handle_call(message, from, asked_by, step));
            }
            "row" => self.insert(message(words[0]), pairs(line).next().map(|(_, length)| length)),
            "redeliver" => self.act(|interpreter, step| interpreter.redeliver(step)),
            "committed" => self.answer_commit(Ok(())),
            "refused" => self.answer_commit(Err(ErrorCode::IllegalGeneration)),
            "unanswered" => self.answer_commit(Err(ErrorCode::RequestTimedOut)),
            "acked" => self.answer_send(StepOutcome::Done),
            "unsent" => self.answer_send(StepOutcome::Unknown),
            "revoke" => self.act(|interpreter, step| interpreter.handle_revoking(partitions(&words), step)),
            "lose" => self.act(|interpreter, step| interpreter.handle_lost(&partitions(&words), step)),
            "assign" => self.act(|interpreter, _| interpreter.handle_assigned(&partitions(&words))),
            "taken" => self.act(|interpreter, _| interpreter.handle_offsets_sent(Ok(()))),
            "not-member" => {
                self.act(|interpreter, _| interpreter.handle_offsets_sent(Err(ErrorCode::IllegalGeneration)));
            }
            "ended" => {
                let outcome = match words[0] {
                    "commit" => Some(TransactionOutcome::Commit),
                    "abort" => Some(TransactionOutcome::Abort),
                    _ => None,
                };
                self.act(|interpreter, step| interpreter.handle_transaction_ended(outcome, step));
            }
            "plug" => {
                let plan = Arc::clone(self.plan.as_ref().expect("a system"));
                self.endpoint = Some(Endpoint::new(plan, 0));
            }
            "unplug" => {
                self.endpoint = None;
                self.act(|interpreter, step| interpreter.handle_call_disconnected(ENDPOINT, step));
            }
            "stop" => self.act(|interpreter, step| interpreter.shut_down(step)),
            "closed" => {
                let ask = self.interpreter.as_mut().and_then(Interpreter::closed);
                self.say(format!("asks {ask:?}"));
            }
            other => return Err(format!("no command `{other}`").into()),
        }
        Ok(self.lines.iter().map(|line| format!("{line}\n")).collect())
    }
}

impl Stage {
    fn system(&mut self, line: &Line) {
        let arguments: Vec<(String, String)> = pairs(line).collect();
        let plan = system::from_arguments(&arguments);
        let (store, endpoint) = (Store::new(Arc::clone(&plan), 0), Endpoint::new(Arc::clone(&plan), 0));
        *self = Stage { store: Some(store), endpoint: Some(endpoint), plan: Some(plan), ..Stage::default() };
        self.start();
    }

    fn start(&mut self) {
        self.incarnation += 1;
        let plan = Arc::clone(self.plan.as_ref().expect("a system"));
        let mut interpreter = Interpreter::new(plan, 0, system::INSTANCES[0]);
        interpreter.start(Incarnation(self.incarnation));
        self.interpreter = Some(interpreter);
        self.act(|interpreter, _| interpreter.handle_assigned(&[partition(0), partition(1)]));
    }

    /// The process is gone; what it asked the store for may still be executed.
    fn crash(&mut self) {
        self.interpreter = None;
        self.commits.clear();
        self.sends.clear();
        self.say("gone".into());
    }

    fn wait(&mut self, length: Duration) {
        let end = self.now + length.0;
        loop {
            let store = self.store.as_ref().and_then(|store| store.next_deadline()).map(|due| due.0.0);
            let own = self.interpreter.as_ref().and_then(|own| own.next_deadline()).map(|due| due.0.0);
            let endpoint = self.endpoint.as_ref().and_then(|other| other.next_deadline()).map(|due| due.0.0);
            let all = store.into_iter().chain(endpoint).chain(own);
            let Some(next) = all.min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if store == Some(next) {
                self.step_store(Input::Timeout);
            } else if endpoint == Some(next) {
                self.step_endpoint(Input::Timeout);
            } else {
                self.act(|interpreter, step| interpreter.handle_timeout(step));
            }
        }
        self.now = end;
    }

    /// A transaction of somebody else; what it is told is of no interest.
    fn insert(&mut self, message: Message, takes: Option<String>) {
        let plan = self.plan.as_ref().expect("a system");
        let mut other = Plan::clone(plan);
        let takes = takes.map_or(Duration::ZERO, |length| length.parse().expect("a duration"));
        other.stores[0].latency = Spread::Constant(takes * 2);
        let (plan, from) =
            (Arc::clone(plan), ReplyTo { connection: ConnectionId(2), correlation: Correlation(0), peer: NodeId(99) });
        let operations = vec![StoreOperation::Insert { table: PlaceId(0), row: Row::Event(message.event) }];
        let request = StoreRequest {
            message,
            service: ServiceId(9),
            step: 0,
            attempt: 0,
            incarnation: Incarnation(0),
            operations,
        };
        self.store.as_mut().expect("a system").reconfigure(Arc::new(other));
        self.step_store(Input::Request { from, request: Request::Store(request) });
        self.store.as_mut().expect("a system").reconfigure(plan);
    }

    fn answer_commit(&mut self, result: Result<(), ErrorCode>) {
        let token = self.commits.pop_front().expect("a commit that waits");
        self.act(|interpreter, step| interpreter.handle_commit_done(token, result, step));
    }

    fn answer_send(&mut self, outcome: StepOutcome) {
        let send = self.sends.pop_front().expect("a record that waits");
        self.act(|interpreter, _| interpreter.handle_sent(send, outcome));
    }

    /// One input of the interpreter and everything that follows from it at this instant.
    fn act(&mut self, input: impl FnOnce(&mut Interpreter, &mut Step)) {
        let Some(mut interpreter) = self.interpreter.take() else { return };
        let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("stage"));
        let now = Now { monotonic: Time(self.now), wall_clock: Time(self.now) };
        input(&mut interpreter, &mut Step { now, rng: &mut rng, out: &mut out });
        loop {
            let ask = interpreter.next_ask(&mut Step { now, rng: &mut rng, out: &mut out });
            interpreter.check_invariants();
            self.interpreter = Some(interpreter);
            self.perform(std::mem::take(&mut out));
            interpreter = self.interpreter.take().expect("put back above");
            match ask {
                Some(ask) => self.perform_ask(&mut interpreter, ask),
                None => break,
            }
        }
        self.interpreter = Some(interpreter);
    }

    fn perform_ask(&mut self, interpreter: &mut Interpreter, ask: Ask) {
        match ask {
            Ask::Poll => self.say("polls".into()),
            Ask::Publish { topic, record, .. } => {
                let SendId(send) = record.send;
                self.say(format!("publishes {} to {topic} as {:x}", record.message.event, send));
                self.sends.push_back(record.send);
                interpreter.published(record.send, true);
            }
            Ask::Commit { token, offsets, wait } => {
                let offsets: Vec<String> = offsets.iter().map(|(at, to)| format!("{}@{to}", at.partition)).collect();
                self.say(format!("commits {}{}", offsets.join(" "), if wait { "" } else { ", goes on" }));
                self.commits.push_back(token);
            }
            Ask::SendOffsets { offsets, .. } => {
                let offsets: Vec<String> = offsets.iter().map(|(at, to)| format!("{}@{to}", at.partition)).collect();
                self.say(format!("sends offsets {}", offsets.join(" ")));
            }
            Ask::EndTransaction(outcome) => self.say(format!("ends its transaction: {outcome:?}")),
            Ask::StoreOffsets(offsets) => {
                let offsets: Vec<String> = offsets.iter().map(|(at, to)| format!("{}@{to}", at.partition)).collect();
                self.say(format!("stores {}", offsets.join(" ")));
            }
            Ask::Seek(partition, Some(offset)) => self.say(format!("goes back to {partition} offset {offset}")),
            Ask::Seek(partition, None) => self.say(format!("reads {partition} from where its policy says")),
            Ask::FinishRevocation => self.say("gives the partitions back".into()),
            Ask::Close => self.say("closes its clients".into()),
            Ask::Exit { clean } => self.say(format!("exits, clean={clean}")),
        }
    }

    fn perform(&mut self, out: Outbox) {
        for output in out.0 {
            match output {
                Output::Note(note) => self.say(describe(&note)),
                Output::Effect(Effect::Send { correlation, request, .. }) => {
                    let from = ReplyTo { connection: ConnectionId(1), correlation, peer: system::INSTANCES[0] };
                    match request {
                        Request::Endpoint(_) => self.step_endpoint(Input::Request { from, request }),
                        // A poll that finds nothing is not worth a line.
                        Request::PollRows(_) | Request::KeptPositions(_) => {
                            self.step_store(Input::Request { from, request });
                        }
                        _ => {
                            self.say("calls the store".into());
                            self.step_store(Input::Request { from, request });
                        }
                    }
                }
                Output::Effect(Effect::Reply { response, .. }) => self.say(format!("answers {response:?}")),
                Output::Effect(effect) => self.say(format!("{effect:?}")),
            }
        }
    }

    fn step_store(&mut self, input: Input) {
        let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("stage"));
        let now = Now { monotonic: Time(self.now), wall_clock: Time(self.now) };
        let store = self.store.as_mut().expect("a system");
        store.handle(input, &mut Step { now, rng: &mut rng, out: &mut out });
        for output in out.0 {
            match output {
                Output::Note(note) => self.say(format!("store: {}", describe(&note))),
                Output::Effect(Effect::Reply { to, .. }) if to.peer == NodeId(99) => {}
                Output::Effect(Effect::Reply { to, response: Response::Rows(rows) }) => {
                    let found: Vec<String> =
                        rows.iter().map(|row| format!("{}={}", row.number, row.message.event)).collect();
                    if !found.is_empty() {
                        self.say(format!("store: finds {}", found.join(" ")));
                    }
                    self.act(|interpreter, step| interpreter.handle_rows(to.correlation, rows, step));
                }
                Output::Effect(Effect::Reply { to, response: Response::KeptPositions(found) }) => {
                    self.act(|interpreter, _| interpreter.handle_kept_positions(to.correlation, found));
                }
                Output::Effect(Effect::Reply { to, response: Response::Store(response) }) => {
                    self.say(format!("store: answers {response:?}"));
                    self.act(|interpreter, step| interpreter.handle_store_answer(to.correlation, response, step));
                }
                Output::Effect(effect) => panic!("a store does not {effect:?}"),
            }
        }
    }

    fn step_endpoint(&mut self, input: Input) {
        let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("stage"));
        let now = Now { monotonic: Time(self.now), wall_clock: Time(self.now) };
        let Some(endpoint) = self.endpoint.as_mut() else {
            return self.act(|interpreter, step| interpreter.handle_call_disconnected(ENDPOINT, step));
        };
        endpoint.handle(input, &mut Step { now, rng: &mut rng, out: &mut out });
        for output in out.0 {
            match output {
                Output::Note(note) => self.say(format!("bank: {}", describe(&note))),
                Output::Effect(Effect::Reply { to, response: Response::Endpoint(response) }) => {
                    self.say(format!("bank: answers {response:?}"));
                    self.act(|interpreter, step| interpreter.handle_endpoint_answer(to.correlation, response, step));
                }
                Output::Effect(effect) => panic!("an endpoint does not {effect:?}"),
            }
        }
    }

    fn say(&mut self, what: String) {
        self.lines.push(format!("{:>6} {what}", Duration(self.now).to_string()));
    }
}

fn describe(note: &Note) -> String {
    match note {
        Note::FlowStarted { message, source, attempt, .. } => {
            let source = source.map_or(String::new(), |(at, offset)| format!(" from {}@{offset}", at.partition));
            format!("{} starts{source}, attempt {attempt}", message.event)
        }
        Note::Redelivered { message, .. } => format!("{} once more", message.event),
        Note::StepReached { step, event, .. } => format!("{event} reaches step {step}"),
        Note::StepDone { step, event, outcome, .. } => format!("{event} step {step} is {outcome:?}"),
        Note::StepExecuted { step, event, .. } => format!("{event} step {step} executed"),
        Note::FlowDone { event, skipped, .. } => {
            format!("{event} is through{}", if *skipped { ", skipped" } else { "" })
        }
        Note::RungReached { rung, event, .. } => format!("{event} reaches rung {rung}"),
        Note::Abandoned { count, .. } => format!("abandons {count}"),
        Note::EffectApplied { place, message, effect, .. } => {
            let effect = match effect {
                StoreEffect::Executed { .. } => "Executed".to_string(),
                effect => format!("{effect:?}"),
            };
            format!("{} v{} in {place}: {effect}", message.event, message.version)
        }
        Note::CallAttempted { event, attempt, .. } => format!("{event} calls, attempt {attempt}"),
        Note::CallFailed { event, attempt, outcome, .. } => format!("{event} attempt {attempt} is {outcome:?}"),
        Note::BreakerChanged { open, .. } => format!("breaker {}", if *open { "opens" } else { "closes" }),
        Note::AnswerLost { event } => format!("{event}: answer lost"),
        Note::RowSeen { event, number, rank, .. } => format!("{event} is row {number}, the {rank}. to be seen"),
        Note::RowsPolled { rows, .. } => format!("has rows {}", numbers(rows)),
        Note::RowsMarked { rows, .. } => format!("rows {} are done with", numbers(rows)),
        Note::OffsetCommitted { partition, offset, .. } => format!("keeps {}@{offset}", partition.partition),
        Note::CursorMoved { to, .. } => format!("the cursor stands at {to}"),
        other => format!("{other:?}"),
    }
}

fn numbers(rows: &[RowNumber]) -> String {
    rows.iter().map(RowNumber::to_string).collect::<Vec<_>>().join(" ")
}

fn partition(number: u16) -> TopicPartition {
    TopicPartition::new(TopicId(1), number)
}

fn partitions(words: &[&str]) -> Vec<TopicPartition> {
    words.iter().map(|word| partition(word.parse().expect("a partition"))).collect()
}

fn positional(argument: &Argument) -> Option<&str> {
    match argument {
        Argument::Positional(word) => Some(word),
        _ => None,
    }
}

fn pairs(line: &Line) -> impl Iterator<Item = (String, String)> {
    line.args.iter().filter_map(|argument| match argument {
        Argument::KeyValue(key, value) => Some((key.clone(), value.clone())),
        _ => None,
    })
}

/// `0@10=e1/k2/v3`
fn polled(place: &str, event: &str) -> Polled {
    let (number, offset) = place.split_once('@').expect("partition@offset=event");
    let offset = Offset(offset.parse().expect("an offset"));
    Polled { partition: partition(number.parse().expect("a partition")), offset, message: message(event) }
}

/// `e1/k2/v3/o4`: event, key (the event's own by default), version, origin.
fn message(text: &str) -> Message {
    let mut parts = text.split('/');
    let number = |part: &str| part[1..].parse::<u64>().expect("a number");
    let event = number(parts.next().expect("an event"));
    let mut message = Message {
        event: EventId(event),
        origin: SERVICE,
        key: Key(event),
        version: 1,
        size: 100,
        poison: false,
        attempt: 0,
        caller_attempt: 0,
    };
    for part in parts {
        match &part[..1] {
            "k" => message.key = Key(number(part)),
            "v" => message.version = number(part) as u32,
            "o" => message.origin = ServiceId(number(part) as u16),
            other => panic!("no part `{other}` of an event"),
        }
    }
    message
}

#[test]
fn calls_to_stores_go_to_their_node_on_their_channel() {
    let plan = system::from_arguments(&[("list".into(), "insert 0, commit".into())]);
    let mut interpreter = Interpreter::new(plan, 0, system::INSTANCES[0]);
    let (mut out, mut rng) = (Outbox::default(), Seed(1).stream("stage"));
    let now = Now { monotonic: Time::ZERO, wall_clock: Time::ZERO };
    let step = &mut Step { now, rng: &mut rng, out: &mut out };
    interpreter.start(Incarnation(1));
    assert_eq!(interpreter.next_ask(step), Some(Ask::Poll));
    interpreter.handle_records([polled("0@0", "e1")].into_iter(), step);
    assert_eq!(interpreter.next_ask(step), None);
    let sent = out.0.iter().any(|output| match output {
        Output::Effect(Effect::Send { channel, to, request: Request::Store(_), .. }) => {
            (*channel, *to) == (STORE_CHANNEL, STORE)
        }
        _ => false,
    });
    assert!(sent);
}
