mod pieces;

use super::Context;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::numbers::{at_least_one, not_zero};
use crate::row_keys::RowKeys;
use crate::rows;
use crate::terminal::Terminal;
use metal_candle::LanguageModel;
use metal_candle::data::{Batches, Dataset, Examples};
use metal_candle::layout::Arrangement;
use metal_candle::lora::AdapterSet;
use metal_candle::models::Decoder;
use metal_candle::train::{Evaluation, evaluate};
use pieces::Pieces;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  metal-candle perplexity --model Qwen/Qwen3-0.6B --data data/test.jsonl
  metal-candle perplexity --model ./model --adapter-path adapters --data test.jsonl --mask-prompt \\
    --json
  metal-candle perplexity --model ./model --data test.jsonl --sequence-length 512 --num-samples 256";

/// Loss and perplexity of a file, with and without an adapter
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// File of rows, as `train` takes them, or - for standard input
    #[arg(long, alias = "data-path", value_name = "FILE")]
    pub data: PathBuf,
    /// Folder of an adapter of PEFT or mlx-lm; the model without it is told beside
    #[arg(long, value_name = "PATH")]
    pub adapter_path: Option<PathBuf>,
    /// Rows that are computed at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = not_zero)]
    pub batch_size: NonZeroUsize,
    /// Longest row in tokens, longer ones are cut [default: 2048, or the model's limit]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_seq_length: Option<usize>,
    /// Count only what the assistant says, or the completion
    #[arg(long)]
    pub mask_prompt: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub keys: RowKeys,
    #[command(flatten)]
    pub pieces: Pieces,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Perplexity>,
}

/// The loss of one model, as `--json` prints it.
#[derive(Clone, Copy, Serialize)]
struct Figures {
    /// Nats per token, every token of the file counting the same.
    loss: f64,
    /// Standard error of the loss; `null` of a single token.
    standard_error: Option<f64>,
    perplexity: f64,
    tokens: usize,
}

/// Answer that `--json` prints: the figures with the adapter, if there is one, and those without.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    figures: Figures,
    rows: usize,
    truncated_rows: usize,
    /// Pieces that the rows were cut into, where these are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Figures>,
}

/// Evaluates a file.
///
/// # Errors
/// When something that was given cannot be used, or the model fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    let adapter = args.adapter_path.as_deref();
    let loaded = loading::load_for(
        (&args.model, adapter),
        args.weights,
        &args.device.open()?,
        terminal,
    )?;
    let dataset = dataset(&args, &loaded, terminal)?;
    let limit = loaded.model.config.max_position_embeddings;
    let pieces = args
        .pieces
        .are_asked_for()
        .then(|| args.pieces.cut(&dataset, limit));
    let (pieces, n_rows) = pieces.transpose()?.unzip();
    let examples = pieces.as_ref().unwrap_or(&dataset.examples);
    // Read first: if it does not fit, nothing was computed in vain.
    let adapter = adapter.map(|path| loading::adapter(&loaded.model, &loaded.folder, path));
    let adapter = adapter.transpose()?;
    let decoder = &loaded.model.decoder;
    let figures = |adapter| figures(decoder, adapter, examples, &args, terminal);
    let base = adapter.is_some().then(|| figures(None)).transpose()?;
    let figures = figures(adapter)?;
    let answer = Answer {
        figures,
        rows: n_rows.unwrap_or(dataset.examples.len()),
        truncated_rows: dataset.truncated,
        pieces: pieces.as_ref().map(Examples::len),
        base,
    };
    match args.json {
        true => terminal.print_json(&answer)?,
        false => tell(&answer, terminal)?,
    }
    Ok(Exit::Done)
}

fn dataset(args: &Args, loaded: &LanguageModel, terminal: &Terminal) -> Result<Dataset> {
    let file = rows::OneFile {
        path: &args.data,
        keys: &args.keys,
        max_seq_length: args.max_seq_length,
        mask_prompt: args.mask_prompt,
        takes_pairs: false,
    };
    match args.pieces.are_asked_for() {
        true => file.read_whole(loaded, terminal),
        false => file.read(loaded, terminal),
    }
}

