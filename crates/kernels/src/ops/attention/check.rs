//! The formula over f64, and what attention is checked on.

use super::{AttentionMask, AttentionScores, attention, cases, cases::CaseShape, reference};
use crate::Result;
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::{Device, Tensor};

const SCALE: f64 = 0.5;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> std::result::Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    // Scores of hundreds, where one key takes all; whole numbers, so that they are exact. Those of
    // wide heads are thousands: of such gradients rounding leaves nothing.
    let narrow = |case: &&Case<CaseShape>| case.shape.width <= 8;
    let cases: Vec<_> = cases.iter().filter(narrow).cloned().collect();
    let large = |case: &Case<CaseShape>| of(case, |x| (20.0 * x).round());
    check_cases(&cases, large, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(case, |x| 2.0 * x)
}

fn of(case: &Case<CaseShape>, size: fn(f64) -> f64) -> Problem {
    let (q, k) = (case.shape.query_dims(), case.shape.key_dims());
    let inputs = vec![
        Input::new("q", &q).map(size).viewed(case.view),
        Input::new("k", &k).map(size).viewed(case.view),
        Input::new("v", &k).viewed(case.view),
    ];
    let [shape, kernel, plain] = std::array::from_fn(|_| case.shape.clone());
    Problem::new(inputs, move |x| truth(x, &shape))
        .run("attention", move |x| run(attention, x, &kernel))
        .run("reference", move |x| run(reference::forward, x, &plain))
}

type Forward = fn(&Tensor, &Tensor, &Tensor, &AttentionMask, AttentionScores) -> Result<Tensor>;

fn run(forward: Forward, x: &[Tensor], shape: &CaseShape) -> Result<Tensor> {
    let row = Tensor::new(&shape.segments[..], x[0].device())?;
    let mask = AttentionMask {
        causal: shape.causal,
        window: shape.window,
        segments: match shape.segments.is_empty() {
            true => None,
            false => Some(row.unsqueeze(0)?.repeat((shape.batch, 1))?),
        },
    };
    let scores = AttentionScores {
        scale: SCALE,
        softcap: shape.softcap,
    };
    forward(&x[0], &x[1], &x[2], &mask, scores)
}

