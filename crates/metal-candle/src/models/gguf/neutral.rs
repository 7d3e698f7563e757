//! Settings of a file that no code here reads.

use crate::gguf::Value;

/// Settings that say nothing about what is computed.
const HARMLESS: [&str; 6] = [
    "vocab_size",
    "rope.scaling.finetuned",
    // Positions of images, which a text does not have.
    "rope.dimension_sections",
    // How Llama's first files were laid out.
    "tensor_data_layout",
    "attention.causal",
    // Layers that predict further tokens have tensors of their own.
    "nextn_predict_layers",
];

/// Whether a setting changes nothing: it is harmless, or zero or off.
pub(super) fn is_neutral(name: &str, value: &Value) -> bool {
    let is_off = match value {
        Value::Unsigned(number) => *number == 0,
        Value::Signed(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::Flag(flag) => !flag,
        Value::Text(text) => text.is_empty(),
        Value::Array(array) => array.is_empty(),
    };
    is_off || HARMLESS.contains(&name)
}
