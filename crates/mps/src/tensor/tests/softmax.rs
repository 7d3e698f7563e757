//! Softmax against the formula in float64, its gradient against central differences of that.

use candle_core::{DType, Tensor, Var};

use super::matmul::{list, values};
use crate::tensor::mps_softmax;

fn truth(row: &[f64]) -> Vec<f64> {
    let sum: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / sum).collect()
}

fn wide(t: &Tensor) -> Vec<f64> {
    list(t).into_iter().map(f64::from).collect()
}

#[test]
fn rows_are_those_of_the_formula() {
    let x = values(&[2, 3, 8], DType::F32, 1);
    for x in [x.clone(), x.to_dtype(DType::F16).unwrap()] {
        let y = mps_softmax(&x).unwrap();
        assert_eq!((y.dims(), y.dtype()), (x.dims(), x.dtype()));
        let [x, y] = [&x, &y].map(|t| wide(&t.to_dtype(DType::F32).unwrap()));
        let want = x.chunks(8).flat_map(truth);
        for (y, want) in y.into_iter().zip(want) {
            assert!((y - want).abs() <= 1e-3 * want, "{y} {want}");
        }
    }
}

#[test]
fn gradients_are_differences_of_the_formula() {
    let (x, dy) = (
        values(&[3, 5], DType::F32, 1),
        values(&[3, 5], DType::F32, 2),
    );
    let var = Var::from_tensor(&x).unwrap();
    let weighed = (mps_softmax(var.as_tensor()).unwrap() * &dy).unwrap();
    let gradients = weighed.sum_all().unwrap().backward().unwrap();
    let (got, x, dy) = (wide(gradients.get(&var).unwrap()), wide(&x), wide(&dy));
    let step = 1e-6;
    for (i, got) in got.into_iter().enumerate() {
        let row = i / 5 * 5..i / 5 * 5 + 5;
        let at = |by: f64| {
            let mut moved = x[row.clone()].to_vec();
            moved[i % 5] += by;
            let y = truth(&moved);
            y.iter()
                .zip(&dy[row.clone()])
                .map(|(y, dy)| y * dy)
                .sum::<f64>()
        };
        let want = (at(step) - at(-step)) / (2.0 * step);
        assert!((got - want).abs() <= 1e-5, "{i}: {got} {want}");
    }
}

#[test]
fn what_mps_does_not_take_is_refused() {
    let error = mps_softmax(&values(&[2, 8], DType::BF16, 1)).unwrap_err();
    assert!(error.to_string().contains("MPSMatrixSoftMax"), "{error}");
}
