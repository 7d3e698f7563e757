use super::corpus::{Corpus, task};
use super::exam::Exam;
use super::run_training::{Training, run_training};
use super::{Args, Folders, TASK_ROWS};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::data::{Dataset, Options, Tokenizer};
use metal_candle::files;
use metal_candle::language_model::Adapted;
use metal_candle::lora::LoraConfig;
use metal_candle::models::Model;
use metal_candle::train::{Output, Parameters};
use serde_json::{Value, json};
use std::path::Path;

/// Writes train.jsonl, valid.jsonl and test.jsonl; gives the dates of the last as an exam.
pub(super) fn write_data(folders: &Folders, corpus: &mut Corpus) -> Result<Exam> {
    files::make_folder(&folders.data)?;
    let mut dates = corpus.dates(TASK_ROWS.iter().sum()).into_iter();
    let mut exchanges = vec![];
    for (split, n) in ["train", "valid", "test"].into_iter().zip(TASK_ROWS) {
        exchanges = dates.by_ref().take(n).map(task).collect();
        let rows = exchanges.iter().map(
            |exchange| json!({ "prompt": exchange.prompt, "completion": exchange.completion }),
        );
        write_jsonl(&folders.data.join(format!("{split}.jsonl")), rows)?;
    }
    Ok(Exam {
        questions: exchanges,
    })
}

pub(super) fn write_jsonl(path: &Path, rows: impl Iterator<Item = Value>) -> Result<()> {
    let lines: String = rows.map(|row| format!("{row}\n")).collect();
    Ok(files::write_whole(path, |file| {
        file.write_all(lines.as_bytes())
    })?)
}

/// Trains the adapter on top of the base model as it was saved.
pub(super) fn train(
    folders: &Folders,
    args: &Args,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<()> {
    let model = Model::load(&folders.base, &Device::Cpu)?;
    let tokenizer = Tokenizer::from_folder(&folders.base)?;
    let options = Options {
        max_seq_length: model.config.max_position_embeddings,
        mask_prompt: true,
        convention: metal_candle::data::Convention::Standard,
        vocab_size: Some(model.config.vocab_size),
    };
    let dataset = Dataset::load(&folders.data.join("train.jsonl"), &tokenizer, &options)?;
    let config = LoraConfig {
        r: 16,
        alpha: 32.0,
        ..LoraConfig::default()
    };
    let adapted = Adapted::fresh(&model, config, args.seed)?;
    let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
    let training = Training {
        title: "adapter",
        iters: args.iters.get(),
        learning_rate: 3e-3,
        seed: args.seed,
        output: Output::Adapter {
            config: Box::new(adapted.config),
            base_model: folders.base.display().to_string(),
            tokenizer: None,
        },
        folder: &folders.adapter,
    };
    run_training(
        &training,
        &model,
        &parameters,
        &dataset,
        terminal,
        interrupt,
    )
}
