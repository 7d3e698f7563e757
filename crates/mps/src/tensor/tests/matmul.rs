//! `mps_matmul` against candle's own, and at its edges.

use candle_core::{DType, Device, Result, Tensor};

use crate::plan::Engine;
use crate::tensor::{MatMulOptions, MpsMatMul};

/// Quarters, which sums of few products hold exactly in every type.
pub fn values(shape: &[usize], dtype: DType, seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7 + seed * 5) % 17) as f32 / 4.0 - 2.0;
    let values: Vec<f32> = (0..count).map(value).collect();
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    tensor.to_dtype(dtype).unwrap()
}

pub fn list(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

#[test]
fn two_by_three_times_three_by_two() {
    let left = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu).unwrap();
    let right = Tensor::new(&[[7f32, 8.], [9., 10.], [11., 12.]], &Device::Cpu).unwrap();
    for engine in [
        None,
        Some(Engine::Steel),
        Some(Engine::NdArray),
        Some(Engine::Matrix),
    ] {
        let options = MatMulOptions {
            engine,
            ..Default::default()
        };
        let product = left.mps_matmul_with(&right, &options).unwrap();
        assert_eq!(
            product.to_vec2::<f32>().unwrap(),
            [[58., 64.], [139., 154.]]
        );
    }
}

/// Shapes of left and right, and of the result.
const BROADCASTS: [([&[usize]; 2], &[usize]); 8] = [
    ([&[3, 4], &[4, 5]], &[3, 5]),
    ([&[2, 3, 4], &[4, 5]], &[2, 3, 5]),
    ([&[3, 4], &[2, 4, 5]], &[2, 3, 5]),
    ([&[2, 1, 3, 4], &[6, 4, 5]], &[2, 6, 3, 5]),
    ([&[2, 1, 1, 4], &[2, 3, 4, 5]], &[2, 3, 1, 5]),
    ([&[2, 3, 4], &[1, 4, 1]], &[2, 3, 1]),
    ([&[1, 1], &[1, 1]], &[1, 1]),
    ([&[1, 33, 4], &[3, 4, 65]], &[3, 33, 65]),
];

fn broadcast_product(left: &Tensor, right: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let batch = &shape[..shape.len() - 2];
    let stretch = |t: &Tensor| t.broadcast_as([batch, &t.dims()[t.rank() - 2..]].concat());
    stretch(left)?
        .contiguous()?
        .matmul(&stretch(right)?.contiguous()?)
}

#[test]
fn batches_broadcast() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for ([left, right], shape) in BROADCASTS {
            let (left, right) = (values(left, dtype, 1), values(right, dtype, 2));
            let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
            let expected = broadcast_product(&wide(&left), &wide(&right), shape).unwrap();
            let got = left.mps_matmul(&right).unwrap();
            assert_eq!((got.dims(), got.dtype()), (shape, dtype));
            assert_eq!(
                list(&got),
                list(&expected.to_dtype(dtype).unwrap()),
                "{shape:?}"
            );
        }
    }
}

/// Tensors of the same values, laid out otherwise: by columns, inside of a larger tensor, every second one.
fn layouts(tensor: &Tensor) -> Vec<Tensor> {
    let last = tensor.rank() - 1;
    let turned = tensor.t().unwrap().contiguous().unwrap().t().unwrap();
    let narrowed = |dim: usize| {
        let parts = [tensor, tensor, tensor];
        let len = tensor.dim(dim).unwrap();
        Tensor::cat(&parts, dim)
            .unwrap()
            .narrow(dim, len, len)
            .unwrap()
    };
    let spread = Tensor::stack(&[tensor, tensor], last + 1).unwrap();
    let every_second = spread
        .narrow(last + 1, 1, 1)
        .unwrap()
        .squeeze(last + 1)
        .unwrap();
    vec![
        tensor.clone(),
        turned,
        narrowed(0),
        narrowed(last),
        every_second,
    ]
}

#[test]
fn every_layout_of_the_operands() {
    let (left, right) = (
        values(&[2, 3, 4], DType::F32, 1),
        values(&[2, 4, 5], DType::F32, 2),
    );
    let addend = values(&[2, 3, 5], DType::F32, 3);
    let product = left.matmul(&right).unwrap();
    let expected = ((&product * 0.5).unwrap() + (&addend * -2.0).unwrap()).unwrap();
    for left in layouts(&left) {
        for right in layouts(&right) {
            assert_eq!(list(&left.mps_matmul(&right).unwrap()), list(&product));
            for addend in layouts(&addend) {
                let addend = Some(&addend);
                let options = MatMulOptions {
                    alpha: 0.5,
                    beta: -2.0,
                    addend,
                    ..Default::default()
                };
                let got = left.mps_matmul_with(&right, &options).unwrap();
                assert_eq!(list(&got), list(&expected));
            }
        }
    }
}

