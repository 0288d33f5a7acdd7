//! The page and the Markdown that `hikyaku run` leaves: whole, equal every time, asking nobody, and proof against names.

use std::collections::BTreeSet;
use std::fs;

use crate::common::{Scratch, hikyaku, stderr, stdout};

const HAZARD: &str = "tests/data/hazards/marker_first.toml";

/// Runs a scenario and gives its page and its Markdown.
fn report(scratch: &Scratch, scenario: &str, arguments: &[&str]) -> (String, String) {
    let out = scratch.path("out");
    let all = [&["run", scenario, "--out", &out], arguments].concat();
    let output = hikyaku(&all);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}\n{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("index.html"), "the page is printed among the paths");
    let read = |name: &str| fs::read_to_string(format!("{out}/{name}")).unwrap();
    (read("index.html"), read("report.md"))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn a_page_is_the_same_every_time_and_its_links_lead_somewhere() {
    let scratch = Scratch::new("page");
    let (page, text) = report(&scratch, HAZARD, &["--seeds", "1..4", "--jobs", "2"]);
    assert_eq!(report(&scratch, HAZARD, &["--seeds", "1..4", "--jobs", "1"]), (page.clone(), text.clone()));
    let identifiers = between(&page, " id=\"", "\"");
    let unique: BTreeSet<&str> = identifiers.iter().copied().collect();
    assert_eq!(unique.len(), identifiers.len(), "identifiers are unique");
    let links = between(&page, "href=\"", "\"");
    assert!(links.iter().any(|link| link.starts_with("#e")), "fates lead to stories");
    for link in links {
        assert!(unique.contains(link.strip_prefix('#').expect("links stay on the page")), "{link} leads nowhere");
    }
    let verdict = page.find("class=\"verdict").unwrap();
    assert!(verdict < page.find("<svg").unwrap(), "the verdict comes first");
    for part in
        ["Whose promise broke", "hikyaku explain", "What was not covered", "hikyaku replay", "default-src 'none'"]
    {
        assert!(page.contains(part), "{part}");
    }
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http://", "https://", "<link", "<iframe", "<object", "@import", " src="] {
        assert!(!elsewhere.contains(foreign), "the page has {foreign}");
    }
    assert!(text.starts_with("## VIOLATED") && text.contains("### Results"), "{text}");
    assert!(!page.contains(env!("CARGO_MANIFEST_DIR")) && !page.contains(&scratch.path("")), "no path of this machine");
}

#[test]
fn whatever_a_scenario_calls_itself_cannot_run_on_the_page() {
    let hostile = r#"</title></p><script>alert(1)</script><img src=x onerror=alert(2)> | `a` "b" 'c' &amp;"#;
    let scenario = fs::read_to_string("scenarios/quickstart.toml").unwrap();
    let about = scenario.lines().find(|line| line.starts_with("about")).unwrap();
    let owned = scenario
        .replace(about, &format!("about = '''{hostile}'''"))
        .replace("[service.booking]", &format!("[service.booking]\nowner = '''{hostile}'''"));
    let scratch = Scratch::new("hostile-page");
    let file = scratch.write("hostile.toml", owned);
    let (page, text) = report(&scratch, &file, &["--seed", "1"]);
    assert_eq!(page.matches("<script").count(), 1, "only our own");
    assert!(!page.contains("<img") && !page.contains("</title></p>"));
    assert!(page.contains("&lt;script&gt;"), "the name is still told");
    assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
}
