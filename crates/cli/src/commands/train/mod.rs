//! Fine-tuning: the library's run with options, a terminal and a listener for signals.

mod args;
mod compat;
pub mod config_file;
mod every;
mod header;
mod optimizer;
mod preference;
mod report;
mod settings;
mod test;

pub use args::Args;
pub use compat::Compat;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::training::{Reporter, checks};
use crate::{hub, loading, output_folder};
use metal_candle::fine_tune::{FineTuning, Prepared};
use metal_candle::train::{Ending, Event};
use metal_candle::verify::Effort;

/// Fine-tunes a model, or only tests one.
///
/// # Errors
/// When something that was given cannot be used, or the run fails.
pub fn run(mut args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    args.check()?;
    report::tell_compat(&args, terminal);
    let name = args.model()?.to_owned();
    let settings = args.settings(args.source(terminal)?)?;
    if !args.trains() {
        return test::run(&args, &settings, terminal);
    }
    let interrupt = Interrupt::listen(terminal)?;
    let device = args.device.open()?;
    output_folder::check_writable("--adapter-path", &args.adapter_path)?;
    let mut tuning = FineTuning::claim(settings)?;
    let base = hub::folder(&name, terminal)?;
    loading::tell_tokenizer(tuning.adapter(), terminal);
    let splits = tuning.splits(&base)?;
    args.count_steps(&splits)?;
    tuning.set_options(args.options()?);
    terminal.say(format_args!("Loading {name}"));
    let mut prepared = tuning.load(&base, splits, &device)?;
    report::tell_resumed(&prepared, &args, terminal);
    preference::tell_reference(&prepared, &args, terminal);
    header::tell(&prepared, &args, terminal);
    header::explain(&prepared, &args);
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
    let reporter = Reporter::new(terminal, done.saturating_add(args.steps()));
    let mut observe = |event: &Event| reporter.tell(event);
    let summary =
        interrupt.awaited_by(|| prepared.train(&mut observe, &|| interrupt.is_asked()))?;
    drop(reporter);
    report::tell_end(prepared, &summary, done, args, terminal);
    if summary.ending == Ending::Stopped {
        return Ok(Exit::Interrupted);
    }
    if args.test {
        test::tell(prepared.test(args.reports.test_batches.limit())?, terminal)?;
    }
    if !args.reports.no_verify {
        verify(prepared, args, terminal)?;
    }
    report::tell_next(prepared, args, terminal);
    Ok(Exit::Done)
}

/// Checks what was trained and saved.
fn verify(prepared: &Prepared, args: &Args, terminal: &Terminal) -> Result<()> {
    let n_parameters = prepared.model().decoder.n_parameters();
    let report = prepared.verify(&Effort::quick(n_parameters))?;
    for line in checks::lines(&report) {
        terminal.report(line);
    }
    terminal.report(checks::summary(&report));
    report::check(&report, args)
}
