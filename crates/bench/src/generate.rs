//! `generate`: greedy decoding of a model of half a billion random weights, the twin of
//! `scripts/bench/generate_transformers.py`. Each dtype runs in a process of its own.

use crate::answer::Answer;
use crate::options::{Options, Rival};
use crate::peer::ask_process;
use crate::record::{Pass, Row};
use crate::rows::Measured;
use crate::sitting::Sitting;
use crate::train::{DTYPES, GROUP, PACKED, peak_bytes, store_as, this_program};
use candle_core::Device;
use metal_candle::generate::{Engine, Request};
use metal_candle::models::Model;
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::numbers::at_least_one;
use metal_candle_cli::terminal::Terminal;
use metal_candle_kernels::case::{Cost, MODELS, TABLE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// Blocks of the first of [`MODELS`], which does not need to know them.
const LAYERS: usize = 24;

/// Greedy decoding of a model with the sizes of Qwen2.5-0.5B
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value = "128", value_parser = at_least_one)]
    pub prompt: usize,
    /// Tokens that are generated in each round
    #[arg(long, value_name = "N", default_value = "32", value_parser = at_least_one)]
    pub tokens: usize,
    /// Texts that are generated at once, each a token shorter than the one before
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub texts: usize,
    /// Measure one dtype in this process and print the answer
    #[arg(long, value_name = "DTYPE", hide = true, value_parser = DTYPES)]
    pub one: Option<String>,
    #[command(flatten)]
    pub options: Options,
}

impl Args {
    /// Tokens of each prompt.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        (0..self.texts).map(|i| self.prompt.saturating_sub(i).max(1))
    }
}

/// Measures generation.
///
/// # Errors
/// When a process fails.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let device = args.options.device.open()?;
    if let Some(dtype) = &args.one {
        let answer = measure_here(qwen(), dtype, args.lengths(), args.tokens, &device)?;
        return terminal.print_json(&answer);
    }
    let mut dtypes = DTYPES.to_vec();
    dtypes.retain(|dtype| args.options.takes(&format!("generate {dtype}")));
    if dtypes.is_empty() {
        return Err(Error::input("no case has all words of --filter"));
    }
    args.options.check_rivals(&device, &IMPOSSIBLE)?;
    let mut sitting = Sitting::begin(&args.options, &device, terminal)?;
    for dtype in dtypes {
        let measured = measure(dtype, args, &device)?;
        sitting.add(rows(&measured, dtype, args), measured.versions())?;
    }
    sitting.finish()
}

/// Rivals without generation, and why.
const IMPOSSIBLE: [(Rival, &str); 3] = [
    (Rival::Candle, "candle has no generation to compare with"),
    (Rival::Engines, "an engine is a product's, not a token's"),
    (Rival::Mlx, "there is no script for its generation"),
];

/// Takes turns with transformers, every turn in a fresh process.
fn measure(dtype: &str, args: &Args, device: &Device) -> Result<Measured> {
    let (mut ours, mut theirs) = (Answer::default(), BTreeMap::<_, Answer>::new());
    let (prompt, tokens) = (args.prompt.to_string(), args.tokens.to_string());
    let words = ["--prompt", &prompt, "--tokens", &tokens];
    let texts = args.texts.to_string();
    for _ in 0..args.options.rounds {
        let mut own = this_program()?;
        own.args(["generate", "--one", dtype, "--texts", &texts])
            .args(words);
        own.args(["--device", &args.options.device.device.to_string()]);
        ours.merge(ask_process(&mut own)?);
        if args.options.has(Rival::Pytorch) && dtype != PACKED && args.texts == 1 {
            let mut python =
                args.options
                    .python(Rival::Pytorch, "generate_transformers.py", device)?;
            let answer = ask_process(python.args(words).arg(dtype))?;
            theirs
                .entry(Rival::Pytorch.name())
                .or_default()
                .merge(answer);
        }
    }
    Ok(Measured {
        op: "generate".into(),
        case: match args.texts {
            1 => format!("{} {} tokens", MODELS[0].name, args.prompt),
            n => format!("{} {} tokens x{n}", MODELS[0].name, args.prompt),
        },
        dtype: dtype.into(),
        source: TABLE.into(),
        ours,
        rivals: theirs,
    })
}

