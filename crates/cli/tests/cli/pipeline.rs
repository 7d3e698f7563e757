use crate::fixture::Fixture;
use serde_json::Value;

fn loss(answer: &Value) -> f64 {
    answer["loss"].as_f64().unwrap()
}

#[test]
fn train_generate_evaluate_fuse_evaluate() {
    check("--fine-tune-type lora");
}

#[test]
fn train_generate_evaluate_fuse_evaluate_embedding_and_head() {
    let adapted = check("--targets q_proj,embed_tokens,lm_head");
    let saved = check("--modules-to-save embed_tokens,lm_head");
    for fixture in [adapted, saved] {
        // The model's head is its embedding, until they are trained apart.
        assert_eq!(
            fixture.json("fused/config.json")["tie_word_embeddings"],
            false
        );
    }
}

#[test]
fn train_generate_evaluate_fuse_evaluate_dora() {
    let fixture = check("--fine-tune-type dora");
    fixture.train("--resume-adapter-file adapters --iters 2 --dropout 0.2 --adapter-path more");
    assert_eq!(fixture.json("more/adapter_config.json")["use_dora"], true);
    let magnitude = "base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector";
    let of = |folder: &str| {
        let path = format!("{folder}/adapter_model.safetensors");
        fixture.tensors(&path)[magnitude].to_vec1::<f32>().unwrap()
    };
    assert_ne!(of("more"), of("adapters"));
}

fn check(options: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.train(&format!("--iters 20 --mask-prompt {options}"));
    let with = "--model model --adapter-path adapters";
    let evaluate = "--data data/valid.jsonl --mask-prompt --json";
    let adapter = fixture.ok_json(&format!("perplexity {with} {evaluate}"));
    let base = fixture.ok_json(&format!("perplexity --model model {evaluate}"));
    assert_eq!(adapter["base"]["loss"], base["loss"]);
    assert_eq!(adapter["base"]["tokens"], base["tokens"]);
    assert!(base.get("base").is_none());
    assert!(loss(&adapter) < loss(&base) - 0.5, "{adapter}");

    fixture.ok(&format!("fuse {with} --save-path fused"));
    let fused = fixture.ok_json(&format!("perplexity --model fused {evaluate}"));
    assert!(
        (loss(&fused) - loss(&adapter)).abs() < 1e-4,
        "{fused} {adapter}"
    );

    let prompt = "--max-tokens 12 --json -p say";
    let unfused = fixture.ok_json(&format!("generate {with} {prompt}"));
    let merged = fixture.ok_json(&format!("generate {with} --merge {prompt}"));
    let fused = fixture.ok_json(&format!("generate --model fused {prompt}"));
    let base = fixture.ok_json(&format!("generate --model model {prompt}"));
    assert_eq!(unfused["token_ids"], merged["token_ids"]);
    assert_eq!(unfused["token_ids"], fused["token_ids"]);
    assert_ne!(unfused["token_ids"], base["token_ids"]);
    fixture
}

#[test]
fn perplexity_weighs_tokens_whatever_the_batches() {
    let fixture = Fixture::new();
    let answer = |size: usize| {
        fixture.ok_json(&format!(
            "perplexity --model model --data data/valid.jsonl --batch-size {size} --json"
        ))
    };
    let (one, many) = (answer(1), answer(5));
    assert_eq!(one["tokens"], many["tokens"]);
    assert!((loss(&one) - loss(&many)).abs() < 1e-5);
    assert!((one["perplexity"].as_f64().unwrap() - loss(&one).exp()).abs() < 1e-6);
}

#[test]
fn perplexity_as_text_shows_both_models() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    let words = "perplexity --model model --adapter-path adapters --data data/valid.jsonl";
    let stdout = fixture.ok(words).stdout;
    for text in ["adapter", "base", "Loss", "Perplexity", "tokens in 6 rows"] {
        assert!(stdout.contains(text), "{stdout}");
    }
}

#[test]
fn a_fused_folder_is_complete_and_keeps_dtypes() {
    let fixture = Fixture::new();
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_dtype(candle_core::DType::BF16).unwrap();
        }
    });
    fixture.write("model/generation_config.json", "{\"eos_token_id\": 5}");
    fixture.train("--iters 1");
    fixture.ok("fuse --model model");
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ] {
        assert_eq!(
            fixture.read(&format!("model/{name}")),
            fixture.read(&format!("fused_model/{name}"))
        );
    }
    let fused = fixture.tensors("fused_model/model.safetensors");
    assert_eq!(
        fused.len(),
        fixture.tensors("model/model.safetensors").len()
    );
    assert!(
        fused
            .values()
            .all(|tensor| tensor.dtype() == candle_core::DType::BF16)
    );
    assert_eq!(fixture.json("fused_model/config.json")["dtype"], "bfloat16");
}
