//! Command buffers that fail, and how much work one of them is given, on Metal in software.

use crate::run::{endless, model_with, options, run};
use crate::{device, support};
use candle_core::{DType, Device, Tensor, Var};
use metal_candle::device::{GpuFailure, finish};
use metal_candle::generate::{Engine, Request};
use metal_candle::lora::LoraConfig;
use metal_candle_kernels::{AttentionMask, attention, linear_cross_entropy};
use metal_candle_mps::apple::charge;
use metal_candle_mps::order::BUFFER_FLOPS;

const TEXT: &str =
    "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)";

/// Command buffers that `f` commits.
fn buffers<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let count = || soft_metal::census()["SoftCommandBuffer"].total;
    let before = count();
    let result = f();
    (count() - before, result)
}

/// `n` of `total`, the first and the last among them.
fn some(n: usize, total: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| i * (total - 1) / (n - 1))
}

#[test]
fn a_command_buffer_that_fails_ends_the_run_and_nothing_is_saved() {
    let device = device();
    let (_, parameters) = model_with(&LoraConfig::default(), &device);
    // Each is read back in a command buffer of its own, and so are its two moments.
    let saving = 3 * parameters.as_slice().len() + 10;
    let train = |fails: Option<usize>| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&LoraConfig::default(), &device);
        // A failure of the last command buffer has been told where it was read back, and is once more.
        let _told = finish(&device);
        if let Some(n) = fails {
            soft_metal::fail_command_buffer(n, TEXT);
        }
        let batches = endless(4);
        let run = || {
            run(
                &model,
                &parameters,
                &options(1),
                folder.path(),
                batches,
                usize::MAX,
            )
        };
        let (total, run) = buffers(run);
        (total, run.result, folder)
    };
    let (total, result, _) = train(None);
    result.unwrap();
    for n in some(10, total) {
        let (_, result, folder) = train(Some(n));
        assert!(
            !soft_metal::forget_failure(),
            "{n} of {total} was not reached"
        );
        let error = result.expect_err(&format!("{n} of {total} failed"));
        assert_eq!(
            GpuFailure::of(&error),
            Some(GpuFailure::Interactivity),
            "{error}"
        );
        let saved = folder.path().join("adapter_model.safetensors").exists();
        assert!(!saved || n > total - saving, "{n} of {total}");
    }
}

#[test]
fn a_command_buffer_that_fails_gives_no_token() {
    let device = device();
    let model = support::model_on("qwen3", &device);
    let prompt: Vec<u32> = (1..30).collect();
    let token = || {
        let mut engine = Engine::new(&model.decoder);
        let request = Request {
            prompt: prompt.clone(),
            max_tokens: 4,
            ..Request::default()
        };
        engine.insert(request).and_then(|_| engine.step())
    };
    finish(&device).unwrap();
    let (total, first) = buffers(token);
    first.unwrap();
    assert!(total > 1, "the pass has one command buffer only");
    for n in 0..total {
        soft_metal::fail_command_buffer(n, TEXT);
        let error = token().expect_err(&format!("{n} of {total} failed"));
        assert_eq!(
            GpuFailure::of(&error),
            Some(GpuFailure::Interactivity),
            "{error}"
        );
        token().unwrap();
    }
}

#[test]
fn operations_of_much_work_begin_a_command_buffer() {
    let device = device();
    let Device::Metal(metal) = &*device else {
        unreachable!("it was asked for")
    };
    let ones = |dims: &[usize]| Var::ones(dims, DType::F32, &device).unwrap();
    let (x, head) = (ones(&[8, 16]), ones(&[40, 16]));
    let targets = Tensor::zeros(8, DType::I64, &device).unwrap();
    let q = ones(&[1, 2, 8, 16]);
    let causal = AttentionMask {
        causal: true,
        ..AttentionMask::default()
    };
    let operations: [(&str, &dyn Fn() -> Tensor); 3] = [
        ("product", &|| {
            metal_candle_kernels::matmul(&x, &head.t().unwrap()).unwrap()
        }),
        ("attention", &|| {
            attention(&q, &q, &q, &causal, 0.25).unwrap()
        }),
        ("loss", &|| {
            linear_cross_entropy(&x, &head.as_tensor().clone().into(), &targets, None).unwrap()
        }),
    ];
    for (name, operation) in operations {
        finish(&device).unwrap();
        let (little, _) = buffers(operation);
        charge(metal, BUFFER_FLOPS).unwrap();
        finish(&device).unwrap();
        assert_eq!(buffers(operation).0, little + 1, "{name}");
    }
}
