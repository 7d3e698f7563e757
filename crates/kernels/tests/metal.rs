//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

mod by_mps;
mod formats;

use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::ops::linear::cases::Storage;
use metal_candle_kernels::testkit::Failure;
use metal_candle_kernels::weight::packing::Packing;
use metal_candle_kernels::{MatMulOptions, Weight, matmul_with, ops, release};
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

operations! { adamw attention elementwise glu linear linear_cross_entropy linears lora_linear matmul most_likely rms_norm rope softcap softmax squares }

/// `(7, width)`, or `(7, 37)` that begins inside of a wider one.
fn matrix(device: &Device, width: usize, narrow: bool) -> candle_core::Result<Tensor> {
    let numbers = Tensor::arange(0f32, 7.0 * width as f32, &Device::Cpu)?.sin()?;
    let matrix = numbers.reshape((7, width))?.to_device(device)?;
    match narrow {
        true => matrix.narrow(1, 3, 37),
        false => Ok(matrix),
    }
}

fn rows(weight: &Weight, ids: &[u32]) -> Vec<Vec<f32>> {
    let ids = Tensor::new(ids, weight.device()).unwrap();
    weight.gather(&ids).unwrap().to_vec2().unwrap()
}

/// Widths of rows in a packing, whole words and, where it has such, others.
fn widths(packing: Packing) -> Vec<usize> {
    match packing.row() {
        1 => vec![64, 37],
        row => vec![row.next_multiple_of(64)],
    }
}

#[test]
fn rows_of_a_weight_are_those_of_the_cpu() {
    let dense = [DType::F32, DType::F16, DType::BF16].map(Storage::Dense);
    let affine = |(bits, group, factors)| Packing::Affine {
        bits,
        group,
        factors,
    };
    let affine = [(3, 64, DType::F16), (8, 32, DType::F32)].map(affine);
    let packed = Packing::all()
        .into_iter()
        .chain(affine)
        .flat_map(|packing| {
            let storage = Storage::Packed(packing);
            widths(packing)
                .into_iter()
                .map(move |width| (storage, width, false))
        });
    let dense = dense
        .into_iter()
        .flat_map(|storage| [false, true].map(|narrow| (storage, 64, narrow)));
    on_the_gpu(|gpu| {
        for (storage, width, narrow) in dense.chain(packed) {
            let ours = storage.weight(&matrix(gpu, width, narrow)?)?;
            // candle gathers from contiguous tensors only.
            let want = matrix(&Device::Cpu, width, narrow)?.contiguous()?;
            let want = storage.weight(&want)?;
            let got = rows(&ours, &[6, 0, 3, 3]);
            assert_eq!(got, rows(&want, &[6, 0, 3, 3]), "{storage} {width}");
            let none = rows(&ours, &[1, 7]).pop().unwrap();
            assert!(none.iter().all(|x| x.is_nan()), "{storage} {width}");
        }
        Ok(())
    });
}

/// Whole numbers between -8 and 8, of which every sum is exact.
fn whole(seed: usize, dims: [usize; 2]) -> Tensor {
    let number = |i: usize| ((i * 7 + seed) * (i + 3 * seed) % 17) as f64 - 8.0;
    let numbers: Vec<f64> = (0..dims[0] * dims[1]).map(number).collect();
    Tensor::from_vec(numbers, (dims[0], dims[1]), &Device::Cpu).unwrap()
}

/// Products of an adapter in parts: x A^T, dh^T x, dy^T h. Rounded once, from a sum that is exact.
#[test]
fn parts_of_a_thin_product_add_up_to_the_bit() {
    on_the_gpu(|gpu| {
        for ([m, n, k], [transpose_a, transpose_b]) in [
            ([70, 8, 300], [false, true]),
            ([8, 70, 1009], [true, false]),
            ([130, 16, 257], [true, false]),
        ] {
            let (a, b) = (whole(1, [m, k]), whole(2, [k, n]));
            let want = a.matmul(&b)?;
            let dtypes = [DType::F32, DType::F16, DType::BF16];
            let pairs = dtypes.map(|dtype| dtypes.map(|other| (dtype, other)));
            for (dtype, other) in pairs.into_iter().flatten() {
                let stored = |t: &Tensor, is_transposed: bool, dtype| {
                    let t = if is_transposed {
                        t.t()?.contiguous()?
                    } else {
                        t.clone()
                    };
                    t.to_dtype(dtype)?.to_device(gpu)
                };
                let a = stored(&a, transpose_a, dtype)?;
                let b = stored(&b, transpose_b, other)?;
                let options = MatMulOptions {
                    transpose_a,
                    transpose_b,
                    ..MatMulOptions::default()
                };
                #[cfg(soft_metal)]
                soft_metal::take_counts();
                let got = matmul_with(&a, &b, None, options)?;
                #[cfg(soft_metal)]
                assert!(
                    soft_metal::take_counts()
                        .kernels
                        .contains_key("product_of_parts")
                );
                let bits = |t: &Tensor| {
                    t.to_device(&Device::Cpu)?
                        .to_dtype(DType::F32)?
                        .to_vec2::<f32>()
                };
                assert_eq!(
                    bits(&got)?,
                    bits(&want.to_dtype(dtype)?)?,
                    "{m} x {n} x {k} {dtype:?} {other:?}"
                );
            }
        }
        Ok(())
    });
}

