//! The program with `--device metal` does what it does with `--device cpu`. It fails by itself if a rule is broken.

#[allow(dead_code)]
#[rustfmt::skip] // formatted in its own workspace
#[path = "../../../cli/tests/cli/fixture.rs"]
mod fixture;

use fixture::Fixture;
use soft_metal as _; // candle's backend is linked here too

#[test]
fn generation_gives_the_same_tokens() {
    let fixture = Fixture::new();
    let tokens = |device: &str| {
        let words = format!("generate --model model --max-tokens 8 --json -p hello --device {device}");
        fixture.ok_json(&words)["token_ids"].clone()
    };
    assert_eq!(tokens("metal"), tokens("cpu"));
    assert_eq!(tokens("metal:0"), tokens("cpu"));
}

#[test]
fn training_gives_the_same_losses_and_adapter() {
    let fixture = Fixture::new();
    let losses = |device: &str| {
        fixture.train(&format!("--iters 2 --steps-per-report 1 --adapter-path {device} --device {device}"));
        let lines = fixture.read(&format!("{device}/metrics.jsonl"));
        let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        values.filter_map(|line| line["train_loss"].as_f64()).collect::<Vec<_>>()
    };
    let (metal, cpu) = (losses("metal"), losses("cpu"));
    assert_eq!((metal.len(), cpu.len()), (2, 2));
    assert!(metal.iter().zip(&cpu).all(|(a, b)| (a - b).abs() < 1e-4), "{metal:?} {cpu:?}");
    let [metal, cpu] = ["metal", "cpu"].map(|d| fixture.tensors(&format!("{d}/adapter_model.safetensors")));
    for (name, want) in cpu {
        let difference = (&metal[&name] - want).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-3, "{name}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_input_error() {
    let fixture = Fixture::new();
    fixture.fails("generate --model model -p hello --device metal:7", 2, &["--device metal:7", "1 Apple GPUs"]);
    fixture.fails("generate --model model -p hello --device cuda", 2, &["this build has cpu and metal"]);
}
