//! A draft: one cell of a scenario, written out, that can be changed and read again.
//!
//! The one idea: whoever changes a scenario changes its tree and then goes the way of every other scenario: printed, read,
//! checked, run. A change that makes no valid scenario is found by the ordinary reader, not by rules repeated here. So a
//! draft has a handful of edits that know nothing of what a key means.

use std::path::Path;

use super::diagnostics::{Diagnostics, Place, Problems};
use super::tree::{Item, Table, Value};
use super::{Family, document, family, load_parent, parse, print, read_file, unreadable};

/// One scenario without family, parents and chance of its own.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Name of the scenario that it was taken from.
    pub scenario: String,
    /// Cell of that scenario.
    pub cell: String,
    tree: Table,
}

/// All cells of a scenario file, each written out alone.
pub fn drafts(path: &Path, sets: &[String]) -> Result<Vec<Draft>, Diagnostics> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|reason| unreadable(&name, &reason))?;
    drafts_of(&name, &text, sets)
}

/// As [`drafts`], from the text of a scenario.
pub fn drafts_of(name: &str, text: &str, sets: &[String]) -> Result<Vec<Draft>, Diagnostics> {
    let problems = Problems::default();
    let mut document = document::read(name, text, sets, &load_parent, &problems);
    if problems.errors() > 0 {
        return Err(problems.into_diagnostics(document.sources));
    }
    let (_, cells) = family::cells(&mut document, &problems);
    if problems.errors() > 0 {
        return Err(problems.into_diagnostics(document.sources));
    }
    Ok(cells.into_iter().map(|cell| Draft::of(&document.name, cell.id, cell.tree)).collect())
}

impl Draft {
    fn of(scenario: &str, cell: String, mut tree: Table) -> Draft {
        // What does not exist in this cell is not owed anything either.
        let absent = tree.remove(family::ABSENT);
        let absent: Vec<String> =
            absent.iter().filter_map(Item::table).flat_map(Table::keys).map(str::to_string).collect();
        let mut draft = Draft { scenario: scenario.to_string(), cell, tree };
        for name in absent {
            draft.remove(&["expect", &name]);
        }
        draft.forget_unwritten_places();
        draft.forget_siblings();
        for kind in ["topic", "store", "endpoint", "service", "fault"] {
            for name in draft.keys(&[kind]) {
                draft.remove(&[kind, &name, "only"]);
            }
        }
        draft
    }

    /// As a scenario file. `header` is the comment on top, without its `#`.
    pub fn text(&self, header: &[String]) -> String {
        let comment: String = header.iter().map(|line| format!("# {line}").trim_end().to_string() + "\n").collect();
        comment + &print::print(&self.tree)
    }

    /// Read as anybody's scenario is.
    pub fn family(&self) -> Result<Family, Diagnostics> {
        parse(&format!("{}.toml", self.scenario), &self.text(&[]), &[], &|_, _| Err("a draft stands alone".into()))
    }

    /// Keys of the table at a path; none where there is no table.
    pub fn keys(&self, path: &[&str]) -> Vec<String> {
        let table = if path.is_empty() { Some(&self.tree) } else { self.item(path).and_then(Item::table) };
        table.into_iter().flat_map(Table::keys).map(str::to_string).collect()
    }

    /// The value at a path as one would write it.
    pub fn get(&self, path: &[&str]) -> Option<String> {
        self.item(path).map(Item::written)
    }

    /// The elements of a list at a path, each as a sentence; a single value is a list of itself.
    pub fn list(&self, path: &[&str]) -> Vec<String> {
        self.item(path).into_iter().flat_map(Item::elements).map(Item::written).collect()
    }

    pub fn set_text(&mut self, path: &[&str], text: impl Into<String>) {
        self.set(path, Value::Text { text: text.into(), inside: None });
    }

    pub fn set_number(&mut self, path: &[&str], number: u64) {
        self.set(path, Value::Integer(i64::try_from(number).ok()));
    }

