//! Numbers as a person reads them: `1,234`, `2 min 3 s`, `1.5×`, `0.8 %`. Charts, tables and sentences share these, so that the
//! same value never appears in two spellings. Exact values belong into CSV and JSON, which print plain numbers instead.

/// Thousands separated by commas: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 run`, `20 runs`. The plural is made with an s.
pub fn counted(value: u64, noun: &str) -> String {
    let ending = if value == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(value))
}

/// A sentence begins with a capital letter.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A length of time with two units at most: `12 µs`, `450 ms`, `1.5 s`, `90 s`, `2 min 3 s`, `1 h 5 min`, `3 d 2 h`.
pub fn seconds(value: f64) -> String {
    if value < 0.0 {
        return format!("−{}", seconds(-value));
    }
    if !value.is_finite() {
        return "forever".to_string();
    }
    let whole = (value + 0.5) as u64;
    match value {
        _ if value == 0.0 => "0 s".to_string(),
        _ if value < 0.000_999_5 => format!("{:.0} µs", value * 1e6),
        _ if value < 0.999_5 => format!("{:.0} ms", value * 1e3),
        _ if value < 9.95 => format!("{} s", trimmed(value, 1)),
        _ if whole < 120 => format!("{whole} s"),
        _ if whole < 3_600 => pair(whole / 60, "min", whole % 60, "s"),
        _ if whole < 172_800 => pair(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => pair(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// A multiple: `1.0×`, `1.25×`.
pub fn multiple(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("{}×", text.strip_suffix('0').unwrap_or(&text))
}

/// A share of one, with two significant digits below ten percent: `0.8 %`, `0.062 %`, `34 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let decimals = match value {
        _ if value <= 0.0 || value >= 9.95 => 0,
        _ if value >= 0.095 => 1,
        _ if value >= 0.009_5 => 2,
        _ => 3,
    };
    format!("{} %", trimmed(value, decimals))
}

/// At most so many decimals, without zeros at the end.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "run"), counted(2_000, "run")], ["1 run", "2,000 runs"]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (0.0, "0 s"),
            (0.000_012, "12 µs"),
            (0.45, "450 ms"),
            (0.999_9, "1 s"),
            (1.5, "1.5 s"),
            (9.96, "10 s"),
            (90.0, "90 s"),
            (119.6, "2 min"),
            (123.0, "2 min 3 s"),
            (3_900.0, "1 h 5 min"),
            (266_400.0, "3 d 2 h"),
            (-3.0, "−3 s"),
            (f64::INFINITY, "forever"),
        ];
        for (value, text) in cases {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn multiples_and_percentages() {
        assert_eq!([1.0, 1.25, 1.5, 13.333].map(multiple), ["1.0×", "1.25×", "1.5×", "13.33×"]);
        assert_eq!([0.0, 0.0076, 0.000_615, 0.34, 1.0].map(percent), ["0 %", "0.8 %", "0.06 %", "34 %", "100 %"]);
    }
}
