//! From texts to one document: a scenario, its parents, and what `--set` says, laid over each other.
//!
//! The *system* is inherited, the *question* is not. Nothing here knows what a key means; it only knows layers.

use super::diagnostics::{Diagnostic, Place, Problems, Source, nearest, printable};
use super::keys::TOP;
use super::tree::{self, Item, Table, Value};

/// Finds the text of a parent: (file that extends, path as written) to (name, text), or why not.
pub type Loader<'a> = &'a dyn Fn(&str, &str) -> Result<(String, String), String>;

/// Everything a family is made from.
#[derive(Debug)]
pub struct Document {
    /// File stem.
    pub name: String,
    pub sources: Vec<Source>,
    /// The base, after parents and `--set`.
    pub tree: Table,
    /// What `--set` said, in order, for axes that it pins.
    pub sets: Vec<(Vec<String>, Item)>,
}

/// The parts of a scenario that belong to its question.
const QUESTION: [&str; 6] = ["about", "row", "chart", "matrix", "grid", "case"];
const DEEPEST: usize = 16;

/// Reads a scenario, its parents and the `--set`s.
pub fn read(name: &str, text: &str, sets: &[String], loader: Loader, problems: &Problems) -> Document {
    let mut sources = Vec::new();
    let mut visited = Vec::new();
    let tree = read_file(name, text, loader, &mut sources, &mut visited, problems);
    let mut document = Document { name: stem(name), sources, tree, sets: Vec::new() };
    for set in sets {
        document.set(set, problems);
    }
    document
}

/// File name without folders and extension.
fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.strip_suffix(".toml").unwrap_or(file).to_string()
}

fn read_file(
    name: &str,
    text: &str,
    loader: Loader,
    sources: &mut Vec<Source>,
    visited: &mut Vec<String>,
    problems: &Problems,
) -> Table {
    let source = sources.len();
    sources.push(Source { name: name.to_string(), text: text.to_string() });
    visited.push(name.to_string());
    let before = problems.errors();
    let mut child = tree::parse(source, text, problems);
    if problems.errors() > before {
        return child;
    }
    if !has_format(source, &child, problems) {
        return Table::default();
    }
    let without = child.remove("without");
    let Some(extends) = child.remove("extends") else {
        if let Some(without) = without {
            let title = "`without` needs `extends`";
            problems.add(Diagnostic::error("S014", without.key, title).label("nothing is inherited").help("remove it"));
        }
        return child;
    };
    let Some(mut parent) = read_parent(name, &extends, loader, sources, visited, problems) else { return child };
    for key in QUESTION {
        parent.remove(key);
    }
    if let Some(without) = without {
        remove_all(&mut parent, &without, problems);
    }
    parent.overlay(&child);
    parent
}

fn read_parent(
    name: &str,
    extends: &Item,
    loader: Loader,
    sources: &mut Vec<Source>,
    visited: &mut Vec<String>,
    problems: &Problems,
) -> Option<Table> {
    let error = |title: String, label: &str, help: &str| {
        problems.add(Diagnostic::error("S006", extends.place, title).label(label).help(help));
    };
    let Some(path) = extends.text() else {
        error(
            format!("`extends` takes a path, found {}", extends.value.kind()),
            "not a path",
            "write it in quotes: extends = \"base.toml\"",
        );
        return None;
    };
    let shown = printable(path.text);
    match loader(name, path.text) {
        Err(reason) => {
            error(
                format!("`{shown}` cannot be read: {}", printable(&reason)),
                "no such parent",
                "the path is relative to this file",
            );
            None
        }
        Ok((parent, _)) if visited.contains(&parent) => {
            error(format!("`{shown}` extends this scenario in turn"), "closes a circle", "let one of them stand alone");
            None
        }
        Ok(_) if visited.len() >= DEEPEST => {
            error(format!("more than {DEEPEST} scenarios extend each other"), "too many", "shorten the chain");
            None
        }
        Ok((parent, text)) => Some(read_file(&parent, &text, loader, sources, visited, problems)),
    }
}

fn has_format(source: usize, tree: &Table, problems: &Problems) -> bool {
    let top = Place { source, start: 0, end: 0 };
    match tree.get("format") {
        None => {
            let title = "`format` is missing";
            problems.add(
                Diagnostic::error("S002", top, title)
                    .label("a scenario begins with its format")
                    .help("write `format = 1` at the top"),
            );
            false
        }
        Some(item) => match item.value {
            Value::Integer(Some(1)) => true,
            Value::Integer(Some(newer)) if newer > 1 => {
                let title = format!("this scenario is written in format {newer}, and this version knows format 1");
                problems.add(
                    Diagnostic::error("S002", item.place, title)
                        .label("newer than this program")
                        .help("update hikyaku"),
                );
                false
            }
            _ => {
                let title = "`format` is not a version of the language";
                problems.add(Diagnostic::error("S002", item.place, title).label("unknown").help("write `format = 1`"));
                false
            }
        },
    }
}

fn remove_all(parent: &mut Table, without: &Item, problems: &Problems) {
    for element in without.elements() {
        let Some(path) = element.text() else {
            let title = format!("`without` takes paths, found {}", element.value.kind());
            problems.add(
                Diagnostic::error("S014", element.place, title)
                    .label("not a path")
                    .help("for example [\"fault.deploy\"]"),
            );
            continue;
        };
        let parts: Vec<&str> = path.text.split('.').collect();
        if !remove_at(parent, &parts) {
            let title = format!("`{}` is not inherited", printable(path.text));
            let known: Vec<String> = parent
                .iter()
                .filter_map(|(key, item)| item.table().map(|table| (key, table)))
                .flat_map(|(key, table)| table.keys().map(move |name| format!("{key}.{name}")).collect::<Vec<_>>())
                .collect();
            let near = nearest(path.text, known.iter().map(String::as_str));
            problems.add(
                Diagnostic::error("S014", element.place, title)
                    .label("no such path in the parent")
                    .help("remove it, or name a path of the parent")
                    .did_you_mean(element.place, near.map(|near| format!("\"{near}\"")).as_deref()),
            );
        }
    }
}

