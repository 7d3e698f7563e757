//! `report`: a record as a page, in short, and as a plot.

use crate::marks::{Marks, SUMMARY};
use crate::record::Record;
use crate::{page, plot, summary};
use metal_candle::files;
use metal_candle_cli::error::Result;
use metal_candle_cli::terminal::Terminal;
use std::path::PathBuf;

/// A record as a Markdown table, its summary and a plot
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The record
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,
    /// Replace the table in this text, between its marks, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Replace the summary in this text, between its marks
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
    let text = page::markdown(&record)?;
    if args.page.is_none() && args.readme.is_none() {
        terminal.print(&text)?;
    }
    if let Some(path) = &args.page {
        Marks::of(&record).write(path, &args.record, &text)?;
    }
    if let Some(path) = &args.readme {
        SUMMARY.write(path, &args.record, &summary::markdown(&record)?)?;
    }
    if let Some(path) = &args.plot {
        let svg = plot::ratios(&record)?;
        files::write_whole(path, |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks::{OF_CPU, OF_GPU};
    use std::path::Path;

    fn text_of(name: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        files::read_text(&root.join(name)).unwrap()
    }

    /// Record that `text` shows between `marks`, with its path; `None` while it shows none.
    fn shown(text: &str, marks: &Marks) -> Option<(String, Record)> {
        let (_, rest) = text.split_once(marks.begin).unwrap();
        let path = rest.split('`').next().unwrap().trim();
        let record = || serde_json::from_str(&text_of(path)).unwrap();
        (!path.is_empty()).then(|| (path.to_owned(), record()))
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

    /// The page's tables are what their records give; it has one of the CPU as soon as there are records, and a place
    /// for one of a GPU.
    #[test]
    fn the_page_shows_its_records() {
        let page = text_of("docs/benchmarks.md");
        for marks in [OF_CPU, OF_GPU] {
            let Some((path, record)) = shown(&page, &marks) else {
                let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench-records");
                assert!(!has_record(&records, &marks), "{} shows none", marks.begin);
                continue;
            };
            let made = marks.replaced(&page, Path::new(&path), &page::markdown(&record).unwrap());
            assert_eq!(made.unwrap(), page);
        }
    }

    #[test]
    fn the_readme_sums_up_the_record_of_the_page() {
        let readme = text_of("README.md");
        let (path, record) = shown(&readme, &SUMMARY).unwrap();
        let made = SUMMARY.replaced(
            &readme,
            Path::new(&path),
            &summary::markdown(&record).unwrap(),
        );
        assert_eq!(made.unwrap(), readme);
        let of_page = shown(&text_of("docs/benchmarks.md"), &OF_CPU).unwrap();
        assert_eq!(path, of_page.0);
    }
}
