//! Drop-in for mlx-lm: what `scripts/golden/mlx_lm_train.py` had it compute and say of itself.

mod convert;
mod files;
mod losses;
mod options;
mod perplexity;
mod rules;

use serde_json::Value;
use std::path::PathBuf;

fn golden(file: &str) -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/golden/mlx_lm").join(file)
}

fn golden_json(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden(file)).unwrap()).unwrap()
}
