use super::config::Settings;
use super::uniform::Uniform;
use super::{TENSORS, keys, stack};
use crate::experts::{self, Stacks};
use crate::files;
use crate::lora::format::find::CONFIG;
use crate::lora::format::layers::{block, inside};
use crate::lora::format::{Format, Inexpressible, Portable};
use crate::lora::{Error, Kind, Method, Placement};
use candle_core::{Result, Tensor};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Writes an adapter folder that mlx-lm loads; each file appears whole or not at all. Scales that
/// differ by powers of two go into `B`; with `pads_ranks` lower ranks are filled up with zeros.
///
/// # Errors
/// When mlx-lm has no way to say what the adapter is: everything of it is listed. When the folder
/// cannot be written.
pub fn write(
    folder: &Path,
    adapter: &Portable,
    pads_ranks: bool,
) -> std::result::Result<(), Error> {
    let places: Vec<&Placement> = layers(adapter).collect();
    let (n_experts, stacks) = stack::base(&places, adapter)?;
    let mut reasons: Vec<Inexpressible> =
        places.iter().filter_map(|p| reason(p, adapter)).collect();
    reasons.extend(stack::reasons(&places, n_experts, stacks));
    let uniform = Uniform::of(&places, pads_ranks).map_err(|more| reasons.extend(more));
    let (true, Ok(uniform)) = (reasons.is_empty(), uniform) else {
        let tool = Format::Mlx.tool();
        return Err(Error::Inexpressible { tool, reasons });
    };
    let values = uniform.values(&places, &adapter.values)?;
    let (of_experts, others): (Vec<_>, Vec<_>) = values.into_iter().partition(stack::is_of_expert);
    let others = others.iter().map(|(name, value)| on_disk(name, value));
    let mut tensors = others.collect::<Result<Vec<_>>>()?;
    tensors.extend(stack::on_disk(of_experts, stacks)?);
    files::make_folder(folder)?;
    files::write_tensors(&folder.join(TENSORS), tensors)?;
    let (keys, num_layers) = keys_of(&places, adapter.base.map(|base| base.n_blocks), stacks);
    let settings = Settings {
        method: adapter.config.method,
        num_layers,
        rank: uniform.rank,
        scale: uniform.scale.factor,
        dropout: adapter.config.dropout,
        keys: Some(keys),
    };
    let config = config(&settings, &adapter.base_model);
    Ok(files::write_json(&folder.join(CONFIG), &config)?)
}

/// Layers that have tensors of their own: mlx-lm adapts a head that is the embedding with that.
fn layers(adapter: &Portable) -> impl Iterator<Item = &Placement> {
    let places = adapter.plan.placements.iter();
    places.filter(|place| place.tied_to.is_none())
}

fn reason(place: &Placement, adapter: &Portable) -> Option<Inexpressible> {
    let path = place.path.clone();
    let is_end = block(&path).is_none();
    let is_tied = adapter.base.is_some_and(|base| base.is_tied);
    match (place.method, place.kind) {
        (Method::Whole, _) => Some(Inexpressible::Whole { path }),
        (Method::Tokens, _) => Some(Inexpressible::Tokens { path }),
        (method, _) if !method.has_lora() => Some(Inexpressible::Method {
            path,
            method: method.name(),
        }),
        (Method::Dora, _) if experts::number(&path).is_some() => Some(Inexpressible::Method {
            path,
            method: place.method.name(),
        }),
        (Method::Dora, Kind::Embedding) => Some(Inexpressible::DoraOfEmbedding { path }),
        _ if is_end && is_tied && !adapter.config.ensure_weight_tying => {
            Some(Inexpressible::OneEnd { path })
        }
        _ => None,
    }
}

fn on_disk(name: &str, value: &Tensor) -> Result<(String, Tensor)> {
    let value = match value.rank() {
        2 => value.t()?.contiguous()?,
        _ => value.clone(),
    };
    Ok((keys::on_disk(name), value))
}

/// Keys and the number of blocks that mean these layers: paths inside of blocks where the last blocks
/// have the same ones, else whole paths, which mlx-lm finds wherever they are.
fn keys_of(places: &[&Placement], n_blocks: Option<usize>, stacks: Stacks) -> (Vec<String>, i64) {
    let named = places.iter().map(|place| {
        let path = place.path.clone();
        stacks.switch(&path).unwrap_or(path)
    });
    let paths: BTreeSet<String> = named.collect();
    let of_blocks = paths
        .iter()
        .filter_map(|path| Some((block(path)?, inside(path)?)));
    let pairs: BTreeSet<(usize, &str)> = of_blocks.collect();
    let blocks: BTreeSet<usize> = pairs.iter().map(|(block, _)| *block).collect();
    let inner: BTreeSet<&str> = pairs.iter().map(|(_, inside)| *inside).collect();
    let are_last = n_blocks.is_some_and(|n| blocks.iter().copied().eq(n - blocks.len()..n));
    if !are_last || blocks.is_empty() || pairs.len() != blocks.len() * inner.len() {
        return (paths.into_iter().collect(), -1);
    }
    let ends = paths.iter().map(String::as_str);
    let ends = ends.filter(|path| block(path).is_none());
    let keys = inner.iter().copied().chain(ends).map(String::from);
    (keys.collect(), blocks.len() as i64)
}

fn config(settings: &Settings, base_model: &str) -> Value {
    json!({
        "fine_tune_type": settings.method.name(),
        "lora_parameters": {
            "dropout": settings.dropout,
            "keys": settings.keys,
            "rank": settings.rank,
            "scale": settings.scale,
        },
        "model": base_model,
        "num_layers": settings.num_layers,
    })
}
