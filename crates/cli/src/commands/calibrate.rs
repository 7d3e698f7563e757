//! `calibrate`: which work Metal Performance Shaders (MPS) are faster at on this machine.

use super::Context;
use crate::device::{DeviceArgs, DeviceChoice};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::numbers::at_least_one;
use std::str::FromStr;

/// Measure on an Apple GPU which products MPS is faster at, and whether it is at softmax, and keep the answer
///
/// Tests first whether MPS work can be ordered with candle's without waiting, then what that costs,
/// then some thirty products and six softmax. Takes about a minute; leave the machine alone meanwhile.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the measurements as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Products to measure, at most four: powers of two, each for sizes up to twice as large
    #[arg(long, value_name = "MxNxK,..", value_delimiter = ',', num_args = 1..=4)]
    #[arg(default_values = ["2048x2048x2048", "1024x1024x1024", "512x2048x2048", "4096x4096x4096"])]
    pub sizes: Vec<Sizes<3>>,
    /// Softmax to measure, at most four: rows and their length, powers of two as above
    #[arg(long, value_name = "RxD,..", value_delimiter = ',', num_args = 1..=4)]
    #[arg(default_values = ["2048x2048", "4096x4096", "512x131072"])]
    pub softmax_sizes: Vec<Sizes<2>>,
    /// Rounds of the litmus test
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one, hide = true)]
    pub litmus_rounds: usize,
    /// Rows and columns of its matrices
    #[arg(long, value_name = "N", default_value = "2048", value_parser = at_least_one, hide = true)]
    pub litmus_width: usize,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Binary logarithms of sizes: of M, N and K, or of rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes<const N: usize>([u32; N]);

impl<const N: usize> Sizes<N> {
    /// The largest: a matrix of it and a factor of the same are far below the memory of any GPU.
    const MOST: u32 = if N == 3 { 16_384 } else { 131_072 };
}

impl<const N: usize> FromStr for Sizes<N> {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || {
            let most = Self::MOST;
            format!("expected {N} sizes such as 16x32x64 has, powers of two from 16 to {most}")
        };
        let size = |text: &str| {
            text.parse()
                .ok()
                .filter(|size: &u32| size.is_power_of_two() && (16..=Self::MOST).contains(size))
        };
        let sizes: Option<Vec<u32>> = text.split('x').map(size).collect();
        let sizes: [u32; N] = sizes
            .and_then(|sizes| sizes.try_into().ok())
            .ok_or_else(wrong)?;
        Ok(Self(sizes.map(u32::ilog2)))
    }
}

/// Measures.
///
/// # Errors
/// When there is no Apple GPU, it fails, or the answer cannot be kept.
#[cfg(any(target_vendor = "apple", soft_metal))]
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.device.open()? {
        candle_core::Device::Metal(device) => on_gpu::calibrate(&device, &args, &context.terminal),
        _ => Err(no_gpu(&args)),
    }
}

/// Refuses.
///
/// # Errors
/// Always: there is no Apple GPU.
#[cfg(not(any(target_vendor = "apple", soft_metal)))]
pub fn run(args: Args, _: &Context) -> Result<Exit> {
    args.device.open()?;
    Err(no_gpu(&args))
}

fn no_gpu(args: &Args) -> Error {
    let what = match args.device.device {
        DeviceChoice::Auto => "there is no Apple GPU here",
        _ => "only an Apple GPU is calibrated",
    };
    Error::input(format!("calibrate: {what}"))
        .with_advice("`metal-candle doctor` shows the devices of this machine")
}

#[cfg(any(target_vendor = "apple", soft_metal))]
mod on_gpu {
    use super::Args;
    use crate::calibration;
    use crate::error::{Error, Result};
    use crate::exit::Exit;
    use crate::terminal::Terminal;
    use candle_core::{MetalDevice, Tensor};
    use metal_candle_mps::apple;
    use metal_candle_mps::metal::{Effort, Progress};
    use metal_candle_mps::policy::{Calibration, Cell, RowsCell};

    pub fn calibrate(device: &MetalDevice, args: &Args, terminal: &Terminal) -> Result<Exit> {
        let mut tell = |progress: Progress| terminal.say(progress);
        let effort = effort(args);
        let softmax =
            |x: &Tensor| metal_candle_kernels::softmax(x).map_err(candle_core::Error::from);
        let measured = metal_candle_mps::metal::calibrate(device, &effort, &softmax, &mut tell);
        let calibration = measured.map_err(Error::failed)?;
        let path = calibration::store(device, &calibration)?;
        match args.json {
            true => terminal.print_json(&calibration)?,
            false => show(&calibration, terminal)?,
        }
        terminal.say(format_args!("Kept in {}", path.display()));
        Ok(Exit::Done)
    }

    fn effort(args: &Args) -> Effort {
        let all = Effort::default();
        Effort {
            sizes: args.sizes.iter().map(|sizes| sizes.0).collect(),
            softmax_sizes: args.softmax_sizes.iter().map(|sizes| sizes.0).collect(),
            litmus: apple::Effort {
                rounds: args.litmus_rounds,
                width: args.litmus_width,
                ..all.litmus
            },
            ..all
        }
    }

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
        let columns = ["candle us", "MPS us", "deviation"];
        format!(
            "{engine:<12}{dtype:<7}{storage:<8}{sizes:<18}{:>10}{:>10}{:>11}",
            columns[0], columns[1], columns[2]
        )
    }

    fn product(cell: &Cell) -> String {
        let (bucket, engine) = (&cell.bucket, cell.engine.to_string());
        let [m, n, k] = bucket.log2.map(|log2| 1usize << log2);
        let storage = format!("{:?}", bucket.storage);
        let kind = [&engine, bucket.dtype.as_str(), &storage];
        line(kind, &format!("{m}x{n}x{k}"), cell.micros.0)
    }

    fn softmax(cell: &RowsCell) -> String {
        let [rows, columns] = cell.log2.map(|log2| 1usize << log2);
        let kind = ["softmax", cell.dtype.as_str(), "rows"];
        line(kind, &format!("{rows}x{columns}"), cell.micros.0)
    }

    fn line([engine, dtype, storage]: [&str; 3], sizes: &str, micros: [f64; 3]) -> String {
        let [without, mps, deviation] = micros;
        format!(
            "{engine:<12}{dtype:<7}{storage:<8}{sizes:<18}{without:>10.1}{mps:>10.1}{deviation:>11.1}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!("512x4096x16".parse(), Ok(Sizes([9, 12, 4])));
        assert_eq!("512x131072".parse(), Ok(Sizes([9, 17])));
        assert!("512x131072x16".parse::<Sizes<3>>().is_err());
        for wrong in ["512x512", "512x512x500", "8x16x16", "16x16x32768", "x", ""] {
            assert!(wrong.parse::<Sizes<3>>().is_err(), "{wrong}");
        }
    }
}
