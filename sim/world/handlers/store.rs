//! A handler's view of a store: single operations, and several as one transaction.
//!
//! Rows are named by the id of the event, versions and counters by its key, as in the steps of the language. An answer
//! that never comes is [`Error::Unknown`]: whether to try again is the handler's business, and so is what that does.

use super::context::{Context, Event, failure};
use super::desk::{Answer, Ask};
use super::error::{Error, Result};
use crate::scenario::plan::*;
use crate::types::request::{Present, Row, Stands, StoreOperation, StoreResponse};
use crate::types::*;

/// A database of the scenario.
#[derive(Clone)]
pub struct Store {
    pub(super) context: Context,
    pub(super) store: u16,
}

/// Operations on one store, all or nothing.
#[must_use = "nothing happens until it is committed"]
pub struct Transaction {
    store: Store,
    event: super::desk::Subject,
    step: Option<u16>,
    operations: Vec<StoreOperation>,
}

impl Store {
    /// A row by event id; [`Error::Conflict`] when there is one.
    ///
    /// # Panics
    /// No step of the service writes this table. The same holds for every operation here.
    #[track_caller]
    pub fn insert(&self, table: &str, event: &Event) -> impl Future<Output = Result> + Send + use<> {
        let transaction = self.transaction(event).insert(table);
        async move { transaction.commit().await.map(drop) }
    }

    /// A row by event id. False: there was one, and nothing was written.
    #[track_caller]
    pub fn insert_if_absent(&self, table: &str, event: &Event) -> impl Future<Output = Result<bool>> + Send + use<> {
        self.transaction(event).insert_if_absent(table).commit()
    }

    /// Whether there is a row by event id. Looks and writes nothing.
    #[track_caller]
    pub fn contains(&self, table: &str, event: &Event) -> impl Future<Output = Result<bool>> + Send + use<> {
        let transaction = self.transaction(event).check(table);
        async move { transaction.commit().await.map(|absent| !absent) }
    }

    /// Overwrites the row of the event's key.
    #[track_caller]
    pub fn upsert(&self, table: &str, event: &Event) -> impl Future<Output = Result> + Send + use<> {
        let transaction = self.transaction(event).upsert(table);
        async move { transaction.commit().await.map(drop) }
    }

    /// Overwrites the row of the event's key, unless it holds a newer version.
    #[track_caller]
    pub fn upsert_if_newer(&self, table: &str, event: &Event) -> impl Future<Output = Result> + Send + use<> {
        let transaction = self.transaction(event).upsert_if_newer(table);
        async move { transaction.commit().await.map(drop) }
    }

    /// Adds to the row of the event's key: not idempotent.
    #[track_caller]
    pub fn add(&self, table: &str, event: &Event, by: i64) -> impl Future<Output = Result> + Send + use<> {
        let transaction = self.transaction(event).add(table, by);
        async move { transaction.commit().await.map(drop) }
    }

    /// Begins a transaction about this event.
    pub fn transaction(&self, event: &Event) -> Transaction {
        Transaction { store: self.clone(), event: event.subject, step: None, operations: Vec::new() }
    }
}

impl Transaction {
    /// A row by event id; the whole transaction is a [`Error::Conflict`] when there is one.
    #[track_caller]
    pub fn insert(self, table: &str) -> Transaction {
        let row = self.row();
        self.with(table, |table| StoreOperation::Insert { table, row })
    }

    /// A row by event id; when there is one, the whole transaction writes nothing and is `Ok(false)`.
    #[track_caller]
    pub fn insert_if_absent(self, table: &str) -> Transaction {
        let row = self.row();
        self.with(table, |table| StoreOperation::InsertIfAbsent {
            table,
            row,
            present: Present::Skip,
            stands: Stands::ForGood,
        })
    }

    #[track_caller]
    pub fn upsert(self, table: &str) -> Transaction {
        self.with(table, |table| StoreOperation::Upsert { table, version_guard: false })
    }

    #[track_caller]
    pub fn upsert_if_newer(self, table: &str) -> Transaction {
        self.with(table, |table| StoreOperation::Upsert { table, version_guard: true })
    }

    #[track_caller]
    pub fn add(self, table: &str, by: i64) -> Transaction {
        self.with(table, |table| StoreOperation::Add { table, by })
    }

