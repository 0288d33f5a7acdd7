//! Prints a sheet as SVG: light colours as attributes, dark ones as rules that hold where the reader prefers dark, so one file serves
//! both and still works in a viewer without style sheets. Numbers are printed from whole eighths; nothing depends on how a platform
//! prints floats. Identifiers carry a digest of the drawing, so that several pictures may stand in one page. No scripts, no links.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::font::{self, Weight};
use super::palette::Token;
use super::sheet::{Align, Dash, Ink, Mark, Place, Sheet, Text};

/// The whole document. `stem` names the kind of chart, `title` is its message, `description` its numbers.
pub fn print(sheet: &Sheet, stem: &str, title: &str, description: &str) -> String {
    let mut printer = Printer { body: String::new(), fills: BTreeSet::new(), strokes: BTreeSet::new() };
    for mark in &sheet.marks {
        printer.mark(mark);
    }
    let digest = twox_hash::XxHash3_64::oneshot(printer.body.as_bytes()) >> 32;
    let id = format!("{stem}-{digest:08x}");
    let (width, height) = (sheet.width, sheet.height);
    let (title, description) = (escaped(title), escaped(description));
    let rules = printer.rules(&id);
    let body = &printer.body;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"{id}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{family}\">\n\
         <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n\
         <style>\n{rules}</style>\n{body}</svg>\n",
        family = font::FAMILY
    )
}

struct Printer {
    body: String,
    fills: BTreeSet<Token>,
    strokes: BTreeSet<Token>,
}

impl Printer {
    fn mark(&mut self, mark: &Mark) {
        match mark {
            Mark::Lines { strokes, ink, width, dash } => self.lines(strokes, *ink, *width, *dash),
            Mark::Area { corners, ink } => {
                let path = format!("{}Z", path(corners));
                let fill = self.fill(*ink);
                self.element(&format!("<path d=\"{path}\"{fill}/>"));
            }
            Mark::Disc { centre, radius, ink } => {
                let fill = self.fill(*ink);
                self.element(&format!("<circle {}{fill}/>", circle(*centre, *radius)));
            }
            Mark::Ring { centre, radius, ink, width } => {
                let stroke = self.stroke(*ink, *width);
                self.element(&format!("<circle {} fill=\"none\"{stroke}/>", circle(*centre, *radius)));
            }
            Mark::Text(text) => self.text(text),
        }
    }

    fn lines(&mut self, strokes: &[Vec<Place>], ink: Ink, width: i32, dash: Dash) {
        let path: String = strokes.iter().map(|stroke| path(stroke)).collect();
        let lengths: Vec<String> = dash.pattern().iter().map(|length| number(*length)).collect();
        let dashes = match dash {
            Dash::Solid => String::new(),
            Dash::Dashed | Dash::Dotted | Dash::Mixed => format!(" stroke-dasharray=\"{}\"", lengths.join(" ")),
        };
        let stroke = self.stroke(ink, width);
        self.element(&format!("<path d=\"{path}\" fill=\"none\"{stroke}{dashes} stroke-linejoin=\"round\"/>"));
    }

    fn text(&mut self, text: &Text) {
        let (x, y) = (number(text.at.0), number(text.at.1));
        let mut attributes = match text.turned {
            false => format!("x=\"{x}\" y=\"{y}\""),
            true => format!("transform=\"translate({x} {y}) rotate(-90)\""),
        };
        let _ = write!(attributes, " font-size=\"{}\"", number(text.size));
        match text.weight {
            Weight::Regular => {}
            Weight::Bold => attributes.push_str(" font-weight=\"700\""),
        }
        match text.align {
            Align::Left => {}
            Align::Centre => attributes.push_str(" text-anchor=\"middle\""),
            Align::Right => attributes.push_str(" text-anchor=\"end\""),
        }
        attributes.push_str(&self.fill(text.ink));
        if text.halo {
            // Three pixels of paper around the letters, below them.
            let stroke = attributes.rfind(" class=\"").expect("a fill has a class") + " class=\"".len();
            attributes.insert_str(stroke, "s-paper ");
            self.strokes.insert(Token::Paper);
            let _ = write!(
                attributes,
                " stroke=\"#{:06x}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"",
                Token::Paper.light()
            );
        }
        self.element(&format!("<text {attributes}>{}</text>", escaped(&text.text)));
    }

    fn element(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    fn fill(&mut self, ink: Ink) -> String {
        self.fills.insert(ink.token);
        let mut text = format!(" class=\"f-{}\" fill=\"#{:06x}\"", ink.token.class(), ink.token.light());
        if ink.percent < 100 {
            let _ = write!(text, " fill-opacity=\"0.{:02}\"", ink.percent);
        }
        text
    }

    fn stroke(&mut self, ink: Ink, width: i32) -> String {
        self.strokes.insert(ink.token);
        let mut text = format!(
            " class=\"s-{}\" stroke=\"#{:06x}\" stroke-width=\"{}\"",
            ink.token.class(),
            ink.token.light(),
            number(width)
        );
        if ink.percent < 100 {
            let _ = write!(text, " stroke-opacity=\"0.{:02}\"", ink.percent);
        }
        text
    }

    /// Only rules for tokens that occur, and only where dark differs from light. Print keeps the paper white and unpainted.
    fn rules(&self, id: &str) -> String {
        let mut rules = String::from("@media screen and (prefers-color-scheme: dark) {\n");
        let sets = [("f", "fill", &self.fills), ("s", "stroke", &self.strokes)];
        for (prefix, property, tokens) in sets {
            for token in tokens.iter().filter(|token| token.dark() != token.light()) {
                let _ = writeln!(rules, "#{id} .{prefix}-{} {{ {property}: #{:06x} }}", token.class(), token.dark());
            }
        }
        let _ = writeln!(rules, "}}\n@media print {{ #{id} .f-paper {{ fill: none }} }}");
        rules
    }
}

fn path(places: &[Place]) -> String {
    let mut text = String::new();
    for (index, place) in places.iter().enumerate() {
        text.push(if index == 0 { 'M' } else { 'L' });
        let _ = write!(text, "{} {}", number(place.0), number(place.1));
    }
    text
}

fn circle(centre: Place, radius: i32) -> String {
    format!("cx=\"{}\" cy=\"{}\" r=\"{}\"", number(centre.0), number(centre.1), number(radius))
}

/// Eighths as a decimal number of pixels.
fn number(eighths: i32) -> String {
    let sign = if eighths < 0 { "-" } else { "" };
    let (whole, thousandths) = (eighths.unsigned_abs() / 8, eighths.unsigned_abs() % 8 * 125);
    match thousandths {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{:03}", thousandths).trim_end_matches('0').to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ if crate::report::terminal::is_harmful(character) => safe.push('·'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighths_are_printed_exactly() {
        assert_eq!([0, 8, 1, -12, 100].map(number), ["0", "1", "0.125", "-1.5", "12.5"]);
    }

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escaped("</title><script>\u{1}\"&"), "&lt;/title&gt;&lt;script&gt;·&quot;&amp;");
    }
}
