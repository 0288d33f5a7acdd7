//! From one document to its cells: axes, variants, grids and cases, laid over the base in the order of the language.
//!
//! base < `--set` < axes and variants; `[expect]` < variant < grid < cases in file order. Each cell is a whole tree again,
//! and is read as if it had been written alone.

use std::collections::BTreeSet;

use super::diagnostics::{Diagnostic, Place, Problems, nearest, printable};
use super::document::Document;
use super::grid::{read_cases, read_grids};
use super::keys::TOP;
use super::tree::{Item, Table, Value};
use super::values::is_name;

/// One dimension of a family.
#[derive(Clone, Debug)]
pub struct Axis {
    /// As written in `[matrix]`.
    pub path: Vec<String>,
    /// Shortest suffix of the path that no other axis has.
    pub label: String,
    /// A free name with variants rather than a path with values.
    pub is_free: bool,
    pub place: Place,
    /// Values to run.
    pub values: Vec<Item>,
    /// Values as the file has them; `--set` may have pinned one, or another.
    declared: Vec<Item>,
}

impl Axis {
    /// Values as they stand in ids of cells.
    pub fn value_names(&self) -> Vec<String> {
        self.declared.iter().enumerate().map(|(number, item)| item_name(item, number)).collect()
    }

    /// Values as the file has them.
    pub fn written_values(&self) -> Vec<String> {
        self.declared.iter().map(Item::written).collect()
    }

    /// The name in ids of cells of a value as it was written.
    pub fn cell_name(&self, written: &str) -> String {
        let number = self.declared.iter().position(|value| value.written() == written);
        number.map_or_else(|| written.to_string(), |number| item_name(&self.declared[number], number))
    }
}

/// One scenario of the family, written out.
#[derive(Clone, Debug)]
pub struct CellTree {
    pub id: String,
    pub axes: Vec<(String, String)>,
    pub tree: Table,
}

/// More cells than anybody looks at, and more text than can be read at once.
const MOST_CELLS: usize = 1_024;
const MOST_WORK: usize = 64 << 20;

/// All cells that are to be run. Problems of the family itself are added.
pub fn cells(document: &mut Document, problems: &Problems) -> (Vec<Axis>, Vec<CellTree>) {
    // These are taken out of the tree here, so what is said of them is laid over first.
    let is_of_parts = |path: &[String]| matches!(path[0].as_str(), "variant" | "grid" | "case");
    document.apply_sets(|path| !is_of_parts(path), problems);
    let matrix = document.tree.remove("matrix");
    let variants = document.tree.remove("variant");
    let grids = document.tree.remove("grid");
    let cases = document.tree.remove("case");
    let mut axes = matrix.map_or(Vec::new(), |matrix| read_axes(&matrix, problems));
    let by_path =
        |axes: &[Axis], path: &[String]| axes.iter().position(|axis| axis.path == path || [axis.label.clone()] == path);
    let is_of_matrix = |path: &[String]| path[0] == "matrix";
    document.apply_sets(|path| is_of_parts(path) || is_of_matrix(path) || by_path(&axes, path).is_some(), problems);
    for (path, item) in &document.sets {
        let named = if is_of_matrix(path) { &path[1..] } else { path };
        match (by_path(&axes, named), &item.value) {
            (Some(at), Value::List(values)) if is_of_matrix(path) && !values.is_empty() => {
                axes[at].values = values.clone();
                check_axis(&axes[at], problems);
            }
            (Some(at), _) => axes[at].values = vec![item.clone()],
            (None, _) if is_of_matrix(path) => report_no_axis(&axes, path, item, problems),
            (None, _) => {}
        }
    }
    let empty = Table::default();
    let variants = match &variants {
        Some(item) => item.table().unwrap_or_else(|| {
            report_type(item, "variant", "a table of partial scenarios", problems);
            &empty
        }),
        None => &empty,
    };
    check_variants(&document.tree, &axes, variants, problems);
    let size: usize = document.sources.iter().map(|source| source.text.len()).sum();
    let count = axes.iter().try_fold(1usize, |count, axis| count.checked_mul(axis.values.len().max(1)));
    if !count.is_some_and(|count| count <= MOST_CELLS && count * size <= MOST_WORK) {
        let place = axes.first().map_or(Place::default(), |axis| axis.place);
        let title = "the family has too many cells".to_string();
        problems.add(
            Diagnostic::error("S066", place, title)
                .label(format!("all axes together must not have more than {MOST_CELLS} cells"))
                .help("split the question into several scenarios"),
        );
        return (axes, Vec::new());
    }
    let mut output: Vec<CellTree> = Vec::new();
    let grids = grids.map_or(Vec::new(), |item| read_grids(&item, &axes, problems));
    let cases = cases.map_or(Vec::new(), |item| read_cases(&item, &axes, problems));
    for chosen in choices(&axes) {
        let mut tree = document.tree.clone();
        lay_choices(&mut tree, &axes, &chosen, variants, problems);
        let named = name_choices(&axes, &chosen);
        let mut run = true;
        for grid in &grids {
            run &= grid.lay(&mut tree, &named);
        }
        for case in &cases {
            run &= case.lay(&mut tree, &named);
        }
        if !run {
            continue;
        }
        drop_absent(&mut tree, &axes, &named, problems);
        let id = named.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(",");
        output.push(CellTree { id, axes: named, tree });
    }
    (axes, output)
}

