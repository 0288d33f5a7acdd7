//! The page by itself: its parts agree, it asks nobody for anything, and names from outside stay names.

use sha2::{Digest, Sha256};

use super::*;
use crate::types::EventId;

#[test]
fn the_only_script_that_may_run_is_ours() {
    assert_eq!(base64(&Sha256::digest(SCRIPT.as_bytes())), SCRIPT_DIGEST, "take this digest when the script changes");
    assert!(!SCRIPT.contains("</") && !STYLE.contains("</"), "an element would end early");
}

#[test]
fn base64_is_that_of_rfc_4648() {
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
    assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
}

#[test]
fn names_from_outside_stay_names() {
    let hostile = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"\u{202e}\u{1b}[31m";
    let mut rows = Table::new(&[("name", Align::Left), ("count", Align::Right)]);
    rows.push(vec![Cell::from(hostile), Cell::new(Tone::Violated, hostile)]);
    let page = page(hostile, &table("rows", &rows));
    assert_eq!(page.matches("<script").count(), 1, "ours");
    assert!(!page.contains("<img") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    assert!(!page.contains("\" onload"));
}

#[test]
fn the_page_names_no_place_to_load_from() {
    let page = page("a", &html! {});
    for foreign in ["http:", "https:", "//", "@import", "<link", "<iframe", "src=\""] {
        let found = page.match_indices(foreign).map(|(at, _)| &page[at.saturating_sub(30)..(at + 30).min(page.len())]);
        // A comment of the script and the data of the fonts have slashes.
        let found: Vec<&str> = found.filter(|text| foreign != "//" || text.contains("url(//")).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn each_story_has_an_anchor_of_its_own() {
    let events = [3, 12, 3, 1, 3, 12].map(EventId);
    let anchors = stories::anchors_of(events.into_iter());
    assert_eq!(anchors, ["e3", "e12", "e3-2", "e1", "e3-3", "e12-2"]);
}
