//! Every transcript beside this file is a claim; update them with `UPDATE_GOLDENFILES=1` and read the difference.

use super::harness::Harness;

pub(in crate::kafka) fn run_transcripts(directory: &str) {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("a directory of transcripts")
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts in {directory}");
    for path in paths {
        goldenscript::run(&mut Harness::new(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn transcripts_of_the_coordinator_hold() {
    run_transcripts("sim/kafka/group/transcripts");
}
