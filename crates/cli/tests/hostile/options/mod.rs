//! Values of options: a table of what is right, and every option of the commands with extremes.

mod every;
mod refused;

use crate::input::{FUSE, GENERATE, INSPECT, Input, PERPLEXITY, RESUME, TRAIN, VERIFY};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

const ROW: &str = "inspect --model model --data data/train.jsonl";

pub fn inputs() -> Vec<Input> {
    let mut inputs = refused::inputs();
    inputs.extend(accepted());
    inputs.extend(uncertain());
    inputs.extend(paths());
    for command in [TRAIN, GENERATE, PERPLEXITY, ROW, FUSE, VERIFY] {
        inputs.extend(every::inputs(command));
    }
    inputs
}

/// `command` with an option after it, spelt as one word.
fn with(command: &str, option: &str, value: &str) -> Input {
    let name = command.split(' ').next().unwrap();
    let shown: String = value.chars().take(40).collect();
    Input::new(format!("{name} {option}={shown}"), command).arg(format!("{option}={value}"))
}

fn accepted() -> Vec<Input> {
    let two = |command: &str, option: &str, value: &str| {
        Input::new(format!("{} {option} {value}", &command[..5]), command)
            .arg(option)
            .arg(value)
    };
    let inputs = vec![
        // Texts begin as they like.
        two(GENERATE, "-p", "-5 degrees"),
        two(GENERATE, "-p", "--help"),
        two(GENERATE, "--stop", "-x"),
        two(GENERATE, "--system-prompt", "- be brief"),
        two(GENERATE, "-p", "\u{1b}[31mred\u{202e}"),
        with(GENERATE, "--temp", "1e-45"),
        with(GENERATE, "--temp", "1e-30")
            .arg("--top-p")
            .arg("0.5")
            .arg("--min-p")
            .arg("0.1"),
        with(GENERATE, "--temp", "3e38"),
        with(GENERATE, "--top-k", "18446744073709551615")
            .arg("--temp")
            .arg("1"),
        with(
            GENERATE,
            "--repetition-context-size",
            "18446744073709551615",
        )
        .arg("--repetition-penalty")
        .arg("1.1"),
        with(GENERATE, "--max-tokens", "18446744073709551615"),
        with(GENERATE, "--seed", "18446744073709551615")
            .arg("--temp")
            .arg("1"),
        with(TRAIN, "--seed", "18446744073709551615"),
        with(TRAIN, "--save-every", "1000000000"),
        with(TRAIN, "--steps-per-report", "1000000000"),
        with(TRAIN, "--steps-per-eval", "1000000000"),
        with(TRAIN, "--warmup-steps", "1000000000"),
        with(TRAIN, "--batch-size", "1000000000"),
        with(TRAIN, "--betas", "0,0"),
        with(TRAIN, "--learning-rate", "0"),
        with(TRAIN, "--val-batches", "1000000000"),
        with(PERPLEXITY, "--batch-size", "1000000000"),
        with(RESUME, "--seed", "5"),
    ];
    inputs.into_iter().map(Input::accepted).collect()
}

