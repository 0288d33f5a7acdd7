//! What became of the effects: one row per configuration, one column per place where an effect lands. Each cell says in a glyph, a word,
//! a count and a colour whether it was exact, repeated, out of order, stale, a phantom, lost or several of these. Nothing lost in n is
//! not zero: the upper end of the 95 % Wilson interval stands beside it. A configuration that was not run is hatched, never green.

use super::Figure;
use super::frame;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH, header_lines};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use super::statistics::wilson_upper;
use crate::report::numbers::{capitalised, count, percent};

#[derive(Clone, Debug, PartialEq)]
pub struct OutcomesChart {
    /// Name of its files.
    pub stem: &'static str,
    /// What was studied. May be empty.
    pub subject: String,
    /// What rows are: "acks", "commit".
    pub rows_are: String,
    /// What columns are: "where the effect lands", "point".
    pub columns_are: String,
    /// What is counted, plural: "orders", "effects", "runs".
    pub unit: String,
    /// Places, as headings.
    pub columns: Vec<String>,
    pub rows: Vec<OutcomeRow>,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRow {
    pub label: String,
    /// One for each column.
    pub cells: Vec<OutcomeCell>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeCell {
    NotRun,
    Counted(Counts),
}

/// What was counted. What a scenario does not ask for, or allows, is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub of: u64,
    pub lost: u64,
    pub repeated: u64,
    pub reordered: u64,
    /// Keys that end with an older version than they had.
    pub stale: u64,
    /// Effects of what was refused.
    pub phantoms: u64,
}

impl OutcomeCell {
    fn counts(self) -> Counts {
        match self {
            OutcomeCell::NotRun => Counts::default(),
            OutcomeCell::Counted(counts) => counts,
        }
    }

    fn was_run(self) -> bool {
        self.counts().of > 0
    }

    fn exact(self) -> bool {
        let Counts { of, .. } = self.counts();
        self.was_run() && self.counts() == Counts { of, ..Counts::default() }
    }

