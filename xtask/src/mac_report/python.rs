//! A Python that MLX can be installed for.

use std::process::Command;

/// Names that interpreters have; a Mac's own `python3` is 3.9.
const NAMES: [&str; 5] = [
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3",
];

/// The oldest version that the packages run on.
const OLDEST: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

/// Name of an interpreter that is new enough.
///
/// # Errors
/// When there is none.
pub fn find() -> Result<&'static str, String> {
    let is_new_enough = |name: &&str| {
        let output = Command::new(name).args(["-c", OLDEST]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = NAMES.into_iter().find(is_new_enough);
    found.ok_or_else(|| {
        format!(
            "no Python 3.11 or later among {}: install one",
            NAMES.join(", ")
        )
    })
}
