//! Seals: a line of a journal or of a shard vouches for its own text and for the sweep that it belongs to.
//!
//! What was changed by a disk, a transfer or a hand, or was taken from another sweep, has the wrong seal and is not even
//! looked at: records are read back only as they were written. A seal is no signature; who wants to forge one can.

use twox_hash::XxHash3_64;

const BEFORE: &str = "{\"seal\":\"";
const BETWEEN: &str = "\",\"line\":";
const BEHIND: &str = "}";

/// `{"seal":"0123456789abcdef","line":…}` of a text that is JSON. `hash` is that of the sweep's list; of a header, which
/// holds that hash itself, it is empty.
pub fn sealed(text: &str, hash: &str) -> String {
    format!("{BEFORE}{}{BETWEEN}{text}{BEHIND}", seal(text, hash))
}

/// The text of a sealed line.
pub fn opened<'a>(line: &'a str, hash: &str) -> Result<&'a str, String> {
    let parts = line.strip_prefix(BEFORE).and_then(|line| line.strip_suffix(BEHIND));
    let (found, text) =
        parts.and_then(|line| line.split_once(BETWEEN)).ok_or("it is not a line of this version of hikyaku")?;
    if found == seal(text, hash) { Ok(text) } else { Err("its text is not what was written".to_string()) }
}

fn seal(text: &str, hash: &str) -> String {
    format!("{:016x}", XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(hash.as_bytes()), text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_opens_as_it_was_sealed_and_in_its_own_sweep_alone() {
        let line = sealed("{\"record\":1}", "hash");
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        assert_eq!(opened(&line, "hash"), Ok("{\"record\":1}"));
        assert!(opened(&line, "other").is_err());
        for at in 0..line.len() {
            let mut changed = line.clone().into_bytes();
            changed[at] ^= 1;
            assert!(opened(&String::from_utf8(changed).unwrap(), "hash").is_err(), "byte {at}");
            assert!(opened(&line[..at], "hash").is_err(), "cut at {at}");
        }
    }
}
