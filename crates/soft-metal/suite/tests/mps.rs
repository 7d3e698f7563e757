//! MPS kernels against plain loops, and what is left after many of them.

mod common;

use common::*;
use half::{bf16, f16};
use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2_foundation::NSArray;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use soft_metal::Guard;
use std::ptr::NonNull;

/// Element (row, column) of a matrix whose rows are `ld` long.
fn at(v: &[f32], ld: usize, transposed: bool, row: usize, column: usize) -> f32 {
    if transposed { v[column * ld + row] } else { v[row * ld + column] }
}

#[test]
fn matmul_with_transposes_factors_and_batches() {
    let _guard = Guard::new();
    let (m, n, k, batches) = (3, 4, 5, 2);
    let gpu = Gpu::new();
    for (left, right) in [(false, false), (true, false), (false, true), (true, true)] {
        let (a, b, c) = (ramp(batches * m * k, 0.3), ramp(batches * k * n, 0.7), ramp(batches * m * n, 0.1));
        let (ar, ac) = if left { (k, m) } else { (m, k) };
        let (br, bc) = if right { (n, k) } else { (k, n) };
        let out = gpu.buffer(&c);
        let (x, y) = (batch(&gpu.buffer(&a), ar, ac, batches), batch(&gpu.buffer(&b), br, bc, batches));
        let z = batch(&out, m, n, batches);
        let kernel = multiplication(&gpu, left, right, [m, n, k], 2.0, 0.5);
        gpu.run(|cb| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &y, &z) });
        let got = read::<f32>(&out, c.len());
        for (i, got) in got.iter().enumerate() {
            let (p, row, column) = (i / (m * n), i / n % m, i % n);
            let dot: f32 =
                (0..k).map(|j| at(&a[p * m * k..], ac, left, row, j) * at(&b[p * k * n..], bc, right, j, column)).sum();
            assert!((got - (2.0 * dot + 0.5 * c[i])).abs() < 1e-5, "{left} {right} {i}");
        }
    }
}

#[test]
fn matmul_of_a_part_of_larger_matrices() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let (a, b) = (ramp(16, 0.3), ramp(16, 0.7));
    let out = gpu.buffer(&[0.0; 16]);
    let (x, y, z) = (matrix(&gpu.buffer(&a), 4, 4), matrix(&gpu.buffer(&b), 4, 4), matrix(&out, 4, 4));
    let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
    let origin = |row, column| MTLOrigin { x: row, y: column, z: 0 };
    unsafe {
        kernel.setLeftMatrixOrigin(origin(1, 2));
        kernel.setRightMatrixOrigin(origin(2, 0));
        kernel.setResultMatrixOrigin(origin(0, 1));
    }
    gpu.run(|cb| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &y, &z) });
    let got = read::<f32>(&out, 16);
    let expected = a[6] * b[8] + a[7] * b[12];
    assert!((got[1] - expected).abs() < 1e-6, "{got:?}");
    assert_eq!((got[0], got[15]), (0.0, 0.0), "nothing else is written");
}

#[test]
fn matmul_of_f16_into_f32_and_f16() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let halves = |v: &[f32]| v.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>();
    let (a, b) = (gpu.buffer(&halves(&[1.0, 2.0, 3.0, 4.0])), gpu.buffer(&halves(&[5.0, 6.0, 7.0, 8.0])));
    let (wide, narrow) = (gpu.buffer(&[0f32; 4]), gpu.buffer(&[f16::ZERO; 4]));
    let half = |buffer| typed_matrix(buffer, 2, 2, MPSDataType::Float16, 2);
    let (x, y) = (half(&a), half(&b));
    let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
    for z in [matrix(&wide, 2, 2), half(&narrow)] {
        gpu.run(|cb| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &y, &z) });
    }
    assert_eq!(read::<f32>(&wide, 4), [19.0, 22.0, 43.0, 50.0]);
    assert_eq!(read::<f16>(&narrow, 4), halves(&[19.0, 22.0, 43.0, 50.0]));
}