    /// Takes an element out of a list, or the whole key with the last one.
    pub fn remove_element(&mut self, path: &[&str], number: usize) {
        let Some(item) = self.item(path) else { return };
        let mut left = item.elements().to_vec();
        if number < left.len() {
            left.remove(number);
        }
        match left.is_empty() {
            true => self.remove(path),
            false => self.set(path, Value::List(left)),
        }
    }

    /// Changes a sentence in a list.
    pub fn set_element(&mut self, path: &[&str], number: usize, text: impl Into<String>) {
        let Some(item) = self.item(path) else { return };
        let mut list = item.elements().to_vec();
        if let Some(element) = list.get_mut(number) {
            element.value = Value::Text { text: text.into(), inside: None };
        }
        self.set(path, Value::List(list));
    }

    /// Removes what stands at a path, and tables of `[expect]` and the like that are empty then.
    pub fn remove(&mut self, path: &[&str]) {
        let Some((last, above)) = path.split_last() else { return };
        let Some(table) = self.table_mut(above) else { return };
        table.remove(last);
        if table.is_empty() && !above.is_empty() && above[0] != "topic" {
            self.remove(above);
        }
    }

    /// A family may judge a table or an endpoint that only its other cells write; alone, this cell would judge nothing there.
    fn forget_unwritten_places(&mut self) {
        let services: String = self.item(&["service"]).map_or(String::new(), Item::written);
        let is_named = |place: &str| services.split([' ', '+', '"']).any(|word| word == place);
        for store in self.keys(&["store"]) {
            for table in self.keys(&["expect", &store]) {
                if !is_named(&format!("{store}.{table}")) {
                    self.remove(&["expect", &store, &table]);
                }
            }
        }
        for endpoint in self.keys(&["endpoint"]) {
            if !is_named(&endpoint) {
                self.remove(&["expect", &endpoint]);
            }
        }
    }

    /// Alone, a cell has nobody to be compared with.
    fn forget_siblings(&mut self) {
        if let Some(expect) = self.tree.get_mut("expect") {
            forget_siblings_in(&mut expect.value);
        }
    }

    fn item(&self, path: &[&str]) -> Option<&Item> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.tree.get(first)?, |item, key| item.table()?.get(key))
    }

    fn table_mut(&mut self, path: &[&str]) -> Option<&mut Table> {
        path.iter().try_fold(&mut self.tree, |table, key| match &mut table.get_mut(key)?.value {
            Value::Table(below) => Some(below),
            _ => None,
        })
    }

    fn set(&mut self, path: &[&str], value: Value) {
        let item = Item { value, place: Place::default(), key: Place::default() };
        let Some((last, above)) = path.split_last() else { return };
        match self.table_mut(above) {
            Some(table) => table.insert(last, item),
            // A path through a value cannot be read again; the reader says so.
            None => drop(self.tree.place_at(path, item)),
        }
    }
}

