use super::corpus::{Corpus, Exchange, Row};
use super::run_training::{Training, run_training};
use super::{Args, BASE_ROWS, Folders};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::data::{Dataset, Options, Tokenizer, train_bpe, write_tokenizer};
use metal_candle::files;
use metal_candle::models::Model;
use metal_candle::train::{Output, Parameters};
use serde_json::{Value, json};

const VOCAB_SIZE: usize = 512;
const MAX_TOKENS: usize = 256;
const TURN_START: &str = "<|im_start|>";
const TURN_END: &str = "<|im_end|>";

/// ChatML, the chat format of the Qwen family.
const CHAT_TEMPLATE: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Makes the base model: an ordinary Hugging Face checkpoint folder.
pub(super) fn make(
    folders: &Folders,
    corpus: &mut Corpus,
    args: &Args,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<()> {
    let dataset = corpus_and_tokenizer(folders, corpus)?;
    let raw_config = config(&Tokenizer::from_folder(&folders.base)?);
    let eos = json!({ "eos_token_id": raw_config["eos_token_id"] });
    files::write_json(&folders.base.join("generation_config.json"), &eos)?;
    let mut model = Model::random(raw_config.clone(), args.seed, &Device::Cpu)?;
    let parameters = Parameters::all_weights(&mut model)?;
    let training = Training {
        title: "base model",
        iters: args.base_iters.get(),
        learning_rate: 3e-3,
        seed: args.seed,
        output: Output::Checkpoint {
            raw_config,
            base_folder: folders.base.clone(),
        },
        folder: &folders.base,
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

/// Writes rows, and a tokenizer made of them; gives the rows as tokens.
fn corpus_and_tokenizer(folders: &Folders, corpus: &mut Corpus) -> Result<Dataset> {
    let rows = corpus.base_rows(BASE_ROWS).into_iter();
    let texts: Vec<String> = rows.map(as_text).collect();
    let path = write_rows(folders, texts.iter().map(|text| json!({ "text": text })))?;
    let bpe = train_bpe(&texts, VOCAB_SIZE, &[TURN_START, TURN_END])?;
    write_tokenizer(&folders.base, &bpe, TURN_END, Some(CHAT_TEMPLATE))?;
    let options = Options {
        max_seq_length: MAX_TOKENS,
        mask_prompt: false,
        convention: metal_candle::data::Convention::Standard,
        vocab_size: Some(VOCAB_SIZE),
    };
    let tokenizer = Tokenizer::from_folder(&folders.base)?;
    Ok(Dataset::load(&path, &tokenizer, &options)?)
}

fn write_rows(folders: &Folders, rows: impl Iterator<Item = Value>) -> Result<std::path::PathBuf> {
    files::make_folder(&folders.corpus)?;
    let path = folders.corpus.join("train.jsonl");
    super::adapter::write_jsonl(&path, rows)?;
    Ok(path)
}

/// A row as the model reads it; the end of a turn is also the end of a text.
fn as_text(row: Row) -> String {
    match row {
        Row::Text(text) => text,
        Row::Exchange(Exchange { prompt, completion }) => format!(
            "{TURN_START}user\n{prompt}{TURN_END}\n{TURN_START}assistant\n{completion}{TURN_END}"
        ),
    }
}

/// A Qwen3 of 0.9 million parameters.
fn config(tokenizer: &Tokenizer) -> Value {
    let eos_token_id = tokenizer.eos_token().map(|(_, id)| id);
    json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_TOKENS,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "initializer_range": 0.05,
        "eos_token_id": eos_token_id,
        "torch_dtype": "float32",
    })
}
