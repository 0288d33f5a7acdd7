//! The keys of one table, checked against what the table may have.

use std::collections::BTreeSet;

use crate::types::{ByteCount, Duration, Ratio, Spread};

use super::diagnostics::{Diagnostic, Place, Problems, nearest, printable};
use super::keys::{Key, Setting};
use super::sentence::report_not_built;
use super::tree::{Item, Table};
use super::values::{self, Scalar};

/// Access to the values of one table. Unknown keys are reported when it is made, wrong values when they are read.
pub struct Fields<'a> {
    pub table: &'a Table,
    /// As in the file: `[service.shop]`.
    pub header: String,
    pub place: Place,
    pub problems: &'a Problems,
    known: Vec<Key>,
}

impl<'a> Fields<'a> {
    pub fn new(
        table: &'a Table,
        header: String,
        place: Place,
        known: impl IntoIterator<Item = Key>,
        problems: &'a Problems,
    ) -> Fields<'a> {
        let fields = Fields { table, header, place, problems, known: known.into_iter().collect() };
        for (name, item) in table.iter() {
            match fields.known.iter().find(|key| key.name == name) {
                Some(key) if !key.built => report_not_built(name, item.key, problems),
                Some(_) => {}
                None => fields.report_unknown(name, item),
            }
        }
        fields
    }

    fn report_unknown(&self, name: &str, item: &Item) {
        let names = self.known.iter().map(|key| key.name);
        let near = if self.problems.is_full() { None } else { nearest(name, names.clone()) };
        let mut diagnostic =
            Diagnostic::error("S010", item.key, format!("unknown key `{}` in {}", printable(name), self.header))
                .label("not a key of this table")
                .did_you_mean(item.key, near);
        if near.is_none() {
            diagnostic.help = Some(match names.len() {
                0..=12 => format!("keys of this table: {}", names.collect::<Vec<_>>().join(", ")),
                _ => "remove it; `hikyaku schema` lists the keys of every table".into(),
            });
        }
        self.problems.add(diagnostic);
    }

    pub fn item(&self, name: &str) -> Option<&'a Item> {
        self.table.get(name)
    }

    /// The value of a key, when it is given and right.
    pub fn scalar(&self, name: &str) -> Option<Scalar> {
        let item = self.table.get(name)?;
        let key = self.known.iter().find(|key| key.name == name)?;
        if !key.built {
            return None;
        }
        values::read(key.kind, name, item, false, self.problems)
    }

    /// The value of a key that must be there.
    pub fn require(&self, name: &str, example: &str) -> Option<Scalar> {
        self.require_item(name, example)?;
        self.scalar(name)
    }

    pub fn require_item(&self, name: &str, example: &str) -> Option<&'a Item> {
        let item = self.table.get(name);
        if item.is_none() {
            self.problems.add(
                Diagnostic::error("S011", self.place, format!("{} has no `{name}`", self.header))
                    .label(format!("`{name}` is missing"))
                    .help(format!("add `{name} = {example}`")),
            );
        }
        item
    }

    /// Reads what is given of a list of settings, and says which were.
    pub fn settings<S>(&self, list: &[Setting<S>], settings: &mut S) -> BTreeSet<&'static str> {
        let mut given = BTreeSet::new();
        for setting in list {
            if let Some(scalar) = self.scalar(setting.key.name) {
                (setting.set)(settings, &scalar);
                given.insert(setting.key.name);
            }
        }
        given
    }

    pub fn duration(&self, name: &str, default: Duration) -> Duration {
        self.scalar(name).map_or(default, |scalar| scalar.duration())
    }

    pub fn spread(&self, name: &str, default: Spread) -> Spread {
        self.scalar(name).map_or(default, |scalar| scalar.spread())
    }

    pub fn ratio(&self, name: &str, default: Ratio) -> Ratio {
        self.scalar(name).map_or(default, |scalar| scalar.ratio())
    }

    pub fn size(&self, name: &str, default: ByteCount) -> ByteCount {
        self.scalar(name).map_or(default, |scalar| scalar.size())
    }

    pub fn integer(&self, name: &str, default: u64) -> u64 {
        self.scalar(name).map_or(default, |scalar| scalar.u64())
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.scalar(name).map(|scalar| scalar.text().to_string())
    }

    /// A list of names, or one name.
    pub fn names(&self, name: &str) -> Vec<(String, Place)> {
        let Some(item) = self.table.get(name) else { return Vec::new() };
        let read = |element: &Item| {
            values::read(values::Kind::Name, name, element, false, self.problems)
                .map(|scalar| (scalar.text().to_string(), element.place))
        };
        item.elements().iter().filter_map(read).collect()
    }
}
