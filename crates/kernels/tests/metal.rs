//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::ops::linear::cases::Storage;
use metal_candle_kernels::testkit::Failure;
use metal_candle_kernels::weight::packing::Packing;
use metal_candle_kernels::{Weight, ops, release};
use std::io::Write;

/// Runs a check; until its end no rule of Metal is broken, and what is made is gone by then.
fn on_the_gpu(check: impl FnOnce(&Device) -> Result<(), Failure>) {
    if let Some(reason) = metal_candle_mps::apple::obstacle(0) {
        leave_out(&reason);
    }
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::comparing();
    let result = check(&Device::new_metal(0).unwrap());
    release();
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Ends the process: none of these tests can run here. Not by `eprintln`, which a test that passes keeps to itself.
fn leave_out(reason: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "crates/kernels/tests/metal.rs is left out: {reason}"
    );
    std::process::exit(0)
}

macro_rules! operations {
    ($($op:ident)*) => {$(
        #[test]
        fn $op() {
            on_the_gpu(ops::$op::check::check);
        }
    )*};
}

operations! { adamw attention glu linear linear_cross_entropy lora_linear matmul rms_norm rope softcap softmax }

/// `(7, 64)`, or `(7, 37)` that begins inside of a wider one.
fn matrix(device: &Device, narrow: bool) -> candle_core::Result<Tensor> {
    let numbers = Tensor::arange(0f32, 448.0, &Device::Cpu)?.sin()?;
    let matrix = numbers.reshape((7, 64))?.to_device(device)?;
    match narrow {
        true => matrix.narrow(1, 3, 37),
        false => Ok(matrix),
    }
}

fn rows(weight: &Weight, ids: &[u32]) -> Vec<Vec<f32>> {
    let ids = Tensor::new(ids, weight.device()).unwrap();
    weight.gather(&ids).unwrap().to_vec2().unwrap()
}

#[test]
fn rows_of_a_weight_are_those_of_the_cpu() {
    let dense = [DType::F32, DType::F16, DType::BF16].map(Storage::Dense);
    let packed = [
        (4, 32, DType::F32),
        (3, 64, DType::F16),
        (8, 32, DType::BF16),
    ];
    let packed = packed.map(|(bits, group, factors)| Packing::Affine {
        bits,
        group,
        factors,
    });
    let packed = packed.map(Storage::Packed);
    on_the_gpu(|gpu| {
        for storage in dense.into_iter().chain(packed) {
            for narrow in [false, true] {
                if narrow && storage.packing().is_some() {
                    continue;
                }
                let ours = storage.weight(&matrix(gpu, narrow)?)?;
                // candle gathers from contiguous tensors only.
                let want = matrix(&Device::Cpu, narrow)?.contiguous()?;
                let want = storage.weight(&want)?;
                let got = rows(&ours, &[6, 0, 3, 3]);
                assert_eq!(got, rows(&want, &[6, 0, 3, 3]), "{storage}");
                let none = rows(&ours, &[1, 7]).pop().unwrap();
                assert!(none.iter().all(|x| x.is_nan()), "{storage}");
            }
        }
        Ok(())
    });
}
