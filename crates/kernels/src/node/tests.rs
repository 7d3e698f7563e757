use super::{Kernel, Operation, Value};
use crate::{Result, Tape};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `y_j = sum_i (i + j + 1) x_i^2`; counts how often backward runs.
#[derive(Clone, Default)]
struct Squares {
    runs: Arc<AtomicUsize>,
}

impl Operation for Squares {
    fn name(&self) -> &'static str {
        "squares"
    }
}

fn factor(i: usize, j: usize) -> f64 {
    (i + j + 1) as f64
}

/// In candle's own operations.
fn output(x: &[&Tensor], j: usize) -> candle_core::Result<Tensor> {
    let mut y = x[0].zeros_like()?;
    for (i, x) in x.iter().enumerate() {
        y = (y + (x.sqr()? * factor(i, j))?)?;
    }
    Ok(y)
}

struct Plain;

impl<const N: usize, const M: usize> Kernel<Squares, N, M> for Plain {
    /// Nothing, held as long as the node.
    type Saved = Arc<AtomicUsize>;

    fn forward(op: &Squares, x: [&Tensor; N]) -> Result<([Value; M], Arc<AtomicUsize>)> {
        let x = x.map(Tensor::detach);
        let x = x.each_ref();
        let y = std::array::from_fn(|j| Value::copied(&output(&x, j).unwrap()).unwrap());
        Ok((y, op.runs.clone()))
    }

