//! Defaults of `mlx_lm.lora` (`CONFIG_DEFAULTS` in `mlx_lm/lora.py`, and of MLX's optimizers), in the words of our options.
//! `tests/cli/mlx` compares them with what mlx-lm says of itself.

use crate::adapter_options::AdapterOptions;
use serde_json::{Map, Value};

/// Options whose values hold where neither a file nor the command line gives any. `max_seq_length` is not among them:
/// 2048 is more than some models take, and ours is 2048 or what the model takes.
const RUN: &[(&str, &str)] = &[
    ("adapter-path", "adapters"),
    ("batch-size", "4"),
    ("fine-tune-type", "lora"),
    ("grad-accumulation-steps", "1"),
    ("iters", "1000"),
    ("learning-rate", "1e-5"),
    ("optimizer", "adam"),
    ("save-every", "100"),
    ("seed", "0"),
    ("steps-per-eval", "200"),
    ("steps-per-report", "10"),
    ("test-batches", "500"),
    ("val-batches", "25"),
    // Not among its settings: it has no such thing.
    ("lr-schedule", "constant"),
    ("max-grad-norm", "0"),
    // MLX's own, where they are others than PyTorch's.
    (
        "optimizer-config",
        r#"{"adam": {"bias_correction": false}, "adamw": {"bias_correction": false}, "adafactor": {"relative_step": true, "scale_parameter": true}}"#,
    ),
];

/// Keys of its files that no option of [`RUN`] has the name of.
const OTHER_KEYS: &[&str] = &[
    "chat_feature",
    "clear_cache_threshold",
    "completion_feature",
    "config",
    "data",
    "grad_checkpoint",
    "hf_dataset",
    "lora_parameters",
    "lr_schedule",
    "mask_prompt",
    "max_seq_length",
    "model",
    "num_layers",
    "optimizer_config",
    "project_name",
    "prompt_feature",
    "report_to",
    "resume_adapter_file",
    "test",
    "text_feature",
    "train",
    "trust_remote_code",
    "wandb",
];

/// Options of ours for what mlx-lm has no key for.
const NO_KEYS: &[&str] = &["max_grad_norm"];

/// The defaults as options.
pub fn default_options() -> Vec<String> {
    let options = RUN.iter().map(|(name, value)| format!("--{name}={value}"));
    options.collect()
}

/// `lora_parameters` where nothing is said. `num_layers` is 16 in both, and all where a model has fewer; without `keys`
/// both take every linear layer of a block.
pub fn adapter() -> AdapterOptions {
    AdapterOptions {
        rank: Some(8),
        scale: Some(20.0),
        dropout: Some(0.0),
        ..AdapterOptions::default()
    }
}

/// Whether a file with these keys is one of mlx-lm's: it has nested settings that only mlx-lm has, or no key that
/// mlx-lm does not have.
pub fn are_its_keys(keys: &Map<String, Value>) -> bool {
    let is_nested = |(key, value): (&String, &Value)| {
        key == "lora_parameters" || (key == "lr_schedule" && value.is_object())
    };
    let is_known = |key: &String| {
        let is_run = |(name, _): &(&str, &str)| name.replace('-', "_") == *key;
        let key = key.as_str();
        !NO_KEYS.contains(&key) && (OTHER_KEYS.contains(&key) || RUN.iter().any(is_run))
    };
    keys.iter().any(is_nested) || (!keys.is_empty() && keys.keys().all(is_known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_of_mlx_lm_are_known_by_their_keys() {
        let are_its = |value: Value| are_its_keys(value.as_object().unwrap());
        assert!(are_its(json!({"model": "m", "iters": 5})));
        assert!(are_its(
            json!({"lora_parameters": {"rank": 4}, "packing": true})
        ));
        assert!(are_its(
            json!({"lr_schedule": {"name": "cosine_decay"}, "rank": 4})
        ));
        assert!(!are_its(json!({"model": "m", "rank": 4})));
        assert!(!are_its(
            json!({"lr_schedule": "cosine", "warmup_steps": 4})
        ));
        assert!(!are_its(json!({"iters": 5, "max_grad_norm": 1.0})));
        assert!(!are_its(json!({})));
    }
}
