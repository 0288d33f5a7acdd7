//! A scenario file as written: a tree of values, each with its place, in the order of the file.
//!
//! TOML 1.0 in, tree out. The parser below us reads TOML 1.1, which other tools refuse; its novelties are errors here, so
//! that a file means the same to every reader. Quoted keys that are paths are split here as well, so that dotted keys,
//! quoted paths and nested tables cannot be told apart afterwards.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostic, Place, Problems};

/// A value and its places.
#[derive(Clone, Debug)]
pub struct Item {
    pub value: Value,
    pub place: Place,
    /// The key it was given under; for an element of a list, its own place.
    pub key: Place,
}

#[derive(Clone, Debug)]
pub enum Value {
    Text {
        text: String,
        /// Where its first character stands, when the text is written in the file as it is (no escapes).
        inside: Option<usize>,
    },
    /// `None` when beyond 64 bits.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Item>),
    Table(Table),
}

impl Value {
    /// With its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text { .. } => "a string",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// A text that can be pointed into.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub text: &'a str,
    pub place: Place,
    pub inside: Option<usize>,
}

impl<'a> Text<'a> {
    /// The place of a part of it; the whole value when the file writes it with escapes.
    pub fn at(&self, start: usize, end: usize) -> Place {
        match self.inside {
            Some(first) => Place { source: self.place.source, start: first + start, end: first + end },
            None => self.place,
        }
    }

    /// A part of it.
    pub fn part(&self, start: usize, end: usize) -> Text<'a> {
        Text {
            text: &self.text[start..end],
            place: self.at(start, end),
            inside: self.inside.map(|first| first + start),
        }
    }

    pub fn trimmed(&self) -> Text<'a> {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start, start + self.text.trim().len())
    }
}

