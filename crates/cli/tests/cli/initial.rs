//! Adapters that begin as parts of the weights, LoHa, and noise in embeddings: on the command line, and from run to run.

use crate::fixture::{Fixture, TRAIN};
use serde_json::json;

const WEIGHTS: &str = "adapter_model.safetensors";
const STATE: [&str; 2] = [WEIGHTS, "optimizer.safetensors"];

fn bytes(fixture: &Fixture, folder: &str) -> [Vec<u8>; 2] {
    STATE.map(|name| std::fs::read(fixture.path(&format!("{folder}/{name}"))).unwrap())
}

/// The settings go into what is compared: `words` say them once, and the run that goes on has those of the first.
fn goes_on_to_the_bit(words: &str, again: &str) {
    let fixture = Fixture::new();
    fixture.train(&format!("--iters 4 --save-every 2 {words}"));
    let told = fixture
        .train(&format!(
            "--resume-adapter-file adapters/checkpoint-2 --iters 2 --adapter-path other {again}"
        ))
        .stderr;
    assert!(!told.contains("other settings"), "{told}");
    assert!(
        bytes(&fixture, "adapters/checkpoint-4") == bytes(&fixture, "other/checkpoint-4"),
        "{words}"
    );
}

#[test]
fn a_run_that_began_with_parts_of_the_weights_goes_on_to_the_bit() {
    goes_on_to_the_bit("--init-lora-weights pissa --rank 4 --dropout 0.1", "");
    goes_on_to_the_bit("--init-lora-weights olora --rank 3 --rslora", "");
}

/// Nothing is begun again: what the first run found is in its files.
#[test]
fn a_run_that_began_with_its_rows_goes_on_to_the_bit() {
    goes_on_to_the_bit("--init-lora-weights eva --rank 4 --dropout 0.1", "");
    goes_on_to_the_bit("--init-lora-weights eva --rank 2 --rslora --packing", "");
    let dora = "--fine-tune-type dora";
    goes_on_to_the_bit(&format!("{dora} --init-lora-weights eva --rank 2"), dora);
}

#[test]
fn eva_is_told_and_kept() {
    let fixture = Fixture::new();
    let told = fixture
        .train("--init-lora-weights eva --rank 4 --eva-rho 1.5")
        .stderr;
    assert!(told.contains("eva      "), "{told}");
    let settings = fixture.json("adapters/run.json");
    assert_eq!(
        [&settings["init_lora_weights"], &settings["eva_rho"]],
        [&json!("eva"), &json!(1.5)]
    );
    let config = fixture.json("adapters/adapter_config.json");
    assert_eq!(config["init_lora_weights"], json!(true));
    let ranks = config["rank_pattern"].as_object().unwrap();
    assert!(!ranks.is_empty() && ranks.values().all(|r| r.as_u64().unwrap() <= 6));
    // Of the same seed and rows comes the same adapter, and of others another.
    let same = "--init-lora-weights eva --rank 4 --eva-rho 1.5 --adapter-path";
    fixture.train(&format!("{same} again"));
    fixture.train(&format!("{same} other --seed 5"));
    let weights =
        |folder: &str| std::fs::read(fixture.path(&format!("{folder}/{WEIGHTS}"))).unwrap();
    assert!(weights("adapters") == weights("again"));
    assert!(weights("adapters") != weights("other"));
    fixture.train("--resume-adapter-file adapters --iters 1 --adapter-path more");
    let more = fixture.json("more/run.json");
    assert_eq!(
        [&more["init_lora_weights"], &more["eva_rho"]],
        [&json!("eva"), &json!(1.5)]
    );
    fixture.ok("fuse --model model --adapter-path adapters --save-path fused");
}

#[test]
fn a_run_with_noise_in_embeddings_goes_on_to_the_bit() {
    let noise = "--neftune-noise-alpha 5";
    goes_on_to_the_bit(noise, noise);
}

#[test]
fn loha_goes_on_to_the_bit_and_takes_nothing_of_lora() {
    let loha = "--fine-tune-type loha";
    goes_on_to_the_bit(loha, loha);
    let fixture = Fixture::new();
    for (words, expected) in [
        ("--dropout 0.1", "dropout must be left out"),
        ("--rslora", "rslora must be left out"),
        (
            "--loraplus-lr-ratio 4",
            "loraplus_lr_ratio must be left out",
        ),
        (
            "--targets embed_tokens",
            "on a token embedding is not built",
        ),
    ] {
        fixture.train_fails(&format!("{loha} {words}"), 2, &[expected]);
    }
    fixture.train(loha);
    fixture.ok("fuse --model model --adapter-path adapters --save-path fused");
    let more = "--resume-adapter-file adapters --loraplus-lr-ratio 4 --adapter-path more";
    fixture.fails(&format!("{TRAIN} {more}"), 2, &["loraplus_lr_ratio"]);
}

#[test]
fn what_is_saved_is_a_plain_adapter_of_twice_the_rank() {
    let fixture = Fixture::new();
    let told = fixture
        .train("--init-lora-weights pissa --rank 4 --alpha 6")
        .stderr;
    assert!(told.contains("pissa, rank 4, scale 1.5"), "{told}");
    let config = fixture.json("adapters/adapter_config.json");
    assert_eq!(
        [
            &config["r"],
            &config["lora_alpha"],
            &config["init_lora_weights"]
        ],
        [&json!(8), &json!(12), &json!(true)]
    );
    let settings = fixture.json("adapters/run.json");
    assert_eq!(settings["init_lora_weights"], json!("pissa"));
    let told = fixture.train("--resume-adapter-file adapters --iters 1 --adapter-path more");
    assert!(
        told.stderr.contains("pissa, rank 4, alpha 6"),
        "{}",
        told.stderr
    );
    // For other tools, with the model and without it.
    for model in ["", "--model model"] {
        let to = format!("mlx{}", model.len());
        fixture.ok(&format!("adapter convert adapters {to} --to mlx {model}"));
        let config = fixture.json(&format!("{to}/adapter_config.json"));
        assert_eq!(config["lora_parameters"]["rank"], json!(8));
    }
    fixture.ok("fuse --model model --adapter-path adapters --save-path fused");
    fixture.ok("generate --model fused --prompt x --max-tokens 2");
}

#[test]
fn initialisations_that_are_not_built_are_refused_by_name() {
    let fixture = Fixture::new();
    for (words, expected) in [
        ("--init-lora-weights loftq", "pissa or olora"),
        (
            "--init-lora-weights corda",
            "eva begins with the rows alone",
        ),
        ("--init-lora-weights gauss", "expected lora, eva, pissa"),
        ("--eva-rho 1", "do not begin with eva"),
        (
            "--init-lora-weights eva --eva-rho 0.5",
            "at least 1, got 0.5",
        ),
        (
            "--init-lora-weights eva --fine-tune-type loha",
            "got eva with loha",
        ),
        (
            "--init-lora-weights pissa --fine-tune-type dora",
            "must be lora, or the method be lora, got pissa with dora",
        ),
        (
            "--init-lora-weights pissa --targets embed_tokens",
            "must be lora on a token embedding, got pissa with model.embed_tokens",
        ),
    ] {
        fixture.train_fails(words, 2, &[expected]);
    }
}
