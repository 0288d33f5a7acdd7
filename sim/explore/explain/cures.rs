//! Cures: single changes of a plan that might keep a promise, each with the words for it.
//!
//! The one idea: a cure is one thing that a person would change, in the words of the scenario language, and nothing here knows
//! whether it helps: that is for the reruns. What stands in the plan as the cure would have it is not proposed.
//!
//! Sources: kafka.md 4a-4d, that is the documentation of Kafka's clients and brokers on `acks`, `min.insync.replicas`,
//! `enable.idempotence`, `auto.offset.reset`; Kleppmann, "Designing Data-Intensive Applications" (2017), for idempotent effects.

use crate::checks::{Evidence, EvidenceKind};
use crate::scenario::plan::*;
use crate::scenario::sound;
use crate::types::request::{Cursor, Present, Stands};
use crate::types::settings::{Acks, BrokerSettings, CleanupPolicy, IsolationLevel, OffsetReset};
use crate::types::*;

/// One change, and the plan that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cure {
    /// In the words of a scenario.
    pub change: String,
    pub plan: Plan,
}

/// Every single change that might help, those at the boundary that broke first.
pub fn cures(plan: &Plan, evidence: &Evidence) -> Vec<Cure> {
    let mut proposals = Proposals { plan, kind: evidence.kind, cures: Vec::new() };
    let boundary = evidence.blame.as_ref().map(|blame| blame.boundary);
    let mut kinds: [(&[Boundary], fn(&mut Proposals)); 4] = [
        (&[Boundary::Producer, Boundary::Caller], |proposals| proposals.producers()),
        (&[Boundary::Queue], |proposals| proposals.topics()),
        (&[Boundary::Group], |proposals| proposals.groups()),
        (&[Boundary::Consumer, Boundary::Downstream], |proposals| proposals.steps()),
    ];
    kinds.sort_by_key(|(boundaries, _)| !boundary.is_some_and(|boundary| boundaries.contains(&boundary)));
    kinds.into_iter().for_each(|(_, propose)| propose(&mut proposals));
    proposals.cures
}

struct Proposals<'a> {
    plan: &'a Plan,
    /// What is to be cured: some changes are about some harms only.
    kind: EvidenceKind,
    cures: Vec<Cure>,
}

