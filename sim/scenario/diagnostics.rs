//! What is wrong with a scenario, for people and for machines: all problems at once, each with place, cause and cure.
//!
//! A [`Diagnostic`] points into one of the [`Source`]s it was read from (the file, its parents, each `--set`). The same
//! list is shown in four ways: with carets as rustc does, one line each, JSON, and annotations of GitHub's CI.
//! Whatever a file contains is shown with control characters replaced: a name cannot drive the reader's terminal.

use std::cell::RefCell;
use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

/// A stretch of bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into the sources.
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub code: &'static str,
    pub severity: Severity,
    pub title: String,
    pub place: Place,
    /// Stands under the caret.
    pub label: String,
    /// Other places that have to do with it.
    pub others: Vec<(Place, String)>,
    /// The cure.
    pub help: Option<String>,
    /// Text that would cure it, and where it goes.
    pub replacement: Option<(Place, String)>,
}

impl Diagnostic {
    pub fn error(code: &'static str, place: Place, title: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            title: title.into(),
            place,
            label: String::new(),
            others: Vec::new(),
            help: None,
            replacement: None,
        }
    }

    pub fn warning(code: &'static str, place: Place, title: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, place, title) }
    }

    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    pub fn other(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.others.push((place, label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// "did you mean …?", with the text that would stand at `place` instead.
    pub fn did_you_mean(mut self, place: Place, suggestion: Option<&str>) -> Diagnostic {
        if let Some(suggestion) = suggestion {
            self.help = Some(format!("did you mean `{suggestion}`?"));
            self.replacement = Some((place, suggestion.to_string()));
        }
        self
    }

    /// Only the words of a "did you mean", where the text cannot simply be replaced.
    pub fn maybe_help(mut self, help: Option<String>) -> Diagnostic {
        if help.is_some() {
            self.help = help;
        }
        self
    }
}

/// Collects problems while a scenario is read; no reader stops at its first.
#[derive(Default)]
pub struct Problems {
    list: RefCell<Vec<Diagnostic>>,
    dropped: RefCell<usize>,
}

/// More than a person reads. The rest is counted.
const LIMIT: usize = 200;

impl Problems {
    /// Repetitions (the same problem met in another cell) are dropped.
    pub fn add(&self, diagnostic: Diagnostic) {
        let mut list = self.list.borrow_mut();
        let known = |old: &Diagnostic| {
            old.code == diagnostic.code && old.place == diagnostic.place && old.title == diagnostic.title
        };
        if list.iter().any(known) {
            return;
        }
        if list.len() >= LIMIT && diagnostic.severity == Severity::Error {
            *self.dropped.borrow_mut() += 1;
            return;
        }
        list.push(diagnostic);
    }

    pub fn errors(&self) -> usize {
        self.list.borrow().iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Whether a step or its flow cannot be understood.
    pub fn is_of_steps(&self) -> bool {
        let is_of_steps = |code: &str| matches!(code.as_bytes(), [b'S', b'0', b'4' | b'5', _]) || code == "S020";
        self.list.borrow().iter().any(|known| known.severity == Severity::Error && is_of_steps(known.code))
    }

    /// Whether reading on is a waste.
    pub fn is_full(&self) -> bool {
        self.list.borrow().len() >= LIMIT
    }

    pub fn into_diagnostics(self, sources: Vec<Source>) -> Diagnostics {
        let mut list = self.list.into_inner();
        list.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.place, diagnostic.code));
        Diagnostics { sources, list, dropped: self.dropped.into_inner() }
    }
}

/// A text that places point into.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Path of the file, or `--set`.
    pub name: String,
    pub text: String,
}

impl Source {
    /// Line and column of a byte, both from 1, columns in characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let at = self.text.floor_char_boundary(at);
        let before = &self.text[..at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// All problems of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    sources: Vec<Source>,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// With carets, as rustc shows them.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let sources: Vec<Source> = self.sources.iter().map(shown).collect();
        let mut output = String::new();
        for diagnostic in &self.list {
            output.push_str(&render_one(&renderer, &sources, diagnostic));
            output.push_str("\n\n");
        }
        if self.dropped > 0 {
            let _ = writeln!(output, "… and {} more", self.dropped);
        }
        output.truncate(output.trim_end().len());
        output.push('\n');
        output
    }

    /// One line each: `file:line:column: error[S020]: … (cure)`.
    pub fn short(&self) -> String {
        let mut output = String::new();
        for diagnostic in &self.list {
            let source = &self.sources[diagnostic.place.source];
            let (line, column) = source.position(diagnostic.place.start);
            let _ = write!(output, "{}:{line}:{column}: ", printable(&source.name));
            let _ = write!(output, "{}[{}]: {}", diagnostic.severity.name(), diagnostic.code, whole(diagnostic));
            output.push('\n');
        }
        if self.dropped > 0 {
            let _ = writeln!(output, "… and {} more", self.dropped);
        }
        output
    }

