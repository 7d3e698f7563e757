//! `train`: LoRA training steps of a model with random weights, the twin of
//! `scripts/bench/train_peft.py`. Every configuration runs in a process of its own, so that its
//! peak memory is its own.

use crate::answer::Answer;
use crate::bars::MIXED;
use crate::clock::Clock;
use crate::options::{Options, Rival};
use crate::peer::ask_process;
use crate::record::{Pass, Row};
use crate::rows::Measured;
use crate::sitting::Sitting;
use candle_core::{DType, Device};
use metal_candle::data::Batch;
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan};
use metal_candle::models::Model;
use metal_candle::process::peak_memory_bytes;
use metal_candle::train::{self, Optimizer, Parameters, step::step};
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::numbers::at_least_one;
use metal_candle_cli::terminal::Terminal;
use metal_candle_kernels::case::{Cost, TABLE};
use metal_candle_kernels::weight::affine::Affine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;

/// Width, blocks, heads, key-value heads, inner width, vocabulary, tokens of a row and rows.
const CASES: [&str; 2] = ["256 4 4 2 704 4096 128 4", "896 4 14 2 4864 32000 256 2"];

/// Storage of the frozen weights.
pub const DTYPES: [&str; 3] = ["f32", "bf16", PACKED];

/// MLX's affine packing of 4 bits in groups of [`GROUP`], with factors in bf16; no rival's script has it.
pub const PACKED: &str = "4bit";

/// Storage of the frozen weights, and of activations.
const FORMS: [&str; 4] = [DTYPES[0], DTYPES[1], MIXED, PACKED];

/// Numbers that share their factors, as in most published checkpoints.
pub const GROUP: usize = 64;

/// LoRA training steps, each configuration in a process of its own
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Steps of each round that are timed, after one that is not
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    pub steps: usize,
    /// Measure one configuration in this process and print the answer
    #[arg(long, value_name = "CASE", hide = true, requires = "dtype")]
    pub one: Option<Case>,
    #[arg(long, hide = true, value_parser = FORMS)]
    pub dtype: Option<String>,
    #[command(flatten)]
    pub options: Options,
}

/// A model and its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    hidden: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    inner: usize,
    vocabulary: usize,
    tokens: usize,
    rows: usize,
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || "expected HIDDEN LAYERS HEADS KV INTER VOCAB SEQ BATCH".to_owned();
        let sizes = text.split_whitespace().map(str::parse);
        let sizes: Vec<usize> = sizes
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong())?;
        let [
            hidden,
            layers,
            heads,
            kv_heads,
            inner,
            vocabulary,
            tokens,
            rows,
        ] = sizes[..]
        else {
            return Err(wrong());
        };
        Ok(Self {
            hidden,
            layers,
            heads,
            kv_heads,
            inner,
            vocabulary,
            tokens,
            rows,
        })
    }
}

/// Measures training.
///
/// # Errors
/// When a process fails.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let device = args.options.device.open()?;
    if let (Some(case), Some(dtype)) = (&args.one, &args.dtype) {
        return terminal.print_json(&measure_here(case, dtype, args.steps, &device)?);
    }
    args.options.check_rivals(&device, &IMPOSSIBLE)?;
    let cases = chosen(&args.options)?;
    let mut sitting = Sitting::begin(&args.options, &device, terminal)?;
    for (case, dtype) in cases {
        let measured = measure(case, dtype, args, &device)?;
        let rows = row(&measured, case)?;
        sitting.add(rows.into_iter().collect(), measured.versions())?;
    }
    sitting.finish()
}

/// Rivals without training, and why.
const IMPOSSIBLE: [(Rival, &str); 3] = [
    (Rival::Candle, "candle has no training to compare with"),
    (Rival::Engines, "an engine is a product's, not a step's"),
    (Rival::LlamaCpp, "there is no script for its training"),
];

fn chosen(options: &Options) -> Result<Vec<(&'static str, &'static str)>> {
    let all = CASES
        .iter()
        .flat_map(|&case| FORMS.map(|dtype| (case, dtype)));
    let takes = |(case, dtype): &(&str, &str)| options.takes(&format!("train {case} {dtype}"));
    let chosen: Vec<_> = all.filter(takes).collect();
    match chosen.is_empty() {
        true => Err(Error::input("no configuration has all words of --filter")),
        false => Ok(chosen),
    }
}

fn row(measured: &Measured, case: &str) -> Result<Option<Row>> {
    let case = Case::from_str(case).map_err(Error::failed)?;
    let tokens = case.rows * case.tokens;
    Ok(measured.row(Pass::Step, Cost::default(), Some(tokens)))
}

