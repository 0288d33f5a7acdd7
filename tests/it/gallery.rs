//! The pictures that are kept in the repository are those that this build makes, byte for byte; `.ci/run` asks a release the same.

use std::fs;

use crate::common::{hikyaku, stderr, stdout};

#[test]
fn the_gallery_is_fresh() {
    let output = hikyaku(&["gallery", "--check"]);
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "`hikyaku gallery` makes it anew:\n{out}\n{err}");
}

#[test]
fn what_the_pages_of_the_repository_show_is_there() {
    let mut shown = 0;
    for (page, folder) in [("README.md", ""), ("reports/gallery/README.md", "reports/gallery/")] {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_file = target.ends_with(".svg") || target.ends_with(".png") || target.ends_with(".html");
            if is_file && !target.contains("://") {
                shown += 1;
                assert!(fs::metadata(format!("{folder}{target}")).is_ok(), "{page} shows {target}, which is not there");
            }
        }
    }
    assert!(shown >= 12, "{shown} pictures are shown");
}

#[test]
fn what_is_not_in_the_gallery_is_said() {
    let output = hikyaku(&["gallery", "--check", "--only", "quickstart"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`quickstart` is not in the gallery; there are "), "{}", stderr(&output));
}
