use super::check::{Figures, listed};
use crate::device::read_back;
use crate::lora::{self, AdapterSet, Context, Embedding, Kind, Linear, Survival};
use crate::models::Decoder;
use crate::random::{name_stream, uniform};
use crate::train::Result;
use candle_core::{DType, Tensor};
use metal_candle_kernels::{Weight, linear};
use serde::Serialize;
use std::sync::Arc;

/// Vectors, or tokens, that each layer is compared with.
const VECTORS: usize = 8;

/// Layers with their adapters beside them, and merged into their weights.
///
/// A difference is counted in roundings of float32: it is divided by the length of the row of the weight that it comes
/// from, before and after, and by `2^-24`. So a factor that is wrong by a percent of a small update is seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merge {
    /// Layers that were compared.
    pub layers: usize,
    /// Adapted layers that were left out.
    pub left_out: usize,
    /// Largest difference, in roundings.
    pub difference: f64,
    /// Roundings that a sum of so many terms may come to, in the layer of that difference.
    pub limit: f64,
    /// Paths of the layers over their limit.
    pub over: Vec<String>,
    /// Largest share of an update that is lost when its layer is rounded to the dtype of its weight, as `fuse` writes it;
    /// `None` where no update changes anything.
    pub lost: Option<f64>,
    /// Dtype of that weight.
    pub dtype: Option<&'static str>,
    /// Layers whose weight was packed, and is compared as the numbers that it stands for.
    pub packed: usize,
}

/// Share of an update above which it is told that fusing loses it.
const MOST_LOST: f64 = 0.5;

/// A layer that has an adapter.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The layer.
    pub layer: Linear,
    /// How it reads its weight.
    pub kind: Kind,
}

/// Layers of `decoder` that `set` has adapters of.
pub(super) fn adapted(decoder: &Decoder, set: &AdapterSet) -> Result<Vec<Layer>> {
    let kinds = decoder.layer_infos()?.into_iter().map(|info| info.kind);
    let layers = decoder.adaptable().into_iter().zip(kinds);
    let layers = layers.map(|(layer, kind)| Layer { layer, kind });
    Ok(layers
        .filter(|l| set.get(l.layer.path()).is_some())
        .collect())
}

/// The weight of a layer with its adapter merged into it, float32, by the code that `fuse` runs.
///
/// # Errors
/// When a sum is not finite, or memory runs out.
pub fn fused(set: &AdapterSet, layer: &Linear) -> std::result::Result<Tensor, lora::Error> {
    let mut weight = Weight::from(layer.weight().dense()?.to_dtype(DType::F32)?);
    set.fuse_into([(layer.path().to_string(), &mut weight)])?;
    Ok(weight.dense()?)
}

/// Compares layers with the adapters of `set` beside them to what `merged` makes of their weights; weights of
/// `n_values` numbers at most, and one layer at least.
///
/// # Errors
/// When memory runs out.
pub fn merge(
    set: &Arc<AdapterSet>,
    layers: &[Layer],
    n_values: usize,
    merged: impl Fn(&AdapterSet, &Linear) -> std::result::Result<Tensor, lora::Error>,
) -> Result<Merge> {
    let chosen = chosen(layers, n_values)?;
    let mut compared = vec![];
    for layer in &chosen {
        compared.push(match merged(set, &layer.layer) {
            Ok(merged) => Compared::new(set, layer, &merged)?,
            Err(lora::Error::Overflow { .. }) => Compared::not_finite(&layer.layer),
            Err(error) => return Err(error.into()),
        });
    }
    let over = compared.iter().filter(|c| !c.is_within());
    let by_share = |a: &&Compared, b: &&Compared| a.share().total_cmp(&b.share());
    let by_loss = |a: &&Compared, b: &&Compared| a.lost.total_cmp(&b.lost);
    let worst = compared.iter().max_by(by_share);
    let moved = compared.iter().filter(|c| c.lost.is_finite());
    let lossy = moved.max_by(by_loss);
    Ok(Merge {
        layers: compared.len(),
        left_out: layers.len() - compared.len(),
        difference: worst.map_or(0.0, |c| c.difference),
        limit: worst.map_or(0.0, |c| c.limit),
        over: over.map(|c| c.path.clone()).collect(),
        lost: lossy.map(|c| c.lost),
        dtype: lossy.map(|c| c.dtype.as_str()),
        packed: compared.iter().filter(|c| c.is_packed).count(),
    })
}

/// Layers in an order that mixes kinds and depths, while they are within `n_values`.
fn chosen(layers: &[Layer], n_values: usize) -> Result<Vec<&Layer>> {
    let mut sized = vec![];
    for layer in layers {
        let (n, k) = layer.layer.dims()?;
        sized.push((n.saturating_mul(k), layer));
    }
    let smallest = sized.iter().map(|(size, _)| *size).min().unwrap_or(0);
    sized.sort_by_key(|(_, layer)| name_stream(layer.layer.path()));
    let mut left = n_values.max(smallest);
    sized.retain(|(size, _)| {
        let fits = *size <= left;
        left -= if fits { *size } else { 0 };
        fits
    });
    Ok(sized.into_iter().map(|(_, layer)| layer).collect())
}

/// Comparison of one layer.
struct Compared {
    path: String,
    difference: f64,
    limit: f64,
    /// Share of the update; NaN without one.
    lost: f64,
    dtype: DType,
    is_packed: bool,
}

