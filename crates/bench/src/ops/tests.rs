use super::operation::{InputSpec, InputTensors};
use super::*;
use crate::clock::Clock;
use candle_core::{DType, Tensor};
use contenders::Contenders;
use metal_candle_cli::device::{DeviceArgs, DeviceChoice};
use metal_candle_kernels::case::Cost;
use metal_candle_kernels::softmax;
use serde_json::json;
use std::collections::HashSet;

/// Softmax of a few rows, by `run`.
fn small(run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'static) -> Operation {
    let cost = Cost {
        flops: 100,
        bytes: 100,
    };
    Operation {
        op: "softmax",
        case: "3x5".into(),
        source: "test".into(),
        dtype: DType::F32,
        sizes: json!({"dims": [3, 5]}),
        forward: cost,
        backward: cost,
        inputs: vec![InputSpec::new("x", &[3, 5])],
        run: Box::new(run),
        truth: Some(Box::new(|x| Ok(vec![softmax(&x[0])?]))),
        candle: candle::softmax(),
        engines: vec![],
    }
}

pub(super) fn softmax_of_few_rows() -> Operation {
    small(|x| Ok(vec![softmax(&x[0])?]))
}

fn measure(operation: &Operation, rivals: &mut Rivals) -> Result<Measured> {
    let (measured, runs) =
        super::measure(operation, &args(), rivals, (&Device::Cpu, Waits::After(1)))?;
    assert_eq!(runs, 1);
    Ok(measured)
}

fn args() -> Args {
    Args {
        table: false,
        seconds: Duration::ZERO,
        runs_per_wait: None,
        options: Options {
            device: DeviceArgs {
                device: DeviceChoice::Cpu,
            },
            filter: None,
            json: false,
            vs: vec![],
            python: "python".into(),
            rounds: 2,
            record: None,
        },
    }
}

#[test]
fn time_decides_on_a_gpu_alone() {
    let of = |runs_per_wait, wait_secs| {
        let args = Args {
            runs_per_wait,
            ..args()
        };
        waits(&args, wait_secs)
    };
    assert_eq!(of(None, None), Waits::After(1));
    assert_eq!(of(None, Some(2e-4)), Waits::ByTime(2e-4));
    assert_eq!(of(Some(4), Some(2e-4)), Waits::After(4));
}

fn refusal(run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'static) -> String {
    let error = measure(&small(run), &mut Rivals::default()).unwrap_err();
    error.message().to_owned()
}

#[test]
fn a_wrong_kernel_is_not_timed() {
    let result = refusal(|x| Ok(vec![(softmax(&x[0])? * 1.02)?]));
    assert!(result.contains("softmax 3x5 f32 test is wrong"), "{result}");
    assert!(result.contains("result"), "{result}");
    // The result is right, its gradient half of what it should be.
    let gradient = refusal(|x| {
        let y = softmax(&x[0])?;
        Ok(vec![((&y * 0.5)? + (y.detach() * 0.5)?)?])
    });
    assert!(gradient.contains("gradient of x"), "{gradient}");
    let detached = refusal(|x| Ok(vec![softmax(&x[0].detach())?]));
    assert!(detached.contains("no gradient of x"), "{detached}");
}

#[test]
fn a_right_kernel_is_timed_in_every_pass() {
    let right = small(|x| Ok(vec![softmax(&x[0])?]));
    let mut rivals = Rivals {
        candle: true,
        ..Rivals::default()
    };
    let measured = measure(&right, &mut rivals).unwrap();
    for &pass in right.passes() {
        let row = measured.row(pass, right.cost(pass), None).unwrap();
        // Two rounds of five runs.
        assert_eq!(row.ours.spread.runs, 10);
        assert!(row.ratio("candle").unwrap() > 0.0);
    }
    let both = measured.row(Pass::Both, Cost::default(), None).unwrap();
    // At least the result and the gradient.
    assert!(both.ours.peak_bytes.unwrap() >= 2 * 15 * 4);
}

#[test]
fn a_rival_that_cannot_is_left_out() {
    let mut operation = small(|x| Ok(vec![softmax(&x[0])?]));
    operation.candle = Box::new(|_| Err(Error::failed("not built")));
    let mut rivals = Rivals {
        candle: true,
        ..Rivals::default()
    };
    let measured = measure(&operation, &mut rivals).unwrap();
    assert_eq!(
        measured.rivals["candle"].error.as_deref(),
        Some("not built")
    );
    let row = measured
        .row(Pass::Forward, operation.forward, None)
        .unwrap();
    assert!(row.rivals.is_empty());
}

