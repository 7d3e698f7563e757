//! The run around the step: what is trained, saved, reported and refused. `crate::device` says where.

mod course;
mod ends;
mod gradients;
mod noise;

use crate::device;
use candle_core::{Device, Tensor, TensorId, Var};
use metal_candle::data::Batch;
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{AdapterSet, LastBlocks, LoraConfig, Mode, Plan, Targets, format};
use metal_candle::models::Model;
use metal_candle::train::{
    Decay, Ending, Error, EvaluationBatches, Event, MetricsFile, Optimizer, Options, Output,
    Parameters, Reduce, Rule, RunFolder, Saves, Schedule, Start, Summary, Trainer, Warmup,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

fn config() -> Value {
    json!({
        "model_type": "qwen3", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "vocab_size": 40, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
        "hidden_act": "silu", "initializer_range": 0.2,
    })
}

pub fn model_with(lora: &LoraConfig, device: &Device) -> (Model, Parameters) {
    let model = Model::random(config(), 1, device).unwrap();
    let parameters = adapters(&model, lora);
    (model, parameters)
}

fn adapters(model: &Model, lora: &LoraConfig) -> Parameters {
    let plan = Plan::new(lora, &model.decoder.layer_infos().unwrap()).unwrap();
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 2).unwrap();
    Parameters::of_adapters(Arc::new(set), &model.decoder)
}

/// `rows` rows of 9 tokens, of which the last six have a loss.
pub fn batch(rows: usize, start: u32) -> Batch {
    let ids: Vec<u32> = (0..rows as u32 * 9).map(|i| (start + i * i) % 40).collect();
    let target = |i: usize| {
        if i % 9 < 3 {
            -100
        } else {
            i64::from((ids[i] * 7 + 1) % 40)
        }
    };
    Batch {
        layout: Layout::new(Arrangement::Padded, &vec![9; rows]),
        targets: (0..ids.len()).map(target).collect(),
        inputs: ids,
        lines: (1..=rows).collect(),
        trained_tokens: rows * 6,
        ..Batch::default()
    }
}

pub fn options(iters: usize) -> Options {
    Options {
        iters,
        schedule: Schedule::constant(1e-2),
        steps_per_report: 2,
        save_every: 2,
        ..Options::default()
    }
}

pub struct Recorded {
    pub events: Vec<Event>,
    pub result: Result<Summary, Error>,
}

pub fn run(
    model: &Model,
    parameters: &Parameters,
    options: &Options,
    folder: &Path,
    batches: impl Iterator<Item = Vec<Batch>>,
    stop_after: usize,
) -> Recorded {
    let mut optimizer = Optimizer::new(Rule::default(), parameters).unwrap();
    let run = (model, parameters, options, folder);
    run_with(&mut optimizer, run, batches, stop_after, None)
}

pub fn run_with(
    optimizer: &mut Optimizer,
    (model, parameters, options, folder): (&Model, &Parameters, &Options, &Path),
    mut batches: impl Iterator<Item = Vec<Batch>>,
    stop_after: usize,
    reduce: Option<&dyn Reduce>,
) -> Recorded {
    let output = Output::Adapter {
        config: Box::default(),
        base_model: "base".into(),
        tokenizer: None,
    };
    let mut folder = RunFolder::claim(folder)
        .and_then(|claimed| claimed.begin(Start::Overwrite))
        .unwrap();
    folder.prepare().unwrap();
    let trainer = Trainer {
        network: &model.decoder,
        parameters,
        options,
        saves: Some(Saves {
            output: &output,
            folder: &folder,
            settings: &json!({}),
        }),
        data: "train.jsonl".into(),
        reduce,
    };
    let mut events = vec![];
    let steps = std::cell::Cell::new(0);
    let mut observe = |event: &Event| {
        steps.set(steps.get() + usize::from(matches!(event, Event::Step { .. })));
        events.push(event.clone());
        Ok(())
    };
    let valid = || -> EvaluationBatches<'static> { Box::new(std::iter::once(batch(2, 5))) };
    let stop = || steps.get() >= stop_after;
    let result = trainer.run(optimizer, &mut batches, Some(&valid), &mut observe, &stop);
    Recorded { events, result }
}

pub fn endless(rows: usize) -> impl Iterator<Item = Vec<Batch>> {
    (0..).map(move |i| vec![batch(rows, i)])
}

pub fn values(parameters: &Parameters) -> Vec<Vec<f32>> {
    let values = parameters
        .as_slice()
        .iter()
        .map(|p| p.var.flatten_all().unwrap());
    values.map(|t| t.to_vec1().unwrap()).collect()
}
