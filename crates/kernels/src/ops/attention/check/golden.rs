//! Results and gradients of transformers' gpt-oss, `scripts/golden/attention_sinks.py`.

use crate::ops::attention::{AttentionMask, AttentionScores, attention, reference};
use crate::testkit::{Array, tolerance};
use candle_core::{DType, Tensor, Var};
use std::collections::HashMap;

fn golden() -> HashMap<String, Tensor> {
    crate::weight::testing::golden("attention_sinks.safetensors")
}

#[test]
fn sinks_are_those_of_gpt_oss() {
    let golden = golden();
    let [dy, sinks] = ["dy", "sinks"].map(|name| &golden[name]);
    for (case, window) in [("causal", None), ("window", Some(6))] {
        let mask = AttentionMask {
            causal: true,
            window,
            spans: None,
        };
        let scores = AttentionScores {
            sinks: Some(sinks),
            ..0.5.into()
        };
        for forward in [attention, reference::forward] {
            let [q, k, v] = ["q", "k", "v"].map(|name| Var::from_tensor(&golden[name]).unwrap());
            let y = forward(&q, &k, &v, &mask, scores).unwrap();
            let loss = (&y * dy).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let gradient = |x: &Var| gradients.get(x).unwrap().clone();
            let got = [y, gradient(&q), gradient(&k), gradient(&v)];
            for (got, name) in got.iter().zip(["y", "dq", "dk", "dv"]) {
                let what = format!("{case}.{name}");
                let [got, want] = [got, &golden[&what]].map(|t| Array::from_tensor(t).unwrap());
                tolerance(DType::F32).compare(&what, &got, &want).unwrap();
            }
        }
    }
}