impl Compared {
    fn new(set: &Arc<AdapterSet>, Layer { layer, kind }: &Layer, merged: &Tensor) -> Result<Self> {
        let context = Context::inference(Some(set.clone()));
        let dense = layer.weight().dense()?.to_dtype(DType::F32)?;
        let rounded = merged.to_dtype(layer.weight().dtype())?;
        let rounded = rounded.to_dtype(DType::F32)?;
        let input = input(layer, *kind)?;
        let of = |weight: &Tensor| with_weight(layer, *kind, weight, &input);
        let beside = match kind {
            Kind::Linear => layer.forward(&input, &context)?,
            Kind::Embedding => {
                let layer = Embedding::new(layer.path(), layer.weight().clone());
                layer.forward(&input, &context)?
            }
        };
        let (plain, whole, rounded) = (of(&dense)?, of(merged)?, of(&rounded)?);
        let lengths = lengths(*kind, &dense, merged, &input)?;
        let relative = ((&beside - &whole)?.abs()?.broadcast_div(&lengths))?;
        let unit = f64::from(f32::EPSILON) / 2.0;
        let n_terms = layer.dims()?.1.max(layer.dims()?.0) as f64;
        Ok(Self {
            path: layer.path().into(),
            difference: largest(&relative)? / unit,
            limit: 32.0 + 4.0 * n_terms.sqrt(),
            lost: Survival::of(&plain, &whole, &rounded)?.map_or(f64::NAN, |left| left.error),
            dtype: layer.weight().dtype(),
            is_packed: layer.weight().tensor().is_none(),
        })
    }

    /// A layer that has no merged weight in float32.
    fn not_finite(layer: &Linear) -> Self {
        Self {
            path: layer.path().into(),
            difference: f64::NAN,
            limit: 0.0,
            lost: f64::NAN,
            dtype: layer.weight().dtype(),
            is_packed: layer.weight().tensor().is_none(),
        }
    }

    /// Difference as a share of its limit, above every other where it is no number.
    fn share(&self) -> f64 {
        let share = self.difference / self.limit;
        if share.is_nan() { f64::INFINITY } else { share }
    }

    fn is_within(&self) -> bool {
        self.difference <= self.limit
    }
}

/// Vectors of signs `(n, K)`, of which a product with a row has the row's length on average, or token ids `(n)`.
fn input(layer: &Linear, kind: Kind) -> Result<Tensor> {
    let (n, k) = layer.dims()?;
    match kind {
        Kind::Linear => {
            let numbers = uniform(0, layer.path(), VECTORS * k, 1.0).into_iter();
            let signs: Vec<f32> = numbers.map(f32::signum).collect();
            Ok(Tensor::from_vec(signs, (VECTORS, k), layer.device())?)
        }
        Kind::Embedding => {
            let ids = (0..VECTORS.min(n)).map(|i| (i * n / VECTORS.min(n)) as u32);
            Ok(Tensor::new(Vec::from_iter(ids), layer.device())?)
        }
    }
}

/// Result of the layer with `weight` in place of its own.
fn with_weight(layer: &Linear, kind: Kind, weight: &Tensor, input: &Tensor) -> Result<Tensor> {
    let weight = Weight::from(weight.clone());
    Ok(match kind {
        Kind::Linear => linear(input, &weight, layer.bias())?,
        Kind::Embedding => weight.gather(input)?,
    })
}

/// Lengths of the rows, `(N)`, or of one element of the rows of some ids, `(n, 1)`, before and after.
fn lengths(kind: Kind, before: &Tensor, after: &Tensor, input: &Tensor) -> Result<Tensor> {
    let squares = |weight: &Tensor| -> Result<Tensor> {
        Ok(match kind {
            Kind::Linear => weight.sqr()?.sum(1)?,
            Kind::Embedding => weight.index_select(input, 0)?.sqr()?.mean_keepdim(1)?,
        })
    };
    let sum = (squares(before)? + squares(after)?)?;
    Ok(sum.maximum(f32::MIN_POSITIVE)?.sqrt()?)
}

fn largest(tensor: &Tensor) -> Result<f64> {
    let values = read_back(tensor.device(), || tensor.flatten_all()?.to_vec1::<f32>())?;
    let worst = values
        .into_iter()
        .fold(0f32, |worst, value| match value.is_nan() {
            true => value,
            false => worst.max(value),
        });
    Ok(f64::from(worst))
}

impl Figures for Merge {
    const NAME: &'static str = "merge";

    fn passed(&self) -> bool {
        self.layers > 0 && self.over.is_empty()
    }

    fn text(&self) -> String {
        let (difference, limit) = (self.difference, self.limit);
        let mut text = match self.passed() {
            true => format!(
                "{} layers compute merged what they do beside their adapters, within {difference:.1} roundings of float32 (up to {limit:.0} are usual)",
                self.layers
            ),
            false => format!(
                "another result of {} of {} layers: {}; {difference:.0} roundings of float32, where {limit:.0} are usual",
                self.over.len(),
                self.layers,
                listed(&self.over)
            ),
        };
        if let (Some(lost), Some(dtype)) = (self.lost.filter(|lost| *lost > 0.0), self.dtype) {
            text += &format!("; in {dtype} {:.2} % of an update are lost", 100.0 * lost);
            if lost > MOST_LOST {
                text += ": little of it would be left in a fused model";
            }
        }
        if self.packed > 0 {
            text += &format!(
                "; {} packed weights as the numbers they stand for",
                self.packed
            );
        }
        if self.left_out > 0 {
            text += &format!("; {} more layers were not looked at", self.left_out);
        }
        text
    }
}
