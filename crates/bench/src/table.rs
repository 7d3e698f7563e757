//! Rows as a person reads them.

use crate::bars::{LLAMA_CPP, RIVAL, bar, is_met};
use crate::ceilings::{Bound, CacheCeiling, Ceiling};
use crate::record::Row;
use std::fmt;

/// The line above the rows.
pub fn heading(rivals: &[&str]) -> String {
    let mut line = Line::default();
    let [op, case, dtype, pass] = ["operation", "sizes", "dtype", "pass"];
    line.subject(op, case, dtype, pass);
    line.figures("median", "quartiles", "rate", "limit", "MiB");
    for rival in rivals {
        line.cell(width(rival), &format!("{rival} x"));
    }
    if rivals
        .iter()
        .any(|rival| [RIVAL, LLAMA_CPP].contains(rival))
    {
        line.cell(12, "bar");
    }
    line.0
}

/// Width of the column of a rival.
fn width(rival: &str) -> usize {
    rival.len().max(7) + 4
}

/// One row: how long, how fast, which share of the limit of all threads, the most memory, and how
/// many times as long each rival takes.
pub fn line(row: &Row, ceiling: &Ceiling, rivals: &[&str]) -> String {
    let mut line = Line::default();
    let subject = &row.subject;
    line.subject(&subject.op, &subject.case, &subject.dtype, subject.pass);
    let spread = &row.ours.spread;
    line.figures(
        &seconds(spread.median_secs),
        &format!("{}..{}", seconds(spread.p25_secs), seconds(spread.p75_secs)),
        &rate(row, ceiling),
        &share(row, ceiling).unwrap_or_default(),
        &row.ours.peak_bytes.map_or_else(String::new, mebibytes),
    );
    for rival in rivals {
        let ratio = row.ratio(rival);
        let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        line.cell(width(rival), &ratio);
    }
    if let Some(bar) = bar(row).filter(|bar| rivals.contains(&bar.rival)) {
        let mark = match is_met(row) {
            Some(true) => " met",
            Some(false) => " missed",
            None => "",
        };
        line.cell(12, &format!("{:.2}{mark}", bar.ratio));
    }
    line.0
}

/// The rates of a number of threads, or of a GPU.
pub fn ceiling_line(ceiling: &Ceiling) -> String {
    let who = match ceiling.threads {
        None => "GPU".to_owned(),
        Some(1) => "1 thread".to_owned(),
        Some(n) => format!("{n} threads"),
    };
    let size = ceiling.memory_bytes;
    let size = size.map_or_else(String::new, |bytes| {
        format!("memory ({} MiB) ", bytes >> 20)
    });
    let read = ceiling.read_bytes_per_sec;
    let read = read.map_or_else(String::new, |rate| format!("read {:.1} GB/s, ", rate / 1e9));
    let caches: String = ceiling.caches.iter().map(cache_rates).collect();
    let wait = ceiling.wait_secs;
    let wait = wait.map_or_else(String::new, |secs| format!(", a wait {}", seconds(secs)));
    format!(
        "{who}: {size}{read}copy {:.1} GB/s, {caches}{:.0} GFLOP/s{wait}",
        ceiling.copy_bytes_per_sec / 1e9,
        ceiling.flops_per_sec / 1e9
    )
}

fn cache_rates(cache: &CacheCeiling) -> String {
    let (level, size) = (cache.level, mebibytes(cache.bytes));
    let gigabytes = |rate: f64| format!("{:.0} GB/s", rate / 1e9);
    let read = gigabytes(cache.read_bytes_per_sec);
    let copy = gigabytes(cache.copy_bytes_per_sec);
    format!("L{level} ({size} MiB) read {read}, copy {copy}, ")
}

/// Share of the limit, and what of the machine it is a limit of.
pub fn share(row: &Row, ceiling: &Ceiling) -> Option<String> {
    let share = percent(row.share(ceiling)?);
    Some(format!("{share} {}", row.limit(ceiling)?.bound))
}

/// Tokens a second, or what binds the row: GB/s or GFLOP/s.
pub fn rate(row: &Row, ceiling: &Ceiling) -> String {
    let secs = row.ours.spread.median_secs;
    match row.tokens {
        Some(tokens) => format!("{:.1} tok/s", tokens as f64 / secs),
        None => match ceiling.limit(row.cost()).bound {
            Bound::Arithmetic => format!("{:.1} GFLOP/s", row.flops as f64 / secs / 1e9),
            Bound::Cache(_) | Bound::Memory => {
                format!("{:.1} GB/s", row.bytes as f64 / secs / 1e9)
            }
        },
    }
}

/// Three digits with a unit.
pub fn seconds(secs: f64) -> String {
    let (value, unit) = match secs {
        ..1e-3 => (secs * 1e6, "us"),
        ..1.0 => (secs * 1e3, "ms"),
        _ => (secs, "s"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1 << 20) as f64)
}

#[derive(Default)]
struct Line(String);

impl Line {
    fn subject(&mut self, op: &str, case: &str, dtype: &str, pass: impl fmt::Display) {
        self.0 += &format!("{op:<20} {case:<28} {dtype:<5} {pass:<17}");
    }

    fn figures(&mut self, median: &str, quartiles: &str, rate: &str, limit: &str, memory: &str) {
        self.0 += &format!("{median:>9}{quartiles:>21}{rate:>15}{limit:>17}{memory:>9}");
    }

    fn cell(&mut self, width: usize, text: &str) {
        self.0 += &format!("{text:>width$}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Pass;
    use crate::record::testing::{record, row};

    #[test]
    fn a_row_says_what_it_reached() {
        let rows = vec![row("softmax", "2048x2048", Pass::Both, Some(1.25))];
        let record = record(rows);
        let rivals = ["candle", RIVAL];
        let line = line(&record.rows[0], record.ceiling().unwrap(), &rivals);
        for part in [
            "2048x2048",
            "2.00 ms",
            "50.0 GFLOP/s",
            "50 % arithmetic",
            "3.0",
            "-",
            "1.25",
            "1.50 missed",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        let columns = |line: &str| line.split_whitespace().count();
        assert!(columns(&heading(&rivals)) < columns(&line));
    }

    #[test]
    fn durations_have_three_digits() {
        let expected = ["0.04 us", "12.3 us", "1.50 ms", "123 ms", "2.00 s"];
        assert_eq!([4e-8, 12.3e-6, 1.5e-3, 0.1234, 2.0].map(seconds), expected);
    }
}
