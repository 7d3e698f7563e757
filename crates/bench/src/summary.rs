//! The published table in short: a line for each operation, with the spread over its cases.

use crate::bars::{RIVAL, bar, is_met};
use crate::published::{is_published, or_none, origin};
use crate::record::{Record, Row};
use crate::table;
use metal_candle_cli::error::{Error, Result};

/// Where the record was made, and a Markdown table: cases of each operation, least and largest of PyTorch's time over
/// ours and of the share of the limit, and how many cases reach their bar.
///
/// # Errors
/// For a record of a GPU, which has no bars, or one without ceilings.
pub fn markdown(record: &Record) -> Result<String> {
    if record.machine.gpu.is_some() {
        return Err(Error::input(
            "--readme: only a record of a processor has a summary",
        ));
    }
    let mut text = origin(record) + "\n\n";
    text +=
        "| | cases | PyTorch / ours | of the limit | reach their bar |\n|---|--:|--:|--:|--:|\n";
    let published = record.rows.iter().filter(|row| is_published(row, record));
    let rows: Vec<&Row> = published.collect();
    for rows in rows.chunk_by(|a, b| a.subject.op == b.subject.op) {
        text += &line(rows, record)?;
    }
    Ok(text)
}

fn line(rows: &[&Row], record: &Record) -> Result<String> {
    let ratios = rows.iter().filter_map(|row| row.ratio(RIVAL));
    let shares = rows
        .iter()
        .map(|row| Ok(row.share(record.ceiling_of(row)?)));
    let shares = shares.collect::<Result<Vec<_>>>()?;
    let n_bars = rows.iter().filter(|row| bar(row).is_some()).count();
    let n_met = rows.iter().filter(|row| is_met(row) == Some(true)).count();
    Ok(format!(
        "| {} | {} | {} | {} | {n_met} of {n_bars} |\n",
        rows[0].subject.op,
        rows.len(),
        range(ratios, |ratio| format!("{ratio:.2}")),
        range(shares.into_iter().flatten(), table::percent),
    ))
}

/// Least and largest value; a dash where there is none.
fn range(values: impl Iterator<Item = f64>, shown: impl Fn(f64) -> String) -> String {
    let ends = values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((least, most)) => Some((value.min(least), value.max(most))),
    });
    or_none(ends.map(|(least, most)| match (shown(least), shown(most)) {
        (least, most) if least == most => least,
        (least, most) => format!("{least} to {most}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Pass;
    use crate::record::testing::{record, row};

    #[test]
    fn an_operation_is_a_line() {
        let text = markdown(&record(vec![
            row("softmax", "2048x2048", Pass::Forward, Some(1.05)),
            row("softmax", "2048x2048", Pass::Both, Some(1.75)),
            row("softmax", "2048x2048", Pass::Backward, Some(9.0)),
            row("adamw", "40x250x1000", Pass::Forward, None),
        ]));
        let expected =
            "| softmax | 2 | 1.05 to 1.75 | 50 % | 1 of 2 |\n| adamw | 1 | – | 50 % | 0 of 1 |\n";
        assert!(text.as_ref().unwrap().ends_with(expected), "{text:?}");
    }

    #[test]
    fn a_gpu_has_no_summary() {
        let mut record = record(vec![]);
        record.machine.gpu = Some("applegpu_g15s".into());
        let error = markdown(&record).unwrap_err();
        assert!(error.message().contains("--readme"), "{error:?}");
    }
}
