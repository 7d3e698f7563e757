//! Kernels that the tests have compared with other numbers: every one that a library has, but for those below.
//!
//! The test programs write what they see into one file (`SOFT_METAL_RECORD`, `crates/soft-metal/metal/src/record.rs`).

use std::collections::BTreeSet;
use std::path::Path;

/// Kernels that are not compared.
struct Exception {
    /// `*` stands for any text.
    pattern: &'static str,
    /// How many kernels that nothing compares may have such a name, and none that stands above. Tests with random sizes make
    /// it fewer.
    kernels: usize,
    reason: &'static str,
}

const fn exception(pattern: &'static str, kernels: usize, reason: &'static str) -> Exception {
    Exception {
        pattern,
        kernels,
        reason,
    }
}

/// Kernels of libraries that no test dispatches.
const UNUSED: &[Exception] = &[
    exception("kernel_*", 152, "llama.cpp's, which candle does not call"),
    exception(
        "*mbsort_*",
        18,
        "MLX's sort, which candle-core does not call",
    ),
    exception(
        "*block_sort_*",
        68,
        "MLX's sort, which candle-core does not call",
    ),
    exception(
        "gem*_axpby1",
        72,
        "candle adds nothing to a product of a row",
    ),
    exception("gem*_nc1_*", 36, "candle's batches have one dimension"),
    exception(
        "gemv_*_bm4_*_tm1_*",
        3,
        "fewer than 4 rows are dealt with before",
    ),
    exception(
        "gemv_t_*_sm4_*",
        3,
        "a row of 8192 numbers times 2048 columns: too slow here",
    ),
    exception(
        "gemm_*_f32_f32_*_1_2",
        7,
        "tiles that candle never chooses for f32",
    ),
    exception(
        "gemm_*f16_64_*_2_2",
        14,
        "tiles that candle never chooses for f16 and bf16",
    ),
    exception(
        "gemm_nt_*f16_32_64_16_1_2",
        2,
        "tiles that candle never chooses for f16 and bf16",
    ),
    exception(
        "*_maskbool_",
        23,
        "candle's masks have the dtype of the queries",
    ),
    exception(
        "sdpa_vector_*_72",
        9,
        "candle has no attention of one query with heads of 72",
    ),
    exception(
        "sdpa_vector_*_80",
        9,
        "candle has no attention of one query with heads of 80",
    ),
    exception(
        "where_i64_*",
        6,
        "candle's conditions are u8 (or u32, between numbers of f32)",
    ),
    exception(
        "where_u32_*",
        5,
        "candle's conditions are u8 (or u32, between numbers of f32)",
    ),
    exception("cast_f32_f32*", 2, "candle does nothing for the same dtype"),
    exception("cast_f16_f16*", 2, "candle does nothing for the same dtype"),
    exception(
        "cast_bf16_bf16*",
        2,
        "candle does nothing for the same dtype",
    ),
    exception("cast_u8_u8*", 2, "candle does nothing for the same dtype"),
    exception("cast_u32_u32*", 2, "candle does nothing for the same dtype"),
    exception("cast_i64_i64*", 2, "candle does nothing for the same dtype"),
    exception(
        "fast_mul_*",
        12,
        "candle does not multiply the elements of a row",
    ),
    exception("fill_*", 6, "candle fills by blits"),
    exception("copy_*", 6, "candle copies what is contiguous by blits"),
    exception("sign_*_strided", 3, "candle refuses it"),
    exception("recip_*_strided", 3, "candle refuses it"),
    exception("sigmoid_*_strided", 3, "candle refuses it"),
    exception(
        "*im2col*_u*",
        4,
        "candle has no product of integers to follow",
    ),
    exception("col2im1d_u*", 2, "candle has no product of integers before"),
    exception(
        "avg_pool2d_u*",
        2,
        "candle's CPU multiplies by a quarter, which is 0 there",
    ),
];

