//! Marks around the part of a text that is made from a record.

use crate::record::Record;
use metal_candle::files;
use metal_candle_cli::error::{Error, Result};
use std::path::Path;

/// Two lines of a text, and what lies between them.
#[derive(Debug)]
pub struct Marks {
    /// Beginning of the first line, which goes on with the record's path.
    pub begin: &'static str,
    /// The other line.
    pub end: &'static str,
}

/// Table of a processor.
pub const OF_CPU: Marks = Marks {
    begin: "<!-- begin: made by `metal-candle-bench report",
    end: "<!-- end: metal-candle-bench report -->",
};

/// Table of an Apple GPU.
pub const OF_GPU: Marks = Marks {
    begin: "<!-- begin, of an Apple GPU: made by `metal-candle-bench report",
    end: "<!-- end: metal-candle-bench report of an Apple GPU -->",
};

/// Summary of a processor's table.
pub const SUMMARY: Marks = Marks {
    begin: "<!-- begin, in short: made by `metal-candle-bench report",
    end: "<!-- end: metal-candle-bench report in short -->",
};

impl Marks {
    /// Marks of the table of `record`.
    pub fn of(record: &Record) -> &'static Self {
        match record.machine.gpu {
            None => &OF_CPU,
            Some(_) => &OF_GPU,
        }
    }

    /// Puts `made`, from the record at `record`, into the file at `path`.
    ///
    /// # Errors
    /// When the file has no such marks, or cannot be read or written.
    pub fn write(&self, path: &Path, record: &Path, made: &str) -> Result<()> {
        let text = self.replaced(&files::read_text(path)?, record, made);
        let text = text.ok_or_else(|| self.missing(path))?;
        files::write_whole(path, |file| file.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// `text` with `made` between the marks; `None` where it has none.
    pub fn replaced(&self, text: &str, record: &Path, made: &str) -> Option<String> {
        let Self { begin, end } = self;
        let (before, rest) = text.split_once(begin)?;
        let (_, after) = rest.split_once(end)?;
        let record = record.display();
        Some(format!("{before}{begin} {record}` -->\n{made}{end}{after}"))
    }

    fn missing(&self, path: &Path) -> Error {
        let Self { begin, end } = self;
        let message = format!("{}: no place for the table", path.display());
        Error::input(message).with_advice(format!("add two lines, {begin}` --> and {end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_between_its_marks_only() {
        let record = Path::new("bench-records/a/b.json");
        for marks in [OF_CPU, OF_GPU, SUMMARY] {
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
}
