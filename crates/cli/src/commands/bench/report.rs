//! `bench report`: a record as the README has it, and as a plot.

use super::bars::{RIVAL, bar, is_met};
use super::ceilings::Ceiling;
use super::record::{Pass, Record, Row};
use super::{plot, table};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use metal_candle::files;
use metal_candle_kernels::case::TABLE;
use std::path::{Path, PathBuf};

/// Around the part of a text that is made from a record.
const BEGIN: &str = "<!-- begin: made by `metal-candle bench report";
const END: &str = "<!-- end: bench report -->";

/// A record as a Markdown table and a plot
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The record
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,
    /// Replace the table in this text, between its marks, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
    /// Write the plot, an SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// Reports.
///
/// # Errors
/// When the record cannot be read, or a file cannot be written.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let record = Record::read(&args.record)?;
    let text = markdown(&record)?;
    match &args.readme {
        None => terminal.print(&text)?,
        Some(path) => {
            let readme = replaced(&files::read_text(path)?, &args.record, &text);
            let readme = readme.ok_or_else(|| no_marks(path))?;
            files::write_whole(path, |file| file.write_all(readme.as_bytes()))?;
        }
    }
    if let Some(path) = &args.plot {
        let svg = plot::ratios(&record)?;
        files::write_whole(path, |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}

fn no_marks(path: &Path) -> Error {
    let message = format!("{}: no place for the table", path.display());
    Error::input(message).with_advice(format!("add two lines, {BEGIN}` --> and {END}"))
}

/// `text` with `made` between its marks; `None` where it has none.
fn replaced(text: &str, record: &Path, made: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let record = record.display();
    Some(format!("{before}{BEGIN} {record}` -->\n{made}{END}{after}"))
}

/// The published table: what has a bar, in the order of the record.
fn markdown(record: &Record) -> Result<String> {
    let ceiling = record.ceiling()?;
    let mut text = introduction(record, ceiling);
    text += "| case | dtype | pass | time | speed | of the limit | PyTorch / ours | bar |\n";
    text += "|---|---|---|--:|--:|--:|--:|--:|\n";
    for row in record.rows.iter().filter(|row| is_published(row)) {
        text += &markdown_row(row, ceiling);
    }
    Ok(text)
}

fn introduction(record: &Record, ceiling: &Ceiling) -> String {
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
        "{}, {} threads, {}, commit {}, {}{rivals}. Limits, measured in the same run: {}.\n\n",
        machine.processor,
        machine.threads,
        machine.simd,
        machine.commit.as_deref().unwrap_or("unknown"),
        machine.date,
        table::ceiling_line(ceiling)
    )
}

/// Whether a row has its place in the published table.
fn is_published(row: &Row) -> bool {
    bar(row).is_some() || (row.source == TABLE && row.subject.pass == Pass::Prefill)
}

fn markdown_row(row: &Row, ceiling: &Ceiling) -> String {
    let subject = &row.subject;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let ratio = row.ratio(RIVAL).map(|ratio| match is_met(row) {
        Some(true) => format!("**{ratio:.2}**"),
        _ => format!("{ratio:.2}"),
    });
    format!(
        "| {} {} | {} | {} | {} | {} | {} | {} | {} |\n",
        subject.op,
        subject.case,
        subject.dtype,
        subject.pass,
        table::seconds(row.ours.spread.median_secs),
        table::rate(row, ceiling),
        or_none(row.share(ceiling).map(table::percent)),
        or_none(ratio),
        or_none(bar(row).map(|bar| format!("{bar:.2}")))
    )
}

#[cfg(test)]
mod tests {
    use super::super::record::testing::{record, row};
    use super::*;

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
        let expected = "| softmax 2048x2048 | f32 | forward+backward | 2.00 ms | 50.0 GFLOP/s | 50 % | **1.75** | 1.50 |\n\
                        | adamw 40x250x1000 | f32 | forward | 2.00 ms | 50.0 GFLOP/s | 50 % | – | 1.20 |\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_text_is_replaced_between_its_marks_only() {
        let record = Path::new("bench-records/a/b.json");
        let text = format!("before\n{BEGIN} old` -->\nold\n{END}\nafter\n");
        let once = replaced(&text, record, "| new |\n").unwrap();
        let expected =
            format!("before\n{BEGIN} bench-records/a/b.json` -->\n| new |\n{END}\nafter\n");
        assert_eq!(once, expected);
        assert_eq!(replaced(&once, record, "| new |\n").unwrap(), once);
        assert_eq!(replaced("no marks", record, "x"), None);
    }

    /// The README's table is what its record gives, and there is one as soon as there are records.
    #[test]
    fn the_readme_shows_its_record() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let readme = files::read_text(&root.join("README.md")).unwrap();
        let made_from = readme
            .split_once(BEGIN)
            .map(|(_, rest)| rest.split('`').next().unwrap().trim());
        let Some(made_from) = made_from.filter(|path| !path.is_empty()) else {
            let records = root.join("bench-records");
            assert!(
                !records.exists(),
                "there are records, but README.md shows none"
            );
            return;
        };
        let record = Record::read(&root.join(made_from)).unwrap();
        let text = markdown(&record).unwrap();
        assert_eq!(
            replaced(&readme, Path::new(made_from), &text).unwrap(),
            readme
        );
    }
}
