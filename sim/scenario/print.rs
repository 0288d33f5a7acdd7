//! Writes a scenario: a tree of values as the page that a person would have written.
//!
//! The one idea: what is printed reads back as the same tree, so a program that changes a scenario (the shrinker) works on
//! trees and never on text. Sections stand in the order of the language, things have a header each, keys are aligned,
//! sentences stay as they were written, an expectation is one line. It deliberately keeps no comments and no layout: it
//! prints what a scenario means, not how its file looked.

use super::tree::{Item, Table, Value};

/// Keys of the top, in the order in which the language names them.
const HEAD: [&str; 7] = ["format", "row", "about", "duration", "drain", "seeds", "chart"];
/// Sections in the order in which the language names them.
const SECTIONS: [&str; 13] = [
    "cluster", "network", "disk", "client", "topic", "store", "endpoint", "service", "fault", "chaos", "expect",
    "floor", "matrix",
];
/// Sections of which each entry is a thing with a header of its own.
const THINGS: [&str; 4] = ["topic", "store", "endpoint", "service"];
const WIDTH: usize = 110;

/// The whole scenario, in TOML 1.0.
pub fn print(tree: &Table) -> String {
    let mut text = String::new();
    let known = HEAD.into_iter().filter(|key| tree.get(key).is_some());
    let other = tree.keys().filter(|key| !HEAD.contains(key) && !SECTIONS.contains(key));
    let head = known.chain(other).filter_map(|key| Some((bare(key), value(tree.get(key)?))));
    let head: Vec<(String, String)> = head.collect();
    text += &aligned(&head);
    for section in SECTIONS {
        let Some(item) = tree.get(section) else { continue };
        let Some(table) = item.table() else {
            text += &format!("{section} = {}\n", value(item));
            continue;
        };
        if THINGS.contains(&section) {
            for (name, thing) in table.iter() {
                match thing.table() {
                    Some(thing) => text += &block(&format!("{section}.{}", bare(name)), thing, section),
                    None => text += &format!("\n[{section}]\n{} = {}\n", bare(name), value(thing)),
                }
            }
        } else if !table.is_empty() {
            text += &block(section, table, section);
        }
    }
    text
}

fn block(header: &str, table: &Table, section: &str) -> String {
    let mut lines = Vec::new();
    flatten("", table, section, &mut lines);
    format!("\n[{header}]\n{}", aligned(&lines))
}

/// Tables that only group others become dotted keys; a table that says something is one line.
fn flatten(prefix: &str, table: &Table, section: &str, lines: &mut Vec<(String, String)>) {
    for (key, item) in table.iter() {
        let path = if prefix.is_empty() { bare(key) } else { format!("{prefix}.{}", bare(key)) };
        match &item.value {
            Value::Table(below) if groups(below, section) => flatten(&path, below, section, lines),
            _ => lines.push((path, value(item))),
        }
    }
}

fn groups(table: &Table, section: &str) -> bool {
    let attributes = || table.keys().all(|key| super::keys::PLACE.iter().any(|attribute| attribute.name == key));
    !table.is_empty() && section == "expect" && !attributes()
}

fn aligned(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let line = |(key, value): &(String, String)| {
        let one = format!("{key:width$} = {value}");
        if one.chars().count() <= WIDTH || !value.starts_with('[') { one } else { folded(key, value, width) }
    };
    lines.iter().map(|pair| line(pair) + "\n").collect()
}

/// A list too long for its line: one element a line. Elements were joined by [`value`], so that a comma between two of
/// them stands outside of quotes and braces.
fn folded(key: &str, list: &str, width: usize) -> String {
    let inner = &list[1..list.len() - 1];
    let (mut elements, mut from, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0, None, false);
    for (at, character) in inner.char_indices() {
        match (quoted, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(quote), _) if character == quote && !escaped => quoted = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quoted = Some(character),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth -= 1,
            (None, ',') if depth == 0 => {
                elements.push(inner[from..at].trim());
                from = at + 1;
            }
            (None, _) => {}
        }
        escaped = false;
    }
    elements.push(inner[from..].trim());
    let lines: String = elements.iter().map(|element| format!("  {element},\n")).collect();
    format!("{key:width$} = [\n{lines}]")
}

fn value(item: &Item) -> String {
    match &item.value {
        Value::Text { text, .. } => quoted(text),
        Value::Float(number) => format!("{number:?}"),
        Value::List(list) => format!("[{}]", list.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Table(table) if table.is_empty() => "{}".into(),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, item)| format!("{} = {}", bare(key), value(item)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Integer(_) | Value::Boolean(_) | Value::Date => item.written(),
    }
}

/// A key without quotes when it needs none.
fn bare(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(plain) { key.to_string() } else { quoted(key) }
}

/// A basic string on one line, whatever is in it.
fn quoted(text: &str) -> String {
    let mut output = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            '\t' => output.push_str("\\t"),
            '\r' => output.push_str("\\r"),
            control if control.is_control() => output.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => output.push(plain),
        }
    }
    output.push('"');
    output
}
