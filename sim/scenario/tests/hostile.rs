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