fn figures(
    decoder: &Decoder,
    adapter: Option<Arc<AdapterSet>>,
    examples: &Examples,
    args: &Args,
    terminal: &Terminal,
) -> Result<Figures> {
    let batches = Batches::sequential(examples, args.batch_size);
    let bar = terminal.bar(
        batches.n_batches(),
        "{wide_bar} {pos}/{len} batches [{elapsed}<{eta}]",
    );
    let batches = batches
        .laid_out(Arrangement::Padded)
        .inspect(|_| bar.inc(1));
    let evaluation = evaluate(decoder, adapter, batches, &|| false)?;
    examples.check()?;
    bar.finish_and_clear();
    Figures::of(evaluation, &args.data)
}

impl Figures {
    /// # Errors
    /// When the loss is no number. A perplexity too large for one is told, and is `inf`, or `null` in JSON.
    fn of(evaluation: Evaluation, data: &Path) -> Result<Self> {
        let (loss, perplexity) = (evaluation.loss(), evaluation.perplexity());
        if !loss.is_finite() {
            return Err(Error::failed(format!("the loss on {} is not finite: {loss}", data.display()))
                .with_advice("look for damaged weights: the model, or the adapter, computes values over the range of float32"));
        }
        if perplexity.is_infinite() {
            tracing::warn!(
                "the perplexity, e to the power of {loss}, is over the range of float64"
            );
        }
        Ok(Self {
            loss,
            standard_error: evaluation.standard_error(),
            perplexity,
            tokens: evaluation.tokens,
        })
    }

    /// Standard errors of loss and perplexity as text; that of the perplexity is its own times the loss's, to first order.
    fn errors(&self) -> [String; 2] {
        [1.0, self.perplexity].map(|slope| match self.standard_error {
            Some(error) => format!(" ± {:.4}", slope * error),
            None => String::new(),
        })
    }
}

fn tell(answer: &Answer, terminal: &Terminal) -> Result<()> {
    let with = &answer.figures;
    match &answer.base {
        None => {
            let [loss, perplexity] = with.errors();
            terminal.print_line(format_args!("Loss        {:.4}{loss}", with.loss))?;
            terminal.print_line(format_args!(
                "Perplexity  {:.4}{perplexity}",
                with.perplexity
            ))?;
        }
        Some(base) => {
            terminal.print_line(format_args!("{:<12}{:>12}{:>12}", "", "adapter", "base"))?;
            let row = |name, a: f64, b: f64| {
                terminal.print_line(format_args!("{name:<12}{a:>12.4}{b:>12.4}"))
            };
            row("Loss", with.loss, base.loss)?;
            if let (Some(with), Some(base)) = (with.standard_error, base.standard_error) {
                row("  error", with, base)?;
            }
            row("Perplexity", with.perplexity, base.perplexity)?;
        }
    }
    let (tokens, rows) = (with.tokens, rows::counted(answer.rows));
    terminal.print_line(match answer.pieces {
        None => format!("{tokens} tokens in {rows}"),
        Some(n) => format!("{tokens} tokens in {n} pieces of {rows}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(loss_sum: f64) -> Result<Figures> {
        let evaluation = Evaluation::of_tokens(loss_sum, 2);
        Figures::of(evaluation, Path::new("rows.jsonl"))
    }

    #[test]
    fn a_loss_that_is_no_number_is_an_error() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = figures(wrong).err().unwrap();
            assert_eq!(error.exit(), Exit::Failed);
            assert!(
                error.message().contains("rows.jsonl is not finite"),
                "{}",
                error.message()
            );
        }
    }

    #[test]
    fn a_perplexity_over_the_range_is_infinite() {
        let large = figures(2000.0).unwrap();
        assert_eq!((large.loss, large.perplexity), (1000.0, f64::INFINITY));
        let json = serde_json::to_value(large).unwrap();
        assert!(json["perplexity"].is_null());
    }
}
