//! Numbers as Python prints them.

/// Python's `repr` of a finite float. Rust and Python agree on the shortest digits; they differ in
/// when the exponent is written and how.
pub(in crate::data) fn repr(x: f64) -> String {
    if has_exponent(x) {
        let scientific = format!("{x:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{x:?}")
}

/// Whether Python writes the float with an exponent: at 1e16 and above, and below 1e-4.
pub(super) fn has_exponent(x: f64) -> bool {
    let size = x.abs();
    size != 0.0 && !(1e-4..1e16).contains(&size)
}
