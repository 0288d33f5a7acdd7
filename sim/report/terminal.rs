//! Words on a terminal: colours by meaning, wrapping, and names from outside made harmless. Colour is written always; whoever
//! prints goes through `anstream`, which removes it when nobody can see it (a pipe, a file, `NO_COLOR`).

use anstyle::{AnsiColor, Style};

use super::charts::palette::FaultKind;

/// What a word means, and so its colour. Faults have the colour of their family in every plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// A heading or the word that matters.
    Strong,
    /// Context that can be skipped.
    Muted,
    /// A promise held.
    Holds,
    /// A promise broken.
    Violated,
    /// It cannot be told.
    Unknown,
    /// Too little happened to prove anything.
    Vacuous,
    Fault(FaultKind),
}

impl Tone {
    fn style(self) -> Style {
        let coloured = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Muted => Style::new().dimmed(),
            Tone::Holds => coloured(AnsiColor::Green).bold(),
            Tone::Violated => coloured(AnsiColor::Red).bold(),
            Tone::Unknown => coloured(AnsiColor::Yellow).bold(),
            Tone::Vacuous => coloured(AnsiColor::Magenta).bold(),
            Tone::Fault(kind) => coloured(match kind {
                FaultKind::Crash => AnsiColor::Red,
                FaultKind::Pause => AnsiColor::Magenta,
                FaultKind::Network => AnsiColor::Yellow,
                FaultKind::Disk => AnsiColor::BrightYellow,
                FaultKind::Clock => AnsiColor::Cyan,
                FaultKind::Cluster => AnsiColor::BrightBlack,
                FaultKind::Downstream => AnsiColor::BrightMagenta,
                FaultKind::Load => AnsiColor::Green,
            }),
        }
    }
}

/// The text in the colour of its meaning. Widths must be measured before.
pub fn paint(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => text.to_string(),
        _ => format!("{style}{text}{style:#}", style = tone.style()),
    }
}

/// Makes a name from outside harmless: control characters, and those that turn the direction of writing, are spelled out.
pub fn escaped(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmful(character) {
            true => harmless.extend(character.escape_default()),
            false => harmless.push(character),
        }
    }
    harmless
}

/// Control characters (C0, C1), marks of direction, invisible joiners, line and paragraph separators.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character), 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB)
}

/// Columns that a text takes on a terminal: none for combining marks, two for East Asian and pictures.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1F64F | 0x1F900..=0x1F9FF | 0x2_0000..=0x3_FFFD => 2,
        _ => 1,
    }
}

/// Lines of at most so many columns, broken at spaces; a longer word stands alone and is not cut. Always one line at least.
pub fn wrapped(text: &str, limit: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= limit {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_cannot_move_the_cursor_or_turn_the_line() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d\u{9b}e"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}e");
        assert_eq!(escaped("注文 → café"), "注文 → café");
    }

    #[test]
    fn text_wraps_at_spaces() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-very-long-word b", 5), ["a-very-long-word", "b"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(width("注文 e\u{301}"), 6);
    }

    #[test]
    fn colour_ends_where_it_began() {
        assert_eq!(paint(Tone::Holds, "holds"), "\u{1b}[1m\u{1b}[32mholds\u{1b}[0m");
        assert_eq!(paint(Tone::Plain, "x"), "x");
    }
}
