//! How far each relay is in the table that it polls.
//!
//! The one idea: a row is open from the instant it is seen until somebody says that it is done with: it is marked, or the
//! cursor stands at it or behind it. A row that the cursor passed and that no poll ever returned was skipped: it was seen
//! when the reader looked at higher numbers already.

use std::collections::BTreeMap;

use crate::scenario::plan::{PollPlan, ServicePlan, Trigger};
use crate::types::note::Note;
use crate::types::request::Cursor;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct RelayProgress {
    service: ServiceId,
    poll: PollPlan,
    /// In the order of the cursor.
    rows: BTreeMap<RowNumber, RelayRow>,
    /// The row of each event.
    of_event: BTreeMap<EventId, RowNumber>,
    cursor: RowNumber,
}

#[derive(Clone, Copy, Debug)]
struct RelayRow {
    event: EventId,
    polled: bool,
    done: bool,
}

/// What the table and its reader say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Not done with: a poll will find it.
    Open,
    /// Done with.
    Done,
    /// The cursor is past it, and no poll returned it.
    Skipped,
}

impl RelayProgress {
    /// `None` for a service that polls nothing.
    pub fn of(service: &ServicePlan) -> Option<RelayProgress> {
        let Trigger::Poll(poll) = service.trigger else { return None };
        let (rows, of_event) = (BTreeMap::new(), BTreeMap::new());
        Some(RelayProgress { service: service.id, poll, rows, of_event, cursor: RowNumber(0) })
    }

    pub fn observe(&mut self, note: &Note) {
        let marks = self.poll.cursor == Cursor::Unsent;
        match note {
            Note::RowSeen { place, event, number, rank } if *place == self.poll.table => {
                let number = if self.poll.cursor == Cursor::CommitOrder { *rank } else { *number };
                let done = !marks && number <= self.cursor;
                self.rows.insert(number, RelayRow { event: *event, polled: false, done });
                self.of_event.insert(*event, number);
            }
            Note::RowsPolled { service, rows, .. } if *service == self.service => {
                self.each(rows, |row| row.polled = true);
            }
            Note::RowsMarked { place, rows } if *place == self.poll.table && marks => {
                self.each(rows, |row| row.done = true);
            }
            Note::CursorMoved { service, to, .. } if *service == self.service && !marks && self.cursor < *to => {
                let behind = RowNumber(self.cursor.0 + 1);
                self.rows.range_mut(behind..=*to).for_each(|(_, row)| row.done = true);
                self.cursor = *to;
            }
            _ => {}
        }
    }

    fn each(&mut self, rows: &[RowNumber], mut act: impl FnMut(&mut RelayRow)) {
        for number in rows {
            if let Some(row) = self.rows.get_mut(number) {
                act(row);
            }
        }
    }

    /// `None` when no row of the event was seen.
    pub fn state_of(&self, event: EventId) -> Option<RowState> {
        let row = self.rows.get(self.of_event.get(&event)?)?;
        Some(match (row.done, row.polled) {
            (false, _) => RowState::Open,
            (true, true) => RowState::Done,
            (true, false) => RowState::Skipped,
        })
    }

    /// Events whose rows a poll will still find.
    pub fn open(&self) -> impl Iterator<Item = EventId> + '_ {
        self.rows.values().filter(|row| !row.done).map(|row| row.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: PlaceId = PlaceId(3);
    const RELAY: ServiceId = ServiceId(1);

    fn relay(cursor: Cursor) -> RelayProgress {
        let poll = PollPlan { store: 0, table: TABLE, every: Duration::from_secs(1), batch: 10, cursor };
        let (rows, of_event) = (BTreeMap::new(), BTreeMap::new());
        RelayProgress { service: RELAY, poll, rows, of_event, cursor: RowNumber(0) }
    }

    fn seen(event: u64, number: u64, rank: u64) -> Note {
        Note::RowSeen { place: TABLE, event: EventId(event), number: RowNumber(number), rank: RowNumber(rank) }
    }

    fn polled(cursor: Cursor, rows: &[u64]) -> Note {
        let rows = rows.iter().map(|row| RowNumber(*row)).collect();
        Note::RowsPolled { service: RELAY, place: TABLE, cursor, rows }
    }

    fn moved(service: ServiceId, cursor: Cursor, to: u64) -> Note {
        Note::CursorMoved { service, place: TABLE, cursor, to: RowNumber(to) }
    }

    fn states(relay: &RelayProgress) -> [Option<RowState>; 2] {
        [EventId(1), EventId(2)].map(|event| relay.state_of(event))
    }

    #[test]
    fn a_row_behind_the_cursor_that_no_poll_returned_was_skipped() {
        let cursor = Cursor::HighestId;
        // Seen before the cursor moved, and behind it.
        for late in [false, true] {
            let mut relay = relay(cursor);
            relay.observe(&seen(2, 2, 1));
            relay.observe(&polled(cursor, &[2]));
            let (first, second) = (seen(1, 1, 2), moved(RELAY, cursor, 2));
            let order = if late { [&second, &first] } else { [&first, &second] };
            order.into_iter().for_each(|note| relay.observe(note));
            assert_eq!(states(&relay), [Some(RowState::Skipped), Some(RowState::Done)]);
            assert_eq!(relay.open().count(), 0);
        }
    }

    #[test]
    fn a_row_in_front_of_the_cursor_and_one_without_a_mark_are_open() {
        let cursor = Cursor::CommitOrder;
        let mut by_order = relay(cursor);
        [seen(2, 2, 1), polled(cursor, &[1]), moved(RELAY, cursor, 1), seen(1, 1, 2)]
            .iter()
            .for_each(|note| by_order.observe(note));
        assert_eq!(states(&by_order), [Some(RowState::Open), Some(RowState::Done)]);
        let mut by_marks = relay(Cursor::Unsent);
        [seen(2, 2, 1), seen(1, 1, 2), Note::RowsMarked { place: TABLE, rows: vec![RowNumber(2)] }]
            .iter()
            .for_each(|note| by_marks.observe(note));
        // The cursor of another service is not its own.
        by_marks.observe(&moved(ServiceId(7), Cursor::HighestId, 9));
        assert_eq!(states(&by_marks), [Some(RowState::Open), Some(RowState::Skipped)]);
        assert_eq!(by_marks.open().collect::<Vec<_>>(), [EventId(1)]);
        assert_eq!(by_marks.state_of(EventId(5)), None);
    }
}
