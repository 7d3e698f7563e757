//! Components of batches against the eigenvectors of the covariance of all rows at once.

use super::Pca;
use crate::lora::initial::eigen::eigen;
use crate::random::normal;
use candle_core::{DType, Device, Tensor};

/// Rows about a mean, `(T, K)`, wider along the first columns.
fn rows(name: &str, n_rows: usize, width: usize) -> Tensor {
    let values = normal(5, name, n_rows * width, 1.0);
    let rows = Tensor::from_vec(values, (n_rows, width), &Device::Cpu).unwrap();
    let scales: Vec<f32> = (0..width).map(|i| 3.0 * 0.8f32.powi(i as i32)).collect();
    let scales = Tensor::new(scales, &Device::Cpu).unwrap();
    let rows = (rows.broadcast_mul(&scales).unwrap() + 2.0).unwrap();
    rows.to_dtype(DType::F64).unwrap()
}

/// Covariance of `rows`, not divided by their number: eigenvalues and their vectors.
fn covariance(rows: &Tensor) -> (Vec<f64>, Tensor) {
    let centred = rows.broadcast_sub(&rows.mean_keepdim(0).unwrap()).unwrap();
    let gram = centred.t().unwrap().matmul(&centred).unwrap();
    let (values, vectors) = eigen(gram.to_vec2().unwrap());
    (values, Tensor::new(vectors, &Device::Cpu).unwrap())
}

/// Distance of the cosines between rows of the same place from 1.
fn angle(a: &Tensor, b: &Tensor) -> f64 {
    let cosines = (a * b).unwrap().sum(1).unwrap().abs().unwrap();
    let cosines = cosines.to_vec1::<f64>().unwrap();
    cosines
        .into_iter()
        .map(|c| (1.0 - c).abs())
        .fold(0.0, f64::max)
}

#[test]
fn all_components_of_batches_are_those_of_all_rows() {
    let width = 7;
    let batches = [11, 7, 30].map(|n| rows(&format!("{n}"), n, width));
    let mut pca = Pca::new(width);
    for batch in &batches {
        pca.fit(batch).unwrap();
    }
    let (values, vectors) = covariance(&Tensor::cat(&batches, 0).unwrap());
    assert!(angle(pca.components().unwrap(), &vectors) < 1e-10);
    let total: f64 = values.iter().sum();
    for (ratio, value) in pca.ratios().unwrap().unwrap().iter().zip(values) {
        assert!((ratio - value / total).abs() < 1e-10, "{ratio}, {value}");
    }
}

/// Fewer rows than columns, and more.
#[test]
fn components_of_one_batch_are_its_own() {
    for (n_rows, width) in [(9, 30), (30, 9), (12, 12)] {
        let batch = rows("one", n_rows, width);
        let mut pca = Pca::new(4);
        pca.fit(&batch).unwrap();
        let (values, vectors) = covariance(&batch);
        let first = vectors.narrow(0, 0, 4).unwrap();
        assert!(angle(pca.components().unwrap(), &first) < 1e-9, "{n_rows}");
        let total: f64 = values.iter().sum();
        for (ratio, value) in pca.ratios().unwrap().unwrap().iter().zip(values) {
            assert!((ratio - value / total).abs() < 1e-9);
        }
    }
}

/// What a second batch turns the first components into, on either side of a square, and where the space that is searched is
/// not all there is.
#[test]
fn a_second_batch_turns_the_components() {
    let n = 2;
    for (n_rows, width) in [(30, 70), (70, 30)] {
        let batches = ["one", "two"].map(|name| rows(name, n_rows, width));
        let mut pca = Pca::new(n);
        pca.fit(&batches[0]).unwrap();
        let before = pca.components().unwrap().clone();
        let (values, _) = covariance(&batches[0]);
        let values: Vec<f64> = values[..n].iter().map(|value| value.sqrt()).collect();
        let values = Tensor::new(values, &Device::Cpu).unwrap();
        let kept = before.broadcast_mul(&values.reshape((n, 1)).unwrap());
        let means = batches
            .each_ref()
            .map(|batch| batch.mean_keepdim(0).unwrap());
        let centred = batches[1].broadcast_sub(&means[1]).unwrap();
        let apart = (&means[0] - &means[1]).unwrap() * (n_rows as f64 / 2.0).sqrt();
        let all = Tensor::cat(&[kept.unwrap(), centred, apart.unwrap()], 0).unwrap();
        let gram = all.t().unwrap().matmul(&all).unwrap();
        let (_, vectors) = eigen(gram.to_vec2().unwrap());
        let vectors = Tensor::new(vectors[..n].to_vec(), &Device::Cpu).unwrap();
        pca.fit(&batches[1]).unwrap();
        assert!(
            angle(pca.components().unwrap(), &vectors) < 1e-6,
            "{n_rows}"
        );
        assert!(
            angle(&before, &vectors) > 1e-4,
            "the second batch changes nothing"
        );
    }
}

#[test]
fn components_settle_when_a_batch_leaves_them_where_they_are() {
    let batch = rows("same", 20, 6);
    let mut pca = Pca::new(3);
    assert!(!pca.is_settled(1, 0.0));
    pca.fit(&batch).unwrap();
    assert!(!pca.is_settled(1, 0.0));
    assert!(pca.is_settled(0, 1.0), "a layer without components");
    pca.fit(&batch).unwrap();
    assert!(pca.is_settled(3, 0.999_999));
    // Rows along another axis turn the first component.
    let turned = (batch.narrow(1, 3, 3).unwrap() * 90.0).unwrap();
    pca.fit(&Tensor::cat(&[&turned, &turned], 1).unwrap())
        .unwrap();
    assert!(!pca.is_settled(3, 0.99));
}

#[test]
fn a_batch_of_too_few_rows_is_left_out() {
    let mut pca = Pca::new(4);
    pca.fit(&rows("few", 3, 8)).unwrap();
    assert_eq!((pca.components().is_none(), pca.most_rows()), (true, 3));
    assert_eq!(pca.ratios().unwrap(), None);
}

/// All rows the same: nothing is explained, and the components are orthonormal still.
#[test]
fn rows_that_do_not_vary_have_components() {
    for width in [3, 12] {
        let mut pca = Pca::new(2);
        pca.fit(&Tensor::ones((6, width), DType::F64, &Device::Cpu).unwrap())
            .unwrap();
        assert_eq!(pca.ratios().unwrap(), Some(vec![0.0, 0.0]));
        let a = pca.components().unwrap();
        let unit = a.matmul(&a.t().unwrap()).unwrap();
        let eye = Tensor::eye(2, DType::F64, &Device::Cpu).unwrap();
        let off = (unit - eye).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f64>().unwrap() < 1e-10);
    }
}
