//! Tokenizers that do not fit, and those of adapters.

use super::*;

#[test]
fn a_tokenizer_in_another_format_is_named() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("model/tokenizer.json")).unwrap();
    fixture.fails(
        &format!("{JSON} -p x"),
        2,
        &["no tokenizer.json in model, nor"],
    );
    fixture.write("model/tokenizer.model", "x");
    let help = "AutoTokenizer.from_pretrained(\"model\").save_pretrained(\"model\")";
    fixture.fails(
        &format!("{JSON} -p x"),
        2,
        &["model has tokenizer.model, but", help],
    );
}

/// Trainers save a tokenizer with its template beside the adapter.
#[test]
fn an_adapters_own_tokenizer_is_used_and_told() {
    let fixture = Fixture::new();
    fixture.train("");
    let words = format!("{JSON} -p hello --adapter-path adapters");
    let plain = fixture.ok(&words);
    assert!(!plain.stderr.contains("tokenizer"), "{}", plain.stderr);
    fixture.write(
        "adapters/chat_template.jinja",
        "{{ messages[0].content }} and more",
    );
    let own = fixture.ok(&words);
    assert!(
        own.stderr
            .contains("Using the tokenizer and chat template in adapters")
    );
    let prompt = |ended: &str| ids(&serde_json::from_str(ended).unwrap(), "prompt_token_ids");
    assert_ne!(prompt(&own.stdout), prompt(&plain.stdout));
    for words in [
        "perplexity --model model --adapter-path adapters --data data/valid.jsonl",
        "inspect --model model --adapter-path adapters --data data/valid.jsonl",
        "train --model model --data data --resume-adapter-file adapters --adapter-path again --iters 1 --max-seq-length 64",
        "fuse --model model --adapter-path adapters --save-path fused",
    ] {
        let ended = fixture.ok(words);
        assert!(
            ended.stderr.contains("template in adapters"),
            "{words}: {}",
            ended.stderr
        );
    }
    for folder in ["again", "fused"] {
        let copied = fixture.read(&format!("{folder}/chat_template.jinja"));
        assert_eq!(copied, "{{ messages[0].content }} and more");
    }
    let config = json!({"added_tokens_decoder": tokens_beyond_the_model(&fixture)});
    fixture.write("adapters/tokenizer_config.json", &config.to_string());
    let told = fixture.ok(&words).stderr;
    assert!(
        told.contains("has ids up to 320, and the model has 320 tokens"),
        "{told}"
    );
}