/// First number of a matrix that is not as the owner of its format says, to the bit.
fn first_difference(golden: &formats::Golden) -> Option<usize> {
    let want: Vec<Vec<f32>> = golden.dense.to_vec2().unwrap();
    let ids: Vec<u32> = (0..want.len() as u32).collect();
    let bits = |rows: Vec<Vec<f32>>| rows.concat().into_iter().map(f32::to_bits).collect();
    let (got, want): (Vec<u32>, Vec<u32>) = (bits(rows(&golden.weight, &ids)), bits(want));
    assert_eq!(got.len(), want.len(), "{}", golden.name);
    got.iter().zip(&want).position(|(a, b)| a != b)
}

#[test]
fn what_the_owners_of_formats_packed_is_unpacked_to_the_bit() {
    on_the_gpu(|gpu| {
        let all = formats::all(gpu);
        let differ = all
            .iter()
            .filter_map(|golden| Some((&golden.name, first_difference(golden)?)));
        let differ: Vec<_> = differ.collect();
        assert!(differ.is_empty() && all.len() == 36, "{differ:?}");
        Ok(())
    });
}

/// [`on_the_gpu`], which software Metal takes for an M3 meanwhile: on M1 MPS is not asked for bfloat16.
fn on_a_gpu_of_bf16(check: impl FnOnce(&Device) -> Result<(), Failure>) {
    #[cfg(soft_metal)]
    soft_metal::set_architecture("applegpu_g15s");
    on_the_gpu(check);
    #[cfg(soft_metal)]
    soft_metal::set_architecture("applegpu_g13g");
}

#[test]
fn an_adapted_layer_by_mps_is_the_layer() {
    on_a_gpu_of_bf16(|gpu| by_mps::with_mps(gpu, |_, _| true, || by_mps::adapted_layers(gpu)));
}

/// One call of MPS for each product, of inputs in 16 bits and in float32, and no kernel of ours or candle's.
#[test]
fn products_are_those_of_mps_where_it_was_measured_to_be_faster() {
    let products = ["gem", "product"];
    for (x, weight) in [
        (DType::F32, DType::F32),
        (DType::F16, DType::F16),
        (DType::BF16, DType::BF16),
        (DType::F32, DType::F16),
        (DType::F32, DType::BF16),
    ] {
        on_a_gpu_of_bf16(|gpu| {
            let run = || by_mps::forward_and_gradient(gpu, [40, 24, 32], [x, weight], &products);
            let [by_mps, without] = [true, false].map(|wins| {
                let mut calls = None;
                by_mps::with_mps(
                    gpu,
                    |_, _| wins,
                    || {
                        calls = Some(run()?);
                        Ok(())
                    },
                )?;
                Ok::<_, Failure>(calls)
            });
            let all = |calls: Option<[Option<[usize; 2]>; 2]>| {
                calls.into_iter().flatten().flatten().collect::<Vec<_>>()
            };
            let (by_mps, without) = (all(by_mps?), all(without?));
            assert!(by_mps.iter().all(|&calls| calls == [1, 0]), "{by_mps:?}");
            assert!(without.iter().all(|&calls| calls == [0, 1]), "{without:?}");
            Ok(())
        });
    }
}

/// `x A^T` of an adapter of rank 16: in parts, which is a kernel of ours, unless MPS is faster at the whole.
#[test]
fn mps_is_asked_before_a_thin_product_is_split() {
    for dtype in [DType::F32, DType::BF16] {
        on_a_gpu_of_bf16(|gpu| {
            let parts = |wins: bool| {
                let mut of_forward = None;
                by_mps::with_mps(
                    gpu,
                    |_, _| wins,
                    || {
                        let sizes = [70, 16, 304];
                        let kernels = &["product_of_parts"];
                        let calls = by_mps::forward_and_gradient(gpu, sizes, [dtype; 2], kernels)?;
                        of_forward = calls[0];
                        Ok(())
                    },
                )?;
                Ok::<_, Failure>(of_forward)
            };
            assert!(
                parts(true)?.is_none_or(|calls| calls == [1, 0]),
                "{dtype:?}"
            );
            assert!(
                parts(false)?.is_none_or(|calls| calls == [0, 1]),
                "{dtype:?}"
            );
            Ok(())
        });
    }
}
