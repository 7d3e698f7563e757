use super::graph::{Outcome, Setting};
use super::{Array, Failure, Input, Problem, tolerance};
use candle_core::{DType, Device, Tensor};

/// Compares all implementations of `problem` with the last one, result and gradients, where the
/// truth would take too long: on the sizes of a benchmark, for instance.
///
/// # Errors
/// The first difference beyond the tolerance.
pub fn agree(problem: &Problem, dtype: DType, device: &Device) -> Result<(), Failure> {
    let Some(((_, reference), others)) = problem.implementations().split_last() else {
        return Ok(());
    };
    let inputs = &problem.inputs;
    let result = reference(&problem.tensors(dtype, device)?)?;
    let upstream = Input::new("upstream", result.dims()).values;
    let values = inputs.iter().map(|i| i.rounded(i.dtype_or(dtype)));
    let setting = Setting {
        inputs,
        values: values.collect::<Result<_, _>>()?,
        upstream: upstream.to_tensor(result.dtype())?.to_device(device)?,
        dtype,
        device,
    };
    let want = setting.run(reference, |_| true)?;
    for (name, run) in others {
        compare(name, inputs, &setting.run(run, |_| true)?, &want)?;
    }
    Ok(())
}

fn compare(name: &str, inputs: &[Input], got: &Outcome, want: &Outcome) -> Result<(), Failure> {
    let numbers = |what: String, got: &Tensor, want: &Tensor| {
        let tolerance = tolerance(got.dtype());
        tolerance.compare(&what, &Array::from_tensor(got)?, &Array::from_tensor(want)?)
    };
    numbers(format!("{name}: result"), &got.result, &want.result)?;
    for ((input, got), want) in inputs.iter().zip(&got.gradients).zip(&want.gradients) {
        let what = format!("{name}: gradient of {}", input.name);
        match (got, want) {
            (Some(got), Some(want)) => numbers(what, got, want)?,
            (None, Some(_)) => return Err(Failure::Detached { what }),
            _ => {}
        }
    }
    Ok(())
}
