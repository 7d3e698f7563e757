//! The tensors of an adapter file against those that a model calls for.

use super::copies::is_copy;
use super::keys::{Key, Known, PREFIX};
use super::tensors::{Values, Wanted};
use crate::lora::{Error, Problem, Unexpected, shortened};
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeSet;

/// Dimensions of a shape that are shown.
const SHOWN_DIMS: usize = 8;

/// A file while its tensors are looked at.
pub(super) struct Check<'a> {
    wanted: &'a Wanted,
    known: &'a Known<'a>,
    base: &'a [(String, Tensor)],
    values: Values,
    /// Names of parameters that were there, whatever they were like.
    seen: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(super) fn new(
        wanted: &'a Wanted,
        known: &'a Known<'a>,
        base: &'a [(String, Tensor)],
    ) -> Self {
        Self {
            wanted,
            known,
            base,
            values: Values::new(),
            seen: BTreeSet::new(),
            problems: vec![],
        }
    }

    /// Looks at one tensor of the file.
    ///
    /// # Errors
    /// When memory runs out; what is wrong with the tensor is noted.
    pub(super) fn tensor(&mut self, key: &str, view: &TensorView<'_>) -> Result<(), Error> {
        let problem = match self.known.key(key) {
            Key::Ignored => None,
            Key::Factor(name) => self.factor(key, name, view)?,
            Key::Base(name) if self.wanted.0.contains_key(&name) => self.factor(key, name, view)?,
            Key::Base(name) => self.repeated(key, &name, view)?,
            Key::Other => Some(self.unexpected(key, view)),
        };
        self.problems.extend(problem);
        Ok(())
    }

    /// The values, if nothing is wrong or missing.
    pub(super) fn finish(mut self) -> Result<Values, Vec<Problem>> {
        let absent = self
            .wanted
            .0
            .iter()
            .filter(|(name, _)| !self.seen.contains(*name));
        let missing = absent.map(|(name, shape)| Problem::Missing {
            key: format!("{PREFIX}{name}"),
            shape: shape.clone(),
        });
        let missing: Vec<Problem> = missing.collect();
        self.problems.extend(missing);
        match self.problems.is_empty() {
            true => Ok(self.values),
            false => Err(self.problems),
        }
    }

    fn unexpected(&self, key: &str, view: &TensorView<'_>) -> Problem {
        unexpected(key, view, self.known.why(key))
    }

    fn factor(
        &mut self,
        key: &str,
        name: String,
        view: &TensorView<'_>,
    ) -> Result<Option<Problem>, Error> {
        let Some(shape) = self.wanted.0.get(&name) else {
            return Ok(Some(self.unexpected(key, view)));
        };
        // Both `A.weight` and `A.default.weight`: one of them would be dropped.
        if !self.seen.insert(name.clone()) {
            return Ok(Some(unexpected(key, view, Unexpected::Twice)));
        }
        let key = shortened(key);
        if view.shape() != shape {
            return Ok(Some(misshaped(key, &name, shape, view.shape())));
        }
        let Some(tensor) = tensor(view)? else {
            return Ok(Some(other_dtype(key, view)));
        };
        let tensor = tensor.to_dtype(DType::F32)?;
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !values.iter().all(|value| value.is_finite()) {
            return Ok(Some(Problem::NotFinite { key }));
        }
        self.values.insert(name, tensor);
        Ok(None)
    }

    /// A weight of the base model: welcome if it is the base's own.
    fn repeated(
        &mut self,
        key: &str,
        name: &str,
        view: &TensorView<'_>,
    ) -> Result<Option<Problem>, Error> {
        let Some((_, weight)) = self.base.iter().find(|(base, _)| base == name) else {
            return Ok(Some(self.unexpected(key, view)));
        };
        let key = shortened(key);
        let Some(copy) = tensor(view)? else {
            return Ok(Some(other_dtype(key, view)));
        };
        if !is_copy(&copy, weight)? {
            return Ok(Some(Problem::Trained { key }));
        }
        let (theirs, ours) = (copy.dtype().as_str(), weight.dtype().as_str());
        if theirs != ours {
            tracing::warn!(
                "{key} repeats a weight of this model in {theirs}; the model's, in {ours}, is used"
            );
        }
        Ok(None)
    }
}

/// The tensor in its own dtype; `None` where that is not one of weights.
fn tensor(view: &TensorView<'_>) -> Result<Option<Tensor>, Error> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => return Ok(None),
    };
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
    Ok(Some(tensor))
}

fn unexpected(key: &str, view: &TensorView<'_>, why: Unexpected) -> Problem {
    Problem::Unexpected {
        key: shortened(key),
        shape: shown(view.shape()),
        why,
    }
}

fn other_dtype(key: String, view: &TensorView<'_>) -> Problem {
    let got = format!("{:?}", view.dtype());
    Problem::Dtype { key, got }
}

fn misshaped(key: String, name: &str, expected: &[usize], got: &[usize]) -> Problem {
    // `A` is (r, in), `B` is (out, r).
    let rank = match name {
        _ if name.ends_with("_A.weight") || name.ends_with("_A") => Some(0),
        _ if name.ends_with("_B.weight") || name.ends_with("_B") => Some(1),
        _ => None,
    };
    match rank {
        Some(rank) if got.len() == 2 && got[1 - rank] == expected[1 - rank] => Problem::Rank {
            key,
            expected: expected[rank],
            got: got[rank],
        },
        _ => Problem::Shape {
            key,
            expected: expected.to_vec(),
            got: shown(got),
        },
    }
}

fn shown(shape: &[usize]) -> Vec<usize> {
    shape.iter().take(SHOWN_DIMS).copied().collect()
}
