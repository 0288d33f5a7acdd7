//! Sentences: inline tables without punctuation. Steps, rungs and faults are read by this one parser.
//!
//! Words are split at blanks; blanks inside parentheses and around `|` and `->` belong to the value. The verb and each
//! keyword take the words up to the next keyword. `"call bank timeout 2s"` and `{ call = "bank", timeout = "2s" }` give
//! the same [`Phrase`]. Errors point at the word that is wrong.

use super::diagnostics::{Diagnostic, Place, Problems, nearest, printable};
use super::keys::{Key, PRODUCER_SETTINGS};
use super::tree::{Item, Table, Text, Value};
use super::values::{self, Kind, Scalar};

/// What a sentence may do.
#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    pub value: Argument,
    pub keywords: &'static [Key],
    pub about: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    None,
    Optional(Kind),
    Required(Kind),
}

impl Argument {
    fn kind(self) -> Option<Kind> {
        match self {
            Argument::None => None,
            Argument::Optional(kind) | Argument::Required(kind) => Some(kind),
        }
    }
}

/// A vocabulary: which verbs, and which keywords go with all of them.
#[derive(Debug)]
pub struct Grammar {
    /// With its article: "a step".
    pub what: &'static str,
    pub verbs: &'static [Verb],
    pub common: &'static [Key],
}

/// A sentence that was read.
#[derive(Debug)]
pub struct Phrase {
    pub verb: &'static Verb,
    /// As written.
    pub text: String,
    pub place: Place,
    pub verb_place: Place,
    given: Vec<Given>,
}

#[derive(Debug)]
pub struct Given {
    pub key: &'static str,
    pub scalar: Scalar,
    text: String,
    pub place: Place,
    inside: Option<usize>,
}

impl Given {
    pub fn text(&self) -> Text<'_> {
        Text { text: &self.text, place: self.place, inside: self.inside }
    }
}

impl Phrase {
    /// What was given for a keyword, or for the verb under its own name.
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key == key)
    }

    pub fn scalar(&self, key: &str) -> Option<&Scalar> {
        self.get(key).map(|given| &given.scalar)
    }

    /// What the verb itself takes.
    pub fn value(&self) -> Option<&Given> {
        self.get(self.verb.name)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.scalar(key).is_some_and(Scalar::boolean)
    }

    /// What was given for a keyword that this verb cannot do without.
    pub fn require(&self, key: &str, example: &str, problems: &Problems) -> Option<&Given> {
        let given = self.get(key);
        if given.is_none() {
            let title = format!("`{}` needs `{key}`", self.verb.name);
            problems.add(
                Diagnostic::error("S042", self.verb_place, title)
                    .label("incomplete")
                    .help(format!("add `{key} {example}`")),
            );
        }
        given
    }
}

impl Verb {
    fn keyword(&'static self, grammar: &Grammar, word: &str) -> Option<&'static Key> {
        let settings = if self.name == "publish" { PRODUCER_SETTINGS } else { &[] };
        let own = self.keywords.iter().chain(settings.iter().map(|setting| &setting.key));
        own.chain(grammar.common_static()).find(|key| key.name == word)
    }

    fn keyword_names(&'static self, grammar: &Grammar) -> Vec<&'static str> {
        let settings = if self.name == "publish" { PRODUCER_SETTINGS } else { &[] };
        let own = self.keywords.iter().chain(grammar.common_static());
        own.chain(settings.iter().map(|setting| &setting.key)).map(|key| key.name).collect()
    }
}

impl Grammar {
    fn common_static(&self) -> std::slice::Iter<'static, Key> {
        self.common.iter()
    }

    pub fn verb(&self, name: &str) -> Option<&'static Verb> {
        self.verbs.iter().find(|verb| verb.name == name)
    }

