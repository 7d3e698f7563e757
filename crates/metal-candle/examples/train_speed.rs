//! Speed and peak memory of LoRA training steps on a Qwen2 with random weights: rank 8, alpha 16,
//! all linear layers, AdamW. The twin of `scripts/bench/train_peft.py`, with the same arguments
//! and the same line of JSON.
//!
//! ```sh
//! cargo run --release --example train_speed -p metal-candle -- 256 4 4 2 704 4096 128 4 8
//! ```
#![allow(clippy::print_stdout)]

use candle_core::Device;
use metal_candle::data::Batch;
use metal_candle::lora::{self, LoraConfig, Mode, Plan};
use metal_candle::memory::CachingAllocator;
use metal_candle::models::Model;
use metal_candle::process::peak_memory_bytes;
use metal_candle::train::step::step;
use metal_candle::train::{Optimizer, Options, Parameters};
use serde_json::{Value, json};
use std::time::Instant;

#[global_allocator]
static MEMORY: CachingAllocator = CachingAllocator::new();

const USAGE: &str = "arguments: HIDDEN LAYERS HEADS KV INTER VOCAB SEQ BATCH STEPS [bf16]";

type Failure = Box<dyn std::error::Error>;

struct Setting {
    config: Value,
    tokens: usize,
    rows: usize,
    steps: usize,
    bf16: bool,
}

fn main() -> Result<(), Failure> {
    let setting = setting()?;
    let mut milliseconds = run(&setting)?;
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds[milliseconds.len() / 2];
    let line = json!({
        "dtype": if setting.bf16 { "bf16" } else { "f32" },
        "tokens_per_sec": (setting.rows * setting.tokens) as f64 / median * 1e3,
        "step_ms": median,
        "step_ms_min": milliseconds[0],
        "peak_mib": peak_memory_bytes().map(|bytes| bytes >> 20),
    });
    println!("{line}");
    Ok(())
}

fn setting() -> Result<Setting, Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers = words
        .iter()
        .filter(|word| *word != "bf16")
        .map(|word| word.parse());
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>().map_err(|_| USAGE)?;
    let [
        hidden,
        layers,
        heads,
        kv_heads,
        inner,
        vocab,
        tokens,
        rows,
        steps,
    ] = numbers[..]
    else {
        return Err(USAGE.into());
    };
    let config = json!({
        "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": inner, "vocab_size": vocab,
        "max_position_embeddings": 2048, "tie_word_embeddings": true,
    });
    Ok(Setting {
        config,
        tokens,
        rows,
        steps,
        bf16: words.iter().any(|word| word == "bf16"),
    })
}

/// Duration of each step in milliseconds, after one that is not counted.
fn run(setting: &Setting) -> Result<Vec<f64>, Failure> {
    let mut model = Model::random(setting.config.clone(), 0, &Device::Cpu)?;
    if setting.bf16 {
        for (_, weight) in model.decoder.weights_mut() {
            *weight = weight.to_dtype(candle_core::DType::BF16)?;
        }
    }
    let plan = Plan::new(&LoraConfig::default(), &model.decoder.linear_infos()?)?;
    lora::attach(model.decoder.linears_mut(), &plan, 0, &Device::Cpu)?;
    let parameters = Parameters::adapters(&model);
    let mut optimizer = Optimizer::new(&parameters)?;
    let batch = batch(setting);
    let mut milliseconds = vec![];
    for _ in 0..=setting.steps {
        let began = Instant::now();
        let result = step(
            &model.decoder,
            &parameters,
            &batch,
            Mode::training(0),
            false,
        )?;
        let mean = 1.0 / batch.trained_tokens as f64;
        optimizer.step(
            &parameters,
            &result.gradients,
            &Options::default(),
            1e-4,
            mean,
        )?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(milliseconds.split_off(1))
}

/// Rows of `tokens` tokens, each but the last with a loss, as PyTorch's shifted labels give.
fn batch(setting: &Setting) -> Batch {
    let vocab = setting.config["vocab_size"].as_u64().unwrap_or(1);
    let n = setting.rows * setting.tokens;
    let id = |i: usize| (i as u64 * 7919 + 13) % vocab;
    let target = |i: usize| match (i + 1) % setting.tokens {
        0 => -100,
        _ => id(i + 1) as i64,
    };
    Batch {
        n_rows: setting.rows,
        n_tokens: setting.tokens,
        inputs: (0..n).map(|i| id(i) as u32).collect(),
        targets: (0..n).map(target).collect(),
        lines: vec![],
        trained_tokens: n - setting.rows,
    }
}
