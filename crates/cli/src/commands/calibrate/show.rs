//! Measurements, for a person to read.

use crate::error::Result;
use crate::terminal::Terminal;
use metal_candle_mps::policy::{Calibration, Cell, RowsCell};

/// What was learnt.
pub fn show(calibration: &Calibration, terminal: &Terminal) -> Result<()> {
    let (key, litmus) = (&calibration.key, &calibration.litmus);
    terminal.print_line(format_args!(
        "{} ({}): {}, {} of {} litmus rounds failed, {:.1} us for a product",
        key.gpu,
        key.architecture,
        key.strategy,
        litmus.failures,
        litmus.rounds,
        calibration.overhead_micros
    ))?;
    let products = calibration.cells.iter().map(product);
    let softmax = calibration.softmax.iter().map(softmax);
    let lines: Vec<String> = products.chain(softmax).collect();
    if lines.is_empty() {
        return terminal.print_line("Nothing was measured: MPS is not used.");
    }
    terminal.print_line(heading())?;
    lines.iter().try_for_each(|line| terminal.print_line(line))
}

fn heading() -> String {
    let [engine, dtype, storage, sizes] = ["engine", "dtype", "stored", "M x N x K, from"];
    let columns = ["no MPS us", "MPS us", "deviation"];
    format!(
        "{engine:<12}{dtype:<12}{storage:<8}{sizes:<18}{:>10}{:>10}{:>11}",
        columns[0], columns[1], columns[2]
    )
}

fn product(cell: &Cell) -> String {
    let (bucket, engine) = (&cell.bucket, cell.engine.to_string());
    let smallest = bucket.log2.map(|log2| 1usize << log2);
    let [m, n, k] = cell.sizes.unwrap_or(smallest);
    let storage = format!("{:?}", bucket.storage);
    let dtype = match bucket.weight {
        Some(weight) => format!("{} x {}", bucket.dtype.as_str(), weight.as_str()),
        None => bucket.dtype.as_str().to_owned(),
    };
    line(
        [&engine, &dtype, &storage],
        &format!("{m}x{n}x{k}"),
        cell.micros.0,
    )
}

fn softmax(cell: &RowsCell) -> String {
    let [rows, columns] = cell.log2.map(|log2| 1usize << log2);
    let kind = ["softmax", cell.dtype.as_str(), "rows"];
    line(kind, &format!("{rows}x{columns}"), cell.micros.0)
}

fn line([engine, dtype, storage]: [&str; 3], sizes: &str, micros: [f64; 3]) -> String {
    let [without, mps, deviation] = micros;
    format!(
        "{engine:<12}{dtype:<12}{storage:<8}{sizes:<18}{without:>10.1}{mps:>10.1}{deviation:>11.1}"
    )
}
