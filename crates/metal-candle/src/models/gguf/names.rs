//! Names of tensors: those of llama.cpp, and those of Hugging Face.

use super::architecture::Architecture;

/// Around the blocks.
const FRAME: [(&str, &str); 3] = [
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];

/// In a block, as Llama has them.
const BLOCK: [(&str, &str); 12] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

impl Architecture {
    /// Name of Hugging Face for a tensor of a file; `None` for one that is in no model.
    pub(super) fn hugging_face(&self, name: &str) -> Option<String> {
        let (path, part) = name.rsplit_once('.')?;
        let path = match path.strip_prefix("blk.") {
            None => find(&FRAME, path)?.to_string(),
            Some(below) => {
                let (block, layer) = below.split_once('.')?;
                format!("model.layers.{block}.{}", self.of_block(layer)?)
            }
        };
        Some(format!("{path}.{part}"))
    }

    /// Name in a file for a tensor of Hugging Face.
    pub(super) fn in_file(&self, name: &str) -> Option<String> {
        let (path, part) = name.rsplit_once('.')?;
        let path = match path.strip_prefix("model.layers.") {
            None => find_back(&FRAME, path)?.to_string(),
            Some(below) => {
                let (block, layer) = below.split_once('.')?;
                let own = find_back(self.names, layer);
                let layer = own.or_else(|| find_back(&BLOCK, layer))?;
                format!("blk.{block}.{layer}")
            }
        };
        Some(format!("{path}.{part}"))
    }

    fn of_block(&self, layer: &str) -> Option<&'static str> {
        find(self.names, layer).or_else(|| find(&BLOCK, layer))
    }
}

fn find(names: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    let mut names = names.iter();
    names.find_map(|(first, second)| (*first == name).then_some(*second))
}

fn find_back(names: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    let mut names = names.iter();
    names.find_map(|(first, second)| (*second == name).then_some(*first))
}
