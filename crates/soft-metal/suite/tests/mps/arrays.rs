//! `MPSNDArray` and `MPSNDArrayMatrixMultiplication`.

use crate::common::*;
use half::{bf16, f16};
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_foundation::NSArray;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use soft_metal::Guard;
use std::ptr::NonNull;

/// Sizes fastest first; packed rows.
fn array(buffer: &Buffer, sizes: &[usize], dtype: MPSDataType, packed: bool, transposed: bool) -> Retained<MPSNDArray> {
    unsafe {
        let (n, sizes) = (sizes.len(), NonNull::from(sizes).cast());
        let d = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(dtype, n, sizes);
        d.setPreferPackedRows(packed);
        if transposed {
            d.transposeDimension_withDimension(0, 1);
        }
        MPSNDArray::initWithBuffer_offset_descriptor(MPSNDArray::alloc(), buffer, 0, &d)
    }
}

fn array_matmul(gpu: &Gpu, a: &MPSNDArray, b: &MPSNDArray, d: &MPSNDArray, own_encoder: bool) {
    unsafe {
        let kernel = MPSNDArrayMatrixMultiplication::initWithDevice_sourceCount(
            MPSNDArrayMatrixMultiplication::alloc(),
            &gpu.device,
            2,
        );
        let sources = NSArray::from_slice(&[a, b]);
        gpu.run(|cb| {
            if !own_encoder {
                return kernel.encodeToCommandBuffer_sourceArrays_destinationArray(cb, &sources, d);
            }
            let encoder = cb.computeCommandEncoder().expect("an encoder");
            kernel.encodeToCommandEncoder_commandBuffer_sourceArrays_destinationArray(Some(&encoder), cb, &sources, d);
            encoder.endEncoding();
        });
    }
}

#[test]
fn arrays_are_multiplied_in_either_encoder_and_transposed() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let (m, n, k) = (2, 3, 5);
    let (a, b) = (ramp(m * k, 0.3), ramp(n * k, 0.7));
    let (x, y) = (gpu.buffer(&a), gpu.buffer(&b));
    let f32s = MPSDataType::Float32;
    for own_encoder in [false, true] {
        let out = gpu.buffer(&[0f32; 6]);
        let (a_, b_) = (array(&x, &[k, m], f32s, true, false), array(&y, &[k, n], f32s, true, true));
        array_matmul(&gpu, &a_, &b_, &array(&out, &[n, m], f32s, true, false), own_encoder);
        for (i, got) in read::<f32>(&out, 6).iter().enumerate() {
            let expected: f32 = (0..k).map(|j| a[i / n * k + j] * b[i % n * k + j]).sum();
            assert!((got - expected).abs() < 1e-5, "{i}: {got} {expected}");
        }
    }
}

#[test]
fn arrays_of_f16_and_bf16_are_multiplied() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let numbers = [[1f32, 2., 3., 4.], [5., 6., 7., 8.], [0.; 4]];
    let product = |bits: fn(f32) -> u16, value: fn(u16) -> f32, dtype| {
        let [a, b, out] = numbers.map(|v| gpu.buffer(&v.map(bits)));
        let [x, y, z] = [&a, &b, &out].map(|buffer| array(buffer, &[2, 2], dtype, true, false));
        array_matmul(&gpu, &x, &y, &z, true);
        read::<u16>(&out, 4).into_iter().map(value).collect::<Vec<_>>()
    };
    let halves = product(|x| f16::from_f32(x).to_bits(), |x| f16::from_bits(x).to_f32(), MPSDataType::Float16);
    let brains = product(|x| bf16::from_f32(x).to_bits(), |x| bf16::from_bits(x).to_f32(), MPSDataType::BFloat16);
    assert_eq!([halves, brains], [[19., 22., 43., 50.]; 2]);
}

/// A deliberate bug: without packed rows, rows of three floats begin 16 bytes apart, past the end of a tight buffer.
#[test]
fn packed_rows_read_as_unpacked_are_caught() {
    let gpu = Gpu::new();
    let b = gpu.buffer(&ramp(6, 1.0));
    let message = message(|| drop(array(&b, &[3, 2], MPSDataType::Float32, false, false)));
    assert!(message.contains("array outside its buffer"), "{message}");
}

