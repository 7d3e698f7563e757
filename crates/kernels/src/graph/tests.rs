use super::{Kernel, Operation, Value};
use crate::{Result, Tape};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

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
        total = crate::graph::tape::add(&total, &part).unwrap();
    }
    total
}

fn same_gradients(ours: &GradStore, theirs: &GradStore, vars: &[Var], what: &str) {
    for (i, var) in vars.iter().enumerate() {
        let numbers = |store: &GradStore| store.get(var).map(numbers);
        assert_eq!(numbers(ours), numbers(theirs), "input {i} of {what}");
    }
}

/// candle's nodes of one output: the first takes three inputs, each further one two.
fn links<const N: usize>(places: [usize; N]) -> usize {
    let distinct = HashSet::from(places).len();
    1 + distinct.saturating_sub(3).div_ceil(2)
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
        let runs = passes * used.len() * links(places);
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
    crate::graph::tape::add(&c, &e)
}

#[test]
fn the_tape_comes_to_the_gradients_of_candle() {
    let (vars, op) = (variables(5), Squares::default());
    let (y, tape) = Tape::record(|| two_nodes(&vars, &op)).unwrap();
    let theirs = y.backward().unwrap();
    // Of the first node one output is used by two, the other by one; it has two links each.
    assert_eq!(op.runs.swap(0, Ordering::Relaxed), 2 * 2 + 2 + 1);
    let ours = tape.backward(&y, &y.ones_like().unwrap()).unwrap();
    assert_eq!(op.runs.load(Ordering::Relaxed), 3);
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

/// A copy whose backward does something besides.
struct Beside<F>(F);

impl<F: Fn() -> candle_core::Result<()> + Send + Sync> CustomOp1 for Beside<F> {
    fn name(&self) -> &'static str {
        "beside"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((x.clone(), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        (self.0)()?;
        Ok(Some(dy.clone()))
    }
}

/// Both outputs added up, either of which candle's backward may come to first.
fn sums(y: &[Tensor; 2], copy_of: usize, beside: &Tensor) -> [Tensor; 2] {
    let other = &y[1 - copy_of];
    [(beside + other).unwrap(), (other + beside).unwrap()]
}

/// A fault: what a pass that ended in an error had left at a node went into the next pass.
#[test]
fn a_pass_that_fails_leaves_nothing_behind() {
    let vars = variables(2);
    let inputs = [vars[0].as_tensor(), vars[1].as_tensor()];
    let y: [Tensor; 2] = Plain::run(Squares::default(), inputs).unwrap();
    for failing in [0, 1] {
        let fails = Beside(|| candle_core::bail!("no gradient"));
        for sum in sums(&y, failing, &y[failing].apply_op1(fails).unwrap()) {
            assert!(sum.backward().is_err());
        }
        let expected = output(&inputs, failing).unwrap().backward().unwrap();
        let got = y[failing].backward().unwrap();
        same_gradients(&got, &expected, &vars, "the pass after one that failed");
    }
}

/// A fault: passes of two threads through one node took each other's gradients.
#[test]
fn passes_of_several_threads_at_once_have_their_own_gradients() {
    let vars = variables(5);
    let inputs: [&Tensor; 5] = std::array::from_fn(|i| vars[i].as_tensor());
    let y: [Tensor; 2] = Plain::run(Squares::default(), inputs).unwrap();
    let both = Arc::new(Barrier::new(2));
    for waiting in [0, 1] {
        let both = both.clone();
        let waits = Beside(move || {
            both.wait();
            Ok(())
        });
        for sum in sums(&y, waiting, &y[waiting].apply_op1(waits).unwrap()) {
            std::thread::scope(|scope| {
                for factor in [1.0, 3.0] {
                    let (sum, vars) = (&sum, &vars);
                    scope.spawn(move || {
                        let x = std::array::from_fn::<_, 5, _>(|i| vars[i].as_tensor());
                        let plain = (output(&x, 0).unwrap() + output(&x, 1).unwrap()).unwrap();
                        let backward = |y: &Tensor| (y * factor).unwrap().backward().unwrap();
                        let what = "one of two threads";
                        same_gradients(&backward(sum), &backward(&plain), vars, what);
                    });
                }
            });
        }
    }
}