#[test]
fn transposes_are_of_the_last_two_dimensions() {
    let (left, right) = (
        values(&[2, 4, 3], DType::F32, 1),
        values(&[5, 4], DType::F32, 2),
    );
    let expected = broadcast_product(&left.t().unwrap(), &right.t().unwrap(), &[2, 3, 5]).unwrap();
    let options = MatMulOptions {
        transpose_left: true,
        transpose_right: true,
        ..Default::default()
    };
    let got = left.mps_matmul_with(&right, &options).unwrap();
    assert_eq!(got.dims(), [2, 3, 5]);
    assert_eq!(list(&got), list(&expected));
}

#[test]
fn addends_broadcast_and_mps_adds_in_place() {
    let (left, right) = (
        values(&[2, 3, 4], DType::F32, 1),
        values(&[2, 4, 5], DType::F32, 2),
    );
    let product = left.matmul(&right).unwrap();
    for shape in [&[5][..], &[3, 1], &[1, 1], &[2, 3, 5], &[2, 1, 5]] {
        let addend = values(shape, DType::F32, 3);
        let expected = (&product * 3.0)
            .unwrap()
            .broadcast_add(&(&addend * 0.5).unwrap())
            .unwrap();
        for engine in [None, Some(Engine::Matrix)] {
            let addend = Some(&addend);
            let options = MatMulOptions {
                alpha: 3.0,
                beta: 0.5,
                addend,
                engine,
                ..Default::default()
            };
            let got = left.mps_matmul_with(&right, &options).unwrap();
            assert_eq!(list(&got), list(&expected), "{shape:?} {engine:?}");
        }
    }
}

#[test]
fn an_addend_without_a_factor_is_not_read() {
    let (left, right) = (
        values(&[3, 4], DType::F32, 1),
        values(&[4, 5], DType::F32, 2),
    );
    let addend = Tensor::full(f32::NAN, (3, 5), &Device::Cpu).unwrap();
    let addend = Some(&addend);
    for (alpha, engine) in [(1.0, None), (2.0, None), (2.0, Some(Engine::Matrix))] {
        let options = MatMulOptions {
            alpha,
            beta: 0.0,
            addend,
            engine,
            ..Default::default()
        };
        let got = left.mps_matmul_with(&right, &options).unwrap();
        let expected = (left.matmul(&right).unwrap() * alpha).unwrap();
        assert_eq!(list(&got), list(&expected));
    }
}

#[test]
fn one_row_and_one_column() {
    for (m, n) in [(1, 5), (5, 1), (1, 64), (1, 1)] {
        for k in [1, 4, 33] {
            let (left, right) = (
                values(&[m, k], DType::F16, 1),
                values(&[k, n], DType::F16, 2),
            );
            let wide = left
                .to_dtype(DType::F32)
                .unwrap()
                .matmul(&right.to_dtype(DType::F32).unwrap());
            let expected = wide.unwrap().to_dtype(DType::F16).unwrap();
            assert_eq!(
                list(&left.mps_matmul(&right).unwrap()),
                list(&expected),
                "{m} {n} {k}"
            );
        }
    }
}

#[test]
fn without_elements() {
    let product = |left: &[usize], right: &[usize], addend: Option<f32>| {
        let (left, right) = (values(left, DType::F32, 1), values(right, DType::F32, 2));
        let addend = addend.map(|value| Tensor::full(value, (), &Device::Cpu).unwrap());
        let options = MatMulOptions {
            beta: 2.0,
            addend: addend.as_ref(),
            ..Default::default()
        };
        left.mps_matmul_with(&right, &options).unwrap()
    };
    assert_eq!(product(&[0, 3], &[3, 2], None).dims(), [0, 2]);
    assert_eq!(
        product(&[2, 0, 4, 3], &[3, 2], Some(1.0)).dims(),
        [2, 0, 4, 2]
    );
    assert_eq!(list(&product(&[2, 0], &[0, 2], None)), [0.0; 4]);
    assert_eq!(list(&product(&[2, 0], &[0, 2], Some(1.5))), [3.0; 4]);
}
