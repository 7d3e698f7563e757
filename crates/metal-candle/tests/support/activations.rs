//! Activations of 16 bits (`scripts/golden/activations.py`), on any device: what they cost is compared with what they cost
//! transformers and PEFT.

use super::models::{continued, forward};
use super::training::{batch, losses, ready, run_step};
use super::{golden, ids, model_on, tensors};
use candle_core::{DType, Device, Tensor};
use metal_candle::models::{CacheForm, FolderType, Model};
use metal_candle::train::Parameters;
use serde_json::Value;

/// Largest ratio of our error to theirs: of logits, and of gradients, which one step rounds this way or that.
const MARGINS: [f64; 2] = [1.0, 1.5];

const DTYPES: [(&str, DType); 2] = [("bf16", DType::BF16), ("f16", DType::F16)];

/// Logits, loss, and gradients behind each other.
struct Computed {
    logits: Vec<f64>,
    loss: f64,
    gradients: Vec<f64>,
}

pub fn cost_no_more_than_in_pytorch(names: &[String], device: &Device) {
    let theirs = std::fs::read_to_string(golden("activations.json")).unwrap();
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let mut ratios = vec![];
    for name in names {
        for (key, dtype) in DTYPES {
            let (ours, theirs) = (errors(name, dtype, device), &theirs[name][key]);
            for (what, (ours, margin)) in ["logits", "gradients"]
                .iter()
                .zip(ours.into_iter().zip(MARGINS))
            {
                let ratio = ours / theirs[what].as_f64().unwrap();
                assert!(
                    ratio > 0.1,
                    "{name} {key}: {what} of {ours}: nothing was rounded"
                );
                assert!(
                    ratio <= margin,
                    "{name} {key}: {what} {ratio} times PyTorch's"
                );
                ratios.push(ratio);
            }
        }
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!(mean < 0.9, "{mean} of PyTorch's errors");
}

/// Tokens behind each other have the logits of all at once, whose keys and values are held in 16 bits; weights may be packed.
pub fn are_cached(name: &str, device: &Device) {
    let mut model = model_on(name, device);
    let want = tensors(&golden(name).join("golden.safetensors"));
    let row = ids(&want["input_ids"].narrow(0, 0, 1).unwrap());
    let exact = numbers(&forward(&model, &row, 1));
    for ((key, dtype), tolerance) in DTYPES.into_iter().zip([3e-2, 4e-3]) {
        model.decoder.set_activations(dtype);
        let mut cache = model.decoder.cache(CacheForm::Contiguous);
        model.decoder.expect(&mut cache, row.len()).unwrap();
        let mut start = 0;
        let logits = [7, 8, row.len()].map(|end| {
            let chunk = &row[std::mem::replace(&mut start, end)..end];
            numbers(&continued(&model, &mut cache, chunk))
        });
        let size = rms(exact.iter().copied());
        let off = rms(difference(&logits.concat(), &exact)) / size;
        assert!(off > 1e-5 && off < tolerance, "{name} {key}: {off}");
    }
}

/// Ten losses of every kind of adapter are those of PEFT in float32 but for what rounding costs.
pub fn ten_losses_are_near_those_of_float32(run: &str, device: &Device) {
    let folder = golden(run);
    let batches = tensors(&folder.join("batches.safetensors"));
    let theirs = std::fs::read_to_string(folder.join("losses.json")).unwrap();
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    for ((key, dtype), tolerance) in DTYPES.into_iter().zip([2e-2, 2e-3]) {
        let (mut model, parameters) = ready(run, "initial_adapter", device);
        model.decoder.set_activations(dtype);
        let ours = losses(
            &model,
            &parameters,
            &batches["input_ids"],
            &batches["labels_full"],
        );
        let theirs = theirs["full"].as_array().unwrap();
        assert_eq!((ours.len(), theirs.len()), (10, 10));
        for (step, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
            let off = ours / theirs.as_f64().unwrap() - 1.0;
            assert!(
                off != 0.0 && off.abs() < tolerance,
                "{run} {key} {step}: {ours} off by {off}"
            );
        }
    }
}

/// Errors of logits, and of gradients over their size.
fn errors(name: &str, dtype: DType, device: &Device) -> [f64; 2] {
    let (mut model, parameters) = ready(name, "adapter", device);
    model.store_as(FolderType::Dense(dtype)).unwrap();
    let wide = computed(&model, &parameters, name);
    model.decoder.set_activations(dtype);
    let narrow = computed(&model, &parameters, name);
    let logits = rms(difference(&narrow.logits, &wide.logits));
    let loss = (narrow.loss - wide.loss).abs();
    assert!(loss < logits, "{name} {dtype:?}: a loss off by {loss}");
    let gradients = rms(difference(&narrow.gradients, &wide.gradients));
    [logits, gradients / rms(wide.gradients.iter().copied())]
}

fn computed(model: &Model, parameters: &Parameters, name: &str) -> Computed {
    let input_ids = &tensors(&golden(name).join("golden.safetensors"))["input_ids"];
    let labels = &tensors(&golden(name).join("gradients.safetensors"))["labels"];
    let batch = batch(input_ids, labels);
    let result = run_step(model, parameters, &batch, false);
    let gradients = result.gradients.as_slice().iter().flatten();
    Computed {
        logits: numbers(&forward(model, &ids(input_ids), 2)),
        loss: result.loss_sum / batch.trained_tokens as f64,
        gradients: gradients.flat_map(numbers).collect(),
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    assert_eq!(tensor.dtype(), DType::F32);
    let numbers = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    numbers.into_iter().map(f64::from).collect()
}

fn difference<'a>(a: &'a [f64], b: &'a [f64]) -> impl ExactSizeIterator<Item = f64> + 'a {
    a.iter().zip(b).map(|(a, b)| a - b)
}

fn rms(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = numbers.len() as f64;
    (numbers.map(|x| x * x).sum::<f64>() / n).sqrt()
}