#[test]
fn softmax_and_its_logarithm() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let x = [1.0f32, 2.0, 3.0, 1000.0, 1000.0, f32::NEG_INFINITY];
    let (input, soft, log) = (gpu.buffer(&x), gpu.buffer(&[0f32; 6]), gpu.buffer(&[0f32; 6]));
    let (i, s, l) = (matrix(&input, 2, 3), matrix(&soft, 2, 3), matrix(&log, 2, 3));
    unsafe {
        let kernel = MPSMatrixSoftMax::initWithDevice(MPSMatrixSoftMax::alloc(), &gpu.device);
        let log_kernel = MPSMatrixLogSoftMax::initWithDevice(MPSMatrixLogSoftMax::alloc(), &gpu.device);
        gpu.run(|cb| {
            kernel.encodeToCommandBuffer_inputMatrix_resultMatrix(cb, &i, &s);
            log_kernel.encodeToCommandBuffer_inputMatrix_resultMatrix(cb, &i, &l);
        });
    }
    let sum: f32 = x[..3].iter().map(|v| v.exp()).sum();
    let (soft, log) = (read::<f32>(&soft, 6), read::<f32>(&log, 6));
    for c in 0..3 {
        assert!((soft[c] - x[c].exp() / sum).abs() < 1e-6 && (log[c] - (x[c] - sum.ln())).abs() < 1e-6);
    }
    assert_eq!(&soft[3..], &[0.5, 0.5, 0.0], "large values and a masked one");
}

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

/// A deliberate bug: the constant of another type. The numbers are wrong, which a comparison sees.
#[test]
fn a_swapped_type_constant_changes_the_numbers() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let (a, b, out) = (gpu.buffer(&[1f32, 2., 3., 4.]), gpu.buffer(&[5f32, 6., 7., 8.]), gpu.buffer(&[0f32; 4]));
    let (x, y, z) = (typed_matrix(&a, 2, 2, MPSDataType::Float16, 4), matrix(&b, 2, 2), matrix(&out, 2, 2));
    let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
    gpu.run(|cb| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &y, &z) });
    assert_ne!(read::<f32>(&out, 4), [19.0, 22.0, 43.0, 50.0]);
}

#[test]
fn nothing_is_left_after_a_thousand_of_each() {
    let guard = Guard::new();
    autoreleasepool(|_| {
        let gpu = Gpu::new();
        for _ in 0..1000 {
            autoreleasepool(|_| {
                let out = gpu.buffer(&[0f32; 4]);
                let (x, z) = (matrix(&gpu.buffer(&ramp(4, 1.0)), 2, 2), matrix(&out, 2, 2));
                let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
                let softmax = unsafe { MPSMatrixSoftMax::initWithDevice(MPSMatrixSoftMax::alloc(), &gpu.device) };
                gpu.run(|cb| unsafe {
                    kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &x, &z);
                    softmax.encodeToCommandBuffer_inputMatrix_resultMatrix(cb, &z, &z);
                });
            });
        }
    });
    assert_eq!(guard.problems(), Vec::<String>::new());
    let left: Vec<_> = soft_metal::live().into_iter().filter(|(class, _)| class != "SoftDevice").collect();
    assert_eq!(left, [], "the census of every class");
    assert!(soft_metal::census()["MPSMatrixSoftMax"].total >= 1000);
}

#[test]
fn an_mps_command_buffer_commits_and_continues() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let out = gpu.buffer(&[0f32; 4]);
    let (x, z) = (matrix(&gpu.buffer(&[1f32, 2., 3., 4.]), 2, 2), matrix(&out, 2, 2));
    let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
    unsafe {
        let cb = MPSCommandBuffer::commandBufferFromCommandQueue(&gpu.queue);
        let protocol = objc2::runtime::ProtocolObject::from_ref(&*cb);
        kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(protocol, &x, &x, &z);
        cb.commitAndContinue();
        kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(protocol, &x, &x, &z);
        cb.commit();
        cb.waitUntilCompleted();
    }
    assert_eq!(read::<f32>(&out, 4), [7., 10., 15., 22.]);
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

#[test]
fn softmax_of_a_part_in_f16() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let x: Vec<f16> = [9.0, 1.0, 1.0, 9.0, 2.0, 2.0].map(f16::from_f32).to_vec();
    let (input, out) = (gpu.buffer(&x), gpu.buffer(&[f16::ZERO; 6]));
    let half = |b| typed_matrix(b, 2, 3, MPSDataType::Float16, 2);
    let (i, o) = (half(&input), half(&out));
    unsafe {
        let kernel = MPSMatrixSoftMax::initWithDevice(MPSMatrixSoftMax::alloc(), &gpu.device);
        kernel.setSourceColumns(2);
        kernel.setSourceMatrixOrigin(MTLOrigin { x: 0, y: 1, z: 0 });
        gpu.run(|cb| kernel.encodeToCommandBuffer_inputMatrix_resultMatrix(cb, &i, &o));
    }
    let got: Vec<f32> = read::<f16>(&out, 6).iter().map(|x| x.to_f32()).collect();
    assert_eq!(got, [0.5, 0.5, 0.0, 0.5, 0.5, 0.0]);
}
