//! Fields of `config.json` that no code here reads.

use super::fields::Fields;
use crate::models::json::{shown, shown_name};
use crate::models::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Fields that say nothing about what is computed: what transformers 4 and 5 write into every
/// configuration (`PretrainedConfig.to_dict()`), and notes of tools.
const HARMLESS: &[&str] = &[
    "architectures",
    "attn_implementation",
    "bos_token_id",
    "chunk_size_feed_forward",
    "dtype",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "license",
    "max_sequence_length",
    "model_max_length",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "prefix",
    // Slices of a product that are added up again.
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "sep_token_id",
    "task_specific_params",
    "tf_legacy_loss",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention",
    "use_flash_attn",
    // Positions of images, which a text does not have.
    "use_mrope",
];

/// Settings of generation, which transformers 4 stored here too (`GenerationConfig.to_dict()`).
const GENERATION: &[&str] = &[
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "force_words_ids",
    "forced_bos_token_id",
    "forced_decoder_ids",
    "forced_eos_token_id",
    "guidance_scale",
    "length_penalty",
    "low_memory",
    "max_length",
    "max_new_tokens",
    "max_time",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_logits",
    "output_scores",
    "penalty_alpha",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "return_dict_in_generate",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// Values at which fields of other families change nothing.
fn neutral(name: &str) -> Option<Value> {
    Some(match name {
        "causal" | "is_causal" | "scale_attn_weights" => json!(true),
        "embedding_multiplier"
        // Of Phi-4-mini, which no code reads.
        | "full_attn_mod"
        | "interpolate_factor"
        | "logit_scale"
        | "logits_scaling"
        | "residual_multiplier"
        | "rotary_pct"
        | "rotary_percent"
        | "scale_emb" => json!(1.0),
        "n_routed_experts"
        | "num_experts"
        | "num_local_experts"
        | "num_mtp_layers"
        | "num_nextn_predict_layers"
        | "router_jitter_noise" => json!(0.0),
        "position_embedding_type" => json!("rope"),
        _ => return None,
    })
}

/// Refuses what nobody took of `fields`, unless it is harmless or says that nothing is to be done.
/// Dropout of the base model is told: training here has the adapter's only.
///
/// # Errors
/// With every field that may change the result.
pub(super) fn check(fields: &Fields<'_>, path: &Path) -> Result<()> {
    let mut unknown = vec![];
    for (name, value) in fields.untaken().filter(|(name, _)| !is_harmless(name)) {
        if is_dropout(name) && value.is_number() {
            tell_dropout(name, value);
        } else if name == "auto_map" {
            tracing::warn!(
                "config.json: auto_map names code that comes with the model; it is not run"
            );
        } else if !is_neutral(name, value) {
            unknown.push(format!("{} = {}", shown_name(name), shown(value)));
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Error::UnknownFields {
            path: path.to_path_buf(),
            fields: unknown,
        }),
    }
}

/// Fields that begin with an underscore are transformers' own notes.
fn is_harmless(name: &str) -> bool {
    let is_note = name.starts_with('_') || name.starts_with("unsloth_");
    is_note || HARMLESS.contains(&name) || GENERATION.contains(&name)
}

fn is_dropout(name: &str) -> bool {
    ["dropout", "_pdrop", "dropout_prob", "layerdrop"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn tell_dropout(name: &str, value: &Value) {
    if value.as_f64() != Some(0.0) {
        let (name, value) = (shown_name(name), shown(value));
        tracing::warn!("config.json: {name} = {value}: the base model is trained without dropout");
    }
}

fn is_neutral(name: &str, value: &Value) -> bool {
    match (neutral(name), value) {
        (Some(Value::Number(neutral)), _) => value.as_f64() == neutral.as_f64(),
        (Some(neutral), _) => *value == neutral,
        (None, Value::Bool(is_on)) => !is_on,
        (None, Value::String(text)) => text.is_empty(),
        (None, Value::Array(items)) => items.is_empty(),
        (None, Value::Object(entries)) => entries.is_empty(),
        (None, Value::Null) => true,
        (None, Value::Number(_)) => false,
    }
}
