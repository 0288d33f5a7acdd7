//! Expectations as tables: grids over two axes, and cases of some cells.
//!
//! Both are laid over a cell's tree when its axes match; an entry "-" and a `skip` take the cell out of the run.

use super::diagnostics::{Diagnostic, Place, Problems, nearest, printable};
use super::family::{Axis, report_type};
use super::tree::{Item, Table};

pub struct Grid {
    /// What it expects of: `stats.count`.
    what: Vec<String>,
    /// (conditions, the expectation; none for a cell that is not run).
    entries: Vec<(Vec<(String, String)>, Option<Item>)>,
}

impl Grid {
    pub fn lay(&self, tree: &mut Table, named: &[(String, String)]) -> bool {
        let mut run = true;
        for (conditions, expectation) in &self.entries {
            if !conditions.iter().all(|condition| named.contains(condition)) {
                continue;
            }
            match expectation {
                Some(item) => {
                    let path: Vec<&str> =
                        std::iter::once("expect").chain(self.what.iter().map(String::as_str)).collect();
                    // A value in the way is reported when the expectation is read.
                    let _ = tree.place_at(&path, item.clone());
                }
                None => run = false,
            }
        }
        run
    }
}

pub fn read_grids(item: &Item, axes: &[Axis], problems: &Problems) -> Vec<Grid> {
    let Some(table) = item.table() else {
        report_type(item, "grid", "a table of grids", problems);
        return Vec::new();
    };
    let mut grids = Vec::new();
    find_grids(&mut Vec::new(), table, item.key, axes, &mut grids, problems);
    grids
}

fn find_grids(
    path: &mut Vec<String>,
    table: &Table,
    place: Place,
    axes: &[Axis],
    grids: &mut Vec<Grid>,
    problems: &Problems,
) {
    if table.iter().any(|(_, item)| item.table().is_none()) && !path.is_empty() {
        if let Some(entries) = read_grid(table, place, axes, problems) {
            grids.push(Grid { what: path.clone(), entries });
        }
        return;
    }
    for (key, item) in table.iter() {
        let Some(below) = item.table() else {
            report_type(item, &format!("grid.{}", printable(key)), "a grid", problems);
            continue;
        };
        path.push(key.to_string());
        find_grids(path, below, item.key, axes, grids, problems);
        path.pop();
    }
}

type GridEntries = Vec<(Vec<(String, String)>, Option<Item>)>;

fn read_grid(table: &Table, place: Place, axes: &[Axis], problems: &Problems) -> Option<GridEntries> {
    let mut rows: Vec<(String, &Item)> = Vec::new();
    flatten_rows("", table, &mut rows);
    let (head, body) = rows.split_first()?;
    let labels = || axes.iter().map(|axis| axis.label.as_str());
    let Some(columns) = find_axis(axes, &head.0) else {
        let title = format!("the first row of a grid is an axis, found `{}`", printable(&head.0));
        problems.add(
            Diagnostic::error("S064", head.1.key, title)
                .label("no axis of [matrix] has this name")
                .help("begin with an axis and its values")
                .did_you_mean(head.1.key, nearest(&head.0, labels())),
        );
        return None;
    };
    if body.is_empty() {
        problems.add(
            Diagnostic::error("S065", place, "a grid has no rows")
                .label("only its head")
                .help("add a row of expectations"),
        );
    }
    let names: Vec<String> = head.1.elements().iter().map(Item::written).collect();
    let mut known = true;
    for element in head.1.elements() {
        known &= check_axis_value(columns, element, problems);
    }
    let row_axis = axes
        .iter()
        .filter(|axis| axis.label != columns.label)
        .find(|axis| body.iter().any(|(key, _)| axis.value_names().contains(key)));
    let mut entries = Vec::new();
    for (key, row) in body {
        let mut conditions = Vec::new();
        if key != "expect" || row_axis.is_some() {
            match row_axis.filter(|axis| axis.value_names().contains(key)) {
                Some(axis) => conditions.push((axis.label.clone(), key.clone())),
                None => {
                    let all: Vec<String> =
                        axes.iter().filter(|axis| axis.label != columns.label).flat_map(Axis::value_names).collect();
                    let near = nearest(key, all.iter().map(String::as_str));
                    let title = format!("row `{}` is a value of no axis", printable(key));
                    problems.add(
                        Diagnostic::error("S064", row.key, title)
                            .label("matches no cell")
                            .help("a row is a value of one other axis, or `expect` if there is none")
                            .did_you_mean(row.key, near),
                    );
                    continue;
                }
            }
        }
        if row.elements().len() != names.len() {
            let title =
                format!("a row of the grid has {} entries, and its head has {}", row.elements().len(), names.len());
            problems.add(
                Diagnostic::error("S065", row.place, title)
                    .label("ragged")
                    .other(head.1.place, "the head")
                    .help("one entry for each value; \"-\" for a cell that is not run"),
            );
        }
        for (name, entry) in names.iter().zip(row.elements()) {
            let mut conditions = conditions.clone();
            conditions.push((columns.label.clone(), columns.cell_name(name)));
            let skipped = entry.text().is_some_and(|text| text.text == "-");
            entries.push((conditions, (!skipped).then(|| entry.clone())));
        }
    }
    known.then_some(entries)
}