fn uncertain() -> Vec<Input> {
    vec![
        with(TRAIN, "--lr-decay-steps", "18446744073709551615")
            .arg("--lr-schedule")
            .arg("cosine"),
        with(TRAIN, "--warmup-steps", "18446744073709551614")
            .arg("--lr-decay-steps")
            .arg("18446744073709551615")
            .arg("--lr-schedule")
            .arg("linear"),
        with(TRAIN, "--warmup-steps", "9223372036854775807")
            .arg("--lr-decay-steps")
            .arg("9223372036854775807")
            .arg("--lr-schedule")
            .arg("cosine"),
        with(TRAIN, "--lr-decay-steps", "0")
            .arg("--lr-schedule")
            .arg("cosine"),
        with(TRAIN, "--min-lr", "1e308")
            .arg("--lr-schedule")
            .arg("cosine"),
        with(TRAIN, "--max-grad-norm", "1e-320"),
        with(TRAIN, "--max-grad-norm", "1e308"),
        with(TRAIN, "--max-grad-norm", "inf"),
        with(TRAIN, "--max-seq-length", "1"),
        with(TRAIN, "--targets", &"q_proj,".repeat(15_000)),
        with(
            TRAIN,
            "--targets",
            &format!("regex:{}", "(".repeat(100_000)),
        ),
        with(TRAIN, "--targets", "regex:(.*)*(.*)*(.*)*(.*)*x"),
        with(
            TRAIN,
            "--targets",
            "regex:((((a{1,999}){1,999}){1,999}){1,999})",
        ),
        with(TRAIN, "--dropout", "0.9999999999999999"),
        with(GENERATE, "--top-p", "0").arg("--temp").arg("1"),
        with(GENERATE, "--top-p", "2").arg("--temp").arg("1"),
        with(GENERATE, "--repetition-penalty", "1e-45"),
        with(GENERATE, "--repetition-penalty", "1e38"),
        with(GENERATE, "--stop", ""),
        with(GENERATE, "--max-tokens", "0"),
        with(GENERATE, "-p", ""),
        with(GENERATE, "-p", &"a".repeat(120_000)),
        with(INSPECT, "--rank", "100000000"),
        with(INSPECT, "--rank", "18446744073709551615"),
        with(TRAIN, "--learning-rate", "1e38"),
    ]
}

/// Files and folders where others are expected.
fn paths() -> Vec<Input> {
    let command = |name: &str, command: &str| Input::new(name, command);
    let mut inputs = vec![
        command(
            "data is a file of something else",
            "train --model model --data model/config.json --iters 1",
        ),
        command(
            "data is endless",
            "perplexity --model model --data /dev/zero",
        ),
        command("data is a folder", "perplexity --model model --data data"),
        command(
            "data is nothing",
            "perplexity --model model --data /dev/null",
        ),
        command(
            "the model is a file",
            "generate --model model/config.json -p x",
        ),
        command("the model is endless", "generate --model /dev/zero -p x"),
        command("no model", "generate --model nowhere -p x"),
        command(
            "a model of the hub, offline",
            "generate --model nobody/nothing -p x",
        ),
        command(
            "the output is a file",
            "train --model model --data data --iters 1 --adapter-path data/train.jsonl",
        ),
        command(
            "the output is a device",
            "train --model model --data data --iters 1 --adapter-path /dev/null",
        ),
        command(
            "the output is no place",
            "train --model model --data data --iters 1 --adapter-path /proc/x",
        ),
        command(
            "an adapter that is a device",
            "generate --model model --adapter-path /dev/zero -p x",
        ),
        command(
            "resuming a device",
            "train --model model --data data --iters 1 --adapter-path out --resume-adapter-file /dev/zero",
        ),
        command("an unknown command", "trian"),
        command("no command", ""),
        command("an unknown option", "train --modell x"),
    ];
    let odd = [
        b"no\xffutf8".to_vec(),
        b"a\nb".to_vec(),
        b"\x1b[31mred\x07".to_vec(),
        "\u{202e}abc".into(),
        vec![b'x'; 5000],
        b" ".to_vec(),
    ];
    for (option, before) in [
        ("--model", "generate -p x"),
        ("--adapter-path", "generate --model model -p x"),
        ("--data", "perplexity --model model"),
        ("--data", "train --model model --iters 1"),
        ("--config", "train"),
        ("--chat-template-config", GENERATE),
        ("--extra-eos-token", GENERATE),
    ] {
        inputs.extend(odd.iter().map(|bytes| {
            let shown: String = String::from_utf8_lossy(bytes).chars().take(20).collect();
            let name = format!("{before} {option} {shown:?}");
            Input::new(name, before)
                .arg(option)
                .arg(OsString::from_vec(bytes.clone()))
        }));
    }
    inputs.into_iter().map(|input| input.refused(&[])).collect()
}