impl Item {
    pub fn text(&self) -> Option<Text<'_>> {
        match &self.value {
            Value::Text { text, inside } => Some(Text { text, place: self.place, inside: *inside }),
            _ => None,
        }
    }

    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements of a list; anything else is a list of itself.
    pub fn elements(&self) -> &[Item] {
        match &self.value {
            Value::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }

    /// As one would write it, for cell ids and messages.
    pub fn written(&self) -> String {
        match &self.value {
            Value::Text { text, .. } => text.clone(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Integer(None) => "a huge number".into(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Date => "a date".into(),
            Value::List(list) => list.iter().map(Item::written).collect::<Vec<_>>().join("+"),
            Value::Table(table) => {
                table.iter().map(|(key, item)| format!("{key} {}", item.written())).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<(String, Item)>,
    index: BTreeMap<String, usize>,
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.index.get(key).map(|&at| &self.entries[at].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Item> {
        self.index.get(key).map(|&at| &mut self.entries[at].1)
    }

    /// The table under a key.
    pub fn table(&self, key: &str) -> Option<&Table> {
        self.get(key).and_then(Item::table)
    }

    pub fn insert(&mut self, key: &str, item: Item) {
        match self.index.get(key) {
            Some(&at) => self.entries[at].1 = item,
            None => {
                self.index.insert(key.to_string(), self.entries.len());
                self.entries.push((key.to_string(), item));
            }
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Item> {
        let at = self.index.remove(key)?;
        let (_, item) = self.entries.remove(at);
        for place in self.index.values_mut().filter(|place| **place > at) {
            *place -= 1;
        }
        Some(item)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.entries.iter().map(|(key, item)| (key.as_str(), item))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Lays a value at a path, making the tables on the way. Fails where a value that is no table is in the way.
    pub fn place_at(&mut self, path: &[&str], item: Item) -> Result<(), Place> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        if rest.is_empty() {
            self.lay(first, item);
            return Ok(());
        }
        if self.get(first).is_none() {
            self.insert(first, Item { value: Value::Table(Table::default()), place: item.place, key: item.key });
        }
        let below = self.get_mut(first).expect("just made");
        if let Value::Text { .. } = below.value
            && path.len() == 2
        {
            below.value = as_delivery(below.clone());
        }
        match &mut below.value {
            Value::Table(table) => table.place_at(rest, item),
            _ => Err(below.place),
        }
    }

    /// Lays a partial table over this one, key by key; lists and values are replaced.
    pub fn overlay(&mut self, layer: &Table) {
        for (key, item) in layer.iter() {
            self.lay(key, item.clone());
        }
    }

    /// A promise in short form meets its long form: `X = "…"` is `X = { delivery = "…" }`.
    fn lay(&mut self, key: &str, item: Item) {
        let Some(old) = self.get_mut(key) else {
            self.insert(key, item);
            return;
        };
        match (&mut old.value, item.value) {
            (Value::Table(old), Value::Table(new)) => old.overlay(&new),
            (Value::Table(old), Value::Text { text, inside }) if old.keys().all(is_attribute) && !old.is_empty() => {
                old.lay("delivery", Item { value: Value::Text { text, inside }, ..item });
            }
            (Value::Text { .. }, Value::Table(new)) if new.keys().all(is_attribute) && !new.is_empty() => {
                old.value = as_delivery(old.clone());
                if let Value::Table(old) = &mut old.value {
                    old.overlay(&new);
                }
            }
            (_, value) => *old = Item { value, place: item.place, key: item.key },
        }
    }
}

fn as_delivery(text: Item) -> Value {
    let mut table = Table::default();
    table.insert("delivery", text);
    Value::Table(table)
}

fn is_attribute(key: &str) -> bool {
    super::keys::PLACE.iter().any(|attribute| attribute.name == key)
}

/// Reads one document. Syntax errors go to `problems`; what could be read is returned.
pub fn parse(source: usize, text: &str, problems: &Problems) -> Table {
    // The parser keeps going after an error and may then report each byte of a file that is no TOML at all.
    const ENOUGH: usize = 20;
    let (table, errors) = DeTable::parse_recoverable(text);
    let broken = !errors.is_empty();
    for error in errors.iter().take(ENOUGH) {
        let span = error.span().unwrap_or(0..0);
        let place = Place { source, start: span.start, end: span.end };
        problems.add(syntax(place, error.message()));
    }
    if !broken {
        refuse_novelties(source, text, problems);
    }
    convert_table(source, text, table.get_ref())
}

fn syntax(place: Place, message: &str) -> Diagnostic {
    let first = message.lines().next().unwrap_or("not TOML");
    let title = if first.contains("recursion limit") {
        "the file nests too deeply".to_string()
    } else {
        format!("this is not TOML: {first}")
    };
    let code = if first.contains("recursion limit") { "S005" } else { "S001" };
    let help = match first {
        _ if first.contains("recursion limit") => Some("nothing in a scenario is deeper than six tables".to_string()),
        _ if first.contains("duplicate key") => Some("give each key once; a header may stand once too".to_string()),
        _ => Some("strings are quoted, a key and its value stand on one line: `duration = \"60s\"`".to_string()),
    };
    Diagnostic::error(code, place, title).label("here").maybe_help(help)
}

fn convert_table(source: usize, text: &str, table: &DeTable) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, value)| (key.span().start, value.span().start));
    let mut output = Table::default();
    for (key, value) in entries {
        let place = Place { source, start: key.span().start, end: key.span().end };
        let item = convert(source, text, value.get_ref(), value.span(), place);
        let name: &str = key.get_ref();
        if is_path(name) {
            let path: Vec<&str> = name.split('.').collect();
            if output.place_at(&path, item.clone()).is_err() {
                output.insert(name, item);
            }
        } else {
            output.lay(name, item);
        }
    }
    output
}

/// A quoted key that is a path: `"service.shop.acks"`. Each part begins with a letter, so `"1.5x"` is none.
fn is_path(key: &str) -> bool {
    key.contains('.')
        && key.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_lowercase())
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}

fn convert(source: usize, text: &str, value: &DeValue, span: std::ops::Range<usize>, key: Place) -> Item {
    let place = Place { source, start: span.start, end: span.end };
    let value = match value {
        DeValue::String(string) => Value::Text { text: string.to_string(), inside: inside(text, &span, string) },
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|element| {
                    let span = element.span();
                    let place = Place { source, start: span.start, end: span.end };
                    convert(source, text, element.get_ref(), span, place)
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(source, text, table)),
    };
    Item { value, place, key }
}

fn inside(text: &str, span: &std::ops::Range<usize>, string: &str) -> Option<usize> {
    let raw = text.get(span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let content = raw.get(quotes..raw.len().checked_sub(quotes)?)?;
    (content == string).then_some(span.start + quotes)
}

/// What TOML 1.1 allows and 1.0 does not: line ends and trailing commas in inline tables, `\e` and `\x` in strings.
fn refuse_novelties(source: usize, text: &str, problems: &Problems) {
    let bytes = text.as_bytes();
    let error = |start: usize, title: &str, help: &str| {
        let place = Place { source, start, end: start + 1 };
        problems.add(Diagnostic::error("S003", place, title).label("TOML 1.1 only").help(help));
    };
    let mut open: Vec<u8> = Vec::new();
    let mut comma: Option<usize> = None;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at) - 1,
            b'"' | b'\'' => {
                let (end, escape) = skip_string(bytes, at);
                if let Some(escape) = escape {
                    error(escape, "this escape is new in TOML 1.1", "write it as `\\u00XX`");
                }
                at = end - 1;
            }
            b'{' | b'[' => open.push(byte),
            b'}' | b']' => {
                if let (b'}', Some(comma)) = (byte, comma) {
                    error(comma, "an inline table ends in a comma", "remove the comma");
                }
                open.pop();
            }
            b'\n' if open.last() == Some(&b'{') => {
                error(at, "an inline table goes over a line end", "put it on one line, or use a [table]");
            }
            _ => {}
        }
        comma = match bytes[at.min(bytes.len() - 1)] {
            b',' => Some(at),
            b' ' | b'\t' | b'\n' | b'\r' => comma,
            _ => None,
        };
        at += 1;
    }
}

/// The end of the string that begins at `start`, and the first escape in it that TOML 1.0 does not know.
fn skip_string(bytes: &[u8], start: usize) -> (usize, Option<usize>) {
    let quote = bytes[start];
    let long = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if long { 3 } else { 1 };
    let mut novelty = None;
    while at < bytes.len() {
        if quote == b'"' && bytes[at] == b'\\' {
            if matches!(bytes.get(at + 1), Some(b'e' | b'x')) {
                novelty = novelty.or(Some(at));
            }
            at += 2;
        } else if long && bytes[at..].starts_with(&[quote; 3]) {
            at += 3;
            // Up to two quotes may stand before the closing three.
            while bytes.get(at) == Some(&quote) {
                at += 1;
            }
            return (at, novelty);
        } else if !long && bytes[at] == quote {
            return (at + 1, novelty);
        } else {
            at += 1;
        }
    }
    (bytes.len(), novelty)
}
