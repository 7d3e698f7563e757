use super::*;
use crate::case::View;
use crate::ops::attention::{AttentionSpan, CachedSequence, cached_attention};
use crate::testkit;
use candle_core::{DType, Var};
use proptest::prelude::*;

#[test]
fn on_the_cpu() {
    check(&Device::Cpu).unwrap();
}

fn long(queries: usize, keys: usize, causal: bool) -> CaseShape {
    CaseShape {
        batch: 1,
        heads: 4,
        kv_heads: 2,
        queries,
        keys,
        width: 40,
        causal,
        ..CaseShape::default()
    }
}

fn check_long(shape: &CaseShape) {
    for (window, softcap) in [(None, None), (Some(60), None), (Some(150), Some(2.0))] {
        let case = crate::case::plain(CaseShape {
            window,
            softcap,
            ..shape.clone()
        });
        testkit::agree(&problem(&case), DType::F32, &Device::Cpu).unwrap();
    }
}

#[test]
fn many_tiles_on_many_threads() {
    for causal in [false, true] {
        for (queries, keys) in [(150, 170), (300, 300), (1, 1100)] {
            check_long(&long(queries, keys, causal));
        }
    }
}

#[test]
fn long_and_short_spans_do_not_wait_for_each_other() {
    for causal in [false, true] {
        let lengths = [70, 1, 200, 3, 129];
        let all = lengths.iter().sum();
        check_long(&CaseShape {
            spans: cases::packed([1; 6], causal, &lengths).spans,
            ..long(all, all, causal)
        });
    }
}

/// The result and the gradients of a long sequence, computed by `threads`.
fn bits(threads: usize) -> Vec<u32> {
    let shape = long(300, 300, true);
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
fn spans_that_overlap_or_lie_outside_are_refused() {
    let x = zeros([2, 1, 4, 2]);
    let refused = |spans: &[AttentionSpan]| {
        let mask = AttentionMask {
            causal: true,
            spans: Some(spans.into()),
            ..AttentionMask::default()
        };
        attention(&x, &x, &x, &mask, 1.0).unwrap_err().to_string()
    };
    let span = |row, queries, keys| AttentionSpan { row, queries, keys };
    for outside in [
        span(2, 0..1, 0..1),
        span(0, 3..5, 0..4),
        span(0, 0..1, 4..5),
    ] {
        let error = refused(&[outside]);
        assert!(
            error.contains("within 2 rows of 4 queries and 4 keys"),
            "{error}"
        );
    }
    for few in [span(0, 0..0, 1..1), span(0, 0..2, 1..2)] {
        assert!(refused(&[few]).contains("no fewer keys than queries"));
    }
    for second in [
        span(0, 2..3, 2..3),
        span(1, 1..3, 2..4),
        span(1, 2..3, 1..4),
    ] {
        let error = refused(&[span(1, 0..2, 0..2), second]);
        assert!(
            error.contains("a span must be behind AttentionSpan { row: 1"),
            "{error}"
        );
    }
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

#[test]
fn sinks_that_are_not_one_number_a_head_are_refused() {
    let (q, k) = (zeros([1, 4, 1, 2]), zeros([1, 2, 1, 2]));
    let refused = |sinks: &Tensor| {
        let scores = AttentionScores {
            sinks: Some(sinks),
            ..1.0.into()
        };
        let sequence = CachedSequence {
            queries: 1,
            pieces: vec![[k.clone(), k.clone()]],
        };
        let both = [
            attention(&q, &k, &k, &AttentionMask::default(), scores),
            cached_attention(&q, &[sequence], None, scores),
        ];
        both.map(|result| result.unwrap_err().to_string())
    };
    let sinks = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    let error = "attention: sinks must have shape (4,), got [2]";
    assert_eq!(refused(&sinks), [error.into(), format!("cached_{error}")]);
    let sinks = Tensor::zeros(4, DType::BF16, &Device::Cpu).unwrap();
    let error = "attention: sinks must be F32, got BF16";
    assert_eq!(refused(&sinks), [error.into(), format!("cached_{error}")]);
}

/// Shape with spans, each in a new row or not, behind so many tokens that are in none, with so many queries and keys
/// from before.
fn with_spans(mut shape: CaseShape, spans: &[(bool, usize, usize, usize)]) -> CaseShape {
    let (mut row, mut first_query, mut first_key) = (0, 0, 0);
    for &(in_new_row, gap, queries, before) in spans {
        if in_new_row {
            (row, first_query, first_key) = (row + 1, 0, 0);
        }
        let queries = first_query + gap..first_query + gap + queries;
        let keys = first_key + gap..first_key + gap + before + queries.len();
        (first_query, first_key) = (queries.end, keys.end);
        shape.batch = shape.batch.max(row + 1);
        shape.queries = shape.queries.max(queries.end);
        shape.keys = shape.keys.max(keys.end).max(shape.queries);
        shape.spans.push(AttentionSpan { row, queries, keys });
    }
    shape
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
        sinks: bool,
        spans in prop::collection::vec((any::<bool>(), 0..2usize, 1..4usize, 0..3usize), 0..5),
        view in prop::sample::select(&View::ALL[..]),
    ) {
        let [batch, kv_heads, group] = sizes;
        let plain = CaseShape {
            batch,
            heads: kv_heads * group,
            kv_heads,
            queries,
            keys: queries + cached,
            width,
            causal,
            window,
            softcap,
            sinks,
            spans: vec![],
        };
        let shape = with_spans(plain, &spans);
        let case = Case { name: "any".into(), shape, view, dtype: DType::F32 };
        testkit::check(&problem(&case), DType::F32, &Device::Cpu).unwrap();
    }
}
