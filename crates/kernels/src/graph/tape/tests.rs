use super::{Tape, add, cast, leaf, narrow, reshape, scale, transpose};
use crate::{Activation, Result, RopePairs, glu, linear, rms_norm, rope, softmax};
use candle_core::{DType, Device, Tensor, Var};

fn input(seed: usize, dims: &[usize]) -> Tensor {
    let n = dims.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i * 7 + seed) as f32).sin()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn variable(seed: usize, dims: &[usize]) -> Var {
    Var::from_tensor(&input(seed, dims)).unwrap()
}

/// Views, a sum of three ways to one tensor, a broadcast bias and one frozen weight.
fn pass(x: &Tensor, weight: &Tensor, bias: &Tensor, norm: &Tensor) -> Result<Tensor> {
    let normed = rms_norm(x, norm, 1e-6)?;
    let wide = linear(&normed, &weight.clone().into(), Some(bias))?;
    let heads = transpose(&reshape(&wide, (2, 3, 2, 4))?, 1, 2)?;
    let (cos, sin) = (input(5, &[3, 2]), input(6, &[3, 2]));
    let rotated = rope(&heads, &cos, &sin, RopePairs::Halves)?;
    let back = reshape(&transpose(&rotated, 1, 2)?, (2, 3, 8))?;
    let sum = add(&glu(&back, &wide, Activation::Silu)?, &softmax(&wide)?)?;
    let halves = [0, 4].map(|start| narrow(&sum, 2, start, 4));
    let [first, second] = halves;
    let product = scale(&glu(&first?, &second?, Activation::GeluTanh)?, 0.7)?;
    // (2, 3, 4) broadcast over a dimension of its own.
    let product = reshape(&product, (2, 3, 1, 4))?;
    let sum = add(&reshape(&add(&sum, x)?, (2, 3, 2, 4))?, &product)?;
    reshape(&sum, (2, 3, 8))
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    difference.to_scalar::<f32>().unwrap() < 1e-5
}

#[test]
fn gradients_are_those_of_candle() {
    let vars = [
        variable(0, &[2, 3, 8]),
        variable(1, &[8, 8]),
        variable(2, &[8]),
    ];
    let norm = input(3, &[8]);
    let [x, weight, bias] = &vars;
    let (y, tape) = Tape::record(|| pass(x, weight, bias, &norm)).unwrap();
    assert!(tape.covers(&y));
    let gradient = input(4, &[2, 3, 8]);
    let ours = tape.backward(&y, &gradient).unwrap();
    let theirs = (&y * gradient).unwrap().sum_all().unwrap();
    let theirs = theirs.backward().unwrap();
    for var in &vars {
        let (ours, theirs) = (ours.get(var).unwrap(), theirs.get(var).unwrap());
        assert_eq!(ours.dims(), var.dims());
        assert!(close(ours, theirs), "{ours} {theirs}");
    }
    assert!(ours.get(&norm).is_none());
}

#[test]
fn the_gradient_of_a_cast_has_the_dtype_of_what_was_cast() {
    let x = variable(0, &[2, 4]);
    for dtype in [DType::BF16, DType::F16] {
        let (y, tape) = Tape::record(|| cast(&softmax(&cast(&x, dtype)?)?, DType::F32)).unwrap();
        assert!(tape.covers(&y) && y.dtype() == DType::F32);
        let gradient = input(4, &[2, 4]);
        let ours = tape.backward(&y, &gradient).unwrap();
        let exact = (softmax(&x).unwrap() * gradient).unwrap();
        let exact = exact.sum_all().unwrap().backward().unwrap();
        let (ours, exact) = (ours.get(&x).unwrap(), exact.get(&x).unwrap());
        assert_eq!(ours.dtype(), DType::F32);
        let off = (ours - exact).unwrap().abs().unwrap().max_all().unwrap();
        let off = off.to_scalar::<f32>().unwrap();
        assert!(off > 0.0 && off < 1e-2, "{dtype:?}: {off}");
    }
    assert!(
        Tape::record(|| cast(&x, DType::F32))
            .unwrap()
            .0
            .is_variable()
    );
}

#[test]
fn an_operation_that_is_not_on_the_tape_is_not_lost() {
    let x = variable(0, &[2, 4]);
    let foreign = || add(&x.exp()?, &x);
    let (y, tape) = Tape::record(foreign).unwrap();
    assert!(!tape.covers(&y));
    let gradients = tape.backward(&y, &y.ones_like().unwrap()).unwrap();
    let expected = (x.exp().unwrap() + 1.0).unwrap();
    assert!(close(gradients.get(&x).unwrap(), &expected));
}

#[test]
fn a_graph_begins_at_a_leaf() {
    let x = variable(0, &[4, 4]);
    let below = softmax(&x).unwrap();
    for part in [
        below.clone(),
        below.narrow(0, 1, 2).unwrap(),
        below.t().unwrap(),
    ] {
        let leaf = leaf(&part).unwrap();
        assert!(close(&leaf, &part) && leaf.is_variable());
        let gradients = add(&leaf, &leaf).unwrap().sum_all().unwrap();
        let gradients = gradients.backward().unwrap();
        let expected = part.ones_like().unwrap().affine(2.0, 0.0).unwrap();
        assert!(close(gradients.get(&leaf).unwrap(), &expected));
        assert!(gradients.get(&x).is_none());
    }
}

#[test]
fn tapes_inside_of_each_other_keep_apart() {
    let x = variable(0, &[2, 4]);
    let ((_, inner), outer) = Tape::record(|| {
        let inner = Tape::record(|| softmax(&x));
        softmax(&x)?;
        inner
    })
    .unwrap();
    assert_eq!((inner.entries.len(), outer.entries.len()), (1, 1));
    softmax(&x).unwrap();
    assert_eq!(outer.entries.len(), 1);
}