fn report_no_axis(axes: &[Axis], path: &[String], item: &Item, problems: &Problems) {
    let labels = || axes.iter().map(|axis| axis.label.as_str());
    let known = labels().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let help = if known.is_empty() { "it has no [matrix]".to_string() } else { format!("its axes are {known}") };
    problems.add(
        Diagnostic::error("S013", item.key, format!("`{}` is no axis of this scenario", printable(&path.join("."))))
            .label("unknown")
            .help(help)
            .did_you_mean(item.key, nearest(path.last().map_or("", String::as_str), labels())),
    );
}

pub fn report_type(item: &Item, key: &str, what: &str, problems: &Problems) {
    problems.add(
        Diagnostic::error("S012", item.place, format!("`{key}` takes {what}, found {}", item.value.kind()))
            .label("wrong type of value")
            .help(format!("write a table: [{key}]")),
    );
}

// --- axes ---

fn read_axes(matrix: &Item, problems: &Problems) -> Vec<Axis> {
    let Some(table) = matrix.table() else {
        report_type(matrix, "matrix", "a table of axes", problems);
        return Vec::new();
    };
    let mut axes = Vec::new();
    find_axes(&mut Vec::new(), table, &mut axes, problems);
    let paths: Vec<Vec<String>> = axes.iter().map(|axis| axis.path.clone()).collect();
    for (number, axis) in axes.iter_mut().enumerate() {
        axis.label = shortest(&paths, number);
    }
    for axis in &axes {
        check_axis(axis, problems);
    }
    axes
}

fn find_axes(path: &mut Vec<String>, table: &Table, axes: &mut Vec<Axis>, problems: &Problems) {
    for (key, item) in table.iter() {
        path.push(key.to_string());
        match &item.value {
            Value::Table(below) => find_axes(path, below, axes, problems),
            Value::List(values) if !values.is_empty() => {
                let is_free = path.len() == 1 && !TOP.iter().any(|top| top.name == key);
                axes.push(Axis {
                    path: path.clone(),
                    label: String::new(),
                    is_free,
                    place: item.key,
                    values: values.clone(),
                    declared: values.clone(),
                });
            }
            _ => {
                let title = format!("axis `{}` has no list of values", printable(&path.join(".")));
                problems.add(
                    Diagnostic::error("S060", item.place, title)
                        .label("not a list of values")
                        .help("write the values to vary: [\"1\", \"all\"]"),
                );
            }
        }
        path.pop();
    }
}

fn shortest(paths: &[Vec<String>], number: usize) -> String {
    let own = &paths[number];
    for length in 1..=own.len() {
        let suffix = &own[own.len() - length..];
        let clash = paths.iter().enumerate().any(|(other, path)| other != number && path.ends_with(suffix));
        if !clash {
            return suffix.join(".");
        }
    }
    own.join(".")
}

