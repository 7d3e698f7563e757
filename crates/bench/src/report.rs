//! `report`: a record as the README has it, and as a plot.

use crate::bars::{RIVAL, bar, is_met};
use crate::ceilings::Ceiling;
use crate::record::{Pass, Record, Row};
use crate::{plot, table};
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::terminal::Terminal;
use metal_candle::files;
use metal_candle_kernels::case::TABLE;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Around the part of a text that is made from a record.
struct Marks {
    /// Begins the first line, which goes on with the record's path.
    begin: &'static str,
    end: &'static str,
}

const OF_CPU: Marks = Marks {
    begin: "<!-- begin: made by `metal-candle-bench report",
    end: "<!-- end: metal-candle-bench report -->",
};

const OF_GPU: Marks = Marks {
    begin: "<!-- begin, of an Apple GPU: made by `metal-candle-bench report",
    end: "<!-- end: metal-candle-bench report of an Apple GPU -->",
};

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
            let marks = Marks::of(&record);
            let readme = marks.replaced(&files::read_text(path)?, &args.record, &text);
            let readme = readme.ok_or_else(|| no_marks(path, marks))?;
            files::write_whole(path, |file| file.write_all(readme.as_bytes()))?;
        }
    }
    if let Some(path) = &args.plot {
        let svg = plot::ratios(&record)?;
        files::write_whole(path, |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}

fn no_marks(path: &Path, marks: &Marks) -> Error {
    let Marks { begin, end } = marks;
    let message = format!("{}: no place for the table", path.display());
    Error::input(message).with_advice(format!("add two lines, {begin}` --> and {end}"))
}

impl Marks {
    fn of(record: &Record) -> &'static Self {
        match record.machine.gpu {
            None => &OF_CPU,
            Some(_) => &OF_GPU,
        }
    }

    /// `text` with `made` between the marks; `None` where it has none.
    fn replaced(&self, text: &str, record: &Path, made: &str) -> Option<String> {
        let Self { begin, end } = self;
        let (before, rest) = text.split_once(begin)?;
        let (_, after) = rest.split_once(end)?;
        let record = record.display();
        Some(format!("{before}{begin} {record}` -->\n{made}{end}{after}"))
    }
}

/// The published table, in the order of the record: of a CPU what has a bar, beside PyTorch; of a
/// GPU everything that is compared, beside everybody.
fn markdown(record: &Record) -> Result<String> {
    let rivals = rivals(record);
    let mut text = introduction(record)?;
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

/// Bars are for the CPU.
fn has_bars(record: &Record) -> bool {
    record.machine.gpu.is_none()
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

fn introduction(record: &Record) -> Result<String> {
    let machine = &record.machine;
    let versions = record.versions.iter();
    let versions: Vec<String> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let rivals = match versions.is_empty() {
        true => String::new(),
        false => format!("; {}", versions.join(", ")),
    };
    Ok(format!(
        "{}, {}, commit {}, {}{rivals}. Limits, measured in the same run: {}.\n\n",
        machine.summary(),
        machine.system,
        machine.commit.as_deref().unwrap_or("unknown"),
        machine.date,
        limits(record)?.join("; then ")
    ))
}

/// Of each sitting, in the order of the rows.
fn limits(record: &Record) -> Result<Vec<String>> {
    let last = record.ceiling().map(table::ceiling_line);
    let of_rows = record.rows.iter().map(|row| record.ceiling_of(row));
    let lines = of_rows.map(|ceiling| ceiling.map(table::ceiling_line));
    let mut lines = lines.chain([last]).collect::<Result<Vec<_>>>()?;
    lines.dedup();
    Ok(lines)
}

/// Whether a row has its place in the published table.
fn is_published(row: &Row, record: &Record) -> bool {
    let pass = row.subject.pass;
    match has_bars(record) {
        true => bar(row).is_some() || (row.source == TABLE && pass == Pass::Prefill),
        false => row.source == TABLE && pass != Pass::Backward,
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
        or_none(row.share(ceiling).map(table::percent)),
    );
    for rival in rivals(record) {
        let ratio = row.ratio(rival).map(|ratio| match is_met(row) {
            Some(true) => format!("**{ratio:.2}**"),
            _ => format!("{ratio:.2}"),
        });
        line += &format!(" {} |", or_none(ratio));
    }
    if has_bars(record) {
        line += &format!(" {} |", or_none(bar(row).map(|bar| format!("{bar:.2}"))));
    }
    line + "\n"
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".into())
}

#[cfg(test)]
mod tests {
    use crate::record::testing::{record, row};
    use super::*;
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
        let expected = "| softmax 2048x2048 | f32 | forward+backward | 2.00 ms | 50.0 GFLOP/s | 50 % | **1.75** | 1.50 |\n\
                        | adamw 40x250x1000 | f32 | forward | 2.00 ms | 50.0 GFLOP/s | 50 % | – | 1.20 |\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_text_is_replaced_between_its_marks_only() {
        let record = Path::new("bench-records/a/b.json");
        for marks in [OF_CPU, OF_GPU] {
            let Marks { begin, end } = marks;
            let text = format!("before\n{begin} old` -->\nold\n{end}\nafter\n");
            let once = marks.replaced(&text, record, "| new |\n").unwrap();
            let expected =
                format!("before\n{begin} bench-records/a/b.json` -->\n| new |\n{end}\nafter\n");
            assert_eq!(once, expected);
            assert_eq!(marks.replaced(&once, record, "| new |\n").unwrap(), once);
            assert_eq!(marks.replaced("no marks", record, "x"), None);
        }
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
                "| softmax 2048x2048 | f32 | forward+backward | 2.00 ms | 50.0 GFLOP/s | 50 % | 1.00 | – | 1.00 |",
                "| adamw 40x250x1000 | f32 | forward | 2.00 ms | 50.0 GFLOP/s | 50 % | – | – | – |",
            ]
        );
    }

    fn has_record(folder: &Path, marks: &Marks) -> bool {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().path())
            .any(|path| match path.is_dir() {
                true => has_record(&path, marks),
                false => Marks::of(&Record::read(&path).unwrap()).begin == marks.begin,
            })
    }

    /// The README's tables are what their records give; it has one of the CPU as soon as there are
    /// records, and a place for one of a GPU.
    #[test]
    fn the_readme_shows_its_records() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let readme = files::read_text(&root.join("README.md")).unwrap();
        for marks in [OF_CPU, OF_GPU] {
            let (_, rest) = readme.split_once(marks.begin).unwrap();
            let made_from = rest.split('`').next().unwrap().trim();
            if made_from.is_empty() {
                assert!(
                    !has_record(&root.join("bench-records"), &marks),
                    "{} shows none",
                    marks.begin
                );
                continue;
            }
            let record = Record::read(&root.join(made_from)).unwrap();
            let text = markdown(&record).unwrap();
            let made = marks.replaced(&readme, Path::new(made_from), &text);
            assert_eq!(made.unwrap(), readme);
        }
    }
}