    /// Sends it. `Ok(true)`: applied. `Ok(false)`: a row of an `insert_if_absent` was there, and nothing was.
    ///
    /// # Panics
    /// The transaction is empty.
    #[track_caller]
    pub fn commit(self) -> impl Future<Output = Result<bool>> + Send + use<> {
        let Transaction { store, event, step, operations } = self;
        let step = step.expect("a transaction has operations");
        async move {
            let (desk, store) = (store.context.desk, store.store);
            match desk.call(|call| Ask::Store { call, store, step, subject: event, operations }).await {
                Answer::Store(StoreResponse::Done) => Ok(true),
                Answer::Store(StoreResponse::Skipped) => Ok(false),
                Answer::Store(StoreResponse::Conflict) => Err(Error::Conflict),
                Answer::Store(StoreResponse::Refused) => Err(Error::Refused),
                other => Err(failure(other)),
            }
        }
    }

    #[track_caller]
    fn check(self, table: &str) -> Transaction {
        let row = self.row();
        self.with(table, |table| StoreOperation::Check { table, row, present: Present::Skip })
    }

    fn row(&self) -> Row {
        Row::Event(self.event.message.id())
    }

    #[track_caller]
    fn with(mut self, table: &str, operation: impl FnOnce(PlaceId) -> StoreOperation) -> Transaction {
        let (place, name) = self.place(table);
        let operation = operation(place);
        let Some(step) = self.declared(&operation, place) else {
            panic!(
                "service `{}` declares no step that writes `{name}`; add \"{} {name}\" to its `steps` in the scenario: the \
                 checks read there who owes what",
                self.store.context.service().name,
                verb(&operation)
            );
        };
        self.step.get_or_insert(step);
        self.operations.push(operation);
        self
    }

    #[track_caller]
    fn place(&self, table: &str) -> (PlaceId, String) {
        let plan = &self.store.context.plan;
        let store = &plan.stores[usize::from(self.store.store)].name;
        let name = format!("{store}.{table}");
        match plan.places.iter().find(|place| place.name == name) {
            Some(place) => (place.id, name),
            None => panic!("there is no table `{table}` in store `{store}`; add it to its `tables` in the scenario"),
        }
    }

    /// The declared step that does this to the table, or else the first one that has to do with it.
    fn declared(&self, operation: &StoreOperation, place: PlaceId) -> Option<u16> {
        let steps = self.store.context.service().steps.iter().zip(0u16..);
        let touching = steps.filter_map(|(step, number)| {
            let Action::Store { operations, .. } = &step.action else { return None };
            let found = operations.iter().filter(|declared| table_of(declared) == place);
            found.map(|declared| (is_same_verb(declared, operation), number)).max_by_key(|(same, _)| *same)
        });
        let touching: Vec<(bool, u16)> = touching.collect();
        let exact = touching.iter().find(|(same, _)| *same);
        exact.or(touching.first()).map(|(_, number)| *number)
    }
}

fn table_of(step: &StoreStep) -> PlaceId {
    match *step {
        StoreStep::Insert { table, .. }
        | StoreStep::InsertIfAbsent { table, .. }
        | StoreStep::Check { table, .. }
        | StoreStep::Upsert { table, .. }
        | StoreStep::Add { table, .. }
        | StoreStep::Confirm { table, .. }
        | StoreStep::Commit { table } => table,
    }
}

fn is_same_verb(step: &StoreStep, operation: &StoreOperation) -> bool {
    let declared = match step {
        StoreStep::Insert { .. } => "insert",
        StoreStep::InsertIfAbsent { .. } => "insert-if-absent",
        StoreStep::Check { .. } => "check",
        StoreStep::Upsert { .. } => "upsert",
        StoreStep::Add { .. } => "add",
        StoreStep::Confirm { .. } => "confirm",
        StoreStep::Commit { .. } => "commit",
    };
    declared == verb(operation)
}

/// As the language calls it.
fn verb(operation: &StoreOperation) -> &'static str {
    match operation {
        StoreOperation::Insert { .. } => "insert",
        StoreOperation::InsertIfAbsent { .. } => "insert-if-absent",
        StoreOperation::Check { .. } => "check",
        StoreOperation::Confirm { .. } => "confirm",
        StoreOperation::Upsert { .. } => "upsert",
        StoreOperation::Add { .. }
        | StoreOperation::SetOffset { .. }
        | StoreOperation::MarkSent { .. }
        | StoreOperation::MoveCursor { .. } => "add",
    }
}
