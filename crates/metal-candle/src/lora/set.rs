use super::methods::{Made, Tied, residual};
use super::{Adapter, Error, FusedLayer, Fusion, Linear, Placement, Plan, Survival};
use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::Weight;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adapters of some layers of a model, by the paths of the layers. A set is no part of a model: each
/// pass says whose it computes with.
#[derive(Clone, Debug, Default)]
pub struct AdapterSet {
    adapters: BTreeMap<String, Arc<dyn Adapter>>,
}

impl AdapterSet {
    /// Fresh adapters where `plan` says, which change nothing before they are trained. `layers` are
    /// those of the model; `seed` fixes the values.
    ///
    /// # Errors
    /// When the model lacks a layer of the plan, or memory or the device cannot hold the adapters.
    pub fn fresh<'a>(
        plan: &Plan,
        layers: impl IntoIterator<Item = &'a Linear>,
        seed: u64,
    ) -> Result<Self, Error> {
        check_memory(plan)?;
        Self::made(plan, layers, |place, layer, other| {
            place.method.fresh(place, layer, other, seed)
        })
    }

    /// Adapters by the paths of their layers.
    pub(super) fn of(adapters: BTreeMap<String, Arc<dyn Adapter>>) -> Self {
        Self { adapters }
    }

    /// Adapters that `make` gives for each place and its layer, and the adapter that acts there too.
    pub(super) fn made<'a>(
        plan: &Plan,
        layers: impl IntoIterator<Item = &'a Linear>,
        mut make: impl FnMut(&Placement, &Linear, Tied<'_>) -> Made,
    ) -> Result<Self, Error> {
        let layers = by_path(layers);
        let mut adapters: BTreeMap<String, Arc<dyn Adapter>> = BTreeMap::new();
        for place in &plan.placements {
            let layer = found(&layers, &place.path)?;
            // An embedding comes before the head.
            let other = place.tied_to.as_ref().and_then(|path| adapters.get(path));
            let adapter = make(place, layer, other.map(AsRef::as_ref))?;
            adapters.insert(place.path.clone(), adapter);
        }
        Ok(Self { adapters })
    }

    /// Adapters for passes that train nothing: what does not depend on the tokens is computed once,
    /// and the parameters may not change any more.
    ///
    /// # Errors
    /// When the model lacks a layer of the set, or memory runs out.
    pub fn frozen<'a>(&self, layers: impl IntoIterator<Item = &'a Linear>) -> Result<Self, Error> {
        let layers = by_path(layers);
        let frozen = self.adapters.iter().map(|(path, adapter)| {
            let adapter = adapter.frozen(found(&layers, path)?)?;
            Ok((path.clone(), adapter))
        });
        let adapters = frozen.collect::<Result<_, Error>>()?;
        Ok(Self { adapters })
    }

    /// Adapter of the layer at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&dyn Adapter> {
        self.adapters.get(path).map(AsRef::as_ref)
    }

    /// Adapters with the paths of their layers.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = (&str, &dyn Adapter)> {
        let adapters = self.adapters.iter();
        adapters.map(|(path, adapter)| (path.as_str(), adapter.as_ref()))
    }

    /// Tokens whose rows are trained, and no others of their layers.
    ///
    /// # Errors
    /// When the device fails.
    pub fn tokens(&self) -> Result<Vec<u32>, Error> {
        let mut all = vec![];
        for (_, adapter) in self.adapters() {
            all.extend(adapter.tokens()?);
        }
        Ok(all)
    }

    /// Every trained tensor, named by the path of its layer and its name in files of PEFT.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Var)> {
        let all = self.adapters().flat_map(|(path, adapter)| {
            let named = adapter.parameters().into_iter();
            named.map(move |(name, var)| (format!("{path}.{name}"), var.clone()))
        });
        all.collect()
    }

    /// Every tensor as files hold it, named by the path of its layer and its name in files of PEFT.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn stored(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let mut all = vec![];
        for (path, adapter) in self.adapters() {
            let named = adapter.stored()?.into_iter();
            all.extend(named.map(|(name, value)| (format!("{path}.{name}"), value)));
        }
        Ok(all)
    }

    /// Adapters where `plan` says, whose factors began as parts of the weights, from these plain ones that files hold
    /// of them.
    ///
    /// # Errors
    /// When an adapter is not there, or memory runs out.
    pub(crate) fn with_init<'a>(
        &self,
        plan: &Plan,
        layers: impl IntoIterator<Item = &'a Linear>,
    ) -> Result<Self, Error> {
        Self::made(plan, layers, |place, _, _| {
            let plain = self.adapters.get(&place.path);
            let path = place.path.clone();
            let plain = plain.ok_or(Error::NoLayer { path })?;
            match place.init.is_of_weight() {
                true => residual(place, plain.as_ref()),
                false => Ok(plain.clone()),
            }
        })
    }

    /// Merges all adapters into `matrices`, the weights of a model by their paths. Each sum is
    /// rounded once, to the dtype of its weight.
    ///
    /// # Errors
    /// When sums are not finite in the dtype of their weights, or weights are packed: rounded to
    /// their few bits, little of the sum would be left. Those stay as they were, others are fused.
    /// When memory runs out.
    pub fn fuse_into<'a>(
        &self,
        matrices: impl IntoIterator<Item = (String, &'a mut Weight)>,
    ) -> Result<(), Error> {
        let (mut overflowing, mut packed) = (vec![], vec![]);
        for (path, matrix) in matrices {
            let Some(adapter) = self.get(&path) else {
                continue;
            };
            let name = format!("{path}.weight");
            let Some(weight) = matrix.tensor_mut() else {
                packed.push(name);
                continue;
            };
            let merged = adapter.merged(weight)?.to_dtype(weight.dtype())?;
            match is_finite(&merged)? {
                true => *weight = merged,
                false => overflowing.push(name),
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
}

impl AdapterSet {
    /// Merges all adapters into `matrices` as they are stored: each sum is rounded to the dtype of its weight, or packed again
    /// in the weight's own format.
    ///
    /// # Errors
    /// When sums are not finite as they are stored, or a format has no quantizer; those stay as they were, others are fused.
    /// When memory runs out.
    pub fn fuse_as_stored<'a>(
        &self,
        matrices: impl IntoIterator<Item = (String, &'a mut Weight)>,
    ) -> Result<Fusion, Error> {
        let mut layers = vec![];
        let (mut overflowing, mut unpackable) = (vec![], vec![]);
        for (path, matrix) in matrices {
            let Some(adapter) = self.get(&path) else {
                continue;
            };
            match Fused::new(adapter, matrix)? {
                Fused::Whole(weight, survival) => {
                    *matrix = weight;
                    layers.push(FusedLayer::new(path, matrix, survival));
                }
                Fused::Overflowing => overflowing.push(format!("{path}.weight")),
                Fused::Unpackable => unpackable.push(format!("{path}.weight ({})", matrix.kind())),
            }
        }
        match (overflowing.is_empty(), unpackable.is_empty()) {
            (true, true) => Ok(Fusion { layers }),
            (false, _) => Err(Error::Overflow {
                tensors: overflowing,
            }),
            (true, false) => Err(Error::NoQuantizer {
                tensors: unpackable,
            }),
        }
    }
}

/// A weight with its adapter.
enum Fused {
    Whole(Weight, Option<Survival>),
    Overflowing,
    Unpackable,
}

impl Fused {
    fn new(adapter: &dyn Adapter, weight: &Weight) -> Result<Self, Error> {
        let before = weight.dense()?.to_dtype(DType::F32)?;
        let exact = adapter.merged(&before)?;
        if !is_finite(&exact.to_dtype(weight.dtype())?)? {
            return Ok(Self::Overflowing);
        }
        let Some(stored) = weight.stored_alike(&exact)? else {
            return Ok(Self::Unpackable);
        };
        let after = stored.dense()?.to_dtype(DType::F32)?;
        match is_finite(&after)? {
            true => Ok(Self::Whole(stored, Survival::of(&before, &exact, &after)?)),
            false => Ok(Self::Overflowing),
        }
    }
}

fn by_path<'a>(layers: impl IntoIterator<Item = &'a Linear>) -> BTreeMap<&'a str, &'a Linear> {
    let layers = layers.into_iter();
    layers.map(|layer| (layer.path(), layer)).collect()
}

fn found<'a>(layers: &BTreeMap<&str, &'a Linear>, path: &str) -> Result<&'a Linear, Error> {
    let layer = layers.get(path).copied();
    layer.ok_or_else(|| Error::NoLayer { path: path.into() })
}

/// Asks for the memory of all adapters at once, before hours are spent on filling a part of it.
fn check_memory(plan: &Plan) -> Result<(), Error> {
    let values = plan.n_parameters();
    let mut memory: Vec<f32> = vec![];
    memory.try_reserve_exact(values).map_err(|_| Error::Memory {
        bytes: values.saturating_mul(size_of::<f32>()),
    })
}

fn is_finite(tensor: &Tensor) -> Result<bool, Error> {
    // Zero times a finite number is zero, times any other NaN.
    let zeros = tensor.flatten_all()?.affine(0.0, 0.0)?;
    Ok(zeros.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? == 0.0)
}
