//! Values that are refused.

use super::{ROW, with};
use crate::input::{FUSE, GENERATE, INSPECT, Input, PERPLEXITY, RESUME, TRAIN};

pub fn inputs() -> Vec<Input> {
    const OF_TRAIN: &[(&str, &[&str])] = &[
        (
            "--learning-rate",
            &["nan", "inf", "-1", "-1e-4", "1e400", "x", ""],
        ),
        ("--min-lr", &["nan", "-1", "inf"]),
        ("--weight-decay", &["nan", "-0.1", "inf"]),
        ("--eps", &["0", "-1e-8", "nan", "inf"]),
        (
            "--betas",
            &["1,1", "nan,0.9", "0.9", "-0.1,0.9", "0.9,0.9,0.9", ","],
        ),
        ("--max-grad-norm", &["nan", "-1", "x"]),
        ("--warmup-steps", &["-1", "1.5", "18446744073709551616"]),
        (
            "--rank",
            &[
                "0",
                "-1",
                "100000000",
                "1000000000000000000",
                "18446744073709551615",
                "1.5",
            ],
        ),
        ("--alpha", &["nan", "inf", "x"]),
        ("--scale", &["nan", "inf"]),
        ("--dropout", &["1", "-0.1", "nan", "2"]),
        (
            "--num-layers",
            &[
                "0",
                "-2",
                "3",
                "9223372036854775807",
                "-9223372036854775808",
            ],
        ),
        (
            "--targets",
            &[
                "",
                ",",
                "regex:(",
                "nothing",
                "q_proj,",
                "regex:",
                "\u{1b}[31mred",
            ],
        ),
        ("--batch-size", &["0", "-1", "1.5", "18446744073709551616"]),
        ("--grad-accumulation-steps", &["0", "-1"]),
        (
            "--max-seq-length",
            &["0", "97", "-1", "18446744073709551615"],
        ),
        ("--iters", &["0", "-1", "1.5", "18446744073709551616", "x"]),
        ("--seed", &["-1", "1.5", "18446744073709551616"]),
        ("--val-batches", &["-2", "1.5", "9223372036854775808"]),
        ("--test-batches", &["0", "-2"]),
        ("--steps-per-report", &["0", "-1"]),
        ("--save-every", &["-1", "x"]),
        ("--optimizer", &["lion", "x", ""]),
        ("--lr-schedule", &["polynomial", ""]),
        ("--fine-tune-type", &["adalora", "x"]),
        ("--device", &["gpu", "cpu:0", "cuda:-1", ""]),
    ];
    const OF_GENERATE: &[(&str, &[&str])] = &[
        ("--temp", &["nan", "-1", "inf", "x", "1e39"]),
        ("--min-p", &["2", "nan", "-1", "1.5"]),
        ("--top-p", &["nan", "-1", "x"]),
        ("--top-k", &["-1", "1.5", "x"]),
        ("--repetition-penalty", &["0", "-1", "nan", "inf", "1e-320"]),
        ("--repetition-context-size", &["-1", "x"]),
        ("--max-tokens", &["-1", "1.5", "18446744073709551616"]),
        ("--seed", &["-1", "18446744073709551616"]),
        ("--extra-eos-token", &["nothing at all", "\u{1b}[31m"]),
        (
            "--chat-template-config",
            &["[1]", "{", "", "5", "{\"a\":1}x"],
        ),
        (
            "--adapter-path",
            &["nowhere", "", "/dev/null", "model", "data/train.jsonl"],
        ),
    ];
    // Out of the range of float32, or zero in it: the first update is no number.
    const RUINOUS: &[(&str, &[&str])] = &[
        ("--learning-rate", &["1e39", "1e308"]),
        ("--weight-decay", &["1e308", "1e42"]),
        ("--eps", &["1e-320", "1e-60"]),
        ("--alpha", &["1e308", "1e39"]),
        ("--scale", &["1e308"]),
    ];
    const OF_OTHERS: &[(&str, &str, &[&str])] = &[
        // One step more than can be counted.
        (RESUME, "--iters", &["18446744073709551615"]),
        (PERPLEXITY, "--batch-size", &["0", "-1", "x"]),
        (PERPLEXITY, "--max-seq-length", &["0", "97", "1"]),
        (ROW, "--row", &["0", "-1", "25", "18446744073709551615"]),
        (INSPECT, "--rank", &["0"]),
        (INSPECT, "--targets", &["nothing", "regex:("]),
        (
            FUSE,
            "--save-path",
            &["model", "data", "adapters", "model/config.json"],
        ),
        (FUSE, "--adapter-path", &["nowhere", "data"]),
        (
            "calibrate",
            "--sizes",
            &["0x0x0", "17x16x16", "16x16", "99999999999x16x16"],
        ),
        ("quickstart", "--iters", &["0", "-1"]),
        ("quickstart", "--base-iters", &["0"]),
    ];
    let of_train = OF_TRAIN
        .iter()
        .map(|(option, values)| (TRAIN, *option, *values));
    let of_generate = OF_GENERATE
        .iter()
        .map(|(option, values)| (GENERATE, *option, *values));
    let ruinous = RUINOUS
        .iter()
        .map(|(option, values)| (TRAIN, *option, *values));
    let all = of_train
        .chain(of_generate)
        .chain(ruinous)
        .chain(OF_OTHERS.iter().copied());
    all.flat_map(|(command, option, values)| {
        values
            .iter()
            .map(move |value| with(command, option, value).refused(&[]))
    })
    .collect()
}
