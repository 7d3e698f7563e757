//! The library's log lines, on standard error: warnings, and with `-v` more.

use crate::terminal::Terminal;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

const WARNING: &str = "warning";

/// Shows warnings; with `verbose` 1 also what is worth knowing, with 2 everything.
pub fn start(verbose: u8, terminal: &Terminal) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(Lines)
        .with_writer(Notices {
            terminal: terminal.clone(),
            told: Mutex::default(),
        })
        .init();
}

/// `warning: what is to be told`, as errors are told.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let name = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => WARNING,
            Level::INFO => "info",
            _ => "debug",
        };
        write!(writer, "{name}: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Writer of lines between progress bars, and of a warning only once: a file that is read twice has
/// nothing new to say.
struct Notices {
    terminal: Terminal,
    told: Mutex<HashSet<Vec<u8>>>,
}

impl<'a> MakeWriter<'a> for Notices {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

struct LineWriter<'a>(&'a Notices);

impl io::Write for LineWriter<'_> {
    /// `line` is whole: the subscriber writes each event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.starts_with(WARNING.as_bytes()) || told.insert(line.to_vec()) {
            self.0.terminal.write_notice(&String::from_utf8_lossy(line));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
