//! Experts of gpt-oss as transformers has them: of all experts `gate_up_proj` `(E, D, 2I)`, whose columns alternate, and
//! `down_proj` `(E, I, D)`, with biases `(E, 2I)` and `(E, D)`.

use crate::experts::number;
use candle_core::{Result, Tensor};
use std::collections::BTreeMap;

/// Tensors of one kind of one layer, by the numbers of experts.
type Layer = BTreeMap<usize, Tensor>;

/// Dense tensors of single experts put together; others as they are.
///
/// # Errors
/// When those of a layer differ in shape.
pub(super) fn together(tensors: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    let (mut layers, mut all) = (BTreeMap::<String, Layer>::new(), vec![]);
    for (name, tensor) in tensors {
        match of_expert(&name) {
            Some((layer, number)) => {
                layers.entry(layer).or_default().insert(number, tensor);
            }
            None => all.push((name, tensor)),
        }
    }
    while let Some((name, layer)) = layers.pop_first() {
        let (path, end) = name.rsplit_once('.').unwrap_or((&name, ""));
        let (mixture, which) = path.rsplit_once('.').unwrap_or((path, ""));
        let (named, layer) = match which {
            "gate_proj" => {
                let up = layers.remove(&format!("{mixture}.up_proj.{end}"));
                ("gate_up_proj", alternating(layer, up.unwrap_or_default())?)
            }
            other => (other, layer.into_values().collect()),
        };
        let end = if end == "bias" { "_bias" } else { "" };
        let layer = layer.iter().map(across).collect::<Result<Vec<_>>>()?;
        all.push((format!("{mixture}.{named}{end}"), Tensor::stack(&layer, 0)?));
    }
    Ok(all)
}

/// Name of a tensor without the expert's number, and the number.
fn of_expert(name: &str) -> Option<(String, usize)> {
    let number = number(name)?;
    let name = name.replacen(&format!(".experts.{number}."), ".experts.", 1);
    Some((name, number))
}

/// Rows of the gate and of the upper projection, one of each in turn.
fn alternating(gate: Layer, up: Layer) -> Result<Vec<Tensor>> {
    let pairs = gate.into_values().zip(up.into_values());
    let rows = pairs.map(|(gate, up)| Tensor::stack(&[gate, up], 1)?.flatten(0, 1));
    rows.collect()
}

/// A matrix across; a bias as it is.
fn across(tensor: &Tensor) -> Result<Tensor> {
    match tensor.rank() {
        2 => tensor.t()?.contiguous(),
        _ => Ok(tensor.clone()),
    }
}
