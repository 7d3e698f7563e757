//! `ops`: every operation, forward, backward and both.

mod blocks;
mod candle;
mod contenders;
mod operation;
mod rivals;
mod subjects;
mod table;
mod waits;

use crate::options::{Options, Rival};
use crate::record::Pass;
use crate::rows::Measured;
use crate::sitting::Sitting;
use candle_core::Device;
use contenders::Contenders;
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::numbers::at_least_one;
use metal_candle_cli::terminal::Terminal;
use metal_candle_kernels::case::TABLE;
use operation::Operation;
use rivals::Rivals;
use std::time::Duration;
use waits::Waits;

/// Operations, each checked against its definition before it is timed
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only the cases of the published table
    #[arg(long)]
    pub table: bool,
    /// Time for each pass of a case and each contender
    #[arg(long, value_name = "SECONDS", default_value = "0.3", value_parser = crate::options::seconds)]
    pub seconds: Duration,
    /// Runs between two waits for the device, which the clock includes [default: 1 on the CPU; on a GPU up to 256, until the
    /// wait has a fiftieth of the time]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub runs_per_wait: Option<usize>,
    #[command(flatten)]
    pub options: Options,
}

/// Measures operations.
///
/// # Errors
/// When no case matches, or a kernel is wrong.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let device = args.options.device.open()?;
    let options = options(args, &device)?;
    let operations = chosen(args, device.is_metal())?;
    let mut rivals = Rivals::start(&options, &device)?;
    let mut sitting = Sitting::begin(&options, &device, terminal)?;
    let waits = waits(args, sitting.wait_secs());
    for operation in operations {
        let (measured, runs) = measure(&operation, args, &mut rivals, (&device, waits))?;
        let passes = operation.passes().iter();
        let rows = passes.filter_map(|&pass| measured.row(pass, operation.cost(pass), None));
        let rows = rows.map(|row| row.of_runs(runs));
        sitting.add(rows.collect(), measured.versions())?;
        for (name, answer) in &measured.rivals {
            if let Some(error) = &answer.error {
                terminal.say(format_args!("{name}: {}: {error}", operation.line()));
            }
        }
    }
    sitting.finish()
}

/// Options with their defaults: on an Apple GPU candle and the engines are measured unless others are named.
fn options(args: &Args, device: &Device) -> Result<Options> {
    let mut options = args.options.clone();
    let llama_cpp = (Rival::LlamaCpp, "it is compared with by `generate --model`");
    let engines = (Rival::Engines, "they are those of an Apple GPU");
    let impossible = [llama_cpp, engines];
    let n_impossible = if device.is_metal() { 1 } else { 2 };
    options.check_rivals(device, &impossible[..n_impossible])?;
    if device.is_metal() && options.vs.is_empty() {
        options.vs = vec![Rival::Candle, Rival::Engines];
    }
    Ok(options)
}

/// The CPU has nothing to wait for.
fn waits(args: &Args, wait_secs: Option<f64>) -> Waits {
    match (args.runs_per_wait, wait_secs) {
        (Some(runs), _) => Waits::After(runs),
        (None, Some(wait_secs)) => Waits::ByTime(wait_secs),
        (None, None) => Waits::After(1),
    }
}

fn chosen(args: &Args, is_gpu: bool) -> Result<Vec<Operation>> {
    let mut operations = subjects::all(is_gpu);
    operations.extend(blocks::all());
    operations.retain(|o| args.options.takes(&o.line()) && (o.source == TABLE || !args.table));
    match operations.is_empty() {
        true => Err(Error::input("no case has all words of --filter")
            .with_advice("`metal-candle-bench ops --filter softmax` shows what lines look like")),
        false => Ok(operations),
    }
}

/// Rounds of turns: first those who run in this process, then each process beside it. With the runs between two waits.
fn measure(
    operation: &Operation,
    args: &Args,
    rivals: &mut Rivals,
    (device, waits): (&Device, Waits),
) -> Result<(Measured, usize)> {
    let inputs = operation.tensors(device)?;
    let want = operation.true_outcome(&inputs)?;
    let peak = operation.check(&operation.run, &inputs, &want)?;
    let clock = waits.clock(operation, &inputs, device)?;
    let mut contenders = Contenders::new(operation, &inputs, &clock);
    if rivals.candle {
        contenders.add_candle();
    }
    if rivals.engines {
        contenders.add_engines(&want);
    }
    let budget = args.seconds / args.options.rounds as u32;
    for _ in 0..args.options.rounds {
        contenders.alternate_passes(budget)?;
        let theirs = rivals.ask(operation, budget, clock.runs_per_wait())?;
        contenders.merge(theirs);
    }
    let (mut ours, theirs) = contenders.answers();
    // The check is a forward and a backward pass.
    let checked = operation.passes().last().copied().unwrap_or(Pass::Forward);
    ours.peak_bytes.extend(peak.map(|peak| (checked, peak)));
    let measured = Measured {
        op: operation.op.to_owned(),
        case: operation.case.clone(),
        dtype: operation.dtype_name().to_owned(),
        source: operation.source.clone(),
        ours,
        rivals: theirs,
    };
    Ok((measured, clock.runs_per_wait()))
}

#[cfg(test)]
mod tests;
