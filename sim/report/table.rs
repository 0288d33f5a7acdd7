//! Aligned columns for a terminal, without borders. Numbers stand right, words left; the last column is not padded, so that no
//! line ends in spaces. Colour is put on after the widths are known. It does not fold cells: a row is one line.

use super::terminal::{Tone, escaped, paint, width};

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// One cell: text and what it means.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// The text may come from outside: control characters are spelled out.
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Cell {
        Cell { text: escaped(text.as_ref()), tone }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn tone(&self) -> Tone {
        self.tone
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(Tone::Plain, text)
    }
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Align>,
    headings: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Headings that are all empty are not printed.
    pub fn new(columns: &[(&str, Align)]) -> Table {
        Table {
            columns: columns.iter().map(|(_, align)| *align).collect(),
            headings: columns.iter().map(|(heading, _)| Cell::new(Tone::Muted, heading)).collect(),
            rows: Vec::new(),
        }
    }

    pub fn push(&mut self, row: Vec<Cell>) {
        assert!(row.len() == self.columns.len(), "a row has one cell for each column");
        self.rows.push(row);
    }

    pub fn columns(&self) -> impl Iterator<Item = (&str, Align)> {
        self.headings.iter().map(Cell::text).zip(self.columns.iter().copied())
    }

    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The same with the first rows alone.
    pub fn first(&self, rows: usize) -> Table {
        Table { rows: self.rows.iter().take(rows).cloned().collect(), ..self.clone() }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lines that end in a newline, each indented by so many spaces.
    pub fn render(&self, indent: usize) -> String {
        let headed = self.headings.iter().any(|heading| !heading.text.is_empty());
        let rows: Vec<&Vec<Cell>> = headed.then_some(&self.headings).into_iter().chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| rows.iter().map(|row| width(&row[column].text)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in rows {
            text.push_str(&self.line(row, &widths, indent));
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &[Cell], widths: &[usize], indent: usize) -> String {
        let mut line = String::new();
        // Padding waits until something follows it.
        let mut padding = indent;
        for ((cell, align), column) in row.iter().zip(&self.columns).zip(widths) {
            let missing = column - width(&cell.text);
            let (before, after) = match align {
                Align::Left => (0, missing),
                Align::Right => (missing, 0),
            };
            padding += before;
            if !cell.text.is_empty() {
                line.extend(std::iter::repeat_n(' ', padding));
                line.push_str(&paint(cell.tone, &cell.text));
                padding = 0;
            }
            padding += after + 2;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let mut table = Table::new(&[("place", Align::Left), ("lost", Align::Right), ("verdict", Align::Left)]);
        table.push(vec!["stock".into(), "0".into(), Cell::new(Tone::Plain, "holds")]);
        table.push(vec!["注文".into(), "1,234".into(), "".into()]);
        let plain = anstream::adapter::strip_str(&table.render(2)).to_string();
        assert_eq!(plain, "  place   lost  verdict\n  stock      0  holds\n  注文   1,234\n");
    }

    #[test]
    fn a_hostile_cell_stays_one_line() {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
        table.push(vec!["a\nb".into(), "\u{1b}[31mred".into()]);
        assert_eq!(table.render(0), "a\\nb  \\u{1b}[31mred\n");
    }
}