/// Dispatched, but not compared: by name, as these must not become more.
const DISPATCHED: &[(&str, &str)] = &[
    (
        "kernel_mul_mv_q2_K_f32",
        "it reads past the weight, which a test says",
    ),
    (
        "gemv_float32_bm4_bn1_sm1_sn32_tm4_tn4_nc0_axpby1",
        "an adapter's one row with an addend: only whole models have such rows, the golden ones among them",
    ),
    ("slow", "one of the suite's own, in tests of fences"),
    ("copy", "one of the suite's own, in tests of rules"),
    ("k", "one of the suite's own, in tests of rules"),
];

/// Says how many were compared; false if one is neither compared nor among the exceptions.
pub fn check(file: &Path) -> bool {
    let record = std::fs::read_to_string(file).unwrap_or_default();
    let problems = problems(&record);
    for problem in &problems {
        eprintln!("xtask: {problem}");
    }
    let (all, compared) = (marked(&record, "offered"), marked(&record, "compared"));
    eprintln!(
        "xtask: {} of {} kernels compared with other numbers; the others: xtask/src/soft_metal/kernels.rs",
        compared.len(),
        all.len()
    );
    problems.is_empty()
}

/// What stands behind a mark.
fn marked<'a>(record: &'a str, mark: &str) -> BTreeSet<&'a str> {
    let lines = record.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(m, _)| *m == mark)
        .map(|(_, name)| name)
        .collect()
}

fn problems(record: &str) -> Vec<String> {
    let [offered, dispatched, compared] =
        ["offered", "dispatched", "compared"].map(|mark| marked(record, mark));
    let known = |name: &&str| DISPATCHED.iter().any(|(exception, _)| exception == name);
    let mut problems: Vec<String> = dispatched
        .difference(&compared)
        .filter(|name| !known(name))
        .map(|name| format!("the kernel {name} is used, but no test compares it"))
        .collect();
    if offered.is_empty() {
        problems.push("no test has told which kernels there are".into());
    }
    let mut counts = [0; UNUSED.len()];
    for name in offered
        .difference(&compared)
        .filter(|name| !dispatched.contains(*name))
    {
        match UNUSED
            .iter()
            .position(|exception| matches(exception.pattern, name))
        {
            Some(i) => counts[i] += 1,
            None => problems.push(format!("no test compares the kernel {name}")),
        }
    }
    for (
        Exception {
            pattern,
            kernels,
            reason,
        },
        count,
    ) in UNUSED.iter().zip(counts)
    {
        if count > *kernels {
            problems.push(format!(
                "{count} kernels like {pattern} are not compared, at most {kernels} are known ({reason})"
            ));
        }
    }
    problems
}

/// Whether a name is the pattern, where `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|i| name.get(i..).is_some_and(|name| matches(rest, name)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record in which every exception is as it is known.
    fn complete() -> String {
        let unused = UNUSED.iter().flat_map(|exception| {
            let name = |i: usize| exception.pattern.replace('*', &i.to_string());
            (0..exception.kernels).map(move |i| format!("offered {}\n", name(i)))
        });
        unused.collect()
    }

    #[test]
    fn a_kernel_is_compared_or_an_exception() {
        assert_eq!(problems(&complete()), [""; 0]);
        assert_eq!(problems("").len(), 1, "nothing was recorded");
        let all = |more: &str| problems(&(complete() + more)).join("\n");
        assert!(all("offered exp_f32\n").contains("no test compares the kernel exp_f32"));
        assert!(all("offered k2\ndispatched k2\n").contains("k2 is used"));
        assert_eq!(
            all("offered exp_f32\ndispatched exp_f32\ncompared exp_f32\n"),
            ""
        );
        assert!(
            all("offered fill_7x\n").contains("7 kernels like fill_* are not compared, at most 6")
        );
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, is) in [
            ("a*c*", "abcd", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("ab", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}
