use super::{Adapter, Error, Linear, Merged, Placement, Plan};
use crate::random::{name_stream, uniform};
use candle_core::{DType, Device, Tensor, Var};

/// The linear layers of a model with their paths.
pub(super) type Layers<'a> = Vec<(String, &'a mut Linear)>;

/// Attaches fresh adapters where `plan` says: `A` uniform in `±1/sqrt(in_features)` (PEFT's
/// Kaiming initialisation with `a = sqrt(5)`), `B` zero, so that nothing changes before training.
///
/// # Errors
/// When memory or the device cannot hold them.
pub fn attach(layers: Layers<'_>, plan: &Plan, seed: u64, device: &Device) -> Result<(), Error> {
    check_memory(plan)?;
    attach_with(layers, plan, |place| {
        let (shape_a, shape_b) = ((place.r, place.in_features), (place.out_features, place.r));
        let bound = 1.0 / (place.in_features as f64).sqrt();
        let stream = format!("{}.lora_A", place.path);
        let values = uniform(seed, &stream, place.r * place.in_features, bound);
        let a = Var::from_tensor(&Tensor::from_vec(values, shape_a, device)?)?;
        Ok((a, Var::zeros(shape_b, DType::F32, device)?))
    })
}

/// Attaches adapters with the factors `A` and `B` that `factors` gives for each place.
pub(super) fn attach_with(
    layers: Layers<'_>,
    plan: &Plan,
    mut factors: impl FnMut(&Placement) -> Result<(Var, Var), Error>,
) -> Result<(), Error> {
    for (path, layer) in layers {
        let Some(place) = plan.placements.iter().find(|p| p.path == path) else {
            continue;
        };
        let (a, b) = factors(place)?;
        layer.set_adapter(Some(Adapter {
            a,
            b,
            scale: place.scale,
            dropout: plan.dropout,
            stream: name_stream(&path),
        }));
    }
    Ok(())
}

/// Asks for the memory of all adapters at once, before hours are spent on filling a part of it.
fn check_memory(plan: &Plan) -> Result<(), Error> {
    let values = plan.n_parameters();
    let mut memory: Vec<f32> = vec![];
    memory.try_reserve_exact(values).map_err(|_| Error::Memory {
        bytes: values.saturating_mul(size_of::<f32>()),
    })
}

/// Takes all adapters away.
pub fn detach(layers: Layers<'_>) {
    for (_, layer) in layers {
        layer.set_adapter(None);
    }
}

/// Merges all adapters into their weights.
///
/// # Errors
/// When sums are not finite in the dtype of the weights, or weights are packed: nothing is merged
/// then. When memory runs out.
pub fn merge(mut layers: Layers<'_>) -> Result<(), Error> {
    let merged = each(&mut layers, Linear::merge);
    if merged.is_err() {
        unmerge(layers);
    }
    merged
}

/// Runs `change` on every layer, and names those that it leaves as they were.
fn each(
    layers: &mut Layers<'_>,
    change: impl Fn(&mut Linear) -> metal_candle_kernels::Result<Merged>,
) -> Result<(), Error> {
    let (mut overflowing, mut packed) = (vec![], vec![]);
    for (path, layer) in layers {
        let name = format!("{path}.weight");
        match change(layer)? {
            Merged::Done => {}
            Merged::Overflow => overflowing.push(name),
            Merged::Packed => packed.push(name),
        }
    }
    match (overflowing.is_empty(), packed.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(Error::Overflow {
            tensors: overflowing,
        }),
        (true, false) => Err(Error::Packed { tensors: packed }),
    }
}

/// Takes all adapters out of their weights again, bit for bit.
pub fn unmerge(layers: Layers<'_>) {
    for (_, layer) in layers {
        layer.unmerge();
    }
}

/// Merges all adapters and forgets them.
///
/// # Errors
/// When sums are not finite in the dtype of the weights, or weights are packed: those layers keep
/// their adapters. When memory runs out.
pub fn fuse(mut layers: Layers<'_>) -> Result<(), Error> {
    each(&mut layers, Linear::fuse)
}

/// Every adapter tensor, named `<path>.lora_A.weight` and `<path>.lora_B.weight` as PEFT does.
#[must_use]
pub fn parameters<'a>(
    layers: impl IntoIterator<Item = (String, &'a Linear)>,
) -> Vec<(String, Var)> {
    let mut parameters = vec![];
    for (path, layer) in layers {
        if let Some(adapter) = layer.adapter() {
            parameters.push((format!("{path}.lora_A.weight"), adapter.a.clone()));
            parameters.push((format!("{path}.lora_B.weight"), adapter.b.clone()));
        }
    }
    parameters
}
