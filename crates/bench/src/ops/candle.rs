//! The operations as candle offers them: fused where nothing is differentiated, and composed of
//! others where gradients are needed, because candle's fused operations have none.

use super::operation::Implementation;
use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss, ops, rotary_emb};
use metal_candle_cli::error::Result;
use std::cell::{OnceCell, RefCell};

/// One function as a [`Implementation`].
pub fn run(f: impl Fn(&[Tensor]) -> CandleResult<Tensor> + 'static) -> Implementation {
    Box::new(move |x| Ok(vec![f(x)?]))
}

fn is_tracked(x: &[Tensor]) -> bool {
    x.iter().any(Tensor::track_op)
}

/// `A B`, with `B` as `(N, K)` where it is transposed.
pub fn matmul(transpose_b: bool) -> Implementation {
    run(move |x| match transpose_b {
        true => x[0].matmul(&x[1].t()?),
        false => x[0].matmul(&x[1]),
    })
}

/// Softmax over the last dimension.
pub fn softmax() -> Implementation {
    run(|x| match is_tracked(x) {
        true => ops::softmax(&x[0], D::Minus1),
        false => ops::softmax_last_dim(&x[0]),
    })
}

/// Root-mean-square norm.
pub fn rms_norm(eps: f32) -> Implementation {
    run(move |x| match is_tracked(x) {
        true => ops::rms_norm_slow(&x[0], &x[1], eps),
        false => ops::rms_norm(&x[0], &x[1], eps),
    })
}

/// Rotary embedding.
pub fn rope() -> Implementation {
    run(|x| match is_tracked(x) {
        true => rotary_emb::rope_slow(&x[0], &x[1], &x[2]),
        false => rotary_emb::rope(&x[0], &x[1], &x[2]),
    })
}

/// The gate of a feed-forward layer.
pub fn swiglu() -> Implementation {
    run(|x| ops::silu(&x[0])? * &x[1])
}

/// Attention with all scores in memory; the mask is made once.
pub fn attention(is_causal: bool, scale: f64) -> Implementation {
    let mask = OnceCell::new();
    run(move |x| {
        let (_, heads, tq, _) = x[0].dims4()?;
        let (b, kv_heads, tk, d) = x[1].dims4()?;
        let repeated = |t: &Tensor| {
            let wide = (b, kv_heads, heads / kv_heads, tk, d);
            t.unsqueeze(2)?.expand(wide)?.reshape((b, heads, tk, d))
        };
        let scores = (x[0].matmul(&repeated(&x[1])?.t()?)? * scale)?;
        let scores = match is_causal {
            true => {
                let mask = cached(&mask, || causal_mask(tq, tk, &x[0]))?;
                scores.broadcast_add(mask)?
            }
            false => scores,
        };
        let weights = match is_tracked(x) {
            true => ops::softmax(&scores, D::Minus1)?,
            false => ops::softmax_last_dim(&scores)?,
        };
        weights.matmul(&repeated(&x[2])?)
    })
}

fn cached<T>(cell: &OnceCell<T>, make: impl FnOnce() -> CandleResult<T>) -> CandleResult<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

/// `(Tq, Tk)`: the last query is aligned with the last key.
fn causal_mask(tq: usize, tk: usize, like: &Tensor) -> CandleResult<Tensor> {
    let hidden = |i: usize| match i % tk > i / tk + tk - tq {
        true => f32::NEG_INFINITY,
        false => 0.0,
    };
    let mask: Vec<f32> = (0..tq * tk).map(hidden).collect();
    Tensor::from_vec(mask, (tq, tk), like.device())?.to_dtype(like.dtype())
}

/// The sum of the losses of the rows that have a target, through all of their logits.
pub fn linear_cross_entropy(targets: Vec<i64>) -> Implementation {
    let (rows, targets): (Vec<u32>, Vec<u32>) = (0..)
        .zip(targets)
        .filter_map(|(row, target)| Some((row, u32::try_from(target).ok()?)))
        .unzip();
    run(move |x| {
        let device = x[0].device();
        let rows = Tensor::new(&rows[..], device)?;
        let logits = x[0].index_select(&rows, 0)?.matmul(&x[1].t()?)?;
        let mean = loss::cross_entropy(&logits, &Tensor::new(&targets[..], device)?)?;
        mean * targets.len() as f64
    })
}

/// A frozen layer with an adapter: `x`, `A`, `B`, `W`.
pub fn lora_linear(scale: f64) -> Implementation {
    run(move |x| {
        let update = x[0].matmul(&x[1].t()?)?.matmul(&x[2].t()?)?;
        x[0].matmul(&x[3].t()?)? + (update * scale)?
    })
}

/// Steps of candle's optimizer over parameters and gradients, stacked.
pub fn adamw() -> Implementation {
    let state = RefCell::new(None);
    Box::new(move |x| {
        let mut state = state.borrow_mut();
        let (vars, optimizer, grads) = match &mut *state {
            Some(state) => state,
            empty => empty.insert(adamw_state(&x[0], &x[1])?),
        };
        optimizer.step(grads)?;
        Ok(vars
            .iter()
            .map(|var: &candle_core::Var| var.as_detached_tensor())
            .collect())
    })
}

type AdamWState = (
    Vec<candle_core::Var>,
    AdamW,
    candle_core::backprop::GradStore,
);

fn adamw_state(parameters: &Tensor, gradients: &Tensor) -> Result<AdamWState> {
    let vars = super::subjects::variables(parameters)?;
    let mut grads = candle_core::backprop::GradStore::default();
    for (i, var) in vars.iter().enumerate() {
        grads.insert(var, gradients.get(i)?);
    }
    let optimizer = AdamW::new(vars.clone(), ParamsAdamW::default())?;
    Ok((vars, optimizer, grads))
}