fn flatten_rows<'a>(prefix: &str, table: &'a Table, rows: &mut Vec<(String, &'a Item)>) {
    for (key, item) in table.iter() {
        let path = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        match item.table() {
            Some(below) => flatten_rows(&path, below, rows),
            None => rows.push((path, item)),
        }
    }
}

fn find_axis<'a>(axes: &'a [Axis], name: &str) -> Option<&'a Axis> {
    axes.iter().find(|axis| axis.label == name || axis.path.join(".") == name).or_else(|| {
        let suffix = format!(".{name}");
        let mut matching = axes.iter().filter(|axis| axis.path.join(".").ends_with(&suffix));
        matching.next().filter(|_| matching.next().is_none())
    })
}

fn check_axis_value(axis: &Axis, element: &Item, problems: &Problems) -> bool {
    let written = element.written();
    let declared = axis.written_values();
    let names: Vec<String> = declared.iter().cloned().chain(axis.value_names()).collect();
    if names.contains(&written) {
        return true;
    }
    let title = format!("`{}` is not a value of axis `{}`", printable(&written), printable(&axis.label));
    let near = nearest(&written, names.iter().map(String::as_str));
    problems.add(
        Diagnostic::error("S064", element.place, title)
            .label("matches no cell")
            .other(axis.place, "the axis")
            .help(format!("one of {}", printable(&declared.join(", "))))
            .did_you_mean(element.place, near.map(|near| format!("\"{near}\"")).as_deref()),
    );
    false
}

pub struct Case {
    /// (axis, accepted values).
    when: Vec<(String, Vec<String>)>,
    layer: Table,
    skip: bool,
}

impl Case {
    pub fn lay(&self, tree: &mut Table, named: &[(String, String)]) -> bool {
        let applies = self
            .when
            .iter()
            .all(|(axis, values)| named.iter().any(|(name, value)| name == axis && values.contains(value)));
        if !applies {
            return true;
        }
        tree.overlay(&self.layer);
        !self.skip
    }
}

pub fn read_cases(item: &Item, axes: &[Axis], problems: &Problems) -> Vec<Case> {
    let mut cases = Vec::new();
    for element in item.elements() {
        let Some(table) = element.table() else {
            report_type(element, "case", "a list of tables", problems);
            continue;
        };
        for (key, item) in table.iter().filter(|(key, _)| !["when", "expect", "floor", "skip"].contains(key)) {
            let near = nearest(key, ["when", "expect", "floor", "skip"]);
            problems.add(
                Diagnostic::error("S010", item.key, format!("unknown key `{}` in [[case]]", printable(key)))
                    .label("not a key of this table")
                    .help("a case has `when` with `expect`, `floor` or `skip`")
                    .did_you_mean(item.key, near),
            );
        }
        let mut layer = Table::default();
        for key in ["expect", "floor"] {
            if let Some(item) = table.get(key) {
                layer.insert(key, item.clone());
            }
        }
        let Some(when) = table.get("when").and_then(Item::table) else {
            problems.add(
                Diagnostic::error("S011", element.key, "a case has no `when`")
                    .label("which cells?")
                    .help("write `when = { axis = \"value\" }`"),
            );
            continue;
        };
        if let Some(when) = read_when(when, axes, problems) {
            cases.push(Case { when, layer, skip: table.get("skip").is_some() });
        }
    }
    cases
}

fn read_when(when: &Table, axes: &[Axis], problems: &Problems) -> Option<Vec<(String, Vec<String>)>> {
    let mut rows = Vec::new();
    flatten_rows("", when, &mut rows);
    let mut conditions = Vec::new();
    let mut good = true;
    for (name, item) in rows {
        let Some(axis) = find_axis(axes, &name) else {
            let near = nearest(&name, axes.iter().map(|axis| axis.label.as_str()));
            problems.add(
                Diagnostic::error("S064", item.key, format!("`{}` is no axis of this scenario", printable(&name)))
                    .label("matches no cell")
                    .help("a case names axes of [matrix]")
                    .did_you_mean(item.key, near),
            );
            good = false;
            continue;
        };
        for element in item.elements() {
            good &= check_axis_value(axis, element, problems);
        }
        let values = item.elements().iter().map(|element| axis.cell_name(&element.written())).collect();
        conditions.push((axis.label.clone(), values));
    }
    good.then_some(conditions)
}
