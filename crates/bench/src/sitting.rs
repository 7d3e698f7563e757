//! Measurements of one command: rows are shown as they come, and kept for the record.

use crate::ceilings;
use crate::machine::Machine;
use crate::options::Options;
use crate::record::{Record, Row};
use crate::table;
use candle_core::Device;
use metal_candle_cli::error::Result;
use metal_candle_cli::terminal::Terminal;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time for each of the rates of a number of threads.
const CEILING_BUDGET: Duration = Duration::from_millis(500);

/// Measurements so far.
pub struct Sitting<'a> {
    record: Record,
    rivals: Vec<&'static str>,
    options: &'a Options,
    terminal: &'a Terminal,
}

impl<'a> Sitting<'a> {
    /// Measures the ceilings and begins the table.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub fn begin(options: &'a Options, device: &Device, terminal: &'a Terminal) -> Result<Self> {
        let machine = Machine::here(device);
        let ceilings = match device.is_cpu() {
            true => ceilings::of_cpu(machine.threads, CEILING_BUDGET)?,
            false => vec![ceilings::of_gpu(device, CEILING_BUDGET)?],
        };
        let sitting = Self {
            record: Record::new(machine, ceilings),
            rivals: options
                .vs
                .iter()
                .flat_map(|rival| rival.columns())
                .copied()
                .collect(),
            options,
            terminal,
        };
        if !options.json {
            sitting.show_heading()?;
        }
        Ok(sitting)
    }

    /// Seconds of a wait for a GPU with next to nothing to do; `None` of the CPU.
    pub fn wait_secs(&self) -> Option<f64> {
        let mut ceilings = self.record.ceilings.iter();
        ceilings.find_map(|ceiling| ceiling.wait_secs)
    }

    fn show_heading(&self) -> Result<()> {
        self.terminal.print_line(self.record.machine.summary())?;
        for ceiling in &self.record.ceilings {
            self.terminal.print_line(table::ceiling_line(ceiling))?;
        }
        self.terminal.print_line(table::heading(&self.rivals))
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When standard output does not take them.
    pub fn add(&mut self, rows: Vec<Row>, versions: BTreeMap<String, String>) -> Result<()> {
        if !self.options.json {
            for row in &rows {
                let line = table::line(row, self.record.ceiling()?, &self.rivals);
                self.terminal.print_line(line)?;
            }
        }
        self.record.rows.extend(rows);
        self.record.versions.extend(versions);
        Ok(())
    }

    /// Ends the table, prints the document and writes the record, as asked for.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub fn finish(self) -> Result<()> {
        if self.options.json {
            self.terminal.print_json(&self.record)?;
        }
        if let Some(folder) = &self.options.record {
            let path = self.record.add_to(folder)?;
            self.terminal
                .say(format_args!("Recorded in {}", path.display()));
        }
        Ok(())
    }
}
