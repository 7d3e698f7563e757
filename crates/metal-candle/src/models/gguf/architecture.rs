use crate::gguf::{Error, GgufFile, Result};

/// Form in which llama.cpp's converter writes the models of a family.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`.
    pub(super) name: &'static str,
    /// `model_type` of a configuration.
    pub(super) model_type: &'static str,
    /// Rows of queries and keys lie as the rotary embedding takes them there, both of a pair side by side.
    pub(super) paired_rows: bool,
    /// Norms have the 1 added that the model adds to their weights.
    pub(super) plus_one: bool,
    /// Keys below the name and fields of a configuration, beyond those of all models.
    pub(super) fields: &'static [(&'static str, &'static str, Kind)],
    /// Fields that are set where a block has this tensor.
    pub(super) switches: &'static [(&'static str, &'static str)],
    /// Names of a block's layers where they are others than Llama's.
    pub(super) names: &'static [(&'static str, &'static str)],
}

/// Kind of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole number.
    Size,
    /// Number.
    Float,
}

use Kind::{Float, Size};

/// Settings of all models.
pub(super) const COMMON: &[(&str, &str, Kind)] = &[
    ("context_length", "max_position_embeddings", Size),
    ("embedding_length", "hidden_size", Size),
    ("block_count", "num_hidden_layers", Size),
    ("feed_forward_length", "intermediate_size", Size),
    ("attention.head_count", "num_attention_heads", Size),
    ("attention.head_count_kv", "num_key_value_heads", Size),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps", Float),
    ("rope.freq_base", "rope_theta", Float),
];

const ATTENTION_BIAS: (&str, &str) = ("attn_q.bias", "attention_bias");
const MLP_BIAS: (&str, &str) = ("ffn_up.bias", "mlp_bias");

/// Norms behind attention and feed-forward layer.
const NORMS_BEHIND: [(&str, &str); 2] = [
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// Names of Gemma, which has norms before and behind.
const GEMMA_NAMES: &[(&str, &str)] = &[
    NORMS_BEHIND[0],
    NORMS_BEHIND[1],
    ("ffn_norm", "pre_feedforward_layernorm"),
];

const PLAIN: Architecture = Architecture {
    name: "",
    model_type: "",
    paired_rows: false,
    plus_one: false,
    fields: &[],
    switches: &[],
    names: &[],
};

static ALL: [Architecture; 10] = [
    Architecture {
        name: "gemma2",
        model_type: "gemma2",
        plus_one: true,
        fields: &[
            ("attention.sliding_window", "sliding_window", Size),
            ("attn_logit_softcapping", "attn_logit_softcapping", Float),
            ("final_logit_softcapping", "final_logit_softcapping", Float),
        ],
        switches: &[ATTENTION_BIAS],
        names: GEMMA_NAMES,
        ..PLAIN
    },
    Architecture {
        name: "gemma3",
        model_type: "gemma3_text",
        plus_one: true,
        fields: &[
            ("attention.sliding_window", "sliding_window", Size),
            ("final_logit_softcapping", "final_logit_softcapping", Float),
            ("rope.freq_base_swa", "rope_local_base_freq", Float),
        ],
        switches: &[ATTENTION_BIAS],
        names: GEMMA_NAMES,
        ..PLAIN
    },
    Architecture {
        name: "glm4",
        model_type: "glm4",
        switches: &[ATTENTION_BIAS],
        names: &[
            ("ffn_up", "mlp.gate_up_proj"),
            ("post_attention_norm", "post_self_attn_layernorm"),
            ("post_ffw_norm", "post_mlp_layernorm"),
        ],
        ..PLAIN
    },
    Architecture {
        name: "granite",
        model_type: "granite",
        paired_rows: true,
        fields: &[
            ("attention.scale", "attention_multiplier", Float),
            ("embedding_scale", "embedding_multiplier", Float),
            ("residual_scale", "residual_multiplier", Float),
            ("logit_scale", "logits_scaling", Float),
        ],
        switches: &[ATTENTION_BIAS, MLP_BIAS],
        ..PLAIN
    },
    Architecture {
        name: "llama",
        model_type: "llama",
        paired_rows: true,
        switches: &[ATTENTION_BIAS, MLP_BIAS],
        ..PLAIN
    },
    Architecture {
        name: "olmo2",
        model_type: "olmo2",
        switches: &[ATTENTION_BIAS],
        names: &NORMS_BEHIND,
        ..PLAIN
    },
    Architecture {
        name: "phi3",
        model_type: "phi3",
        fields: &[("attention.sliding_window", "sliding_window", Size)],
        names: &[("ffn_up", "mlp.gate_up_proj")],
        ..PLAIN
    },
    Architecture {
        name: "qwen2",
        model_type: "qwen2",
        ..PLAIN
    },
    Architecture {
        name: "qwen3",
        model_type: "qwen3",
        switches: &[ATTENTION_BIAS],
        ..PLAIN
    },
    Architecture {
        name: "smollm3",
        model_type: "smollm3",
        paired_rows: true,
        switches: &[ATTENTION_BIAS, MLP_BIAS],
        ..PLAIN
    },
];

impl Architecture {
    /// The architecture of a file, which must hold a whole model.
    pub(super) fn of(file: &GgufFile) -> Result<&'static Self> {
        let metadata = file.metadata();
        let unsupported =
            |what: String, reason: &str| Error::unsupported(file.path(), what, reason);
        match metadata.text("general.type")? {
            None | Some("model") => {}
            Some(other) => {
                let what = format!("general.type {other:?}");
                return Err(unsupported(what, "a model is wanted, in one file"));
            }
        }
        if let Some(n @ 2..) = metadata.size("split.count")? {
            let what = format!("a model in {n} files");
            return Err(unsupported(
                what,
                "put them together with llama-gguf-split --merge",
            ));
        }
        let name = metadata.text("general.architecture")?;
        let name = metadata.required("general.architecture", name)?;
        let found = ALL.iter().find(|architecture| architecture.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|architecture| architecture.name).collect();
            let reason = format!("architectures that are: {}", names.join(", "));
            unsupported(format!("the architecture {name:?}"), &reason)
        })
    }

    /// The architecture that a model of this type is written as; Mistral's models are Llama's there.
    pub(super) fn of_model_type(model_type: &str) -> Option<&'static Self> {
        let wanted = match model_type {
            "mistral" => "llama",
            other => other,
        };
        ALL.iter()
            .find(|architecture| architecture.model_type == wanted)
    }
}
