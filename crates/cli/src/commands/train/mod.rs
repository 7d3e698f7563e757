//! Fine-tuning: the library's run with options, a terminal and a listener for signals.

mod args;
mod begun;
mod compat;
pub mod config_file;
mod events;
mod every;
mod header;
mod memory;
mod optimizer;
mod packing;
mod page;
mod preference;
mod report;
mod samples;
mod services;
mod settings;
mod test;

pub use args::Args;
use begun::Begun;
pub use compat::Compat;

use super::Context;
use crate::counted_memory::Count;
use crate::error::Result;

use crate::exit::Exit;
use crate::interrupt::{self, Interrupt};
use crate::report::{Outcome, Told};
use crate::terminal::Terminal;
use crate::training::{Reporter, checks};
use crate::{hub, loading, output_folder};
use metal_candle::fine_tune::{FineTuning, MemoryPlan, Prepared};
use metal_candle::train::memory::Meter;
use metal_candle::train::{Ending, Event, Summary};
use metal_candle::verify::{Effort, Report};
use std::time::Instant;

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
    let interrupt = Interrupt::listen(terminal, interrupt::SAVING)?;
    let device = args.device.open()?;
    output_folder::check_writable("--adapter-path", &args.adapter_path)?;
    let mut tuning = FineTuning::claim(settings)?;
    let base = hub::folder(&name, terminal)?;
    loading::tell_tokenizer(tuning.adapter(), terminal);
    let splits = tuning.splits(&base)?;
    args.count_steps(&splits)?;
    args.reports.check_followed(splits.valid.is_some())?;
    tuning.set_options(args.options()?);
    terminal.say(format_args!("Loading {name}"));
    let mut begun = Begun::new(terminal);
    let mut prepared = tuning.load_telling(&base, splits, &device, &mut |p| begun.tell(p))?;
    drop(begun);
    report::tell_resumed(&prepared, &args, terminal);
    preference::tell_reference(&prepared, &args, terminal);
    let count = Count::begin();
    let plan = memory::plan(&mut prepared, &mut args, &count, terminal)?;
    header::tell(&prepared, &args, plan.as_ref(), terminal);
    header::explain(&prepared, &args, plan.as_ref());
    go(&mut prepared, &args, &interrupt, (plan, count), terminal)
}

/// Trains, tells what it came to, and leaves a page of it.
fn go(
    prepared: &mut Prepared,
    args: &Args,
    interrupt: &Interrupt,
    (plan, count): (Option<MemoryPlan>, Count),
    terminal: &Terminal,
) -> Result<Exit> {
    let (done, began) = (prepared.steps(), Instant::now());
    let mut told = page::begun(prepared, args, plan);
    let summary = train(prepared, args, interrupt, terminal)?;
    if let Some(memory) = &mut told.memory {
        let run = usize::try_from(count.take_peak()).unwrap_or(0);
        memory.measured_bytes = Some(prepared.model_bytes() + run);
    }
    drop(count);
    let seconds = began.elapsed().as_secs_f64();
    report::tell_end(prepared, &summary, (done, seconds), args, terminal);
    let outcome = Outcome::of(&summary, seconds);
    let ended = match summary.ending {
        Ending::Stopped => {
            told.next = page::to_go_on(prepared, &outcome, args);
            Ok(Exit::Interrupted)
        }
        _ => finish(prepared, args, interrupt, (&mut told, terminal)),
    };
    told.outcome = Some(outcome);
    let is_written = summary.steps > done && !args.reports.no_report;
    let written = match is_written {
        true => page::write(told, args, terminal),
        false => Ok(()),
    };
    let exit = ended?;
    written?;
    if exit == Exit::Done {
        report::tell_next(prepared, args, terminal);
    }
    Ok(exit)
}

/// Trains, and tells every event.
fn train(
    prepared: &mut Prepared,
    args: &Args,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> Result<Summary> {
    let mut events = events::writer(prepared, args)?;
    let reporter = Reporter::new(terminal, prepared.steps().saturating_add(args.steps()));
    let mut observe = |event: &Event| {
        reporter.tell(event);
        events::write(&mut events, event);
    };
    Ok(interrupt.awaited_by(|| prepared.train(&mut observe, &|| interrupt.is_asked()))?)
}

/// Looks at what was trained: tests it if that was asked for, checks it, and asks it.
fn finish(
    prepared: &Prepared,
    args: &Args,
    interrupt: &Interrupt,
    (told, terminal): (&mut Told, &Terminal),
) -> Result<Exit> {
    told.next = report::next_commands(prepared, args);
    if args.test {
        test::tell(prepared.test(args.reports.test_batches.limit())?, terminal)?;
    }
    told.samples = samples::tell(prepared, args, interrupt, terminal)?;
    if !args.reports.no_verify {
        let report = verify(prepared, terminal)?;
        told.checks = report.checks.iter().map(Into::into).collect();
        report::check(&report, args)?;
    }
    Ok(Exit::Done)
}

/// Checks what was trained and saved.
fn verify(prepared: &Prepared, terminal: &Terminal) -> Result<Report> {
    let n_parameters = prepared.model().decoder.n_parameters();
    let report = prepared.verify(&Effort::quick(n_parameters))?;
    for line in checks::lines(&report) {
        terminal.report(line);
    }
    terminal.report(checks::summary(&report));
    Ok(report)
}
