//! Words of a fault's sentence, to change one of them.
//!
//! Only what a printed fault can be: a keyword and its one word, at most once. The grammar itself stays with the reader,
//! which refuses what this makes of a sentence when it is none.

use crate::types::Duration;

/// A sentence as its words; blanks inside parentheses belong to a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence(Vec<String>);

impl Sentence {
    pub fn of(text: &str) -> Sentence {
        let mut words = vec![String::new()];
        let mut depth = 0usize;
        for character in text.chars() {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            match words.last_mut() {
                Some(word) if !character.is_whitespace() || 0 < depth => word.push(character),
                Some(word) if word.is_empty() => {}
                Some(_) | None => words.push(String::new()),
            }
        }
        words.retain(|word| !word.is_empty());
        Sentence(words)
    }

    pub fn text(&self) -> String {
        self.0.join(" ")
    }

    /// The word behind a keyword.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == keyword)?;
        self.0.get(at + 1).map(String::as_str)
    }

    pub fn duration(&self, keyword: &str) -> Option<Duration> {
        self.get(keyword)?.parse().ok()
    }

    /// With another word behind the keyword.
    pub fn with(&self, keyword: &str, value: impl Into<String>) -> Sentence {
        let mut words = self.0.clone();
        if let Some(at) = words.iter().position(|word| word == keyword)
            && at + 1 < words.len()
        {
            words[at + 1] = value.into();
        }
        Sentence(words)
    }

    /// Without the keyword and its word.
    pub fn without(&self, keyword: &str) -> Sentence {
        let mut words = self.0.clone();
        if let Some(at) = words.iter().position(|word| word == keyword) {
            words.drain(at..(at + 2).min(words.len()));
        }
        Sentence(words)
    }

    /// With one word in the place of another.
    pub fn replace(&self, from: &str, to: &str) -> Sentence {
        Sentence(self.0.iter().map(|word| if word == from { to.to_string() } else { word.clone() }).collect())
    }

    /// The delay behind a state: `when rebalance(stock) +2s`.
    pub fn delay(&self) -> Option<Duration> {
        self.0.iter().find_map(|word| word.strip_prefix('+')?.parse().ok())
    }

    /// With another delay; with none when it is zero.
    pub fn with_delay(&self, delay: Duration) -> Sentence {
        let is_delay = |word: &String| word.strip_prefix('+').is_some_and(|rest| rest.parse::<Duration>().is_ok());
        let changed = self.0.iter().filter(|word| !is_delay(word) || !delay.is_zero());
        Sentence(changed.map(|word| if is_delay(word) { format!("+{delay}") } else { word.clone() }).collect())
    }

    /// For each node of a target `all(A, B)`: aimed at it alone.
    pub fn with_one_of_all(&self) -> Vec<Sentence> {
        let text = self.text();
        let Some(start) = text.find("all(") else { return Vec::new() };
        let (mut depth, mut from, mut nodes) = (0usize, start + 4, Vec::new());
        for (at, character) in text.char_indices().skip_while(|(at, _)| *at < start + 3) {
            match character {
                '(' => depth += 1,
                ',' if depth == 1 => {
                    nodes.push(text[from..at].trim());
                    from = at + 1;
                }
                ')' if depth == 1 => {
                    nodes.push(text[from..at].trim());
                    let alone = |node: &&str| Sentence::of(&format!("{}{node}{}", &text[..start], &text[at + 1..]));
                    return nodes.iter().map(alone).collect();
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
        Vec::new()
    }

    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|other| other == word)
    }

    /// The occurrence that a state is waited for: `when 3rd …`. A state without a number is its first.
    pub fn ordinal(&self) -> Option<u64> {
        let word = self.get("when")?;
        let digits = word.trim_end_matches(|character: char| character.is_ascii_alphabetic());
        digits.parse().ok().filter(|_| digits.len() + 2 == word.len())
    }
}

/// `3rd`.
pub fn ordinal(number: u64) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        (0 | 4.., _) => "th",
    };
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_sentence_can_be_changed_one_by_one() {
        let fault = Sentence::of("when 37th after(stock.insert db.rows)  for 2s crash instance(stock, 1)");
        assert_eq!(fault.ordinal(), Some(37));
        assert_eq!(fault.get("crash"), Some("instance(stock, 1)"));
        let changed = fault.with("when", ordinal(2)).without("for").replace("crash", "pause");
        assert_eq!(changed.text(), "when 2nd after(stock.insert db.rows) pause instance(stock, 1)");
        assert_eq!(Sentence::of("when rebalance(stock) crash broker(1)").ordinal(), None);
        assert_eq!(Sentence::of("at 1s200ms for 3s crash broker(1)").duration("at"), Some(Duration(1_200_000_000)));
    }

    #[test]
    fn a_delay_behind_a_state_can_be_changed_and_taken_away() {
        let fault = Sentence::of("when 2nd rebalance(stock) +1s5ms for 1s crash broker(1)");
        assert_eq!(fault.delay(), Some(Duration(1_005_000_000)));
        let second = fault.with_delay(Duration(1_000_000_000));
        assert_eq!(second.text(), "when 2nd rebalance(stock) +1s for 1s crash broker(1)");
        assert_eq!(second.with_delay(Duration::ZERO).text(), "when 2nd rebalance(stock) for 1s crash broker(1)");
    }

    #[test]
    fn a_fault_at_several_nodes_is_aimed_at_each_alone() {
        let fault = Sentence::of("at 1s for 2s cut all(broker(1), instance(stock, 2)) | db");
        let alone: Vec<String> = fault.with_one_of_all().iter().map(Sentence::text).collect();
        assert_eq!(alone, ["at 1s for 2s cut broker(1) | db", "at 1s for 2s cut instance(stock, 2) | db"]);
        assert!(Sentence::of("at 1s crash broker(1)").with_one_of_all().is_empty());
    }

    #[test]
    fn ordinals_are_written_as_they_are_said() {
        let said = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal);
        assert_eq!(said, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
    }
}