    /// A JSON array, one object each.
    pub fn json(&self) -> String {
        let list: Vec<serde_json::Value> = self.list.iter().map(|diagnostic| self.json_of(diagnostic)).collect();
        serde_json::to_string_pretty(&list).expect("values of plain JSON can be written")
    }

    fn json_of(&self, diagnostic: &Diagnostic) -> serde_json::Value {
        let source = &self.sources[diagnostic.place.source];
        let (line, column) = source.position(diagnostic.place.start);
        let (end_line, end_column) = source.position(diagnostic.place.end);
        let replacement = diagnostic
            .replacement
            .as_ref()
            .map(|(place, text)| serde_json::json!({ "start": place.start, "end": place.end, "text": text }));
        serde_json::json!({
            "code": diagnostic.code,
            "severity": diagnostic.severity.name(),
            "message": printable(&diagnostic.title),
            "label": printable(&diagnostic.label),
            "help": diagnostic.help.as_deref().map(printable),
            "file": source.name,
            "line": line, "column": column, "end-line": end_line, "end-column": end_column,
            "start": diagnostic.place.start, "end": diagnostic.place.end,
            "replacement": replacement,
        })
    }

    /// Annotations of a GitHub workflow.
    pub fn github(&self) -> String {
        let mut output = String::new();
        for diagnostic in &self.list {
            let source = &self.sources[diagnostic.place.source];
            let (line, column) = source.position(diagnostic.place.start);
            let (end_line, end_column) = source.position(diagnostic.place.end);
            let file = printable(&source.name).replace('%', "%25").replace(':', "%3A").replace(',', "%2C");
            let message = whole(diagnostic).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
            let (kind, code) = (diagnostic.severity.name(), diagnostic.code);
            let _ = writeln!(
                output,
                "::{kind} file={file},line={line},endLine={end_line},col={column},endColumn={end_column},title={code}::{message}"
            );
        }
        output
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

fn whole(diagnostic: &Diagnostic) -> String {
    let mut text = printable(&diagnostic.title);
    if !diagnostic.label.is_empty() {
        let _ = write!(text, ": {}", printable(&diagnostic.label));
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, " ({})", printable(help));
    }
    text
}

fn render_one(renderer: &Renderer, sources: &[Source], diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = printable(&diagnostic.title);
    let label = printable(&diagnostic.label);
    let source = &sources[diagnostic.place.source];
    let mut snippet = Snippet::source(source.text.as_str())
        .path(source.name.as_str())
        .annotation(AnnotationKind::Primary.span(range(source, diagnostic.place)).label(label.as_str()));
    let mut apart: Vec<Snippet<annotate_snippets::Annotation>> = Vec::new();
    for (place, label) in &diagnostic.others {
        let annotation = AnnotationKind::Context.span(range(&sources[place.source], *place)).label(printable(label));
        if place.source == diagnostic.place.source {
            snippet = snippet.annotation(annotation);
        } else {
            let other = &sources[place.source];
            apart.push(Snippet::source(other.text.as_str()).path(other.name.as_str()).annotation(annotation));
        }
    }
    let mut report: Vec<Group> = vec![level.primary_title(title).id(diagnostic.code).element(snippet).elements(apart)];
    let help = diagnostic.help.as_deref().map(printable);
    match (&help, &diagnostic.replacement) {
        (Some(help), Some((place, text))) => {
            let source = &sources[place.source];
            let patch = Patch::new(range(source, *place), printable(text));
            report.push(
                Level::HELP
                    .secondary_title(help.clone())
                    .element(Snippet::source(source.text.as_str()).path(source.name.as_str()).patch(patch)),
            );
        }
        (Some(help), None) => report.push(Group::with_title(Level::HELP.secondary_title(help.clone()))),
        (None, _) => {}
    }
    renderer.render(&report)
}

fn range(source: &Source, place: Place) -> std::ops::Range<usize> {
    let start = source.text.floor_char_boundary(place.start.min(source.text.len()));
    let end = source.text.ceil_char_boundary(place.end.clamp(start, source.text.len()));
    start..end
}

/// The text with control and direction characters replaced by others of the same length, so that places still fit.
fn shown(source: &Source) -> Source {
    let harmless = |character: char| match character {
        '\n' | '\t' => character,
        '\r' => ' ',
        _ if !is_harmful(character) => character,
        _ => match character.len_utf8() {
            1 => '?',
            2 => '¿',
            3 => '\u{FFFD}',
            _ => '\u{1F6AB}',
        },
    };
    Source { name: printable(&source.name), text: source.text.chars().map(harmless).collect() }
}

/// The text with control and direction characters written as escapes, and cut when it is endless.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut output = String::with_capacity(text.len().min(LONGEST + 4));
    for (number, character) in text.chars().enumerate() {
        if number == LONGEST {
            output.push('…');
            break;
        }
        if is_harmful(character) {
            output.extend(character.escape_default());
        } else {
            output.push(character);
        }
    }
    output
}

fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// The most similar of the known words, when one is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_lowercase().replace(['_', '.'], "-");
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = strsim::damerau_levenshtein(&folded, candidate);
        if distance <= 1 + candidate.chars().count() / 4 && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
