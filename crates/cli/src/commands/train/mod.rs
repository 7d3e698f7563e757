//! Fine-tuning: data, model, what is trained in it, and the run.

mod args;
pub mod config_file;
mod record;
mod run;
mod settings;
mod test;
mod trained;

pub use args::Args;
pub use settings::max_seq_length;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::{hub, loading, output_folder};
use metal_candle::data::{self, Split, Splits};
use metal_candle::models::{Config, Model};
use metal_candle::train::{Resume, RunFolder, Start};
use run::Run;
use std::path::Path;
use trained::Trained;

/// Fine-tunes a model, or only tests one.
///
/// # Errors
/// When something that was given cannot be used, or the run fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    args.check()?;
    let (name, data) = (args.model()?, args.data()?);
    if !args.trains() {
        return test::run(&args, name, data, terminal);
    }
    let interrupt = Interrupt::listen(terminal)?;
    let device = args.device.open()?;
    let resume = args
        .resume_adapter_file
        .as_deref()
        .map(Resume::find)
        .transpose()?;
    let start = start(&args, resume.as_ref());
    output_folder::check_writable("--adapter-path", &args.adapter_path)?;
    let folder = RunFolder::claim(&args.adapter_path, start)?;
    let base = hub::folder(name, terminal)?;
    // Data before weights: they are read faster, and hold more mistakes.
    let adapter = resume.as_ref().map(|resume| resume.adapter.as_path());
    let splits = load_splits(&args, data, (&base, adapter), &wanted(&args), terminal)?;
    terminal.say(format_args!("Loading {name}"));
    let mut model = Model::load_packing(&base, args.weights.on_load(), &device)?;
    let trained = Trained::choose(&args, &mut model, &base, resume.as_ref(), terminal)?;
    let optimizer = trained.optimizer(resume.as_ref(), &device, terminal)?;
    let settings = record::settings(&args, &splits, &trained);
    record::tell_differences(resume.as_ref(), &settings, terminal);
    let run = Run {
        args: &args,
        model: &model,
        trained: &trained,
        splits: &splits,
        settings: &settings,
        interrupt: &interrupt,
        terminal,
    };
    run.go(optimizer, folder)
}

/// How the run meets what lies in its folder: going on with an adapter of the folder itself, it is the
/// same run.
fn start(args: &Args, resume: Option<&Resume>) -> Start {
    let is_inside = |resume: &&Resume| {
        let paths = (
            resume.adapter.canonicalize(),
            args.adapter_path.canonicalize(),
        );
        matches!(&paths, (Ok(adapter), Ok(folder)) if adapter.starts_with(folder))
    };
    match resume.filter(is_inside) {
        Some(resume) => Start::Resume { step: resume.step },
        None if args.overwrite => Start::Overwrite,
        None => Start::New,
    }
}

/// The splits that a training reads.
fn wanted(args: &Args) -> Vec<Split> {
    let mut wanted = vec![Split::Train];
    wanted.extend(args.validates().then_some(Split::Valid));
    wanted.extend(args.test.then_some(Split::Test));
    wanted
}

/// Rows as the tokenizer of a model cuts them, or that of an adapter of it that has its own.
fn load_splits(
    args: &Args,
    folder: &Path,
    (model, adapter): (&Path, Option<&Path>),
    wanted: &[Split],
    terminal: &Terminal,
) -> Result<Splits> {
    let (config, _) = Config::read(model)?;
    let options = data::Options {
        max_seq_length: max_seq_length(args.rows.max_seq_length, &config)?,
        mask_prompt: args.rows.mask_prompt,
        vocab_size: Some(config.vocab_size),
    };
    let tokenizer = loading::tokenizer_for(model, adapter, &config, terminal)?;
    let splits = Splits::load(folder, wanted, &tokenizer, &options)?;
    for split in wanted.iter().filter(|split| **split != Split::Valid) {
        splits.require(*split)?;
    }
    Ok(splits)
}
