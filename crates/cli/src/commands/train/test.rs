//! The loss on `test.jsonl`.

use super::args::{Args, FineTuneType};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::terminal::Terminal;
use crate::training::preferred;
use crate::{hub, loading};
use metal_candle::data::Split;
use metal_candle::fine_tune::{self, Settings};
use metal_candle::language_model::model_for;
use metal_candle::train::Evaluation;

/// Tests what lies in `--adapter-path`: an adapter, or with `--fine-tune-type full` a model. Nothing is
/// trained or written.
///
/// # Errors
/// When something that was given cannot be used, or the loss is not finite.
pub fn run(args: &Args, settings: &Settings, terminal: &Terminal) -> Result<Exit> {
    let device = args.device.open()?;
    let is_full = args.fine_tune_type == FineTuneType::Full;
    let base = match is_full {
        true => args.adapter_path.clone(),
        false => hub::folder(&settings.model, terminal)?,
    };
    let adapter = Some(args.adapter_path.as_path()).filter(|_| !is_full);
    loading::tell_tokenizer(adapter, terminal);
    let splits = settings.rows.read(&base, adapter, &[Split::Test])?;
    let mut model = model_for(&base, adapter, settings.on_load, &device)?;
    model.decoder.set_activations(settings.activations);
    let adapter = adapter.map(|path| loading::adapter(&model, &base, path));
    let how = (
        args.rows.batch_size.get(),
        args.reports.test_batches.limit(),
        settings.options.objective,
    );
    let evaluation = fine_tune::test(
        &model.decoder,
        adapter.transpose()?,
        &splits,
        &settings.rows,
        how,
    )?;
    tell(evaluation, terminal)?;
    Ok(Exit::Done)
}

/// Tells a loss.
///
/// # Errors
/// When it is not finite.
pub fn tell(evaluation: Evaluation, terminal: &Terminal) -> Result<()> {
    let (loss, ppl) = (evaluation.loss(), evaluation.perplexity());
    if !loss.is_finite() {
        return Err(Error::failed(format!("the test loss is {loss}")));
    }
    match evaluation.preference() {
        None => terminal.print_line(format_args!("Test loss {loss:.3}, Test ppl {ppl:.3}.")),
        Some(means) => terminal.print_line(format_args!(
            "Test loss {loss:.3}{}.",
            preferred(Some(&means))
        )),
    }
}
