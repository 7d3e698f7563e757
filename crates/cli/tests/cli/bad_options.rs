use crate::fixture::{Fixture, ended};

#[test]
fn usage_errors_are_claps() {
    let fixture = Fixture::new();
    fixture.fails("", 2, &["Usage"]);
    fixture.fails("train", 2, &["--model", "--data"]);
    fixture.fails("train --modell x", 2, &["--modell"]);
    fixture.fails("generate --model model", 2, &["--prompt"]);
    fixture.train_fails("--rank 0", 2, &["--rank", "must be at least 1"]);
    fixture.train_fails("--batch-size 0", 2, &["--batch-size"]);
    fixture.train_fails("--iters 0", 2, &["--iters", "must be at least 1"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let fixture = Fixture::new();
    let help = fixture.ok("--help").stdout;
    for text in ["Examples:", "Exit codes:", "130", "HF_HOME"] {
        assert!(help.contains(text), "{text}");
    }
    for command in ["train", "generate", "perplexity", "inspect", "fuse"] {
        assert!(
            fixture
                .ok(&format!("{command} --help"))
                .stdout
                .contains("Examples:"),
            "{command}"
        );
    }
}

#[test]
fn out_of_range_settings() {
    let fixture = Fixture::new();
    fixture.train_fails("--learning-rate nan", 2, &["--learning-rate"]);
    fixture.train_fails(
        "--learning-rate -1",
        2,
        &["--learning-rate", "must be a number, 0 or more"],
    );
    fixture.train_fails("--eps 0", 2, &["--eps", "must be a number above 0"]);
    fixture.train_fails(
        "--warmup-steps 18446744073709551615",
        2,
        &["--warmup-steps", "whole number"],
    );
    fixture.train_fails("--rank -1", 2, &["--rank", "must be at least 1"]);
    let generate = "generate --model model -p x";
    for wrong in [
        "--min-p 2",
        "--top-p -1",
        "--top-p nan",
        "--repetition-penalty 1e39",
    ] {
        let option = wrong.split(' ').next().unwrap();
        fixture.fails(
            &format!("{generate} {wrong}"),
            2,
            &[option, "must be a number"],
        );
    }
    fixture.ok(&format!("{generate} --max-tokens 1 --temp 1e-30"));
    fixture.train_fails("--rank 100000000", 2, &["rank must be from 1 to 65536"]);
    fixture.train_fails("--dropout 1", 2, &["--dropout", "must be in [0, 1)"]);
    fixture.train_fails("--alpha inf", 2, &["--alpha", "must be a finite number"]);
    fixture.train_fails("--num-layers 3", 2, &["--num-layers", "3 of 2"]);
    fixture.train_fails("--num-layers 0", 2, &["--num-layers", "0 of 2"]);
    fixture.train_fails("--max-grad-norm=-1", 2, &["--max-grad-norm"]);
}

#[test]
fn unknown_targets_list_what_there_is() {
    let fixture = Fixture::new();
    let expected = [
        "target q_prjo matches no layer",
        "q_proj",
        "down_proj",
        "inspect",
    ];
    fixture.train_fails("--targets q_prjo", 2, &expected);
    fixture.train_fails("--targets q_proj,nothing", 2, &["target nothing"]);
    fixture.train_fails("--targets regex:.*zzz", 2, &["matches no layer"]);
    fixture.train_fails(
        "--targets regex:(",
        2,
        &["targets: (", "regular expression"],
    );
}

#[test]
fn what_is_not_built_says_so() {
    let fixture = Fixture::new();
    fixture.train_fails("--optimizer lion", 2, &["lion", "adamw"]);
    let absent: &[&str] = match cfg!(target_vendor = "apple") {
        true => &["cuda", "cuda:0"],
        false => &["metal", "metal:1", "cuda", "cuda:0"],
    };
    for device in absent {
        let kind = device.split(':').next().unwrap();
        let expected = [&format!("--device {kind}"), "this build has cpu"];
        fixture.train_fails(
            &format!("--device {device}"),
            2,
            &expected.map(|s| s as &str),
        );
    }
    fixture.train_fails("--device gpu", 2, &["expected auto, cpu"]);
}

#[test]
fn full_training_takes_no_adapter_options() {
    let fixture = Fixture::new();
    let full = "train --model model --data data --fine-tune-type full";
    fixture.fails(
        &format!("{full} --rank 8"),
        2,
        &["--rank", "trains all weights"],
    );
    fixture.fails(
        &format!("{full} --resume-adapter-file x"),
        2,
        &["--resume-adapter-file"],
    );
    fixture.fails(
        &format!("{full} --adapter-path model"),
        2,
        &["would be overwritten"],
    );
}

#[test]
fn an_unknown_set_of_vector_instructions_is_refused() {
    let fixture = Fixture::new();
    let run = |level| {
        let mut command = fixture.command("inspect --model model");
        ended(command.env("METAL_CANDLE_SIMD", level).output().unwrap())
    };
    run("sse9").check("sse9", 2, &["METAL_CANDLE_SIMD", "scalar", "sse9"]);
    assert_eq!(run("scalar").code, Some(0));
}