    /// Reads a sentence, or the table that stands for one. All problems are added; `None` when nothing can be said.
    pub fn read(&self, item: &Item, problems: &Problems) -> Option<Phrase> {
        match &item.value {
            Value::Table(table) => self.read_table(item, table, problems),
            _ => match item.text() {
                Some(text) => self.read_text(text, problems),
                None => {
                    let title = format!("{} is a sentence or a table, found {}", self.what, item.value.kind());
                    problems.add(
                        Diagnostic::error("S012", item.place, title)
                            .label("wrong type of value")
                            .help(format!("for example \"{}\"", self.example())),
                    );
                    None
                }
            },
        }
    }

    fn example(&self) -> &'static str {
        match self.what {
            "a step" => "insert db.orders",
            "a rung" => "retry 3 backoff 100ms..5s",
            _ => "at 20s for 5s crash leader(orders/0)",
        }
    }

    fn read_text(&self, text: Text, problems: &Problems) -> Option<Phrase> {
        let words = split(text.text);
        let Some(verb_at) = self.find_verb(&words) else {
            self.report_no_verb(text, &words, problems);
            return None;
        };
        let verb = self.verb(words[verb_at].text).expect("found by its name");
        let verb_place = text.at(words[verb_at].start, words[verb_at].end);
        let before = problems.errors();
        let mut phrase = Phrase { verb, text: squeeze(text.text), place: text.place, verb_place, given: Vec::new() };
        let mut at = 0;
        while at < words.len() {
            let word = &words[at];
            let place = text.at(word.start, word.end);
            let (name, kind, optional) = if at == verb_at {
                (verb.name, verb.value.kind(), !matches!(verb.value, Argument::Required(_)))
            } else if let Some(keyword) = verb.keyword(self, word.text) {
                if !keyword.built {
                    report_not_built(keyword.name, place, problems);
                }
                (keyword.name, Some(keyword.kind), keyword.kind.is_flag())
            } else {
                self.report_stray(verb, word, place, problems);
                at += 1;
                continue;
            };
            at += 1;
            // A keyword that needs a value takes the next word whatever it is: `key key`.
            let first = at;
            while at < words.len() && at != verb_at {
                let taken = at - first;
                let ends = verb.keyword(self, words[at].text).is_some() && (taken > 0 || optional);
                let flag_ends = kind.is_none_or(|kind| kind.is_flag() && !kind.takes(words[at].text));
                if ends || flag_ends {
                    break;
                }
                at += 1;
            }
            let value = &words[first..at];
            self.give(&mut phrase, name, kind, optional, place, text, value, problems);
        }
        (problems.errors() == before).then_some(phrase)
    }

    #[expect(clippy::too_many_arguments, reason = "one call, in the loop above; a struct would only rename them")]
    fn give(
        &self,
        phrase: &mut Phrase,
        name: &'static str,
        kind: Option<Kind>,
        optional: bool,
        place: Place,
        text: Text,
        value: &[Word],
        problems: &Problems,
    ) {
        if phrase.get(name).is_some() {
            let title = format!("`{name}` stands twice in {}", self.what);
            problems.add(Diagnostic::error("S042", place, title).label("again").help("remove one of them"));
            return;
        }
        let (Some(kind), Some(first), Some(last)) = (kind, value.first(), value.last()) else {
            if let (Some(kind), false) = (kind, optional) {
                let title = format!("`{name}` takes {}, and nothing follows it", kind.name());
                problems.add(
                    Diagnostic::error("S041", place, title)
                        .label("incomplete")
                        .help(format!("write `{name} {}`", kind.example().replace('"', ""))),
                );
            } else if kind.is_some_and(Kind::is_flag) {
                phrase.given.push(Given {
                    key: name,
                    scalar: Scalar::Boolean(true),
                    text: name.into(),
                    place,
                    inside: None,
                });
            }
            return;
        };
        let part = text.part(first.start, last.end);
        // One word too many is nearly always a keyword that was misspelt.
        if value.len() > 1 && !kind.is_phrase() || value.len() > 1 && values::parse(kind, part.text).is_err() {
            let extra = value.iter().skip(1).find(|word| self.is_stray(phrase.verb, kind, word, value)).unwrap_or(last);
            self.report_extra(phrase.verb, name, kind, part, text.at(extra.start, extra.end), extra.text, problems);
            return;
        }
        let item =
            Item { value: Value::Text { text: part.text.into(), inside: part.inside }, place: part.place, key: place };
        if let Some(scalar) = values::read(kind, name, &item, true, problems) {
            phrase.given.push(Given {
                key: name,
                scalar,
                text: part.text.into(),
                place: part.place,
                inside: part.inside,
            });
        }
    }

    /// Whether the words up to this one were a good value, so that this one is where it went wrong.
    fn is_stray(&self, verb: &'static Verb, kind: Kind, word: &Word, value: &[Word]) -> bool {
        let near = nearest(word.text, verb.keyword_names(self));
        near.is_some() || (value[1].start == word.start && values::parse(kind, value[0].text).is_ok())
    }

    #[expect(clippy::too_many_arguments, reason = "all of it goes into one message")]
    fn report_extra(
        &self,
        verb: &'static Verb,
        name: &str,
        kind: Kind,
        part: Text,
        place: Place,
        extra: &str,
        problems: &Problems,
    ) {
        let what = if kind == Kind::Name { "one name" } else { kind.name() };
        let title = format!("`{name}` takes {what}, found `{}`", printable(part.text));
        let near = nearest(extra, verb.keyword_names(self));
        let mut diagnostic = Diagnostic::error("S043", place, title)
            .label(format!("not a keyword of `{}`", verb.name))
            .did_you_mean(place, near);
        if near.is_none() {
            diagnostic.help = Some(self.keyword_help(verb));
        }
        problems.add(diagnostic);
    }

    fn report_stray(&self, verb: &'static Verb, word: &Word, place: Place, problems: &Problems) {
        let names = verb.keyword_names(self);
        let near = nearest(word.text, names);
        let title = format!("`{}` is not a keyword of `{}`", printable(word.text), verb.name);
        let mut diagnostic = Diagnostic::error("S043", place, title).label("unexpected word").did_you_mean(place, near);
        if near.is_none() {
            diagnostic.help = Some(self.keyword_help(verb));
        }
        problems.add(diagnostic);
    }

    fn keyword_help(&self, verb: &'static Verb) -> String {
        let names = verb.keyword_names(self);
        if names.is_empty() {
            return format!("`{}` has no keywords; remove the word", verb.name);
        }
        format!("keywords of `{}`: {}", verb.name, names.join(", "))
    }

    /// The verb is the first word of its name that is not the value of a keyword.
    fn find_verb(&self, words: &[Word]) -> Option<usize> {
        (0..words.len()).find(|&at| {
            let is_value = at > 0
                && self.common.iter().any(|key| key.name == words[at - 1].text && !key.kind.is_flag())
                && at + 1 < words.len();
            self.verb(words[at].text).is_some() && !is_value
        })
    }

    fn report_no_verb(&self, text: Text, words: &[Word], problems: &Problems) {
        let names = || self.verbs.iter().map(|verb| verb.name);
        let Some(first) = words.first() else {
            let title = format!("{} is empty", self.what);
            problems.add(
                Diagnostic::error("S041", text.place, title)
                    .label("no words")
                    .help(format!("for example \"{}\"", self.example())),
            );
            return;
        };
        // A fault begins with its trigger; the nearest word to any verb is the one that was meant.
        let guess = words.iter().find_map(|word| nearest(word.text, names()).map(|name| (word, name)));
        let (word, near) = guess.map_or((first, None), |(word, name)| (word, Some(name)));
        let place = text.at(word.start, word.end);
        let verbs: Vec<&str> = self.verbs.iter().map(|verb| verb.name).collect();
        let title = match near {
            Some(_) => format!("`{}` is not the verb of {}", printable(word.text), self.what),
            None => format!("{} needs a verb, found `{}`", self.what, printable(text.text)),
        };
        let mut diagnostic = Diagnostic::error("S040", place, title).label("no such verb").did_you_mean(place, near);
        if near.is_none() {
            diagnostic.help = Some(format!("one of {}", verbs.join(", ")));
        }
        problems.add(diagnostic);
    }

    fn read_table(&self, item: &Item, table: &Table, problems: &Problems) -> Option<Phrase> {
        let verbs: Vec<(&'static Verb, &Item)> =
            table.iter().filter_map(|(key, item)| self.verb(key).map(|verb| (verb, item))).collect();
        let [(verb, verb_item)] = verbs[..] else {
            let (place, title) = match verbs.get(1) {
                Some((second, item)) => {
                    (item.key, format!("{} has one verb; `{}` is a second one", self.what, second.name))
                }
                None => (item.place, format!("{} needs a verb among its keys", self.what)),
            };
            let names: Vec<&str> = self.verbs.iter().map(|verb| verb.name).collect();
            let near = table.keys().find_map(|key| nearest(key, names.iter().copied()));
            problems.add(
                Diagnostic::error("S040", place, title).label("not a sentence").help(
                    near.map_or(format!("one of {}", names.join(", ")), |near| format!("did you mean `{near}`?")),
                ),
            );
            return None;
        };
        let before = problems.errors();
        let text = table.iter().map(|(key, item)| written_pair(key, item)).collect::<Vec<_>>().join(" ");
        let mut phrase = Phrase { verb, text, place: item.place, verb_place: verb_item.key, given: Vec::new() };
        for (name, value) in table.iter() {
            let (name, kind) = if name == verb.name {
                match (verb.value, &value.value) {
                    (Argument::None | Argument::Optional(_), Value::Boolean(true)) => continue,
                    (argument, _) => (verb.name, argument.kind().unwrap_or(Kind::Boolean)),
                }
            } else if let Some(keyword) = verb.keyword(self, name) {
                if !keyword.built {
                    report_not_built(keyword.name, value.key, problems);
                }
                (keyword.name, keyword.kind)
            } else {
                let word = Word { text: name, start: 0, end: 0 };
                self.report_stray(verb, &word, value.key, problems);
                continue;
            };
            // `every = 10` in a table is `every 10` in a sentence.
            let spelled = match (&value.value, kind) {
                (Value::Integer(Some(_)), Kind::Phrase(_) | Kind::Argument(_)) => {
                    Item { value: Value::Text { text: value.written(), inside: None }, ..value.clone() }
                }
                _ => value.clone(),
            };
            if let Some(scalar) = values::read(kind, name, &spelled, false, problems) {
                let inside = spelled.text().and_then(|text| text.inside);
                phrase.given.push(Given { key: name, scalar, text: spelled.written(), place: value.place, inside });
            }
        }
        (problems.errors() == before).then_some(phrase)
    }
}

