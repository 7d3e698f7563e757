//! Llama 2 and 3 (<https://arxiv.org/abs/2407.21783>); the stretched rotary embedding of Llama 3.1
//! and later is in `rope.rs`.

use super::config::Config;
use super::family::Variant;

pub(super) fn variant(config: &Config) -> Variant {
    Variant {
        qkv_bias: config.attention_bias,
        o_bias: config.attention_bias,
        mlp_bias: config.mlp_bias,
        qk_norm: false,
    }
}