#[test]
fn an_engine_with_wrong_numbers_is_left_out() {
    let mut operation = small(|x| Ok(vec![softmax(&x[0])?]));
    operation.engines = vec![
        ("steel", Box::new(|x| Ok(vec![softmax(&x[0])?]))),
        (
            "mps-matrix",
            Box::new(|x| Ok(vec![(softmax(&x[0])? * 1.02)?])),
        ),
    ];
    let mut rivals = Rivals {
        engines: true,
        ..Rivals::default()
    };
    let measured = measure(&operation, &mut rivals).unwrap();
    let row = measured.row(Pass::Both, operation.forward, None).unwrap();
    assert!(row.ratio("steel").is_some());
    assert_eq!(row.ratio("mps-matrix"), None);
    let error = measured.rivals["mps-matrix"].error.as_deref().unwrap();
    assert!(error.contains("is wrong and is not timed"), "{error}");
}

#[test]
fn filters_take_all_words_in_any_order() {
    let count = |filter: Option<&str>, table| {
        let mut args = args();
        (args.options.filter, args.table) = (filter.map(str::to_owned), table);
        chosen(&args, false).map(|operations| operations.len())
    };
    assert_eq!(count(Some("f32 softmax 2048x2048"), false).unwrap(), 1);
    assert_eq!(count(Some("matmul 1x"), true).unwrap(), 4);
    assert!(count(Some("adamw Qwen3-4B"), false).unwrap() > 1);
    assert!(count(Some("adamw Qwen3-4B"), true).is_err());
    assert!(count(Some("no such thing"), false).is_err());
}

#[test]
fn the_table_of_a_gpu_has_16_bits_and_both() {
    let of = |filter: &str, is_gpu| {
        let mut args = args();
        (args.options.filter, args.table) = (Some(filter.to_owned()), true);
        chosen(&args, is_gpu).map_or(0, |operations| operations.len())
    };
    for (filter, n) in [
        ("matmul 1024x1024x1024", 3),
        ("lora_linear 512x896x896 r8", 3),
        ("rms_norm 2048x2048", 3),
        ("softmax 2048x2048", 3),
        ("rope", 3),
        ("swiglu", 3),
        ("attention 512x512", 3),
        ("linear_cross_entropy", 3),
        ("adamw", 1),
    ] {
        assert_eq!(of(filter, true), n, "{filter}");
        assert_eq!(of(&format!("{filter} f32"), true), 1, "{filter}");
        assert_eq!(of(filter, false), 1, "{filter}");
    }
    // Some are in the table of every device.
    assert_eq!(of("matmul 1x896x4864", true), 3);
    assert_eq!(of("matmul 1x896x4864", false), 2);
    assert_eq!(of("linear bf16 f32", true), 4);
    assert_eq!(of("linear bf16 f32", false), 0);
}

fn check(operation: &Operation, inputs: &InputTensors) {
    let want = operation.true_outcome(inputs).unwrap();
    operation.check(&operation.run, inputs, &want).unwrap();
}

/// The passes of every operation on small inputs, kernel and candle, without a clock that
/// matters.
#[test]
fn every_operation_is_measured_and_right() {
    let mut operations = subjects::all(false);
    let size = |o: &Operation| {
        o.inputs
            .iter()
            .map(|x| x.dims.iter().product::<usize>())
            .sum::<usize>()
    };
    operations.sort_by_key(|o| (o.op, size(o)));
    let mut ops = HashSet::new();
    operations.retain(|o| ops.insert(o.op));
    assert_eq!(ops.len(), 10);
    for operation in operations.iter().filter(|o| o.op != "linear_cross_entropy") {
        let inputs = operation.tensors(&Device::Cpu).unwrap();
        check(operation, &inputs);
        let clock = Clock::new(&Device::Cpu, 1);
        let mut contenders = Contenders::new(operation, &inputs, &clock);
        contenders.add_candle();
        let (_, theirs) = contenders.answers();
        assert_eq!(theirs["candle"].error, None, "{}", operation.line());
    }
}

#[test]
fn candle_computes_the_same() {
    for mut operation in subjects::all(false) {
        let small = operation
            .inputs
            .iter()
            .map(|x| x.dims.iter().product::<usize>())
            .sum::<usize>()
            < 1 << 17;
        if small && operation.op != "adamw" && operation.dtype == DType::F32 {
            let truth = std::mem::replace(&mut operation.run, candle::softmax());
            operation.run = std::mem::replace(&mut operation.candle, candle::softmax());
            operation.truth = Some(truth);
            check(&operation, &operation.tensors(&Device::Cpu).unwrap());
        }
    }
}
