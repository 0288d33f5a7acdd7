//! Whatever stands in a file: a clear answer, quickly, and never a panic.

use proptest::strategy::Strategy as _;

use super::mistakes::{SMALL, expect, fault, stock, with};
use super::*;

#[test]
fn a_file_that_is_no_scenario_is_refused_before_it_is_read() {
    let folder = std::env::temp_dir().join(format!("hikyaku-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let huge = folder.join("huge.toml");
    std::fs::File::create(&huge).unwrap().set_len(100 << 20).unwrap();
    let binary = write("binary.toml", &[0xFF, 0xFE, 0, 1, 2]);
    for (path, fragment) in [
        (huge, "at most 1048576"),
        (binary, "not UTF-8"),
        (folder.clone(), "not a file"),
        (folder.join("none"), "cannot be read"),
    ] {
        let short = load(&path, &[]).unwrap_err().short();
        assert!(short.contains("S004") && short.contains(fragment), "{short}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn hostile_texts_are_answered_quickly() {
    let deep_tables = format!("format = 1\na = {}1{}", "{ a = ".repeat(10_000), " }".repeat(10_000));
    let deep_lists = format!("format = 1\na = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_keys = format!("format = 1\n{}a = 1", "a.".repeat(100_000));
    let many_keys: String =
        std::iter::once("format = 1\n".to_string()).chain((0..20_000).map(|n| format!("k{n} = {n}\n"))).collect();
    let many_services: String = std::iter::once(SMALL.to_string())
        .chain((0..2_000).map(|n| format!("[service.s{n}]\non = \"consume orders\"\nsteps = [\"publish orders\"]\n")))
        .collect();
    let axes: String = (0..12).map(|n| format!("a{n} = [\"none\", \"b\", \"c\"]\n")).collect();
    let many_cells = format!("{SMALL}[matrix]\n{axes}");
    let deep_words = stock(&format!("[\"{}\", \"commit\"]", "work ".repeat(20_000)));
    let deep_target = fault(&format!("at 5s for 2s crash {}brokers{}", "any(1, ".repeat(5_000), ")".repeat(5_000)));
    let diamonds: String = std::iter::once("format = 1\nabout = \"x\"\ncluster.brokers = 1\n[topic]\nt0 = {}\n".to_string())
        .chain((1..60).map(|n| format!("t{n} = {{}}\n")))
        .chain(["[service.s0]\non = \"requests\"\nrate = \"1M/s\"\nsteps = [\"publish t0\", \"respond ok\"]\n".to_string()])
        .chain((1..60).map(|n| format!("[service.s{n}]\non = \"consume t{}\"\nauto-offset-reset = \"latest\"\nsteps = [\"publish t{n}\", \"publish t{n}\", \"publish t{n}\", \"commit\"]\n", n - 1)))
        .collect();
    for text in
        [deep_tables, deep_lists, deep_keys, many_keys, many_services, many_cells, deep_words, deep_target, diamonds]
    {
        #[expect(clippy::disallowed_methods, reason = "how long reading takes is what is tested")]
        let start = std::time::Instant::now();
        if let Err(diagnostics) = read(&text) {
            assert!(diagnostics.render(false).len() < 4 << 20);
        }
        assert!(start.elapsed().as_secs() < 10, "{} bytes took {:?}", text.len(), start.elapsed());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        show(&read(&text));
        show(&read(&format!("format = 1\n{text}")));
    }

    #[test]
    fn arbitrary_sentences_never_panic(words in proptest::collection::vec(word(), 0..8)) {
        let sentence = words.join(" ").replace(['"', '\\'], "");
        show(&read(&stock(&format!("[\"{sentence}\", \"commit\"]"))));
        show(&read(&fault(&sentence)));
        show(&read(&expect(&format!("stock.recovery = \"{sentence}\""))));
        show(&read(&with("rate", &format!("rate = \"{sentence}\""))));
    }

    #[test]
    fn mutated_scenarios_never_panic(
        which in 0usize..3,
        edits in proptest::collection::vec((proptest::prelude::any::<usize>(), 0u8..4, word()), 1..5),
    ) {
        let mut text = [RICH, RESET, NOTIFIER][which].to_string();
        for (at, how, word) in edits {
            let at = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((at + word.len()).min(text.len()));
            match how {
                0 => text.insert_str(at, &word),
                1 => text.replace_range(at..end, ""),
                2 => text.replace_range(at..end, &word),
                _ => {
                    let copy = text[at..end].to_string();
                    text.push_str(&copy);
                }
            }
        }
        show(&read(&text));
    }

    /// Lines and words of what is shipped: dropped, doubled, exchanged, and numbers that grew out of their range.
    #[test]
    fn shipped_scenarios_with_exchanged_lines_and_numbers_never_panic(
        which in proptest::prelude::any::<usize>(),
        edits in proptest::collection::vec((0u8..5, proptest::prelude::any::<usize>(), proptest::prelude::any::<usize>()), 1..5),
    ) {
        let shipped = shipped();
        let mut lines: Vec<String> = shipped[which % shipped.len()].lines().map(str::to_string).collect();
        for (how, one, other) in edits {
            let (one, other) = (one % lines.len(), other % lines.len());
            match how {
                0 => lines[one].clear(),
                1 => lines.insert(one, lines[other].clone()),
                2 => lines.swap(one, other),
                3 => {
                    let mut words: Vec<&str> = lines[one].split(' ').collect();
                    let (first, last) = (other % words.len(), words.len() - 1);
                    words.swap(first, last);
                    lines[one] = words.join(" ");
                }
                _ => lines[one] = with_number(&lines[one], NUMBERS[other % NUMBERS.len()]),
            }
        }
        show(&read(&lines.join("\n")));
    }

    /// A damaged plan is read or refused, then sound or refused; both say why.
    #[test]
    fn damaged_plans_are_sound_or_refused(
        which in proptest::prelude::any::<usize>(),
        edits in proptest::collection::vec((0u8..3, proptest::prelude::any::<usize>(), proptest::prelude::any::<usize>()), 1..4),
    ) {
        let plans = plans();
        let mut lines: Vec<String> = plans[which % plans.len()].lines().map(str::to_string).collect();
        for (how, one, other) in edits {
            let (one, other) = (one % lines.len(), other % lines.len());
            match how {
                0 => lines[one].clear(),
                1 => lines.swap(one, other),
                _ => lines[one] = with_number(&lines[one], NUMBERS[other % NUMBERS.len()]),
            }
        }
        match toml::from_str::<Plan>(&lines.join("\n")).map(|plan| sound::check(&plan)) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => assert!(!problem.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

const NUMBERS: &[&str] = &["0", "1", "2", "99", "65535", "65536", "4294967296", "18446744073709551615", "-1"];

/// The line with its first number replaced.
fn with_number(line: &str, number: &str) -> String {
    let Some(start) = line.find(|letter: char| letter.is_ascii_digit()) else { return line.to_string() };
    let end = line[start..].find(|letter: char| !letter.is_ascii_digit()).map_or(line.len(), |length| start + length);
    format!("{}{number}{}", &line[..start], &line[end..])
}

/// The text of every scenario under `scenarios/`.
fn shipped() -> &'static [String] {
    static TEXTS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
        files.sort();
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    });
    &TEXTS
}

/// A plan of every cell of what is shipped, as files.
fn plans() -> &'static [String] {
    static TEXTS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let families = shipped().iter().filter_map(|text| read(text).ok());
        let plans = families.flat_map(|family| family.cells.iter().map(|cell| cell.plan(Seed(1))).collect::<Vec<_>>());
        plans.map(|plan| toml::to_string(&plan).unwrap()).collect()
    });
    &TEXTS
}

#[test]
fn a_plan_read_back_is_the_plan_and_sound() {
    assert!(10 < plans().len(), "{} plans", plans().len());
    for text in plans() {
        let plan: Plan = toml::from_str(text).unwrap();
        assert_eq!(&toml::to_string(&plan).unwrap(), text);
        assert_eq!(sound::check(&plan), Ok(()));
    }
}

fn show(result: &Result<Family, Diagnostics>) {
    match result {
        Ok(family) => {
            for cell in &family.cells {
                cell.plan(Seed(1));
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            let _ = (diagnostics.render(true), diagnostics.short(), diagnostics.json(), diagnostics.github());
        }
    }
}

fn word() -> impl proptest::strategy::Strategy<Value = String> {
    let known = [
        "work",
        "insert",
        "db.rows",
        "publish",
        "orders",
        "commit",
        "every",
        "batch",
        "at",
        "5s",
        "for",
        "when",
        "any",
        "3rd",
        "after(stock.insert)",
        "crash",
        "self",
        "leader(orders/0)",
        "|",
        "->",
        "cut",
        "by",
        "10x",
        "±5%",
        "theory",
        "<",
        "> 2x",
        "1%",
        "9999999999999999999999999999999s",
        "(",
        ")",
        "any(1,brokers)",
        "±",
        "..",
        "1ms..",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "true",
        "0",
        "-1",
        "18446744073709551615",
        "é",
        "+5s",
        "lag(stock)",
        "restart",
        "rolling",
        "matrix",
        "1.0x",
        "0/s",
        "0.001/h",
        "1M/s",
        "burst 0",
        "zipf 0 of 0",
        "key",
        "key key",
        "lognormal 0s p99 1s",
        "\u{1b}[31m",
        "../..",
    ];
    proptest::strategy::Strategy::boxed(proptest::prop_oneof![
        5 => proptest::sample::select(known.to_vec()).prop_map(str::to_string),
        1 => "\\PC{0,6}",
    ])
}
