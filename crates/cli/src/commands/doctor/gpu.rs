//! An Apple GPU, and how engines are chosen on it.

use super::{CalibrationFile, CheckFile, Choice, Gpu, Usable};
use crate::calibration;
use crate::checks::{Kept, Proof};
use crate::device::{DeviceChoice, obstacle};
use crate::error::{Error, Result};
use candle_core::{DType, Device, MetalDevice};
use metal_candle_mps::apple;
use metal_candle_mps::metal::policy;
use metal_candle_mps::order::Strategy;
use metal_candle_mps::plan::{Engine, Gemm, View};
use metal_candle_mps::policy::{Policy, Reason};

/// Products that models have: name, element type, M, N and K; the weight is stored as `(N, K)`.
const PRODUCTS: [(&str, DType, [usize; 3]); 5] = [
    ("one token, 2048 to 2048, f32", DType::F32, [1, 2048, 2048]),
    ("512 tokens, 896 to 4864, f32", DType::F32, [512, 4864, 896]),
    (
        "512 tokens, 2048 to rank 8, f32",
        DType::F32,
        [512, 8, 2048],
    ),
    ("2048 x 2048 x 2048, f32", DType::F32, [2048; 3]),
    ("2048 x 2048 x 2048, bf16", DType::BF16, [2048; 3]),
];

/// A softmax: name, element type, rows and columns.
const SOFTMAX: (&str, DType, [usize; 2]) = ("softmax, 4096 x 4096, f32", DType::F32, [4096; 2]);

/// What there is to know of the GPU of this number.
///
/// # Errors
/// When it fails.
pub fn look(number: usize) -> Result<Gpu> {
    let choice = DeviceChoice::Metal(number);
    let obstacle = obstacle(number);
    let usable = obstacle.is_none().then(|| usable(choice)).transpose()?;
    Ok(Gpu {
        device: choice.to_string(),
        obstacle,
        usable,
    })
}

fn usable(choice: DeviceChoice) -> Result<Usable> {
    let Device::Metal(device) = choice.open()? else {
        return Err(Error::failed(format!("{choice} is no GPU")));
    };
    let policy = policy(&device).map_err(Error::failed)?;
    let key = apple::key(&device, Strategy::Blocking).map_err(Error::failed)?;
    let (major, minor) = policy.caps.macos;
    Ok(Usable {
        name: key.gpu,
        architecture: key.architecture,
        macos: format!("{major}.{minor} ({})", key.macos_build),
        mps: policy.caps.mps,
        engines: engines(&policy),
        strategy: strategy(&policy),
        check: check_file(&device)?,
        calibration: calibration_file(&device)?,
        choices: choices(&policy)?,
    })
}

fn engines(policy: &Policy) -> Vec<String> {
    let engines = [Engine::Steel, Engine::Gemv, Engine::NdArray, Engine::Matrix];
    let here = engines.iter().filter(|engine| policy.caps.has(**engine));
    here.map(ToString::to_string).collect()
}

fn strategy(policy: &Policy) -> String {
    match &policy.calibration {
        Some(calibration) => {
            let (strategy, litmus) = (calibration.key.strategy, calibration.litmus);
            let passed = if litmus.passed() { "passed" } else { "failed" };
            format!(
                "{strategy}: {passed} its litmus test ({} of {} rounds wrong), {:.1} us for a product",
                litmus.failures, litmus.rounds, calibration.overhead_micros
            )
        }
        None => format!(
            "{}, where MPS is asked for: no litmus test was run",
            Strategy::Blocking
        ),
    }
}

fn check_file(device: &MetalDevice) -> Result<CheckFile> {
    let kept = Kept::of(device)?;
    let proof = kept.proof();
    Ok(CheckFile {
        path: kept.path.display().to_string(),
        passed: proof == Proof::Passed,
        state: proof.to_string(),
    })
}

fn calibration_file(device: &MetalDevice) -> Result<CalibrationFile> {
    let path = calibration::path(device)?;
    let loaded = path.exists().then(|| calibration::load(device));
    let (used, ignored) = match loaded {
        Some(Ok(calibration)) => (Some(calibration), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    };
    Ok(CalibrationFile {
        path: path.display().to_string(),
        products: used.as_ref().map(|used| used.cells.len()),
        softmax: used.as_ref().map(|used| used.softmax.len()),
        ignored,
    })
}

fn choices(policy: &Policy) -> Result<Vec<Choice>> {
    let products = PRODUCTS.into_iter().map(|(name, dtype, sizes)| {
        let choice = with_product(dtype, sizes, |gemm| policy.choose(gemm))?;
        Ok(Choice {
            product: name.into(),
            engine: choice.engine.to_string(),
            reason: choice.reason.to_string(),
        })
    });
    products.chain([Ok(softmax(policy))]).collect()
}

fn softmax(policy: &Policy) -> Choice {
    let (name, dtype, sizes) = SOFTMAX;
    let (engine, reason) = match policy.softmax(dtype, sizes) {
        Ok(gain) => ("MPSMatrixSoftMax", Reason::Faster { gain }),
        Err(reason) => ("metal-candle", reason),
    };
    Choice {
        product: name.into(),
        engine: engine.into(),
        reason: reason.to_string(),
    }
}

fn with_product<T>(dtype: DType, [m, n, k]: [usize; 3], ask: impl Fn(&Gemm<'_>) -> T) -> Result<T> {
    let view = |dims: [usize; 2], strides: [usize; 2]| {
        let bytes = dims[0] * dims[1] * dtype.size_in_bytes();
        View::new(dtype, 0, &dims, &strides, bytes).map_err(Error::failed)
    };
    let (left, right) = (view([m, k], [k, 1])?, view([k, n], [1, k])?);
    let result = view([m, n], [n, 1])?;
    Ok(ask(&Gemm::new(&left, &right, &result)))
}
