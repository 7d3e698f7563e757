//! The part of a record that is published.

use crate::bars::{RIVAL, bar};
use crate::record::{Pass, Record, Row};
use crate::table;
use metal_candle_cli::error::Result;
use metal_candle_kernels::case::TABLE;

/// Whether a row has its place in the published table.
pub fn is_published(row: &Row, record: &Record) -> bool {
    let pass = row.subject.pass;
    match has_bars(record) {
        true => {
            bar(row).is_some_and(|bar| bar.rival == RIVAL)
                || (row.source == TABLE && pass == Pass::Prefill)
        }
        false => row.source == TABLE && pass != Pass::Backward,
    }
}

/// Whether rows are held to bars: those of a CPU are.
pub fn has_bars(record: &Record) -> bool {
    record.machine.gpu.is_none()
}

/// Where and with what the record was made.
pub fn origin(record: &Record) -> String {
    let machine = &record.machine;
    let versions = record.versions.iter();
    let versions: Vec<String> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let rivals = match versions.is_empty() {
        true => String::new(),
        false => format!("; {}", versions.join(", ")),
    };
    format!(
        "{}, {}, commit {}, {}{rivals}.",
        machine.summary(),
        machine.system,
        machine.commit.as_deref().unwrap_or("unknown"),
        machine.date
    )
}

/// Limits of the machine in each sitting, in the order of the rows.
///
/// # Errors
/// When the record has no ceilings.
pub fn limits(record: &Record) -> Result<Vec<String>> {
    let last = record.ceiling().map(table::ceiling_line);
    let of_rows = record.rows.iter().map(|row| record.ceiling_of(row));
    let lines = of_rows.map(|ceiling| ceiling.map(table::ceiling_line));
    let mut lines = lines.chain([last]).collect::<Result<Vec<_>>>()?;
    lines.dedup();
    Ok(lines)
}

/// `text`, or a dash.
pub fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".into())
}