fn written_pair(key: &str, item: &Item) -> String {
    match item.value {
        Value::Boolean(true) => key.to_string(),
        _ => format!("{key} {}", item.written()),
    }
}

/// Says that the language knows it and this version does not.
pub fn report_not_built(name: &str, place: Place, problems: &Problems) {
    problems.add(
        Diagnostic::error("S009", place, format!("`{name}` is not built yet in this version"))
            .label("not built yet")
            .help("remove it; nothing that is written is ever ignored"),
    );
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word of a sentence and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
}

/// Splits at blanks, except inside parentheses and around `|` and `->`.
pub fn split(text: &str) -> Vec<Word<'_>> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut depth = 0usize;
    let mut start: Option<usize> = None;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character.is_whitespace() && depth == 0 {
            if let Some(start) = start.take() {
                spans.push((start, at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(start) = start {
        spans.push((start, text.len()));
    }
    let is_arrow_end =
        |span: &(usize, usize)| text[span.0..span.1].ends_with('|') || text[span.0..span.1].ends_with("->");
    let is_arrow_start =
        |span: &(usize, usize)| text[span.0..span.1].starts_with('|') || text[span.0..span.1].starts_with("->");
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if is_arrow_end(last) || is_arrow_start(&span) => last.1 = span.1,
            _ => joined.push(span),
        }
    }
    joined.into_iter().map(|(start, end)| Word { text: &text[start..end], start, end }).collect()
}
