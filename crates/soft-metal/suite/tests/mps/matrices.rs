//! `MPSMatrixMultiplication`, `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`.

use crate::common::*;
use half::f16;
use objc2::AnyThread;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use soft_metal::Guard;

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
