//! Fine-tuning: the library's run with options, a terminal and a listener for signals.

mod args;
pub mod config_file;
mod optimizer;
mod report;
mod settings;
mod test;

pub use args::Args;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::training::Reporter;
use crate::{hub, loading, output_folder};
use metal_candle::fine_tune::{FineTuning, Prepared};
use metal_candle::train::{Ending, Event};

/// Fine-tunes a model, or only tests one.
///
/// # Errors
/// When something that was given cannot be used, or the run fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    args.check()?;
    let name = args.model()?;
    let settings = args.settings()?;
    if !args.trains() {
        return test::run(&args, &settings, terminal);
    }
    let interrupt = Interrupt::listen(terminal)?;
    let device = args.device.open()?;
    output_folder::check_writable("--adapter-path", &args.adapter_path)?;
    let tuning = FineTuning::claim(settings)?;
    let base = hub::folder(name, terminal)?;
    loading::tell_tokenizer(tuning.adapter(), terminal);
    let splits = tuning.splits(&base)?;
    terminal.say(format_args!("Loading {name}"));
    let mut prepared = tuning.load(&base, splits, &device)?;
    report::tell_resumed(&prepared, &args, terminal);
    report::tell_size(&prepared, &args, terminal);
    go(&mut prepared, &args, &interrupt, terminal)
}

/// Trains, and tests if that was asked for.
fn go(
    prepared: &mut Prepared,
    args: &Args,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> Result<Exit> {
    let done = prepared.steps();
    let reporter = Reporter::new(terminal, done.saturating_add(args.optimizer.iters));
    let mut observe = |event: &Event| reporter.tell(event);
    let summary =
        interrupt.awaited_by(|| prepared.train(&mut observe, &|| interrupt.is_asked()))?;
    drop(reporter);
    report::tell_end(prepared, &summary, done, args, terminal);
    match summary.ending {
        Ending::Stopped => return Ok(Exit::Interrupted),
        Ending::Finished if args.test => {
            test::tell(prepared.test(args.reports.test_batches.limit())?, terminal)?;
        }
        Ending::Finished => {}
    }
    Ok(Exit::Done)
}