impl Proposals<'_> {
    /// Records that come twice or late.
    fn is_about_order_or_repetition(&self) -> bool {
        matches!(self.kind, EvidenceKind::RepeatedHarmful | EvidenceKind::Reordered | EvidenceKind::Stale)
    }

    fn is_about_order(&self) -> bool {
        matches!(self.kind, EvidenceKind::Reordered | EvidenceKind::Stale)
    }

    /// Keeps the change if it is one, and if the world can run it.
    fn propose(&mut self, change: impl Into<String>, edit: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.clone();
        edit(&mut plan);
        if plan != *self.plan && sound::check(&plan).is_ok() {
            self.cures.push(Cure { change: change.into(), plan });
        }
    }

    fn producers(&mut self) {
        for (index, service) in self.plan.services.iter().enumerate() {
            let name = &service.name;
            let publishes = service.steps.iter().any(|step| matches!(step.action, Action::Publish { .. }));
            if publishes {
                self.propose(format!("{name}: acks = \"all\""), |plan| {
                    plan.services[index].producers.iter_mut().for_each(|producer| producer.acks = Acks::All);
                });
                if self.is_about_order_or_repetition() {
                    self.idempotent(index);
                }
                self.propose(format!("{name}: `publish` waits for its acknowledgement"), |plan| {
                    for step in &mut plan.services[index].steps {
                        if let Action::Publish { wait, .. } = &mut step.action {
                            *wait = true;
                        }
                    }
                });
            }
            self.respond_last(index);
        }
    }

    fn topics(&mut self) {
        let brokers = self.plan.cluster.brokers;
        for (index, topic) in self.plan.own_topics().iter().enumerate() {
            let (name, settings) = (&topic.name, &topic.settings);
            if settings.replication < 3 && 3 <= brokers {
                self.propose(format!("topic {name}: replication = 3"), |plan| {
                    plan.topics[index].settings.replication = 3
                });
            }
            if settings.min_insync_replicas < 2 && 2 <= settings.replication {
                self.propose(format!("topic {name}: min-insync-replicas = 2"), |plan| {
                    plan.topics[index].settings.min_insync_replicas = 2;
                });
            }
            self.propose(format!("topic {name}: unclean-leader-election-enable = false"), |plan| {
                plan.topics[index].settings.unclean_leader_election_enable = false;
            });
            if settings.cleanup_policy.deletes() {
                self.propose(format!("topic {name}: no retention"), |plan| {
                    let settings = &mut plan.topics[index].settings;
                    (settings.retention, settings.retention_bytes) = (None, None);
                });
            }
            if settings.cleanup_policy.compacts() {
                self.propose(format!("topic {name}: cleanup-policy = \"delete\""), |plan| {
                    plan.topics[index].settings.cleanup_policy = CleanupPolicy::Delete;
                });
            }
        }
    }

    fn groups(&mut self) {
        self.cursors();
        let kept = BrokerSettings::default().offsets_retention;
        if self.plan.cluster.settings.offsets_retention < kept {
            self.propose(format!("cluster: offsets-retention = \"{kept}\""), |plan| {
                plan.cluster.settings.offsets_retention = kept;
            });
        }
        for index in 0..self.plan.services.len() {
            let service = &self.plan.services[index];
            let Trigger::Consume(consume) = &service.trigger else { continue };
            let name = service.name.clone();
            let auto = consume.consumer.enable_auto_commit;
            let reads_undecided = self.plan.services.iter().any(|service| service.transactional.is_some());
            let mut consumer = |change: &str, edit: &dyn Fn(&mut ConsumePlan)| {
                self.propose(format!("{name}: {change}"), |plan| {
                    if let Trigger::Consume(consume) = &mut plan.services[index].trigger {
                        edit(consume);
                    }
                });
            };
            consumer("auto-offset-reset = \"earliest\"", &|consume| {
                consume.consumer.auto_offset_reset = OffsetReset::Earliest;
            });
            consumer("commit-of = \"contiguous\"", &|consume| consume.commit_of = CommitOf::Contiguous);
            consumer("on-revoke = \"commit\"", &|consume| consume.on_revoke = OnRevoke::Commit);
            if reads_undecided {
                consumer("isolation-level = \"read_committed\"", &|consume| {
                    consume.consumer.isolation_level = IsolationLevel::ReadCommitted;
                });
            }
            self.commit_last(index, auto);
            self.commits_in_order(index);
        }
    }

    /// No commit overtakes a newer one, and none is made without hearing how it ended.
    fn commits_in_order(&mut self, index: usize) {
        let name = &self.plan.services[index].name;
        let mut commits = |change: &str, made: CommitHow| {
            self.propose(format!("{name}: {change}"), |plan| {
                for step in &mut plan.services[index].steps {
                    if let Action::Commit { how, .. } = &mut step.action
                        && !how.waits()
                    {
                        *how = made;
                    }
                }
            });
        };
        commits("`commit-async retry`", CommitHow::Async { retry: CommitRetry::UnlessNewer });
        commits("`commit` waits for its answer", CommitHow::Sync);
    }

    /// Rows that are found however late they are seen.
    fn cursors(&mut self) {
        for (index, service) in self.plan.services.iter().enumerate() {
            for (word, cursor) in [("unsent", Cursor::Unsent), ("commit-order", Cursor::CommitOrder)] {
                self.propose(format!("{}: cursor = \"{word}\"", service.name), |plan| {
                    if let Trigger::Poll(poll) = &mut plan.services[index].trigger
                        && poll.cursor == Cursor::HighestId
                    {
                        poll.cursor = cursor;
                    }
                });
            }
            if let Trigger::Poll(_) = service.trigger {
                self.commit_last(index, false);
            }
        }
    }

    fn steps(&mut self) {
        for (index, service) in self.plan.services.iter().enumerate() {
            let name = &service.name;
            self.marker_inside(index);
            self.keyed_calls(index);
            self.longer_rows(index);
            self.propose(format!("{name}: `insert` becomes `insert-if-absent`"), |plan| {
                for operation in operations(&mut plan.services[index]) {
                    if let StoreStep::Insert { table, .. } = *operation {
                        *operation = StoreStep::InsertIfAbsent {
                            table,
                            row: RowBy::Event,
                            present: Present::Continue,
                            stands: Stands::ForGood,
                        };
                    }
                }
            });
            self.propose(format!("{name}: rows by event, not by offset"), |plan| {
                for operation in operations(&mut plan.services[index]) {
                    if let StoreStep::Insert { row, .. }
                    | StoreStep::InsertIfAbsent { row, .. }
                    | StoreStep::Check { row, .. } = operation
                    {
                        *row = RowBy::Event;
                    }
                }
            });
            self.propose(format!("{name}: `upsert` with version-guard"), |plan| {
                for operation in operations(&mut plan.services[index]) {
                    if let StoreStep::Upsert { version_guard, .. } = operation {
                        *version_guard = true;
                    }
                }
            });
            self.propose(
                format!("{name}: `add` becomes `insert-if-absent`, so that a repetition finds its row"),
                |plan| {
                    for operation in operations(&mut plan.services[index]) {
                        if let StoreStep::Add { table, .. } = *operation {
                            *operation = StoreStep::InsertIfAbsent {
                                table,
                                row: RowBy::Event,
                                present: Present::Continue,
                                stands: Stands::ForGood,
                            };
                        }
                    }
                },
            );
            self.propose(format!("{name}: failures block instead of being skipped"), |plan| {
                if let Some(last) = plan.services[index].ladder.last_mut()
                    && *last == Rung::Skip
                {
                    *last = Rung::Block { backoff: Spread::Constant(Duration::from_millis(100)) };
                }
            });
            if self.is_about_order() {
                self.propose(format!("{name}: workers = 1"), |plan| plan.services[index].workers = 1);
                self.propose(format!("{name}: worker-order = \"key\""), |plan| {
                    plan.services[index].worker_order = WorkerOrder::Key;
                });
            }
        }
    }

    /// A lease outlasts whoever works under it, and what was done is not forgotten.
    fn longer_rows(&mut self, index: usize) {
        let name = &self.plan.services[index].name;
        let mut rows = |change: &str, longer: fn(Stands) -> Stands| {
            self.propose(format!("{name}: {change}"), |plan| {
                for operation in operations(&mut plan.services[index]) {
                    if let StoreStep::InsertIfAbsent { stands, .. } = operation {
                        *stands = longer(*stands);
                    }
                }
            });
        };
        rows("`lease` ten times as long", |stands| match stands {
            Stands::Lease(lease) => Stands::Lease(Duration(lease.0.saturating_mul(10))),
            Stands::ForGood | Stands::For(_) => stands,
        });
        rows("`insert-if-absent` without `expires`", |stands| match stands {
            Stands::For(_) => Stands::ForGood,
            Stands::ForGood | Stands::Lease(_) => stands,
        });
    }

    /// The other side learns that it has done it already.
    fn keyed_calls(&mut self, index: usize) {
        let service = &self.plan.services[index];
        for (number, step) in service.steps.iter().enumerate() {
            let Action::Call(call) = &step.action else { continue };
            let Some(endpoint) = call.endpoint().map(usize::from) else { continue };
            let Some(EndpointPlan { name, idempotency_keys, .. }) = self.plan.endpoints.get(endpoint) else { continue };
            let honoured = match idempotency_keys {
                KeysHonoured::Never => format!(", which {name} honours"),
                KeysHonoured::Always | KeysHonoured::For(_) => String::new(),
            };
            let change = format!("{}: `call {name}` with `idempotency-key id`{honoured}", service.name);
            self.propose(change, |plan| {
                if let Action::Call(call) = &mut plan.services[index].steps[number].action {
                    call.idempotency_key = Some(CallKey::Id);
                }
                let keys = &mut plan.endpoints[endpoint].idempotency_keys;
                if *keys == KeysHonoured::Never {
                    *keys = KeysHonoured::Always;
                }
            });
        }
    }

    fn idempotent(&mut self, index: usize) {
        let name = &self.plan.services[index].name;
        self.propose(format!("{name}: enable-idempotence = true, which needs acks = \"all\""), |plan| {
            for producer in &mut plan.services[index].producers {
                if !producer.enable_idempotence {
                    (producer.enable_idempotence, producer.acks) = (true, Acks::All);
                    let in_flight = &mut producer.max_in_flight_requests_per_connection;
                    *in_flight = (*in_flight).min(5);
                }
            }
        });
        self.propose(format!("{name}: max-in-flight-requests-per-connection = 1"), |plan| {
            let producers = plan.services[index].producers.iter_mut();
            producers.for_each(|producer| producer.max_in_flight_requests_per_connection = 1);
        });
    }

    /// The caller is told when everything is done.
    fn respond_last(&mut self, index: usize) {
        let service = &self.plan.services[index];
        let respond = service.steps.iter().position(|step| step.action == Action::Respond);
        let Some(respond) = respond.filter(|respond| respond + 1 < service.steps.len()) else { return };
        self.propose(format!("{}: `respond ok` as the last step", service.name), |plan| {
            move_to_end(plan, index, respond);
        });
    }

    /// Committed when everything is done, by the steps and not by a timer.
    fn commit_last(&mut self, index: usize, auto: bool) {
        let service = &self.plan.services[index];
        let name = &service.name;
        let stores = service.steps.iter().any(|step| step.action == Action::StoreOffset);
        if auto && !stores {
            self.propose(format!("{name}: enable-auto-commit = false, and `commit` as the last step"), |plan| {
                if let Trigger::Consume(consume) = &mut plan.services[index].trigger {
                    consume.consumer.enable_auto_commit = false;
                }
                let action = Action::Commit { every: CommitEvery::Record, how: CommitHow::Sync };
                plan.services[index].steps.push(StepPlan { text: "commit".to_string(), action, of: None });
            });
            return;
        }
        let says_done = |step: &StepPlan| matches!(step.action, Action::Commit { .. } | Action::StoreOffset);
        let commit = service.steps.iter().position(says_done);
        let Some(commit) = commit.filter(|commit| commit + 1 < service.steps.len()) else { return };
        let text = service.steps[commit].text.clone();
        self.propose(format!("{name}: `{text}` as the last step"), |plan| move_to_end(plan, index, commit));
    }

    /// The marker, or the position, and the effects that it guards, in one transaction of their store, where the last of them stood.
    fn marker_inside(&mut self, index: usize) {
        let service = &self.plan.services[index];
        let is_marker = |operation: &StoreStep| match operation {
            StoreStep::InsertIfAbsent { .. } | StoreStep::Check { .. } | StoreStep::Commit { .. } => true,
            StoreStep::Insert { .. } | StoreStep::Upsert { .. } | StoreStep::Add { .. } => false,
            StoreStep::Confirm { .. } => false,
        };
        let with_marker = service.steps.iter().find_map(|step| match &step.action {
            Action::Store { store, operations } if operations.iter().any(is_marker) => Some(*store),
            _ => None,
        });
        let Some(store) = with_marker else { return };
        let mut joined: Vec<usize> = Vec::new();
        let (mut markers, mut effects) = (Vec::new(), Vec::new());
        for (number, step) in service.steps.iter().enumerate() {
            if let Action::Store { store: of, operations } = &step.action
                && *of == store
            {
                joined.push(number);
                for operation in operations {
                    if is_marker(operation) { markers.push(*operation) } else { effects.push(*operation) }
                }
            }
        }
        let Some(last) = joined.pop().filter(|_| !joined.is_empty()) else { return };
        // Where a row is looked for and written later, the one that writes is enough inside a transaction.
        if markers.iter().any(|marker| matches!(marker, StoreStep::InsertIfAbsent { .. })) {
            joined.retain(|number| !checks_only(&service.steps[*number]));
            markers.retain(|marker| !matches!(marker, StoreStep::Check { .. }));
        }
        let texts = joined.iter().chain([&last]).map(|number| format!("\"{}\"", service.steps[*number].text));
        let text = format!("{{ transaction = [{}] }}", texts.collect::<Vec<_>>().join(", "));
        let gone: Vec<bool> = (0..service.steps.len())
            .map(|number| {
                number != last
                    && matches!(&service.steps[number].action, Action::Store { store: of, .. } if *of == store)
            })
            .collect();
        markers.append(&mut effects);
        self.propose(format!("{}: {text} in their place", service.name), |plan| {
            let steps = &mut plan.services[index].steps;
            steps[last] = StepPlan { text, action: Action::Store { store, operations: markers }, of: steps[last].of };
            // A fault that waited for a step that is gone waits for the one that does its work.
            let before = |number: usize| gone[..number].iter().filter(|gone| !**gone).count();
            let places: Vec<usize> =
                (0..gone.len()).map(|number| before(if gone[number] { last } else { number })).collect();
            let mut number = 0;
            steps.retain(|_| {
                number += 1;
                !gone[number - 1]
            });
            renumber(plan, index, &places);
        });
    }
}