fn truth(x: &[Array], shape: &CaseShape) -> Array {
    let (q, k, v) = (&x[0], &x[1], &x[2]);
    let group = shape.heads / shape.kv_heads;
    let width = shape.width;
    let mut probabilities = Vec::new();
    Array::from_fn(&shape.query_dims(), |index| {
        let &[b, h, i, d] = index else {
            return f64::NAN;
        };
        let g = h / group;
        if d == 0 {
            let score = |j| {
                let product = |d| q.at(&[b, h, i, d]) * k.at(&[b, g, j, d]);
                let score = SCALE * (0..width).map(product).sum::<f64>();
                match shape.sees(i, j) {
                    true => (shape.softcap).map_or(score, |cap| cap * (score / cap).tanh()),
                    false => f64::NEG_INFINITY,
                }
            };
            probabilities = softmax(&(0..shape.keys).map(score).collect::<Vec<_>>());
        }
        let weighted = |(j, p): (usize, &f64)| p * v.at(&[b, g, j, d]);
        probabilities.iter().enumerate().map(weighted).sum()
    })
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
    scores.iter().map(|s| (s - max).exp() / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::View;
    use crate::testkit;
    use candle_core::{DType, Var};
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    fn long(queries: usize, keys: usize, causal: bool, segment: usize) -> CaseShape {
        let segments = (0..keys).map(|i| (i / segment.max(1)) as u32);
        CaseShape {
            batch: 1,
            heads: 4,
            kv_heads: 2,
            queries,
            keys,
            width: 40,
            causal,
            segments: segments.take(if segment > 0 { keys } else { 0 }).collect(),
            ..CaseShape::default()
        }
    }

    #[test]
    fn many_tiles_on_many_threads() {
        for (causal, segment) in [(false, 0), (true, 0), (false, 70), (true, 70)] {
            for (queries, keys) in [(150, 170), (300, 300), (1, 1100)] {
                for (window, softcap) in [(None, None), (Some(60), None), (Some(150), Some(2.0))] {
                    let shape = CaseShape {
                        window,
                        softcap,
                        ..long(queries, keys, causal, segment)
                    };
                    let case = crate::case::plain(shape);
                    testkit::agree(&problem(&case), DType::F32, &Device::Cpu).unwrap();
                }
            }
        }
    }

    #[test]
    fn segments_in_any_order_do_not_wait_for_each_other() {
        // The second boundary lies between two strips of one block, at every level.
        let numbers = [(3, 200), (0, 112), (5, 88)];
        let ids = numbers.map(|(id, count)| std::iter::repeat_n(id, count));
        let shape = CaseShape {
            segments: ids.into_iter().flatten().collect(),
            ..long(400, 400, true, 0)
        };
        let case = crate::case::plain(shape);
        testkit::agree(&problem(&case), DType::F32, &Device::Cpu).unwrap();
    }

    /// The result and the gradients of a long sequence, computed by `threads`.
    fn bits(threads: usize) -> Vec<u32> {
        let shape = long(300, 300, true, 0);
        let compute = || {
            let inputs = problem(&crate::case::plain(shape.clone()));
            let inputs = inputs.tensors(DType::F32, &Device::Cpu).unwrap();
            let inputs: Vec<_> = inputs
                .iter()
                .map(|x| Var::from_tensor(x).unwrap())
                .collect();
            let x: Vec<_> = inputs.iter().map(|x| x.as_tensor().clone()).collect();
            let y = run(attention, &x, &shape).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let all = inputs
                .iter()
                .map(|x| grads.get(x).unwrap().clone())
                .chain([y]);
            let values = all.flat_map(|x| x.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            values.map(f32::to_bits).collect()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(compute)
    }

    #[test]
    fn no_bit_depends_on_the_number_of_threads() {
        assert_eq!(bits(1), bits(3));
    }

    fn zeros(dims: [usize; 4]) -> Tensor {
        Tensor::zeros(&dims, DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn more_queries_than_keys_under_a_mask_are_refused() {
        let (q, k) = (zeros([1, 1, 3, 2]), zeros([1, 1, 2, 2]));
        let causal = AttentionMask {
            causal: true,
            ..AttentionMask::default()
        };
        let error = attention(&q, &k, &k, &causal, 1.0).unwrap_err();
        let expected = "attention: q must have shape at most 2 queries, got [1, 1, 3, 2]";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_window_that_shows_nothing_is_refused() {
        let q = zeros([1, 1, 2, 2]);
        let mask = AttentionMask {
            window: Some(0),
            ..AttentionMask::default()
        };
        let error = attention(&q, &q, &q, &mask, 1.0).unwrap_err();
        let expected = "attention: window must be at least 1, got 0";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn no_query_is_no_result_and_no_gradient() {
        let k = Var::zeros((2, 1, 3, 2), DType::F32, &Device::Cpu).unwrap();
        let y = attention(&zeros([2, 2, 0, 2]), &k, &k, &AttentionMask::default(), 1.0).unwrap();
        assert_eq!(y.dims(), [2, 2, 0, 2]);
        let grads = y.sum_all().unwrap().backward().unwrap();
        let dk = grads.get(&k).unwrap().flatten_all().unwrap();
        assert_eq!(dk.to_vec1::<f32>().unwrap(), [0.0; 12]);
    }

    #[test]
    fn heads_that_do_not_group_are_refused() {
        let (q, k) = (zeros([1, 3, 1, 2]), zeros([1, 2, 1, 2]));
        assert!(attention(&q, &k, &k, &AttentionMask::default(), 1.0).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn on_any_shape(
            sizes in prop::array::uniform3(1..4usize),
            queries in 1..6usize,
            cached in 0..6usize,
            width in 1..6usize,
            causal: bool,
            window in prop::option::of(1..9usize),
            softcap in prop::option::of(1.0..4.0),
            segments in prop::collection::vec(0..2u32, 11),
            segmented: bool,
            view in prop::sample::select(&View::ALL[..]),
        ) {
            let [batch, kv_heads, group] = sizes;
            let keys = queries + cached;
            let mut segments = segments;
            segments.truncate(if segmented { keys } else { 0 });
            let heads = kv_heads * group;
            let shape = CaseShape { batch, heads, kv_heads, queries, keys, width, causal, window, segments, softcap };
            let case = Case { name: "any".into(), shape, view, dtype: DType::F32 };
            testkit::check(&problem(&case), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