/// Takes turns with PEFT and MLX, every turn in a fresh process.
fn measure(case: &str, dtype: &str, args: &Args, device: &Device) -> Result<Measured> {
    let (mut ours, mut theirs) = (Answer::default(), BTreeMap::<_, Answer>::new());
    let steps = args.steps.to_string();
    for _ in 0..args.options.rounds {
        let words = ["train", "--one", case, "--dtype", dtype, "--steps", &steps];
        let mut own = this_program()?;
        own.args(words)
            .args(["--device", &args.options.device.device.to_string()]);
        ours.merge(ask_process(&mut own)?);
        for (rival, script) in [
            (Rival::Pytorch, "train_peft.py"),
            (Rival::Mlx, "train_mlx.py"),
        ] {
            if args.options.has(rival) && dtype != PACKED {
                let mut python = args.options.python(rival, script, device)?;
                let dtype = if dtype == MIXED { "bf16" } else { dtype };
                let words = case.split_whitespace().chain([&steps[..], dtype]);
                let answer = ask_process(python.args(words))?;
                theirs.entry(rival.name()).or_default().merge(answer);
            }
        }
    }
    Ok(Measured {
        op: "train".into(),
        case: case.into(),
        dtype: dtype.into(),
        source: TABLE.into(),
        ours,
        rivals: theirs,
    })
}

/// A fresh process of this program.
///
/// # Errors
/// When the system does not tell where it is.
pub fn this_program() -> Result<Command> {
    Ok(Command::new(
        std::env::current_exe().map_err(Error::failed)?,
    ))
}

fn measure_here(case: &Case, dtype: &str, steps: usize, device: &Device) -> Result<Answer> {
    let mut model = Model::random(case.config(), 0, device)?;
    store_as(&mut model, dtype)?;
    if dtype == "bf16" {
        model.decoder.set_activations(DType::BF16);
    }
    let mut answer = Answer::default();
    answer.add(Pass::Step, step_secs(case, &mut model, steps, device)?);
    let peak = peak_bytes(device).map(|bytes| (Pass::Step, bytes));
    answer.peak_bytes.extend(peak);
    Ok(answer)
}

/// The process's most memory. What it held on a GPU the system does not tell apart.
pub fn peak_bytes(device: &Device) -> Option<u64> {
    peak_memory_bytes().filter(|_| device.is_cpu())
}

/// Converts all weights.
///
/// # Errors
/// When memory runs out.
pub fn store_as(model: &mut Model, dtype: &str) -> Result<()> {
    if dtype == "f32" {
        return Ok(());
    }
    for (_, part) in model.decoder.parts_mut() {
        part.replace(&mut |_, weight| weight.to_dtype(DType::BF16))?;
    }
    if dtype == PACKED {
        for (_, matrix) in model.decoder.matrices_mut() {
            *matrix = Affine::quantize(&matrix.dense()?, 4, GROUP)?.into();
        }
    }
    Ok(())
}

/// Seconds of each step: forward, backward and optimizer; the first, which allocates, is not told.
fn step_secs(case: &Case, model: &mut Model, steps: usize, device: &Device) -> Result<Vec<f64>> {
    let plan = Plan::new(&LoraConfig::default(), &model.decoder.layer_infos()?)?;
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0)?;
    let parameters = Parameters::of_adapters(Arc::new(set), &model.decoder);
    let mut optimizer = Optimizer::new(train::Rule::default(), &parameters)?;
    let batch = case.batch();
    let mean = 1.0 / batch.trained_tokens as f64;
    let mut secs = vec![];
    let clock = Clock::new(device, 1);
    for _ in 0..=steps {
        let duration = clock.timed(|| {
            let mode = Mode::training(0);
            let result = step(&model.decoder, &parameters, &batch, mode, false)?;
            Ok(optimizer.step(&parameters, &result.gradients, 1e-4, mean)?)
        });
        secs.push(duration?.as_secs_f64());
    }
    Ok(secs.split_off(1))
}

impl Case {
    fn config(&self) -> Value {
        json!({
            "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.inner, "vocab_size": self.vocabulary,
            "max_position_embeddings": 2048, "tie_word_embeddings": true,
        })
    }

    /// Each token of a row but the last has a loss, as PyTorch's shifted labels give.
    fn batch(&self) -> Batch {
        let n = self.rows * self.tokens;
        let id = |i: usize| (i * 7919 + 13) % self.vocabulary;
        let target = |i: usize| match (i + 1) % self.tokens {
            0 => -100,
            _ => id(i + 1) as i64,
        };
        Batch {
            layout: Layout::new(Arrangement::Padded, &vec![self.tokens; self.rows]),
            inputs: (0..n).map(|i| id(i) as u32).collect(),
            targets: (0..n).map(target).collect(),
            lines: vec![],
            pairs: vec![],
            trained_tokens: n - self.rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiny_model_is_trained_in_every_dtype() {
        let case: Case = "64 1 2 1 128 32 8 2".parse().unwrap();
        for dtype in FORMS {
            let answer = measure_here(&case, dtype, 2, &Device::Cpu).unwrap();
            assert_eq!(answer.secs[&Pass::Step][""].len(), 2);
        }
        assert_eq!(case.batch().trained_tokens, 14);
    }

    #[test]
    fn cases_are_parsed_strictly() {
        for case in CASES {
            assert!(case.parse::<Case>().is_ok(), "{case}");
        }
        assert!("1 2 3".parse::<Case>().is_err());
        assert!("a 4 4 2 704 4096 128 4".parse::<Case>().is_err());
    }
}
