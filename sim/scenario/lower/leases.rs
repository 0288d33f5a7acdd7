//! Rows that do not simply stand: `expires`, and `lease` with the `confirm` that belongs to it.

use crate::types::PlaceId;
use crate::types::request::Stands;

use super::super::diagnostics::{Diagnostic, Place};
use super::super::sentence::Phrase;
use super::super::values::Scalar;
use super::Builder;
use super::steps::Seen;

impl Builder<'_> {
    /// How long the row of an `insert-if-absent` stands.
    pub(super) fn read_stands(&self, phrase: &Phrase, table: PlaceId, seen: &mut Seen) -> Stands {
        let length = |key: &str| phrase.scalar(key).map(Scalar::duration);
        for given in ["expires", "lease"].iter().filter_map(|key| phrase.get(key)) {
            if given.scalar.duration().is_zero() {
                let diagnostic = Diagnostic::error("S032", given.place, format!("`{}` is no time at all", given.key));
                self.problems.add(diagnostic.label("zero").help("longer than the work behind it takes"));
            }
        }
        match (length("expires"), length("lease")) {
            (Some(_), Some(_)) => {
                let place = phrase.get("expires").map_or(phrase.place, |given| given.place);
                let diagnostic = Diagnostic::error("S057", place, "a row that is leased and expires");
                self.problems.add(diagnostic.label("one of the two").help("remove `expires`, or `lease`"));
                Stands::ForGood
            }
            (Some(expires), None) => Stands::For(expires),
            (None, Some(lease)) => {
                seen.leases.push((table, phrase.verb_place));
                Stands::Lease(lease)
            }
            (None, None) => Stands::ForGood,
        }
    }

    /// Whoever leases a row confirms it, and only that can be confirmed.
    pub(super) fn check_leases(&self, seen: &Seen) {
        let name = |table: PlaceId| self.plan.places[usize::from(table.0)].name.as_str();
        let without = |these: &[(PlaceId, Place)], those: &[(PlaceId, Place)]| {
            these.iter().find(|(table, _)| those.iter().all(|(other, _)| other != table)).copied()
        };
        if let Some((table, place)) = without(&seen.leases, &seen.confirms) {
            let name = name(table);
            let diagnostic =
                Diagnostic::error("S057", place, format!("a row of `{name}` is leased and never confirmed"));
            let help =
                format!("add \"confirm {name}\" behind the work: else the work is done again whenever a lease is over");
            self.problems.add(diagnostic.label("pending for ever").help(help));
        }
        if let Some((table, place)) = without(&seen.confirms, &seen.leases) {
            let name = name(table);
            let diagnostic = Diagnostic::error("S057", place, format!("no step here leases a row of `{name}`"));
            let help = format!("write \"insert-if-absent {name} lease 10s\" in front of the work");
            self.problems.add(diagnostic.label("nothing to confirm").help(help));
        }
    }
}