    /// Glyph with word; details, which share lines where they fit; colours of cell and text.
    fn face(self) -> (String, Vec<String>, Option<(Token, Token)>) {
        let Counts { of, lost, repeated, reordered, stale, phantoms } = self.counts();
        let others = [(repeated, "repeated"), (reordered, "out of order"), (stale, "stale"), (phantoms, "phantoms")];
        let others = others.into_iter().filter(|(harmed, _)| 0 < *harmed);
        let mut marks: Vec<String> = others.map(|(harmed, how)| format!("● {} {how}", count(harmed))).collect();
        let bound = percent(wilson_upper(0, of));
        let of = count(of);
        match (lost, marks.is_empty()) {
            _ if !self.was_run() => ("– not run".to_string(), vec![], None),
            (0, true) => {
                let details = vec![format!("0 of {of}"), format!("≤ {bound}")];
                ("✓ exact".to_string(), details, Some((Token::CellExact, Token::OnPaleCell)))
            }
            (0, false) => {
                let first = marks.remove(0);
                marks.extend([format!("of {of}"), format!("lost ≤ {bound}")]);
                (first, marks, Some((Token::CellRepeated, Token::OnPaleCell)))
            }
            (lost, _) => {
                let cell = if repeated == 0 { Token::CellLost } else { Token::CellBoth };
                marks.push(format!("of {of}"));
                (format!("✗ {} lost", count(lost)), marks, Some((cell, Token::OnDarkCell)))
            }
        }
    }
}

/// Rows drawn; of more, those where most is lost, then where most is repeated, then what else went wrong. The table has all.
const MOST_ROWS: usize = 40;

const HEADING: f64 = 44.0;
const GAP: f64 = 4.0;

impl OutcomesChart {
    pub fn draw(&self) -> Figure {
        self.page().finish(self.stem, title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        for row in &self.rows {
            assert!(row.cells.len() == self.columns.len(), "a row has one cell for each column");
        }
        let drawn = self.drawn();
        let left_out = match self.rows.len() - drawn.len() {
            0 => String::new(),
            _ => format!(", the worst {} of {}", drawn.len(), count(self.rows.len() as u64)),
        };
        let rows = match self.rows_are.is_empty() {
            true => String::new(),
            false => format!("Rows: {}{left_out}; ", self.rows_are),
        };
        let plotted = format!(
            "{rows}{} {}. Counts of {}; ≤ is the upper end of the 95 % interval",
            if rows.is_empty() { "Columns:" } else { "columns:" },
            self.columns_are,
            self.unit
        );
        let subtitle = frame::subtitle(&self.subject, &plotted);
        let title = title(self);
        let (_, top) = header_lines(&title, &subtitle);
        // The usual height shared by the rows, within what a cell can bear; many rows make the page longer.
        let rows = drawn.len().max(1) as f64;
        let rest = top + HEADING + MARGIN + 26.0;
        let row = ((HEIGHT - rest) / rows).clamp(60.0, 88.0);
        let page = Page::new(libm::ceil((rest + rows * row).max(300.0)));
        page.header(&title, &subtitle);
        let labels = drawn
            .iter()
            .map(|row| Lettering::LABEL.width(&row.label) * 1.06)
            .fold((Lettering::NOTE.width(&self.rows_are) * 1.06).max(60.0), f64::max)
            .min(if self.columns.len() > 4 { 150.0 } else { 230.0 });
        let left = MARGIN + labels + 14.0;
        let column = ((WIDTH - MARGIN - left) / self.columns.len().max(1) as f64).min(260.0);
        self.headings(&page, (left, top), column, labels);
        for (index, outcome) in drawn.iter().enumerate() {
            let y = top + HEADING + index as f64 * row;
            let lines = Lettering::LABEL.wrapped(&outcome.label, labels, 3);
            for (line, text) in lines.iter().enumerate() {
                let offset = (line as f64 - (lines.len() as f64 - 1.0) / 2.0) * 16.0;
                page.text((MARGIN, y + row / 2.0 + offset), text, Lettering::LABEL);
            }
            for (place, cell) in outcome.cells.iter().enumerate() {
                let x = left + place as f64 * column;
                let bounds = Bounds { left: x, right: x + column - GAP, top: y, bottom: y + row - GAP };
                draw_cell(&page, bounds, *cell);
            }
        }
        page.footer(&self.footer);
        page
    }

    /// In the order given.
    fn drawn(&self) -> Vec<&OutcomeRow> {
        let share = |row: &OutcomeRow, key: fn(Counts) -> u64| {
            row.cells.iter().map(|cell| key(cell.counts()) as f64 / cell.counts().of.max(1) as f64).fold(0.0, f64::max)
        };
        let badness = |row: usize| {
            let row = &self.rows[row];
            let others = share(row, |counts| counts.reordered + counts.stale + counts.phantoms);
            (share(row, |counts| counts.lost), share(row, |counts| counts.repeated), others)
        };
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by(|one, other| badness(*other).partial_cmp(&badness(*one)).expect("shares are numbers"));
        order.truncate(MOST_ROWS);
        order.sort_unstable();
        order.into_iter().map(|row| &self.rows[row]).collect()
    }

    fn headings(&self, page: &Page, (left, top): (f64, f64), column: f64, labels: f64) {
        let lettering = Lettering::NOTE;
        let bottom = top + HEADING - 14.0;
        page.text((MARGIN, bottom), &lettering.fitted(&self.rows_are, labels), lettering);
        for (index, name) in self.columns.iter().enumerate() {
            let x = left + index as f64 * column + (column - GAP) / 2.0;
            let lines = Lettering::LABEL.wrapped(name, column - GAP - 4.0, 2);
            for (line, text) in lines.iter().rev().enumerate() {
                page.text((x, bottom - 16.0 * line as f64), text, Lettering::LABEL.align(Align::Centre));
            }
        }
    }
}

fn draw_cell(page: &Page, bounds: Bounds, cell: OutcomeCell) {
    let (word, details, colours) = cell.face();
    let middle = (bounds.left + bounds.right) / 2.0;
    let room = bounds.right - bounds.left - 8.0;
    let (text, small) = match colours {
        Some((fill, text)) => {
            page.rectangle(bounds, fill, 100);
            (Lettering::LABEL.token(text), Lettering::NOTE.token(text))
        }
        None => {
            page.hatch(bounds, Token::Muted, 35);
            let Bounds { left, right, top, bottom } = bounds;
            let edge = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            page.line(&edge, Token::Muted, 1.0, Dash::Solid);
            (Lettering::LABEL.token(Token::Muted).halo(), Lettering::NOTE.token(Token::Muted))
        }
    };
    // Details share a line where they fit.
    let joined = details.join(", ");
    let details = if small.width(&joined) * 1.06 <= room { vec![joined] } else { details };
    let mut lines = vec![(word, text)];
    lines.extend(details.into_iter().filter(|detail| !detail.is_empty()).map(|detail| (detail, small)));
    let mut y = (bounds.top + bounds.bottom) / 2.0 - (lines.len() as f64 - 1.0) * 8.5;
    for (line, lettering) in lines {
        let lettering = lettering.shrunk(&line, room).align(Align::Centre);
        page.text((middle, y), &lettering.fitted(&line, room), lettering);
        y += 17.0;
    }
}

/// The message: who survives, and who loses most where.
pub fn title(chart: &OutcomesChart) -> String {
    let message = message(chart);
    // A name stays as it is; "this scenario" is none.
    if message.starts_with("this scenario ") { capitalised(&message) } else { message }
}

fn message(chart: &OutcomesChart) -> String {
    let cells = || {
        let rows = chart.rows.iter().enumerate();
        rows.flat_map(|(row, outcome)| outcome.cells.iter().enumerate().map(move |(column, cell)| (row, column, *cell)))
            .filter(|(.., cell)| cell.was_run())
    };
    let run = cells().count();
    if run == 0 {
        return "Nothing was run".to_string();
    }
    // The first of the worst: `max_by` would take the last.
    let worst_of = |key: fn(Counts) -> u64, among: &dyn Fn(usize, usize) -> bool| {
        let share = |cell: OutcomeCell| key(cell.counts()) as f64 / cell.counts().of as f64;
        cells()
            .filter(|(row, column, cell)| key(cell.counts()) > 0 && among(*row, *column))
            .reduce(|best, next| if share(next.2) > share(best.2) { next } else { best })
    };
    let worst = |key| worst_of(key, &|_, _| true);
    // Of several axes, the values say it alone.
    let said =
        |label: &str| chart.rows_are.is_empty() || chart.rows_are.contains(", ") || label.contains(&chart.rows_are);
    let naming = |row: usize| match said(&chart.rows[row].label) {
        true => chart.rows[row].label.clone(),
        false => format!("{} = {}", chart.rows_are, chart.rows[row].label),
    };
    let exact_in = |row: usize| {
        let cells = chart.rows[row].cells.iter().enumerate();
        cells.filter(|(_, cell)| cell.exact()).map(|(column, _)| column).collect::<Vec<usize>>()
    };
    let exact =
        (0..chart.rows.len()).find(|row| !chart.columns.is_empty() && exact_in(*row).len() == chart.columns.len());
    let kept = (0..chart.rows.len()).find(|row| {
        let cells = &chart.rows[*row].cells;
        !cells.is_empty() && cells.iter().all(|cell| cell.was_run() && cell.counts().lost == 0)
    });
    let at =
        |column: usize| if chart.columns.len() > 1 { format!(" at {}", chart.columns[column]) } else { String::new() };
    let rows = chart.rows.iter().filter(|row| row.cells.iter().any(|cell| cell.was_run())).count();
    // With what the same row puts out of order.
    let harm = |verb: &str, key: fn(Counts) -> u64, (row, column, cell): (usize, usize, OutcomeCell)| {
        let and = |reordered: OutcomeCell| format!(" and reorders {}", count(reordered.counts().reordered));
        let (here, elsewhere) = match worst_of(|counts| counts.reordered, &|of, _| of == row) {
            Some((_, other, found)) if other == column => (and(found), String::new()),
            Some((_, other, found)) => (String::new(), and(found) + &at(other)),
            None => (String::new(), String::new()),
        };
        let (harmed, of) = (count(key(cell.counts())), count(cell.counts().of));
        format!("{} {verb} {harmed}{here} of {of} {}{}{elsewhere}", naming(row), chart.unit, at(column))
    };
    // What else may be wrong with an effect, if nothing is lost or repeated.
    let others: [((&str, &str), fn(Counts) -> u64); 3] = [
        (("reorders", ""), |counts| counts.reordered),
        (("leaves", " stale"), |counts| counts.stale),
        (("makes phantoms of", ""), |counts| counts.phantoms),
    ];
    let other = || others.iter().find_map(|(words, key)| Some((*words, *key, worst(*key)?)));
    match (worst(|counts| counts.lost), worst(|counts| counts.repeated)) {
        (None, None) if let Some(((verb, how), key, (row, column, cell))) = other() => {
            let harmed = format!("{} of {} {}", count(key(cell.counts())), count(cell.counts().of), chart.unit);
            let harms = format!("{} {verb} {harmed}{how}{}", naming(row), at(column));
            match exact {
                Some(exact) => format!("{} is exact everywhere; {harms}", naming(exact)),
                None => format!("Nothing is lost and nothing repeated; {harms}"),
            }
        }
        (None, None) if run == 1 => format!(
            "Nothing is lost and nothing repeated in {} {}",
            count(cells().map(|(.., cell)| cell.counts().of).sum()),
            chart.unit
        ),
        (None, None) if rows == 1 => format!("Nothing is lost and nothing repeated at any of {run} places"),
        (None, None) => {
            let places = match chart.columns.len() {
                1 => String::new(),
                places => format!(" at any of {places} places"),
            };
            format!("Nothing is lost and nothing repeated in any of {} cells{places}", count(rows as u64))
        }
        (None, Some(most)) => {
            // Where every row repeats somewhere, what tells them apart is where the best one does not.
            let best = (0..chart.rows.len()).rev().max_by_key(|row| exact_in(*row).len()).expect("a row that was run");
            let fine = exact_in(best);
            let apart = worst_of(|counts| counts.repeated, &|_, column| fine.contains(&column));
            match apart.filter(|_| exact.is_none()) {
                Some(other) => {
                    let fine: Vec<&str> = fine.iter().map(|column| chart.columns[*column].as_str()).collect();
                    let repeats = harm("repeats", |counts| counts.repeated, other);
                    format!("{} is exact at {}; {repeats}", naming(best), fine.join(" and "))
                }
                None => format!("Nothing is lost; {}", harm("repeats", |counts| counts.repeated, most)),
            }
        }
        (Some(most), _) => {
            let loses = harm("loses", |counts| counts.lost, most);
            match (exact, kept) {
                (Some(exact), _) => format!("{} is exact everywhere; {loses}", naming(exact)),
                (None, Some(kept)) => {
                    let repeats = chart.rows[kept].cells.iter().any(|cell| cell.counts().repeated > 0);
                    let but = if repeats { " but repeats" } else { "" };
                    format!("{} loses nothing{but}; {loses}", naming(kept))
                }
                (None, None) => loses,
            }
        }
    }
}

/// Each cell as a sentence.
pub fn description(chart: &OutcomesChart) -> String {
    let mut sentences = Vec::new();
    for row in chart.drawn() {
        for (place, cell) in chart.columns.iter().zip(&row.cells) {
            let Counts { of, lost, repeated, reordered, stale, phantoms } = cell.counts();
            let others = [(reordered, "out of order"), (stale, "stale"), (phantoms, "phantoms")];
            let others = others.into_iter().filter(|(harmed, _)| 0 < *harmed);
            let others: String = others.map(|(harmed, how)| format!(", {harmed} {how}")).collect();
            let fate = match cell.was_run() {
                true => format!("{lost} lost and {repeated} repeated of {of}{others}"),
                false => "not run".to_string(),
            };
            sentences.push(format!("{} at {place}: {fate}.", row.label));
        }
    }
    sentences.join(" ")
}

/// Columns of what never happened and is seldom asked for are left out.
fn table(chart: &OutcomesChart) -> String {
    let others: [(&str, fn(Counts) -> u64); 3] = [
        ("out_of_order", |counts| counts.reordered),
        ("stale", |counts| counts.stale),
        ("phantoms", |counts| counts.phantoms),
    ];
    let all = || chart.rows.iter().flat_map(|row| &row.cells);
    let others: Vec<_> = others.into_iter().filter(|(_, key)| all().any(|cell| 0 < key(cell.counts()))).collect();
    let rows = chart.rows.iter().flat_map(|row| {
        chart.columns.iter().zip(&row.cells).map(|(place, cell)| {
            let number = |value: u64| if cell.was_run() { value.to_string() } else { String::new() };
            let counts = cell.counts();
            let mut fields = vec![row.label.clone(), place.clone(), counts.of.to_string()];
            fields.extend([number(counts.lost), number(counts.repeated)]);
            fields.extend(others.iter().map(|(_, key)| number(key(counts))));
            fields
        })
    });
    let mut headings = vec!["row", "place", "of", "lost", "repeated"];
    headings.extend(others.iter().map(|(heading, _)| *heading));
    super::csv(&headings, rows)
}
