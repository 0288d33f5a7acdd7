//! Witnesses: for a guard, one scenario in which every fault is written down. Without the guard it fails by an oracle that the
//! table names; with it, it holds.
//!
//! Each file is called after its guard. Most are what a search found, made small by `hikyaku shrink`; the others were written
//! by hand after the bug's report, where no mix of faults is known that leads there.

use crate::types::Guard;

macro_rules! witnesses {
    ($($id:literal)*) => {
        /// Ids of guards and the texts of their witnesses, as they were when the program was built.
        pub const WITNESSES: &[(&str, &str)] =
            &[$(($id, include_str!(concat!("../../../tests/data/mutants/witnesses/", $id, ".toml")))),*];
    };
}

witnesses! {
    "R1" "R3" "R4" "R5" "R6" "R7" "R8" "R9" "R11" "R15" "R24" "R25"
    "P4" "P5" "P7" "P9" "P10" "P11" "P12" "P13"
    "G1" "G10" "G12" "G13" "G22"
    "T1" "T3" "T5" "T6" "T7" "T8" "T10" "T12" "T14" "T15" "T16" "T20" "T22"
}

pub(super) fn text(guard: Guard) -> Option<&'static str> {
    WITNESSES.iter().find(|(id, _)| *id == guard.id()).map(|(_, text)| *text)
}
