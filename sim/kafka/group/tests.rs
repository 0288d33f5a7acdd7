//! Every transcript beside this file is a claim; update them with `UPDATE_GOLDENFILES=1` and read the difference.

use super::harness::Harness;

pub(in crate::kafka) fn run_transcripts(directory: &str) {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("a directory of transcripts")
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts in {directory}");
    let mut failed = Vec::new();
    for path in paths {
        let run = || goldenscript::run(&mut Harness::new(), &path).map_err(|error| error.to_string());
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed.push(format!("{}: {error}", path.display())),
            Err(_) => failed.push(format!("{}: panicked", path.display())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn transcripts_of_the_coordinator_hold() {
    run_transcripts("sim/kafka/group/transcripts");
}