fn checks_only(step: &StepPlan) -> bool {
    matches!(&step.action, Action::Store { operations, .. } if operations.iter().all(|o| matches!(o, StoreStep::Check { .. })))
}

/// Puts a step behind all others.
fn move_to_end(plan: &mut Plan, service: usize, step: usize) {
    let steps = &mut plan.services[service].steps;
    // Steps between the ends of a transaction of the queue stay there.
    if steps.iter().any(|step| matches!(step.action, Action::BeginTransaction)) {
        return;
    }
    let last = steps.len() - 1;
    let moved = steps.remove(step);
    steps.push(moved);
    let place = |number: usize| match number {
        number if number == step => last,
        number if step < number => number - 1,
        number => number,
    };
    let places: Vec<usize> = (0..=last).map(place).collect();
    renumber(plan, service, &places);
}

/// Faults that wait for a step by its number wait for it where it stands now.
fn renumber(plan: &mut Plan, service: usize, places: &[usize]) {
    let id = plan.services[service].id;
    for fault in &mut plan.faults {
        if let FaultTrigger::When {
            state: FaultState::Step { service: of, step: StepSelector::Index(number), .. }, ..
        } = &mut fault.trigger
            && *of == id
            && let Some(place) = places.get(usize::from(*number))
        {
            *number = *place as u16;
        }
        if let FaultAction::Set(LiveValue::Work { service: of, step, .. }) = &mut fault.action
            && *of == id
            && let Some(place) = places.get(usize::from(*step))
        {
            *step = *place as u16;
        }
    }
}

fn operations(service: &mut ServicePlan) -> impl Iterator<Item = &mut StoreStep> {
    service.steps.iter_mut().flat_map(|step| match &mut step.action {
        Action::Store { operations, .. } => operations.as_mut_slice(),
        _ => &mut [],
    })
}
