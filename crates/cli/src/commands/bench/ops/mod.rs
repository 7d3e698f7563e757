//! `bench ops`: every operation, forward, backward and both.

mod candle;
mod operation;
mod subjects;

use super::answer::Answer;
use super::clock::alternate;
use super::peer::Server;
use super::record::Pass;
use super::rows::Measured;
use super::sitting::Sitting;
use super::{Options, Rival};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use metal_candle_kernels::case::TABLE;
use operation::{Inputs, Operation, Run, once};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Operations, each checked against its definition before it is timed
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only the cases of the published table
    #[arg(long)]
    pub table: bool,
    /// Time for each pass of a case and each contender
    #[arg(long, value_name = "SECONDS", default_value = "0.3", value_parser = super::seconds)]
    pub seconds: Duration,
    #[command(flatten)]
    pub options: Options,
}

/// Measures operations.
///
/// # Errors
/// When no case matches, or a kernel is wrong.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let operations = chosen(args)?;
    let mut rivals = Rivals::start(&args.options)?;
    let mut sitting = Sitting::begin(&args.options, terminal)?;
    for operation in operations {
        let measured = measure(&operation, args, &mut rivals)?;
        let passes = operation.passes().iter();
        let rows = passes.filter_map(|&pass| measured.row(pass, operation.cost(pass), None));
        sitting.add(rows.collect(), measured.versions())?;
        for (name, answer) in &measured.rivals {
            if let Some(error) = &answer.error {
                terminal.say(format_args!("{name}: {}: {error}", operation.line()));
            }
        }
    }
    sitting.finish()
}

fn chosen(args: &Args) -> Result<Vec<Operation>> {
    let mut operations = subjects::all();
    operations.retain(|o| args.options.takes(&o.line()) && (o.source == TABLE || !args.table));
    match operations.is_empty() {
        true => Err(Error::input("no case has all words of --filter")
            .with_advice("`bench ops --filter softmax` shows what lines look like")),
        false => Ok(operations),
    }
}

/// Who is measured beside the kernels.
#[derive(Default)]
struct Rivals {
    candle: bool,
    pytorch: Option<Server>,
}

impl Rivals {
    fn start(options: &Options) -> Result<Self> {
        let server = || Server::start(&mut options.python("ops_torch.py")?);
        Ok(Self {
            candle: options.has(Rival::Candle),
            pytorch: options.has(Rival::Pytorch).then(server).transpose()?,
        })
    }
}

fn measure(operation: &Operation, args: &Args, rivals: &mut Rivals) -> Result<Measured> {
    let inputs = operation.inputs()?;
    let peak = operation.check(&inputs)?;
    let (mut ours, mut theirs) = (Answer::default(), BTreeMap::<_, Answer>::new());
    let rounds = args.options.rounds;
    let budget = args.seconds / rounds as u32;
    let candle = rivals
        .candle
        .then(|| usable(&operation.candle, operation, &inputs));
    for _ in 0..rounds {
        let (own, candles) = round(operation, candle.as_ref(), &inputs, budget)?;
        ours.merge(own);
        if candle.is_some() {
            theirs
                .entry(Rival::Candle.name())
                .or_default()
                .merge(candles);
        }
        if let Some(server) = &mut rivals.pytorch {
            let answer = server.ask(&request(operation, budget))?;
            theirs
                .entry(Rival::Pytorch.name())
                .or_default()
                .merge(answer);
        }
    }
    // The check is a forward and a backward pass.
    let checked = operation.passes().last().copied().unwrap_or(Pass::Forward);
    ours.peak_bytes.insert(checked, peak);
    Ok(Measured {
        op: operation.op.to_owned(),
        case: operation.case.clone(),
        dtype: operation.dtype_name().to_owned(),
        source: operation.source.clone(),
        ours,
        rivals: theirs,
    })
}

/// candle's operation, or why it does not compute this case.
type Usable<'a> = std::result::Result<&'a Run, String>;

fn usable<'a>(run: &'a Run, operation: &Operation, inputs: &Inputs) -> Usable<'a> {
    for &pass in operation.passes() {
        once(run, pass, inputs)().map_err(|error| error.message().to_owned())?;
    }
    Ok(run)
}

/// Times every pass, the kernel and candle in turns.
fn round(
    operation: &Operation,
    candle: Option<&Usable<'_>>,
    inputs: &Inputs,
    budget: Duration,
) -> Result<(Answer, Answer)> {
    let (mut ours, mut candles) = (Answer::default(), Answer::default());
    let run = match candle {
        Some(Ok(run)) => Some(*run),
        Some(Err(reason)) => {
            candles.error = Some(reason.clone());
            None
        }
        None => None,
    };
    for &pass in operation.passes() {
        let runs = std::iter::once(&operation.run).chain(run);
        let mut contenders: Vec<_> = runs.map(|run| once(run, pass, inputs)).collect();
        let mut secs = alternate(budget, &mut contenders)?.into_iter();
        ours.add(pass, secs.next().unwrap_or_default());
        secs.for_each(|secs| candles.add(pass, secs));
    }
    Ok((ours, candles))
}

fn request(operation: &Operation, budget: Duration) -> serde_json::Value {
    json!({
        "op": operation.op,
        "sizes": operation.sizes,
        "dtype": operation.dtype_name(),
        "passes": operation.passes(),
        "secs": budget.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests;