fn remove_at(table: &mut Table, path: &[&str]) -> bool {
    match path {
        [] => false,
        [last] => table.remove(last).is_some(),
        [first, rest @ ..] => match table.get_mut(first).map(|item| &mut item.value) {
            Some(Value::Table(below)) => remove_at(below, rest),
            _ => false,
        },
    }
}

impl Document {
    fn set(&mut self, text: &str, problems: &Problems) {
        let source = self.sources.len();
        self.sources.push(Source { name: "--set".into(), text: text.to_string() });
        let whole = Place { source, start: 0, end: text.len() };
        let Some((path, value)) = text.split_once('=') else {
            problems.add(
                Diagnostic::error("S013", whole, format!("`--set {}` has no `=`", printable(text)))
                    .label("no value")
                    .help("write `--set service.shop.acks=1`"),
            );
            return;
        };
        let place = Place { source, start: path.len() + 1, end: text.len() };
        let key = Place { source, start: 0, end: path.len() };
        let parts: Vec<String> = path.trim().split('.').map(|part| part.trim_matches(['"', ' ']).to_string()).collect();
        if parts.iter().any(String::is_empty) || parts.len() > 8 {
            problems.add(
                Diagnostic::error("S013", key, format!("`{}` is not a path of keys", printable(path)))
                    .label("not a path")
                    .help("write `--set service.shop.acks=1`"),
            );
            return;
        }
        self.sets.push((parts, set_value(value, place, key)));
    }

    /// Lays what `--set` says over the base, except where an axis takes it.
    pub fn apply_sets(&mut self, on_axis: impl Fn(&[String]) -> bool, problems: &Problems) {
        for (path, item) in self.sets.clone() {
            if on_axis(&path) {
                continue;
            }
            let known = TOP.iter().any(|key| key.name == path[0]);
            if !known {
                let near = nearest(&path[0], TOP.iter().map(|key| key.name));
                problems.add(
                    Diagnostic::error(
                        "S013",
                        item.key,
                        format!("`{}` is not a path of this scenario", printable(&path.join("."))),
                    )
                    .label("unknown")
                    .help("a path begins with a table: service.shop.acks")
                    .did_you_mean(item.key, near),
                );
                continue;
            }
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Err(place) = self.tree.place_at(&parts, item.clone()) {
                problems.add(
                    Diagnostic::error(
                        "S013",
                        item.key,
                        format!("`{}` goes through a value", printable(&path.join("."))),
                    )
                    .label("not a path")
                    .other(place, "this is no table")
                    .help("end the path there"),
                );
            }
        }
    }
}

/// TOML when it can be read as such, else a string.
fn set_value(value: &str, place: Place, key: Place) -> Item {
    let scratch = Problems::default();
    let parsed = tree::parse(place.source, &format!("v = {value}"), &scratch);
    let toml = parsed.get("v").filter(|_| scratch.errors() == 0 && parsed.keys().count() == 1);
    let mut item = match toml {
        Some(item) => item.clone(),
        None => Item { value: Value::Text { text: value.to_string(), inside: Some(place.start) }, place, key },
    };
    relocate(&mut item, place, toml.is_some());
    item.key = key;
    item
}

fn relocate(item: &mut Item, place: Place, forget: bool) {
    item.place = place;
    item.key = place;
    match &mut item.value {
        Value::Text { inside, .. } if forget => *inside = None,
        Value::List(list) => list.iter_mut().for_each(|item| relocate(item, place, forget)),
        Value::Table(table) => {
            let keys: Vec<String> = table.keys().map(str::to_string).collect();
            for key in keys {
                relocate(table.get_mut(&key).expect("its own key"), place, forget);
            }
        }
        _ => {}
    }
}

/// The merged scenario, one value a line, with the origin of each.
pub fn effective(document: &Document) -> String {
    let mut lines = Vec::new();
    flatten("", &document.tree, &mut lines);
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
    let mut output = String::new();
    for (line, place) in lines {
        let source = &document.sources[place.source];
        let at = source.text.floor_char_boundary(place.start);
        let number = source.text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
        output.push_str(&format!("{line:width$}  # {}:{number}\n", printable(&source.name)));
    }
    output
}

fn flatten(prefix: &str, table: &Table, lines: &mut Vec<(String, Place)>) {
    for (key, item) in table.iter() {
        let key = match super::values::is_name(key) {
            true => key.to_string(),
            false => toml::Value::String(key.to_string()).to_string(),
        };
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match &item.value {
            Value::Table(below) if !below.is_empty() => flatten(&path, below, lines),
            _ => lines.push((format!("{path} = {}", as_toml(item)), item.place)),
        }
    }
}

fn as_toml(item: &Item) -> String {
    match &item.value {
        Value::Text { text, .. } => toml::Value::String(printable(text)).to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(as_toml).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(key, item)| format!("{} = {}", printable(key), as_toml(item))).collect();
            format!("{{ {} }}", pairs.join(", ")).replace("{  }", "{}")
        }
        _ => item.written(),
    }
}