fn forget_siblings_in(value: &mut Value) {
    match value {
        Value::Table(table) => {
            let keys: Vec<String> = table.keys().map(str::to_string).collect();
            for key in keys {
                if let Some(item) = table.get_mut(&key) {
                    forget_siblings_in(&mut item.value);
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| forget_siblings_in(&mut item.value)),
        Value::Text { text, .. } => {
            let words: Vec<&str> = text.split_whitespace().collect();
            if let ["<" | ">", factor, sibling] = words[..]
                && factor.ends_with('x')
                && sibling.contains('=')
            {
                *text = "any".into();
            }
        }
        Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Date => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
format = 1
about = "what is \"it\"?"
matrix.service.a.acks = ["1", "all"]
cluster.brokers = 3
topic.orders = { partitions = 2, only = "small" }
matrix.size = ["small", "large"]
variant.large.topic.orders = { partitions = 9 }
store.db = { tables = ["rows"] }
network.between = { "broker(1) | broker(2)" = { latency = "8ms" } }
[service.a]
on = "requests"
rate = "10/s"
steps = [{ transaction = ["insert db.rows"] }, "publish orders", "respond ok"]
[expect]
db.rows = { delivery = "exactly-once", blame = "queue" }
orders = "at-least-once"
"#;

    #[test]
    fn every_cell_of_a_shipped_scenario_prints_as_what_it_is() {
        for entry in std::fs::read_dir("scenarios").expect("the folder of scenarios") {
            let path = entry.expect("an entry").path();
            let family = super::super::load(&path, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
            let drafts = drafts(&path, &[]).expect("a valid scenario has drafts");
            assert_eq!(drafts.len(), family.cells.len(), "{}", path.display());
            for (draft, cell) in drafts.iter().zip(&family.cells) {
                let read =
                    draft.family().unwrap_or_else(|problems| panic!("{}\n{}", draft.text(&[]), problems.short()));
                let seed = crate::types::Seed(3);
                let (mut printed, mut meant) = (read.cells[0].plan(seed), cell.plan(seed));
                // Which cell it was and what is said about it are not part of the system.
                forget_siblings_of(&mut meant);
                for plan in [&mut printed, &mut meant] {
                    plan.cell.clear();
                    plan.faults.iter_mut().for_each(|fault| fault.text.clear());
                }
                assert_eq!(printed, meant, "{}", draft.text(&[]));
            }
        }
    }

    /// A cell that stands alone has none.
    fn forget_siblings_of(plan: &mut crate::scenario::plan::Plan) {
        use crate::scenario::plan::{Expectation, Limit, Over};
        let bounds = plan.expectations.iter_mut().flat_map(|expectation| match expectation {
            Expectation::Service { bounds, .. }
            | Expectation::Delay { bounds, .. }
            | Expectation::Run { bounds, .. } => bounds.as_mut_slice(),
            Expectation::Place(_) => &mut [],
        });
        for bound in bounds.filter(|bound| matches!(bound.limit, Limit::Sibling { .. })) {
            (bound.text, bound.over, bound.limit) = ("any".into(), Over::Each, Limit::Any);
        }
    }

    #[test]
    fn a_cell_is_a_page_of_its_own() {
        let drafts = drafts_of("it.toml", SCENARIO, &[]).expect("valid");
        let large = drafts.iter().find(|draft| draft.cell == "acks=all,size=large").expect("the cell");
        let text = large.text(&["Why.".into(), String::new()]);
        let expected = r#"# Why.
#
format = 1
about  = "what is \"it\"?"

[cluster]
brokers = 3

[network]
between = { "broker(1) | broker(2)" = { latency = "8ms" } }

[store.db]
tables = ["rows"]

[service.a]
on    = "requests"
rate  = "10/s"
steps = [{ transaction = ["insert db.rows"] }, "publish orders", "respond ok"]
acks  = "all"

[expect]
db.rows = { delivery = "exactly-once", blame = "queue" }
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn edits_change_what_they_name() {
        let mut draft = drafts_of("it.toml", SCENARIO, &[]).expect("valid").remove(0);
        draft.remove(&["expect", "db", "rows"]);
        assert_eq!(draft.keys(&["expect"]), ["orders"]);
        draft.remove_element(&["service", "a", "steps"], 0);
        assert_eq!(draft.list(&["service", "a", "steps"]), ["publish orders", "respond ok"]);
        draft.set_number(&["service", "a", "count"], 3);
        draft.set_text(&["fault", "crash"], "at 1s crash broker(1)");
        assert_eq!(draft.get(&["fault", "crash"]).as_deref(), Some("at 1s crash broker(1)"));
        let family = draft.family().unwrap_or_else(|problems| panic!("{}", problems.short()));
        assert_eq!(family.cells[0].plan(crate::types::Seed(0)).faults.len(), 1);
    }
}
