//! Counts of rows in words.

/// So many rows: `1 row`, `2 rows`.
pub(super) fn counted(n: usize) -> String {
    match n {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

/// So many rows, with the verb for one and for several: `1 row has`, `2 rows have`.
pub(super) fn rows(n: usize, (one, several): (&str, &str)) -> String {
    let verb = if n == 1 { one } else { several };
    format!("{} {verb}", counted(n))
}
