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

/// `alpha * left right + beta * addend` by an engine.
fn by(
    engine: Option<Engine>,
    [left, right]: [&Tensor; 2],
    (alpha, beta, addend): (f64, f64, Option<&Tensor>),
) -> Vec<f32> {
    let options = MatMulOptions {
        alpha,
        beta,
        addend,
        engine,
        ..Default::default()
    };
    list(&left.mps_matmul_with(right, &options).unwrap())
}

/// `alpha * product + beta * addend` by candle.
fn sum(product: &Tensor, alpha: f64, addend: &Tensor, beta: f64) -> Vec<f32> {
    let scaled = (product * alpha).unwrap();
    list(&scaled.broadcast_add(&(addend * beta).unwrap()).unwrap())
}

fn factors(left: &[usize], right: &[usize], dtype: DType) -> [Tensor; 2] {
    [values(left, dtype, 1), values(right, dtype, 2)]
}

#[test]
fn two_by_three_times_three_by_two() {
    let left = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu).unwrap();
    let right = Tensor::new(&[[7f32, 8.], [9., 10.], [11., 12.]], &Device::Cpu).unwrap();
    for engine in [Engine::Steel, Engine::NdArray, Engine::Matrix] {
        let product = by(Some(engine), [&left, &right], (1.0, 1.0, None));
        assert_eq!(product, [58., 64., 139., 154.]);
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
            let [left, right] = factors(left, right, dtype);
            let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
            let expected = broadcast_product(&wide(&left), &wide(&right), shape).unwrap();
            let expected = expected.to_dtype(dtype).unwrap();
            let got = left.mps_matmul(&right).unwrap();
            assert_eq!((got.dims(), got.dtype()), (shape, dtype));
            assert_eq!(list(&got), list(&expected), "{shape:?}");
        }
    }
}

/// Tensors of the same values, laid out otherwise: by columns, inside of a larger tensor, every second one.
fn layouts(tensor: &Tensor) -> Vec<Tensor> {
    let last = tensor.rank() - 1;
    let turned = tensor.t().unwrap().contiguous().unwrap().t().unwrap();
    let narrowed = |dim: usize| {
        let len = tensor.dim(dim).unwrap();
        let thrice = Tensor::cat(&[tensor; 3], dim).unwrap();
        thrice.narrow(dim, len, len).unwrap()
    };
    let twice = Tensor::stack(&[tensor, tensor], last + 1).unwrap();
    let every_second = twice.narrow(last + 1, 1, 1).unwrap();
    let every_second = every_second.squeeze(last + 1).unwrap();
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
    let [left, right] = factors(&[2, 3, 4], &[2, 4, 5], DType::F32);
    let addend = values(&[2, 3, 5], DType::F32, 3);
    let product = left.matmul(&right).unwrap();
    let expected = sum(&product, 0.5, &addend, -2.0);
    for left in layouts(&left) {
        for right in layouts(&right) {
            assert_eq!(list(&left.mps_matmul(&right).unwrap()), list(&product));
            for addend in layouts(&addend) {
                let got = by(None, [&left, &right], (0.5, -2.0, Some(&addend)));
                assert_eq!(got, expected);
            }
        }
    }
}

#[test]
fn transposes_are_of_the_last_two_dimensions() {
    let [left, right] = factors(&[2, 4, 3], &[5, 4], DType::F32);
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
    let [left, right] = factors(&[2, 3, 4], &[2, 4, 5], DType::F32);
    let product = left.matmul(&right).unwrap();
    for shape in [&[5][..], &[3, 1], &[1, 1], &[2, 3, 5], &[2, 1, 5]] {
        let addend = values(shape, DType::F32, 3);
        let expected = sum(&product, 3.0, &addend, 0.5);
        for engine in [None, Some(Engine::Matrix)] {
            let got = by(engine, [&left, &right], (3.0, 0.5, Some(&addend)));
            assert_eq!(got, expected, "{shape:?} {engine:?}");
        }
    }
}

#[test]
fn an_addend_without_a_factor_is_not_read() {
    let [left, right] = factors(&[3, 4], &[4, 5], DType::F32);
    let nan = Tensor::full(f32::NAN, (3, 5), &Device::Cpu).unwrap();
    for (alpha, engine) in [(1.0, None), (2.0, None), (2.0, Some(Engine::Matrix))] {
        let got = by(engine, [&left, &right], (alpha, 0.0, Some(&nan)));
        let expected = (left.matmul(&right).unwrap() * alpha).unwrap();
        assert_eq!(got, list(&expected));
    }
}

#[test]
fn one_row_and_one_column() {
    for (m, n) in [(1, 5), (5, 1), (1, 64), (1, 1)] {
        for k in [1, 4, 33] {
            let [left, right] = factors(&[m, k], &[k, n], DType::F16);
            let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
            let expected = wide(&left).matmul(&wide(&right)).unwrap();
            let expected = expected.to_dtype(DType::F16).unwrap();
            let got = left.mps_matmul(&right).unwrap();
            assert_eq!(list(&got), list(&expected), "{m} {n} {k}");
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
