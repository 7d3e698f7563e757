//! Several texts at once, each with an adapter and a temperature of its own, in one pass a step.
//!
//! ```sh
//! cargo run --release --example chorus -p metal-candle -- MODEL "Once upon a time" [ADAPTER ...]
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::generate::{Engine, Request, Sampling, Step};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt, adapters @ ..] = &words[..] else {
        return Err("arguments: MODEL PROMPT [ADAPTER ...]".into());
    };
    let model = LanguageModel::load(model, &Device::Cpu)?;
    let mut sets = vec![None];
    for folder in adapters {
        let set = model.load_adapter(folder)?.set;
        sets.push(Some(Arc::new(
            set.frozen(&model.model.decoder.adaptable())?,
        )));
    }
    let prompt = model.tokenizer.encode(prompt)?;
    let mut engine = Engine::new(&model.model.decoder);
    let mut texts = BTreeMap::new();
    for (adapter, seed) in sets
        .iter()
        .flat_map(|set| (0..3).map(move |seed| (set, seed)))
    {
        let request = Request {
            prompt: prompt.clone(),
            max_tokens: 64,
            eos_token_ids: model.model.eos_token_ids.clone(),
            sampling: Sampling {
                temperature: 0.7,
                seed,
                ..Sampling::default()
            },
            adapter: adapter.clone(),
            ..Request::default()
        };
        texts.insert(engine.insert(request)?, vec![]);
    }
    while !engine.is_empty() {
        for (id, step) in engine.step()? {
            if let Step::Token(token) = step? {
                texts.entry(id).or_default().push(token.id);
            }
        }
    }
    for (i, ids) in texts.values().enumerate() {
        println!(
            "--- adapter {}, seed {}\n{}",
            i / 3,
            i % 3,
            model.tokenizer.decode(ids)?
        );
    }
    Ok(())
}