fn rows(measured: &Measured, dtype: &str, args: &Args) -> Vec<Row> {
    let passes = [
        (Pass::Prefill, args.lengths().sum()),
        (Pass::Decode, args.texts),
    ];
    let cost = |tokens| cost(dtype, tokens, args.texts);
    let row = |(pass, tokens)| measured.row(pass, cost(tokens), Some(tokens));
    passes.into_iter().filter_map(row).collect()
}

/// Every weight is read once in a pass, and multiplied with every token; the head only with the last
/// of each text.
fn cost(dtype: &str, tokens: usize, texts: usize) -> Cost {
    let model = &MODELS[0];
    let attention = 2 * model.hidden * (model.heads + model.kv_heads) * model.head_width;
    let block = attention + 3 * model.hidden * model.intermediate;
    let (blocks, head) = (LAYERS * block, model.hidden * model.vocabulary);
    let numbers = blocks + head;
    let bytes = match dtype {
        // A scale and a bias of two bytes each.
        PACKED => numbers / 2 + numbers / GROUP * 4,
        "bf16" => 2 * numbers,
        _ => 4 * numbers,
    };
    Cost {
        flops: 2 * (tokens * blocks + texts * head) as u64,
        bytes: bytes as u64,
    }
}

fn qwen() -> Value {
    let model = &MODELS[0];
    json!({
        "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "hidden_size": model.hidden, "num_hidden_layers": LAYERS,
        "num_attention_heads": model.heads, "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.intermediate, "vocab_size": model.vocabulary,
        "max_position_embeddings": 32768, "rope_theta": 1e6, "tie_word_embeddings": true,
    })
}

/// Seconds of the pass over the prompts, and of each step after it. First texts, which allocate, are
/// not told.
fn measure_here(
    config: Value,
    dtype: &str,
    lengths: impl Iterator<Item = usize>,
    n_tokens: usize,
    device: &Device,
) -> Result<Answer> {
    let mut model = Model::random(config, 0, device)?;
    store_as(&mut model, dtype)?;
    let vocabulary = model.config.vocab_size;
    let id = |i: usize| ((i * 7919 + 13) % vocabulary) as u32;
    let prompts: Vec<Vec<u32>> = lengths.map(|n| (0..n).map(id).collect()).collect();
    step_secs(&model, &prompts, 2)?;
    let mut secs = step_secs(&model, &prompts, 1 + n_tokens)?;
    let decode = secs.split_off(1);
    let mut answer = Answer::default();
    answer.add(Pass::Prefill, secs);
    answer.add(Pass::Decode, decode);
    let peak = peak_bytes(device).map(|bytes| (Pass::Decode, bytes));
    answer.peak_bytes.extend(peak);
    Ok(answer)
}

/// Seconds of `n` steps. The logits of every token are read back inside of its time, for which a GPU
/// has to be done.
fn step_secs(model: &Model, prompts: &[Vec<u32>], n: usize) -> Result<Vec<f64>> {
    let n_prompt_tokens = prompts.iter().map(Vec::len).sum();
    let mut engine = Engine::new(&model.decoder).with_prefill_tokens(n_prompt_tokens);
    for prompt in prompts {
        engine.insert(Request {
            prompt: prompt.clone(),
            max_tokens: n,
            ..Request::default()
        })?;
    }
    let mut secs = vec![];
    for _ in 0..n {
        let began = Instant::now();
        for (_, step) in engine.step()? {
            step?;
        }
        secs.push(began.elapsed().as_secs_f64());
    }
    Ok(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiny_model_generates_in_every_dtype() {
        let mut config = qwen();
        for (field, value) in [
            ("hidden_size", 64),
            ("num_hidden_layers", 1),
            ("num_attention_heads", 2),
            ("num_key_value_heads", 1),
            ("intermediate_size", 128),
            ("vocab_size", 32),
        ] {
            config[field] = value.into();
        }
        for dtype in DTYPES {
            let answer =
                measure_here(config.clone(), dtype, [5, 4].into_iter(), 3, &Device::Cpu).unwrap();
            let runs = |pass| answer.secs[&pass][""].len();
            assert_eq!((runs(Pass::Prefill), runs(Pass::Decode)), (1, 3));
        }
    }

    #[test]
    fn a_token_reads_every_weight() {
        // 494 million parameters, as published, less norms and biases.
        let millions = cost("f32", 1, 1).bytes / 4_000_000;
        assert_eq!(millions, 493);
        assert_eq!(cost("bf16", 1, 1).bytes * 2, cost("f32", 1, 1).bytes);
    }
}
