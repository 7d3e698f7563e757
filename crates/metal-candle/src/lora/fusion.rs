use crate::device::read_back;
use candle_core::{D, Tensor};
use metal_candle_kernels::{Result, Weight};
use serde::Serialize;

/// Part of an update `dW` of a weight `W` that is left when `W + dW` is stored as `W'`, of few bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Survival {
    /// Share of the update, `<W' - W, dW> / <dW, dW>`: 1 where all of it is left, 0 where `W'` is `W`. Rounding may go further than
    /// the update, and then it is above 1.
    pub kept: f64,
    /// Length of what rounding has changed in units of the update's, `|W' - (W + dW)| / |dW|`: 0 where nothing was rounded, 1 where
    /// `W'` is `W`.
    pub error: f64,
}

impl Survival {
    /// Survival of `exact - before` in `after`, which are three tensors of one shape in float32; `None` where they do not differ.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn of(before: &Tensor, exact: &Tensor, after: &Tensor) -> Result<Option<Self>> {
        let update = (exact - before)?;
        let square = product(&update, &update)?;
        if square == 0.0 {
            return Ok(None);
        }
        let rounding = (after - exact)?;
        Ok(Some(Self {
            kept: product(&(after - before)?, &update)? / square,
            error: (product(&rounding, &rounding)? / square).sqrt(),
        }))
    }
}

/// Sum of the products of all numbers; rows are summed in float64 on the host.
fn product(a: &Tensor, b: &Tensor) -> Result<f64> {
    let rows = (a * b)?.sum(D::Minus1)?.flatten_all()?;
    let rows = read_back(rows.device(), || rows.to_vec1::<f32>())?;
    Ok(rows.into_iter().map(f64::from).sum())
}

/// A weight that an adapter was merged into.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FusedLayer {
    /// Path of the layer.
    pub path: String,
    /// Storage of its numbers, as people call it.
    pub stored: String,
    /// Whether it is packed in a format of few bits.
    pub packed: bool,
    /// What is left of the update; `None` where the adapter changes nothing.
    #[serde(flatten)]
    pub survival: Option<Survival>,
}

impl FusedLayer {
    pub(super) fn new(path: String, weight: &Weight, survival: Option<Survival>) -> Self {
        Self {
            path,
            stored: weight.kind(),
            packed: matches!(weight, Weight::Packed(_)),
            survival,
        }
    }
}

/// Weights that the adapters of a set were merged into.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fusion {
    /// The layers, in the order of the data.
    pub layers: Vec<FusedLayer>,
}

/// Figures of several layers that have an update.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Number of the layers.
    pub layers: usize,
    /// Medians.
    pub median: Survival,
    /// Smallest share that is left.
    pub worst: f64,
    /// Path of that layer.
    pub worst_layer: String,
}

impl Fusion {
    /// Summary of the packed layers, or of those that are not; `None` where none has an update.
    #[must_use]
    pub fn summary(&self, packed: bool) -> Option<Summary> {
        let layers = self.layers.iter().filter(|layer| layer.packed == packed);
        let layers: Vec<_> = layers
            .filter_map(|layer| Some((layer.path.as_str(), layer.survival?)))
            .collect();
        let by_share = |a: &&(&str, Survival), b: &&(&str, Survival)| a.1.kept.total_cmp(&b.1.kept);
        let (path, worst) = layers.iter().min_by(by_share)?;
        Some(Summary {
            layers: layers.len(),
            median: Survival {
                kept: median(layers.iter().map(|(_, survival)| survival.kept)),
                error: median(layers.iter().map(|(_, survival)| survival.error)),
            },
            worst: worst.kept,
            worst_layer: (*path).into(),
        })
    }
}

/// The one in the middle, or the mean of the two; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let at = |i: usize| values.get(i).copied().unwrap_or_default();
    match n {
        0 => 0.0,
        _ => f64::midpoint(at((n - 1) / 2), at(n / 2)),
    }
}
