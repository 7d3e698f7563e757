//! Bars: how much faster than a rival this program means to be: than PyTorch in the cases of the published table, than
//! llama.cpp with its own files.

use crate::record::{FILE, Pass, Row};
use metal_candle_kernels::case::TABLE;

/// The rival that bars of the published table refer to.
pub const RIVAL: &str = "pytorch";

/// The rival of files.
pub const LLAMA_CPP: &str = "llama.cpp";

/// Weights of bf16 and activations of float32, as `metal-candle train` has them unless it is told: beside rivals whose
/// activations are of bf16, too.
pub const MIXED: &str = "f32*bf16";

/// A rival's time over ours that a row must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Whose time.
    pub rival: &'static str,
    /// At least.
    pub ratio: f64,
}

/// The bar of `row`; `None` where nothing is promised.
pub fn bar(row: &Row) -> Option<Bar> {
    let (rival, ratio) = match row.source.as_str() {
        TABLE => (RIVAL, of_table(row)?),
        FILE => (LLAMA_CPP, of_file(row)?),
        _ => return None,
    };
    Some(Bar { rival, ratio })
}

fn of_file(row: &Row) -> Option<f64> {
    match (row.subject.pass, row.subject.dtype.as_str()) {
        (Pass::Decode, _) => Some(1.0),
        (Pass::Prefill, "bf16" | "Q8_0") => Some(1.2),
        (Pass::Prefill, "Q4_1") => Some(2.0),
        _ => None,
    }
}

fn of_table(row: &Row) -> Option<f64> {
    let subject = &row.subject;
    let has_one_token = subject.case.starts_with("1x");
    match (subject.op.as_str(), subject.pass) {
        ("matmul", Pass::Forward) => Some(if is_square(&subject.case) { 1.05 } else { 1.2 }),
        ("softmax" | "rms_norm", Pass::Forward) => Some(1.1),
        ("softmax" | "rms_norm" | "rope" | "swiglu", Pass::Both) => Some(1.5),
        ("attention", Pass::Forward) => Some(1.0),
        ("attention" | "linear_cross_entropy", Pass::Both) => Some(1.2),
        ("lora_linear", Pass::Forward) if has_one_token => Some(1.5),
        ("lora_linear", Pass::Both) if !has_one_token => Some(1.15),
        ("adamw", Pass::Forward) => Some(1.2),
        ("train", Pass::Step) => match subject.dtype.as_str() {
            "f32" => Some(1.6),
            // Wider activations than the rival's.
            MIXED => None,
            _ => Some(1.3),
        },
        ("generate", Pass::Decode) => Some(1.5),
        _ => None,
    }
}

/// Whether a row reaches its bar; `None` without a bar or a rival.
pub fn is_met(row: &Row) -> Option<bool> {
    let bar = bar(row)?;
    Some(row.ratio(bar.rival)? >= bar.ratio)
}

fn is_square(case: &str) -> bool {
    let mut sizes = case.split('x');
    let first = sizes.next();
    sizes.all(|size| Some(size) == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::row;

    #[test]
    fn bars_follow_case_and_pass() {
        let bar = |op, case, pass| Some(super::bar(&row(op, case, pass, None))?.ratio);
        assert_eq!(bar("matmul", "512x512x512", Pass::Forward), Some(1.05));
        assert_eq!(bar("matmul", "256x2048x16", Pass::Forward), Some(1.2));
        assert_eq!(bar("matmul", "512x512x512", Pass::Both), None);
        assert_eq!(bar("lora_linear", "1x896x896 r8", Pass::Forward), Some(1.5));
        assert_eq!(bar("lora_linear", "1x896x896 r8", Pass::Both), None);
        assert_eq!(bar("lora_linear", "512x896x896 r8", Pass::Both), Some(1.15));
        let mut elsewhere = row("softmax", "2048x2048", Pass::Both, None);
        elsewhere.source = "Qwen3-4B".into();
        assert_eq!(super::bar(&elsewhere), None);
    }

    #[test]
    fn a_file_is_held_against_llama_cpp() {
        let bar = |dtype: &str, pass| {
            let mut row = row("generate", "model 529 tokens", pass, None);
            (row.source, row.subject.dtype) = (FILE.into(), dtype.into());
            let bar = super::bar(&row)?;
            assert_eq!(bar.rival, LLAMA_CPP);
            Some(bar.ratio)
        };
        assert_eq!(bar("Q4_1", Pass::Decode), Some(1.0));
        assert_eq!(bar("Q4_1", Pass::Prefill), Some(2.0));
        assert_eq!(bar("bf16", Pass::Prefill), Some(1.2));
        assert_eq!(bar("Q4_K", Pass::Prefill), None);
    }

    #[test]
    fn a_bar_is_met_or_not_where_there_is_a_rival() {
        let met = |ratio| is_met(&row("softmax", "2048x2048", Pass::Both, ratio));
        assert_eq!(
            (met(Some(1.5)), met(Some(1.49)), met(None)),
            (Some(true), Some(false), None)
        );
    }
}
