//! Qwen2 and Qwen2.5 (<https://arxiv.org/abs/2407.10671>): biases on queries, keys and values.

use super::config::Config;
use super::family::Variant;

pub(super) fn variant(_: &Config) -> Variant {
    Variant {
        qkv_bias: true,
        o_bias: false,
        mlp_bias: false,
        qk_norm: false,
    }
}
