use crate::files;
use crate::lora::Error;
use candle_core::{DType, Device, Tensor, Var};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

const PREFIX: &str = "base_model.model.";

pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    let damaged = |reason: String| Error::Safetensors {
        path: path.to_path_buf(),
        reason,
    };
    let bytes = files::read_bytes(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors = vec![];
    for (key, view) in file.iter() {
        let dtype = DType::try_from(view.dtype()).map_err(|e| damaged(format!("{key}: {e}")))?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.push((key.to_string(), tensor.to_dtype(DType::F32)?));
    }
    Ok(tensors)
}

/// PEFT's key without its prefix and without the adapter's name, which it has in memory only:
/// `base_model.model.P.lora_A.default.weight` and `base_model.model.P.lora_A.weight` are the same.
fn parameter_name(key: &str) -> Option<String> {
    let key = key.strip_prefix(PREFIX)?;
    let (head, _) = key.split_once(".lora_")?;
    let kind = &key[head.len()..];
    ["A", "B"].into_iter().find_map(|side| {
        let rest = kind.strip_prefix(&format!(".lora_{side}."))?;
        let plain = rest == "weight";
        let named = rest
            .strip_suffix(".weight")
            .is_some_and(|n| !n.contains('.'));
        (plain || named).then(|| format!("{head}.lora_{side}.weight"))
    })
}

pub(super) fn load_into(
    path: &Path,
    tensors: &[(String, Tensor)],
    parameters: &[(String, Var)],
) -> Result<(), Error> {
    let mut wanted: BTreeMap<&str, &Var> = parameters
        .iter()
        .map(|(name, var)| (name.as_str(), var))
        .collect();
    let mut problems = vec![];
    let mut copies = vec![];
    for (key, tensor) in tensors {
        let name = parameter_name(key);
        match name.and_then(|name| wanted.remove(name.as_str())) {
            None => problems.push(format!("unexpected {key} {:?}", tensor.dims())),
            Some(var) => match problem(key, tensor, var)? {
                Some(problem) => problems.push(problem),
                None => copies.push((var, tensor)),
            },
        }
    }
    let missing = wanted.iter();
    problems.extend(missing.map(|(name, var)| format!("missing {PREFIX}{name} {:?}", var.dims())));
    if !problems.is_empty() {
        let path = path.to_path_buf();
        return Err(Error::Mismatch { path, problems });
    }
    for (var, tensor) in copies {
        var.set(&tensor.to_device(var.device())?)?;
    }
    Ok(())
}

fn problem(key: &str, tensor: &Tensor, var: &Var) -> Result<Option<String>, Error> {
    if tensor.dims() != var.dims() {
        let (expected, got) = (var.dims(), tensor.dims());
        return Ok(Some(format!("{key}: expected {expected:?}, got {got:?}")));
    }
    // A sum is finite only if every element is (or the sum overflows, which is as useless).
    let finite = tensor.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite();
    Ok((!finite).then(|| format!("{key}: holds NaN or infinite values")))
}

pub(super) fn on_disk(parameters: &[(String, Var)]) -> Vec<(String, Tensor)> {
    parameters
        .iter()
        .map(|(name, var)| (format!("{PREFIX}{name}"), var.as_detached_tensor()))
        .collect()
}
