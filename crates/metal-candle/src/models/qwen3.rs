//! Qwen3 (<https://arxiv.org/abs/2505.09388>): norms on the heads of queries and keys instead of
//! biases.

use super::config::Config;
use super::family::Variant;

pub(super) fn variant(config: &Config) -> Variant {
    Variant {
        qkv_bias: config.attention_bias,
        o_bias: config.attention_bias,
        mlp_bias: false,
        qk_norm: true,
    }
}