    fn backward(
        op: &Squares,
        _: &Arc<AtomicUsize>,
        x: &[Tensor; N],
        y: &[Tensor; M],
        dy: [Option<&Tensor>; M],
    ) -> Result<[Option<Tensor>; N]> {
        op.runs.fetch_add(1, Ordering::Relaxed);
        let detached = x.each_ref().map(Tensor::detach);
        for (j, y) in y.iter().enumerate() {
            let expected = output(&detached.each_ref(), j)?;
            assert_eq!(numbers(y), numbers(&expected), "output {j}");
        }
        let slope = |i: usize, x: &Tensor| {
            let mut dx = None;
            for (j, dy) in dy.iter().enumerate() {
                if let Some(dy) = dy {
                    let part = ((x * *dy)? * (2.0 * factor(i, j)))?;
                    dx = Some(match dx {
                        Some(dx) => (dx + part)?,
                        None => part,
                    });
                }
            }
            candle_core::Result::Ok(dx)
        };
        Ok(std::array::from_fn(|i| slope(i, &detached[i]).unwrap()))
    }
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn variables(count: usize) -> Vec<Var> {
    let variable = |i: usize| Tensor::new(&[1.0 + i as f32, -2.0], &Device::Cpu).unwrap();
    let variables = (0..count).map(|i| Var::from_tensor(&variable(i)).unwrap());
    variables.collect()
}

/// The sum of `j + 1` times each of the chosen outputs.
fn total(y: &[Tensor], used: &[usize]) -> Tensor {
    let mut total = y[0].zeros_like().unwrap();
    for &j in used {
        let part = (&y[j] * (j + 1) as f64).unwrap();
        total = crate::tape::add(&total, &part).unwrap();
    }
    total
}

fn same_gradients(ours: &GradStore, theirs: &GradStore, vars: &[Var], what: &str) {
    for (i, var) in vars.iter().enumerate() {
        let numbers = |store: &GradStore| store.get(var).map(numbers);
        assert_eq!(numbers(ours), numbers(theirs), "input {i} of {what}");
    }
}

/// One node with `N` inputs, the variables at `places`, and `M` outputs, against candle's operations.
fn check<const N: usize, const M: usize>(places: [usize; N], used: &[usize]) {
    let what = format!("{places:?} of which {used:?} of {M} outputs are used");
    let vars = variables(N);
    let inputs = places.map(|place| vars[place].as_tensor());
    let op = Squares::default();
    let y: [Tensor; M] = Plain::run(op.clone(), inputs).unwrap();
    let expected: Vec<Tensor> = (0..M).map(|j| output(&inputs, j).unwrap()).collect();
    let theirs = total(&expected, used).backward().unwrap();
    let root = total(&y, used);
    for passes in 1..3 {
        same_gradients(&root.backward().unwrap(), &theirs, &vars, &what);
        let runs = if used.is_empty() { 0 } else { passes };
        assert_eq!(op.runs.load(Ordering::Relaxed), runs, "{what}");
    }
    drop((y, root));
    assert_eq!(Arc::strong_count(&op.runs), 1, "{what}: a node is left");
}

#[test]
fn any_number_of_inputs_and_outputs() {
    for used in [&[][..], &[0], &[1], &[0, 1]] {
        check::<1, 2>([0], used);
        check::<2, 2>([0, 1], used);
        check::<3, 3>([0, 1, 2], used);
        check::<4, 2>([0, 1, 2, 3], used);
        check::<5, 3>([0, 1, 2, 3, 4], used);
        check::<9, 2>([0, 1, 2, 3, 4, 5, 6, 7, 8], used);
    }
    check::<1, 1>([0], &[0]);
    check::<3, 1>([0, 1, 2], &[0]);
    check::<4, 1>([0, 1, 2, 3], &[0]);
    check::<8, 1>([0, 1, 2, 3, 4, 5, 6, 7], &[0]);
}

#[test]
fn an_input_used_twice_has_the_sum_of_both_gradients() {
    for used in [&[0][..], &[1], &[0, 1]] {
        check::<2, 2>([0, 0], used);
        check::<5, 2>([0, 1, 0, 2, 0], used);
    }
    check::<2, 1>([0, 0], &[0]);
    check::<6, 1>([3, 1, 3, 2, 0, 1], &[0]);
}

/// A node above the outputs of another one, one of which is used once more.
fn two_nodes<'a>(vars: &'a [Var], op: &Squares) -> Result<Tensor> {
    let inputs: [&'a Tensor; 5] = std::array::from_fn(|i| vars[i].as_tensor());
    let [a, b]: [Tensor; 2] = Plain::run(op.clone(), inputs)?;
    let [c, d]: [Tensor; 2] = Plain::run(op.clone(), [&a, &b, inputs[0]])?;
    let [e]: [Tensor; 1] = Plain::run(op.clone(), [&d, &b])?;
    crate::tape::add(&c, &e)
}

#[test]
fn the_tape_comes_to_the_gradients_of_candle() {
    let (vars, op) = (variables(5), Squares::default());
    let (y, tape) = Tape::record(|| two_nodes(&vars, &op)).unwrap();
    let theirs = y.backward().unwrap();
    assert_eq!(op.runs.load(Ordering::Relaxed), 3);
    let ours = tape.backward(&y, &y.ones_like().unwrap()).unwrap();
    assert_eq!(op.runs.load(Ordering::Relaxed), 6);
    assert!(theirs.get(&vars[4]).is_some());
    same_gradients(&ours, &theirs, &vars, "three nodes");
}

#[test]
fn what_is_not_tracked_costs_nothing() {
    let vars = variables(2);
    let frozen = vars.iter().map(|var| var.as_detached_tensor());
    let frozen: Vec<Tensor> = frozen.collect();
    let op = Squares::default();
    let run = || -> Result<[Tensor; 2]> { Plain::run(op.clone(), [&frozen[0], &frozen[1]]) };
    let (y, tape) = Tape::record(run).unwrap();
    assert!(y.iter().all(|y| !y.track_op()));
    assert_eq!(format!("{tape:?}"), "Tape { entries: [] }");
    assert_eq!(Arc::strong_count(&op.runs), 1);
    let [y]: [Tensor; 1] = Plain::run(op.clone(), [&frozen[0], vars[1].as_tensor()]).unwrap();
    let gradients = y.backward().unwrap();
    assert_eq!(gradients.get_ids().count(), 1);
    assert!(gradients.get(&vars[1]).is_some());
}

/// A kernel that has no gradient to give.
struct Silent;

impl Kernel<Squares, 1, 1> for Silent {
    type Saved = ();

    fn forward(_: &Squares, [x]: [&Tensor; 1]) -> Result<([Value; 1], ())> {
        Ok(([Value::copied(x)?], ()))
    }

    fn backward(
        _: &Squares,
        (): &(),
        _: &[Tensor; 1],
        _: &[Tensor; 1],
        _: [Option<&Tensor>; 1],
    ) -> Result<[Option<Tensor>; 1]> {
        Ok([None])
    }
}

#[test]
fn a_gradient_that_is_not_given_is_zero() {
    let vars = variables(1);
    let run = || Silent::run(Squares::default(), [vars[0].as_tensor()]);
    let ([y], tape) = Tape::record(run).unwrap();
    let ones = y.ones_like().unwrap();
    for gradients in [y.backward().unwrap(), tape.backward(&y, &ones).unwrap()] {
        assert_eq!(numbers(gradients.get(&vars[0]).unwrap()), [0.0, 0.0]);
    }
}