fn check_axis(axis: &Axis, problems: &Problems) {
    let mut seen: Vec<String> = Vec::new();
    for (number, value) in axis.values.iter().enumerate() {
        let name = value_name(axis, number);
        if seen.contains(&name) {
            let title = format!("axis `{}` has the value `{}` twice", printable(&axis.label), printable(&name));
            problems.add(Diagnostic::error("S060", value.place, title).label("again").help("remove one of them"));
        }
        seen.push(name);
    }
}

/// How a value stands in the id of a cell: as written when that is short, else by its number.
fn value_name(axis: &Axis, number: usize) -> String {
    item_name(&axis.values[number], number)
}

fn item_name(item: &Item, number: usize) -> String {
    let written = item.written();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | '+' | '/' | ' ');
    let simple = !matches!(item.value, Value::List(_) | Value::Table(_));
    if simple && !written.is_empty() && written.len() <= 40 && written.chars().all(plain) && !written.contains("..") {
        written.replace(' ', "-").replace('/', "-per-")
    } else if written.len() <= 40 && !written.is_empty() && simple && !written.contains("..") {
        written.chars().map(|c| if plain(c) && c != ' ' && c != '/' { c } else { '-' }).collect()
    } else {
        format!("{}", number + 1)
    }
}

fn choices(axes: &[Axis]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for axis in axes {
        all = all
            .into_iter()
            .flat_map(|chosen| {
                (0..axis.values.len()).map(move |value| {
                    let mut longer: Vec<usize> = chosen.clone();
                    longer.push(value);
                    longer
                })
            })
            .collect();
    }
    all
}

fn name_choices(axes: &[Axis], chosen: &[usize]) -> Vec<(String, String)> {
    axes.iter().zip(chosen).map(|(axis, &value)| (axis.label.clone(), value_name(axis, value))).collect()
}

// --- variants ---

fn check_variants(tree: &Table, axes: &[Axis], variants: &Table, problems: &Problems) {
    let only: BTreeSet<String> = only_names(tree, variants);
    let mut used = BTreeSet::new();
    for axis in axes.iter().filter(|axis| axis.is_free) {
        // `--set` may run one value of the axis only; the variants of the others are still on it.
        used.extend(axis.written_values());
        for value in &axis.values {
            let written = value.written();
            let known = written == "none" || variants.get(&written).is_some() || only.contains(&written);
            if !known {
                let near = nearest(&written, variants.keys().chain(only.iter().map(String::as_str)));
                let title = format!(
                    "`{}` is a value of axis `{}`, but no variant has this name and no `only` mentions it",
                    printable(&written),
                    printable(&axis.label)
                );
                let mut diagnostic = Diagnostic::error("S061", value.place, title)
                    .label("no such variant")
                    .help(format!("define it: [variant.{}], or write the axis as a path of keys", printable(&written)));
                if let Some(near) = near {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                    if let Some(item) = variants.get(near) {
                        diagnostic = diagnostic.other(item.key, "a similar variant is defined here");
                    }
                }
                problems.add(diagnostic);
            }
            used.insert(written);
        }
    }
    for (name, item) in variants.iter() {
        if item.table().is_none() {
            report_type(item, &format!("variant.{}", printable(name)), "a partial scenario", problems);
        }
        if !is_name(name) {
            let title = format!("`{}` is not a name for a variant", printable(name));
            problems.add(
                Diagnostic::error("S022", item.key, title).label("not a name").help("small letters, digits and `-`"),
            );
        } else if !used.contains(name) {
            let title = format!("variant `{name}` is on no axis");
            problems.add(
                Diagnostic::error("S062", item.key, title)
                    .label("no cell has it")
                    .help(format!("add an axis to [matrix]: what = [\"none\", \"{name}\"]")),
            );
        }
    }
}

/// Every name that some `only` mentions.
fn only_names(tree: &Table, variants: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let layers = std::iter::once(tree).chain(variants.iter().filter_map(|(_, item)| item.table()));
    for layer in layers {
        for kind in ["topic", "store", "endpoint", "service", "fault"] {
            for (_, thing) in layer.table(kind).into_iter().flat_map(Table::iter) {
                if let Some(only) = thing.table().and_then(|table| table.get("only")) {
                    names.extend(only.elements().iter().map(Item::written));
                }
            }
        }
    }
    names
}

