//! The published table, row by row.

use crate::bars::{RIVAL, bar, is_met};
use crate::ceilings::Ceiling;
use crate::published::{has_bars, is_published, limits, or_none, origin};
use crate::record::{Record, Row};
use crate::table;
use metal_candle_cli::error::Result;
use std::collections::BTreeSet;

/// The published table, in the order of the record: of a CPU what has a bar, beside PyTorch; of a
/// GPU everything that is compared, beside everybody.
///
/// # Errors
/// When the record has no ceilings.
pub fn markdown(record: &Record) -> Result<String> {
    let rivals = rivals(record);
    let limits = limits(record)?.join("; then ");
    let mut text = origin(record) + &format!(" Limits, measured in the same run: {limits}.\n\n");
    text += "| case | dtype | pass | time | speed | of the limit |";
    rivals
        .iter()
        .for_each(|rival| text += &format!(" {} / ours |", title(rival)));
    text += if has_bars(record) { " bar |\n" } else { "\n" };
    text += "|---|---|---|--:|--:|--:|";
    text += &"--:|".repeat(rivals.len() + usize::from(has_bars(record)));
    text += "\n";
    for row in record.rows.iter().filter(|row| is_published(row, record)) {
        text += &markdown_row(row, record, record.ceiling_of(row)?);
    }
    Ok(text)
}

/// The columns that compare.
fn rivals(record: &Record) -> Vec<&str> {
    if has_bars(record) {
        return vec![RIVAL];
    }
    let names = record.rows.iter().flat_map(|row| row.rivals.keys());
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    names.into_iter().collect()
}

fn title(rival: &str) -> &str {
    match rival {
        "mlx" => "MLX",
        "mps-matrix" => "MPSMatrix",
        "mps-ndarray" => "MPSNDArray",
        "pytorch" => "PyTorch",
        "steel" => "Steel",
        other => other,
    }
}

fn markdown_row(row: &Row, record: &Record, ceiling: &Ceiling) -> String {
    let subject = &row.subject;
    let mut line = format!(
        "| {} {} | {} | {} | {} | {} | {} |",
        subject.op,
        subject.case,
        subject.dtype,
        subject.pass,
        table::seconds(row.ours.spread.median_secs),
        table::rate(row, ceiling),
        or_none(table::share(row, ceiling)),
    );
    for rival in rivals(record) {
        let ratio = row.ratio(rival).map(|ratio| match is_met(row) {
            Some(true) => format!("**{ratio:.2}**"),
            _ => format!("{ratio:.2}"),
        });
        line += &format!(" {} |", or_none(ratio));
    }
    if has_bars(record) {
        line += &format!(
            " {} |",
            or_none(bar(row).map(|bar| format!("{:.2}", bar.ratio)))
        );
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Pass;
    use crate::record::testing::{record, row};
    use std::collections::BTreeMap;

    fn sample() -> Record {
        record(vec![
            row("softmax", "2048x2048", Pass::Both, Some(1.75)),
            row("softmax", "2048x2048", Pass::Backward, Some(1.75)),
            row("adamw", "40x250x1000", Pass::Forward, None),
        ])
    }

    #[test]
    fn rows_with_a_bar_are_published() {
        let text = markdown(&sample()).unwrap();
        let expected = "| softmax 2048x2048 | f32 | forward+backward | 2.00 ms | 50.0 GFLOP/s | 50 % arithmetic | **1.75** | 1.50 |\n\
                        | adamw 40x250x1000 | f32 | forward | 2.00 ms | 50.0 GFLOP/s | 50 % arithmetic | – | 1.20 |\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_gpu_is_compared_with_everybody() {
        let mut record = sample();
        record.machine.gpu = Some("applegpu_g15s".into());
        record.ceilings[0].threads = None;
        let figures = record.rows[0].ours.clone();
        record.rows[0].rivals =
            BTreeMap::from([("mlx".into(), figures.clone()), ("steel".into(), figures)]);
        let text = markdown(&record).unwrap();
        assert!(text.contains("GPU applegpu_g15s"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            rows,
            [
                "| case | dtype | pass | time | speed | of the limit | MLX / ours | PyTorch / ours | Steel / ours |",
                "|---|---|---|--:|--:|--:|--:|--:|--:|",
                "| softmax 2048x2048 | f32 | forward+backward | 2.00 ms | 50.0 GFLOP/s | 50 % arithmetic | 1.00 | – | 1.00 |",
                "| adamw 40x250x1000 | f32 | forward | 2.00 ms | 50.0 GFLOP/s | 50 % arithmetic | – | – | – |",
            ]
        );
    }
}
