use super::Saved;
use super::check::{Figures, listed};
use crate::train::{Parameters, Resume};
use candle_core::{Device, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;

/// Parameters read from their file beside those that they should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    /// Tensors that should be there.
    pub tensors: usize,
    /// Their numbers.
    pub values: usize,
    /// Names of tensors that are missing, or differ in shape or in a bit.
    pub differing: Vec<String>,
    /// Steps of the checkpoint whose hashes the files were compared with; `None` where none lies beside them.
    pub checkpoint: Option<usize>,
    /// Reason why the file cannot be used.
    pub problem: Option<String>,
}

/// Reads what was saved again, and compares every bit with `parameters`, and files with the hashes of their checkpoint.
#[must_use]
pub fn file(saved: &Saved<'_>, parameters: &Parameters) -> File {
    let found = Resume::find(saved.path);
    let read = (saved.read)();
    let problems = [
        found.as_ref().err().map(ToString::to_string),
        read.as_ref().err().cloned(),
    ];
    File {
        tensors: parameters.as_slice().len(),
        values: parameters.n_values(),
        differing: read.map_or(vec![], |read| differing(parameters, read)),
        checkpoint: found.ok().and_then(|found| found.checkpoint),
        problem: problems.into_iter().flatten().next(),
    }
}

fn differing(parameters: &Parameters, read: Vec<(String, Tensor)>) -> Vec<String> {
    let read: BTreeMap<String, Tensor> = read.into_iter().collect();
    let differs = |name: &str, tensor: &Tensor| match read.get(name) {
        Some(other) => tensor.dims() != other.dims() || bits(tensor) != bits(other),
        None => true,
    };
    let all = parameters.as_slice().iter();
    let differing = all.filter(|p| differs(&p.name, p.var.as_tensor()));
    differing.map(|p| p.name.clone()).collect()
}

/// Bits of every number; `None` where they are no float32.
fn bits(tensor: &Tensor) -> Option<Vec<u32>> {
    let host = tensor.detach().to_device(&Device::Cpu).ok()?;
    let values = host.flatten_all().ok()?.to_vec1::<f32>().ok()?;
    Some(values.into_iter().map(f32::to_bits).collect())
}

impl Figures for File {
    const NAME: &'static str = "file";

    fn passed(&self) -> bool {
        self.problem.is_none() && self.differing.is_empty() && self.tensors > 0
    }

    fn text(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        if !self.differing.is_empty() {
            let (n, names) = (self.differing.len(), listed(&self.differing));
            return format!("{n} of {} tensors are others: {names}", self.tensors);
        }
        let (tensors, values) = (self.tensors, self.values);
        let same = format!("{tensors} tensors with {values} numbers are read back to the bit");
        match self.checkpoint {
            Some(step) => format!("{same}, and are those of checkpoint-{step}"),
            None => same,
        }
    }
}
