//! The tensors of an adapter file against those that a model calls for.

use super::copies::is_copy;
use super::names::{Key, Names};
use super::tensors::{Values, Wanted};
use crate::lora::methods::parts::{self, Dim};
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
    names: &'a dyn Names,
    base: &'a [(String, Tensor)],
    values: Values,
    /// Names of parameters that were there, whatever they were like.
    seen: BTreeSet<String>,
    /// Copies of parameters, with their names in the file and as parameters.
    copies: Vec<(String, String, Tensor)>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(super) fn new(
        wanted: &'a Wanted,
        names: &'a dyn Names,
        base: &'a [(String, Tensor)],
    ) -> Self {
        Self {
            wanted,
            names,
            base,
            values: Values::new(),
            seen: BTreeSet::new(),
            copies: vec![],
            problems: vec![],
        }
    }

    /// Looks at one tensor of the file.
    ///
    /// # Errors
    /// When memory runs out; what is wrong with the tensor is noted.
    pub(super) fn tensor(&mut self, key: &str, view: &TensorView<'_>) -> Result<(), Error> {
        let problem = match self.names.key(key) {
            Key::Ignored => None,
            Key::Factor(name) | Key::Base(name) if self.wanted.copied.contains_key(&name) => {
                self.copy(key, name, view)?
            }
            Key::Factor(name) => self.factor(key, name, view)?,
            Key::Base(name) if self.wanted.shapes.contains_key(&name) => {
                self.factor(key, name, view)?
            }
            Key::Base(name) => self.repeated(key, &name, view)?,
            Key::Other => Some(self.unexpected(key, view)),
        };
        self.problems.extend(problem);
        Ok(())
    }

    /// The values, if nothing is wrong or missing.
    ///
    /// # Errors
    /// When memory runs out.
    pub(super) fn finish(mut self) -> Result<Result<Values, Vec<Problem>>, Error> {
        self.compare_copies()?;
        let absent = self.wanted.shapes.iter();
        let absent = absent.filter(|(name, _)| !self.seen.contains(*name));
        let missing = absent.map(|(name, shape)| Problem::Missing {
            key: self.names.on_disk(name),
            shape: self.shape_on_disk(name, shape),
        });
        let missing: Vec<Problem> = missing.collect();
        self.problems.extend(missing);
        Ok(match self.problems.is_empty() {
            true => Ok(self.values),
            false => Err(self.problems),
        })
    }

    /// A copy has the values of what it is a copy of: another training would be lost.
    fn compare_copies(&mut self) -> Result<(), Error> {
        for (key, name, copy) in std::mem::take(&mut self.copies) {
            let copied = &self.wanted.copied[&name];
            let copy = match copied.is_transposed && copy.rank() == 2 {
                true => copy.t()?.contiguous()?,
                false => copy,
            };
            // One that is missing itself is told.
            let Some(value) = self.values.get(&copied.of) else {
                continue;
            };
            if !is_copy(&copy, value)? {
                self.problems.push(Problem::Untied { key });
            }
        }
        Ok(())
    }

    fn copy(
        &mut self,
        key: &str,
        name: String,
        view: &TensorView<'_>,
    ) -> Result<Option<Problem>, Error> {
        let key = shortened(key);
        let Some(copy) = tensor(view)? else {
            return Ok(Some(other_dtype(key, view)));
        };
        self.copies.push((key, name, copy));
        Ok(None)
    }

    /// Whether files hold the parameter `name` transposed.
    fn is_transposed(&self, name: &str) -> bool {
        self.names.is_transposed() && rank_dim(name).is_some()
    }

    fn shape_on_disk(&self, name: &str, shape: &[usize]) -> Vec<usize> {
        let dims = shape.iter().copied();
        match self.is_transposed(name) {
            true => dims.rev().collect(),
            false => dims.collect(),
        }
    }

    fn unexpected(&self, key: &str, view: &TensorView<'_>) -> Problem {
        unexpected(key, view, self.names.why(key))
    }

    fn factor(
        &mut self,
        key: &str,
        name: String,
        view: &TensorView<'_>,
    ) -> Result<Option<Problem>, Error> {
        let Some(shape) = self.wanted.shapes.get(&name) else {
            return Ok(Some(self.unexpected(key, view)));
        };
        // Both `A.weight` and `A.default.weight`: one of them would be dropped.
        if !self.seen.insert(name.clone()) {
            return Ok(Some(unexpected(key, view, Unexpected::Twice)));
        }
        let key = shortened(key);
        let shape = self.shape_on_disk(&name, shape);
        if view.shape() != shape {
            return Ok(Some(self.misshaped(key, &name, shape, view.shape())));
        }
        let Some(tensor) = tensor(view)? else {
            return Ok(Some(other_dtype(key, view)));
        };
        let mut tensor = tensor.to_dtype(DType::F32)?;
        if self.is_transposed(&name) {
            tensor = tensor.t()?.contiguous()?;
        }
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !values.iter().all(|value| value.is_finite()) {
            return Ok(Some(Problem::NotFinite { key }));
        }
        self.values.insert(name, tensor);
        Ok(None)
    }

    fn misshaped(&self, key: String, name: &str, expected: Vec<usize>, got: &[usize]) -> Problem {
        let rank = rank_dim(name).map(|dim| match self.names.is_transposed() {
            true => 1 - dim,
            false => dim,
        });
        match rank {
            Some(rank) if got.len() == 2 && got[1 - rank] == expected[1 - rank] => Problem::Rank {
                key,
                expected: expected[rank],
                got: got[rank],
            },
            _ => Problem::Shape {
                key,
                expected,
                got: shown(got),
            },
        }
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
pub(super) fn tensor(view: &TensorView<'_>) -> Result<Option<Tensor>, Error> {
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

/// Dimension of a factor that is the rank.
fn rank_dim(name: &str) -> Option<usize> {
    let (_, part) = parts::of_name(name)?;
    part.dims.iter().position(|dim| *dim == Dim::Rank)
}

fn shown(shape: &[usize]) -> Vec<usize> {
    shape.iter().take(SHOWN_DIMS).copied().collect()
}
