//! The README's example: an adapter that writes dates.
//!
//! ```sh
//! cargo run --release --example dates -p metal-candle
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use candle_core::Device;
use metal_candle::{LanguageModel, data::Row, lora::LoraConfig, train::Options};

#[rustfmt::skip]
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = LanguageModel::load("Qwen3-0.6B", &Device::Cpu)?;
    let adapter = model.adapt(LoraConfig { r: 16, alpha: 32.0, ..LoraConfig::default() }, 0)?;
    let dates = [("3 March 2021", "2021-03-03"), ("12 May 1987", "1987-05-12")];
    let rows = dates.map(|(date, iso)| Row::completion(date, iso));
    let options = Options { iters: 100, ..Options::default() };
    model.train(&adapter, &rows, &options, |event| println!("{event:?}"))?;
    model.generate(Some(adapter.frozen(&model.model)?), "9 June 2004", &Default::default(), |text| print!("{text}"))?;
    Ok(model.save_adapter(&adapter, "adapters")?)
}