/// The same bug where the buffer is long enough: the numbers are wrong, which a comparison sees.
#[test]
fn unpacked_rows_read_as_packed_change_the_numbers() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let padded = [1f32, 2., 3., f32::NAN, 4., 5., 6., f32::NAN];
    let (a, b) = (gpu.buffer(&padded), gpu.buffer(&[1f32, 1., 1.]));
    let sums = |packed| {
        let out = gpu.buffer(&[0f32; 8]);
        let d = |buffer, sizes: &[usize], packed| array(buffer, sizes, MPSDataType::Float32, packed, false);
        array_matmul(&gpu, &d(&a, &[3, 2], packed), &d(&b, &[1, 3], true), &d(&out, &[1, 2], true), true);
        read::<f32>(&out, 2)
    };
    assert_eq!(sums(false), [6.0, 15.0]);
    assert!(sums(true)[1].is_nan(), "the padding is read");
}

/// Batches, one of them broadcast, a factor, and a third source.
#[test]
fn arrays_with_batches_and_a_third_source() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let (batches, m, n, k) = (2, 3, 4, 5);
    let (a, b, c) = (ramp(batches * m * k, 0.3), ramp(n * k, 0.7), ramp(n, 0.9));
    let out = gpu.buffer(&vec![0f32; batches * m * n]);
    let f32s = MPSDataType::Float32;
    let arrays = [
        array(&gpu.buffer(&a), &[k, m, batches], f32s, true, false),
        array(&gpu.buffer(&b), &[n, k], f32s, true, false),
        array(&gpu.buffer(&c), &[n, 1], f32s, true, false),
    ];
    let destination = array(&out, &[n, m, batches], f32s, true, false);
    unsafe {
        let alloc = MPSNDArrayMatrixMultiplication::alloc();
        let kernel = MPSNDArrayMatrixMultiplication::initWithDevice_sourceCount(alloc, &gpu.device, 3);
        kernel.setAlpha(2.0);
        kernel.setBeta(0.5);
        let sources = NSArray::from_retained_slice(&arrays);
        gpu.run(|cb| kernel.encodeToCommandBuffer_sourceArrays_destinationArray(cb, &sources, &destination));
    }
    for (i, got) in read::<f32>(&out, batches * m * n).iter().enumerate() {
        let dot: f32 = (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum();
        assert!((got - (2.0 * dot + 0.5 * c[i % n])).abs() < 1e-5, "{i}");
    }
}

/// A slice of an array, and a view of it.
#[test]
fn slices_of_arrays() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let x = gpu.buffer(&(0..12).map(|i| i as f32).collect::<Vec<_>>());
    unsafe {
        let sizes = [4usize, 3];
        let sizes = NonNull::from(&sizes).cast();
        let d =
            MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(MPSDataType::Float32, 2, sizes);
        d.setPreferPackedRows(true);
        let whole = MPSNDArray::initWithBuffer_offset_descriptor(MPSNDArray::alloc(), &x, 0, &d);
        let d = whole.descriptor();
        d.sliceDimension_withSubrange(0, MPSDimensionSlice { start: 1, length: 2 });
        d.transposeDimension_withDimension(0, 1);
        let part = whole.arrayViewWithDescriptor(&d).expect("a view");
        assert_eq!((part.lengthOfDimension(0), part.lengthOfDimension(1)), (3, 2));
        let mut got = [0f32; 6];
        part.readBytes_strideBytes(NonNull::from(&mut got).cast(), std::ptr::null_mut());
        assert_eq!(got, [1., 5., 9., 2., 6., 10.]);
    }
}

/// The host's rows may be padded, and run backwards.
#[test]
fn arrays_are_read_and_written_with_strides() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let x = gpu.buffer(&[1f32, 2., 3., 4., 5., 6.]);
    let a = array(&x, &[3, 2], MPSDataType::Float32, true, false);
    let mut host = [0f32; 8];
    let mut strides = [4isize, 16];
    unsafe { a.readBytes_strideBytes(NonNull::from(&mut host).cast(), strides.as_mut_ptr()) };
    assert_eq!(host, [1., 2., 3., 0., 4., 5., 6., 0.]);
    let mut backwards = [-4isize, 16];
    unsafe {
        let last = host.as_mut_ptr().add(2).cast();
        a.writeBytes_strideBytes(NonNull::new(last).expect("an address"), backwards.as_mut_ptr());
    }
    assert_eq!(read::<f32>(&x, 6), [3., 2., 1., 6., 5., 4.]);
}
