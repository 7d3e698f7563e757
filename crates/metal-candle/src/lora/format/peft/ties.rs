//! Tensors that PEFT writes twice: the adapter of a token embedding that is the output head too.

use crate::lora::format::names::Copied;
use crate::lora::methods::tokens::ROWS;
use crate::lora::{EMBEDDING, HEAD, Method, Plan};
use candle_core::{Result, Tensor};
use std::collections::BTreeMap;

/// Tensors of a head that has the embedding's adapter: their names, those of the embedding, and
/// whether they are transposed.
const TIED: [(&str, &str, bool); 3] = [
    ("lora_A.weight", "lora_embedding_B", true),
    ("lora_B.weight", "lora_embedding_A", true),
    ("weight", "weight", false),
];

/// Tensors of the head, from those of the embedding among `values`.
pub(super) fn copies(values: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
    let mut copies = vec![];
    for (name, of, is_transposed) in TIED {
        let of = format!("{EMBEDDING}.{of}");
        if let Some((_, value)) = values.iter().find(|(name, _)| *name == of) {
            let copy = match is_transposed {
                true => value.t()?.contiguous()?,
                false => value.clone(),
            };
            copies.push((format!("{HEAD}.{name}"), copy));
        }
    }
    Ok(copies)
}

/// Names of the tensors that a file with an adapter as `plan` places it holds twice.
pub(super) fn copied(plan: &Plan) -> BTreeMap<String, Copied> {
    let tied = plan.placements.iter();
    let tied = tied.filter_map(|place| Some((place, place.tied_to.as_ref()?)));
    let copies = tied.flat_map(|(place, other)| {
        let names: &[_] = match place.method {
            Method::Tokens => &[(ROWS, ROWS, false)],
            _ => &TIED,
        };
        names.iter().map(move |(name, of, is_transposed)| {
            let (of, is_transposed) = (format!("{other}.{of}"), *is_transposed);
            (
                format!("{}.{name}", place.path),
                Copied { of, is_transposed },
            )
        })
    });
    copies.collect()
}
