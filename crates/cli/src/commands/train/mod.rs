//! Fine-tuning: data, model, what is trained in it, and the run.

mod args;
pub mod config_file;
mod run;
mod settings;
mod trained;

pub use args::Args;
pub use settings::max_seq_length;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::terminal::Terminal;
use crate::{hub, loading, output_folder};
use metal_candle::data::{self, Split, Splits};
use metal_candle::models::{Config, Model};
use run::Run;
use std::path::Path;
use trained::Trained;

/// Fine-tunes a model.
///
/// # Errors
/// When something that was given cannot be used, or the run fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    args.check()?;
    let (name, data) = (args.model()?, args.data()?);
    let device = args.device.open()?;
    output_folder::check_writable("--adapter-path", &args.adapter_path)?;
    let folder = hub::folder(name, terminal)?;
    // Data before weights: they are read faster, and hold more mistakes.
    let splits = load_splits(&args, data, &folder, terminal)?;
    terminal.say(format_args!("Loading {name}"));
    let mut model = Model::load(&folder, &device)?;
    let trained = Trained::choose(&args, &mut model, &folder, terminal)?;
    let optimizer = trained.optimizer(&args, &device, terminal)?;
    if let Some(resumed) = &args.resume_adapter_file {
        loading::copy_tokenizer(resumed, &args.adapter_path)?;
    }
    let run = Run {
        args: &args,
        model: &model,
        trained: &trained,
        splits: &splits,
        terminal,
    };
    run.go(optimizer)
}

fn load_splits(args: &Args, folder: &Path, model: &Path, terminal: &Terminal) -> Result<Splits> {
    let (config, _) = Config::read(model)?;
    let options = data::Options {
        max_seq_length: max_seq_length(args.rows.max_seq_length, &config)?,
        mask_prompt: args.rows.mask_prompt,
        vocab_size: Some(config.vocab_size),
    };
    let resumed = args.resume_adapter_file.as_deref();
    let tokenizer = loading::tokenizer_for(model, resumed, &config, terminal)?;
    let mut wanted = vec![Split::Train];
    wanted.extend(args.validates().then_some(Split::Valid));
    wanted.extend(args.test.then_some(Split::Test));
    let splits = Splits::load(folder, &wanted, &tokenizer, &options)?;
    splits.require(Split::Train)?;
    if args.test {
        splits.require(Split::Test)?;
    }
    Ok(splits)
}