fn lay_choices(tree: &mut Table, axes: &[Axis], chosen: &[usize], variants: &Table, problems: &Problems) {
    let mut set: Vec<(Vec<String>, Place, usize)> = Vec::new();
    for (number, (axis, &value)) in axes.iter().zip(chosen).enumerate() {
        let item = &axis.values[value];
        let mut leaves = Vec::new();
        if axis.is_free {
            if let Some(layer) = variants.table(&item.written()) {
                leaf_paths(&mut Vec::new(), layer, &mut leaves);
                tree.overlay(layer);
            }
        } else {
            leaves.push((axis.path.clone(), axis.place));
            let path: Vec<&str> = axis.path.iter().map(String::as_str).collect();
            if let Err(place) = tree.place_at(&path, item.clone()) {
                let title = format!("axis `{}` goes through a value", printable(&axis.path.join(".")));
                problems.add(
                    Diagnostic::error("S060", axis.place, title)
                        .label("not a path")
                        .other(place, "this is no table")
                        .help("end the path there"),
                );
            }
        }
        for (path, place) in leaves {
            let clash = set
                .iter()
                .find(|(other, _, by)| *by != number && (other.starts_with(&path) || path.starts_with(other)));
            if let Some((other, other_place, _)) = clash {
                let title = format!("two axes set `{}` in one cell", printable(&other.join(".")));
                problems.add(
                    Diagnostic::error("S063", place, title)
                        .label("set here")
                        .other(*other_place, "and here")
                        .help("let one axis set it, or make one axis of the two"),
                );
            }
            set.push((path, place, number));
        }
    }
}

fn leaf_paths(path: &mut Vec<String>, table: &Table, leaves: &mut Vec<(Vec<String>, Place)>) {
    for (key, item) in table.iter() {
        path.push(key.to_string());
        match &item.value {
            Value::Table(below) if !below.is_empty() => leaf_paths(path, below, leaves),
            _ => leaves.push((path.clone(), item.key)),
        }
        path.pop();
    }
}

/// Takes out what `only` keeps for other cells. Leaves a mark, so that expectations of it are not called unknown.
fn drop_absent(tree: &mut Table, axes: &[Axis], named: &[(String, String)], problems: &Problems) {
    let chosen: Vec<&str> =
        axes.iter().zip(named).filter(|(axis, _)| axis.is_free).map(|(_, (_, value))| value.as_str()).collect();
    let on_axes: Vec<String> =
        axes.iter().filter(|axis| axis.is_free).flat_map(|axis| axis.declared.iter().map(Item::written)).collect();
    let mut absent = Table::default();
    for kind in ["topic", "store", "endpoint", "service", "fault"] {
        let Some(Value::Table(things)) = tree.get_mut(kind).map(|item| &mut item.value) else { continue };
        let names: Vec<String> = things.keys().map(str::to_string).collect();
        for name in names {
            let Some(only) = things.get(&name).and_then(Item::table).and_then(|table| table.get("only")) else {
                continue;
            };
            for element in only.elements() {
                let written = element.written();
                if !on_axes.contains(&written) {
                    let title = format!("`only` names `{}`, which is a value of no axis", printable(&written));
                    let near = nearest(&written, on_axes.iter().map(String::as_str));
                    problems.add(
                        Diagnostic::error("S061", element.place, title)
                            .label("no cell has this variant")
                            .help("add it to an axis of [matrix]")
                            .did_you_mean(element.place, near.map(|near| format!("\"{near}\"")).as_deref()),
                    );
                }
            }
            if !only.elements().iter().any(|element| chosen.contains(&element.written().as_str())) {
                let item = things.remove(&name).expect("its own key");
                if kind != "fault" {
                    absent.insert(&name, item);
                }
            }
        }
    }
    if !absent.is_empty() {
        let item = Item { value: Value::Table(absent), place: Place::default(), key: Place::default() };
        tree.insert(ABSENT, item);
    }
}

/// Key of the things that do not exist in a cell; not a possible key of a file.
pub const ABSENT: &str = "(absent)";
