//! The loss on `test.jsonl`.

use super::args::{Args, FineTuneType};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::terminal::Terminal;
use crate::{hub, loading};
use metal_candle::data::{Split, Splits, sample};
use metal_candle::lora::AdapterSet;
use metal_candle::models::{Decoder, Model};
use metal_candle::train::evaluate;
use std::path::Path;
use std::sync::Arc;

/// Tests what lies in `--adapter-path`: an adapter, or with `--fine-tune-type full` a model. Nothing is
/// trained or written.
///
/// # Errors
/// When something that was given cannot be used, or the loss is not finite.
pub fn run(args: &Args, name: &str, data: &Path, terminal: &Terminal) -> Result<Exit> {
    let device = args.device.open()?;
    let is_full = args.fine_tune_type == FineTuneType::Full;
    let base = match is_full {
        true => args.adapter_path.clone(),
        false => hub::folder(name, terminal)?,
    };
    let adapter = Some(args.adapter_path.as_path()).filter(|_| !is_full);
    let splits = super::load_splits(args, data, (&base, adapter), &[Split::Test], terminal)?;
    let model = Model::load_packing(&base, args.weights.on_load(), &device)?;
    let adapter = adapter.map(|path| loading::adapter(&model, &base, path));
    tell(
        &model.decoder,
        adapter.transpose()?,
        &splits,
        args,
        terminal,
    )?;
    Ok(Exit::Done)
}

/// Tells the loss of `decoder` with `adapter`.
///
/// # Errors
/// When it is not finite, or the device fails.
pub fn tell(
    decoder: &Decoder,
    adapter: Option<Arc<AdapterSet>>,
    splits: &Splits,
    args: &Args,
    terminal: &Terminal,
) -> Result<()> {
    let limit = args.reports.test_batches.limit();
    let (examples, rows) = (&splits.require(Split::Test)?.examples, &args.rows);
    let batches = sample(examples, rows.batch_size, rows.arrangement(), limit);
    let evaluation = evaluate(decoder, adapter, batches, &|| false)?;
    let (loss, ppl) = (evaluation.loss(), evaluation.perplexity());
    if !loss.is_finite() {
        return Err(Error::failed(format!("the test loss is {loss}")));
    }
    terminal.print_line(format_args!("Test loss {loss:.3}, Test ppl {ppl:.3}."))
}
