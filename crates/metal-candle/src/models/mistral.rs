//! Mistral 7B and its kin (<https://arxiv.org/abs/2310.06825>): no biases, and heads of any width. The
//! window of its first version is refused where a sequence could be longer (`config/window.rs`).

use super::family::Variant;

pub(super) fn variant() -> Variant {
    Variant {
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        qk_norm: false,
    }
}
