//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

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
