//! `cache-prompt`, and `generate` behind its files.

use super::*;

const KEEP: &str = "cache-prompt --prompt-cache-file kept.safetensors --model model -p hello";
const REST: &str = "generate --prompt-cache-file kept.safetensors --max-tokens 12 --json -p 7x";
const WHOLE: &str = "generate --model model --max-tokens 12 --json -p hello7x";

/// Tokens of the prompt's end and of the answer, behind the first `n_before`.
fn tokens(answer: &Value, n_before: usize) -> [Vec<u64>; 2] {
    let prompt = ids(answer, "prompt_token_ids").split_off(n_before);
    [prompt, ids(answer, "token_ids")]
}

/// Number of tokens that a command says it wrote.
fn n_kept(fixture: &Fixture, words: &str) -> usize {
    let told = fixture.ok(words).stderr;
    let (_, told) = told.split_once("Wrote ").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_text_goes_on_behind_a_file_as_behind_the_prompt() {
    let fixture = Fixture::new();
    for option in ["", " --ignore-chat-template", " --activations bf16"] {
        let n = n_kept(&fixture, &format!("{KEEP}{option}"));
        assert!(n > 1);
        let rest = fixture.ok_json(&format!("{REST}{option}"));
        let whole = fixture.ok_json(&format!("{WHOLE}{option}"));
        assert_eq!(tokens(&rest, 0), tokens(&whole, n), "{option}");
    }
}

#[test]
fn a_bound_is_kept_with_the_prompt() {
    let fixture = Fixture::new();
    let n = n_kept(&fixture, &format!("{KEEP} --max-kv-size 5"));
    assert!(n > 5, "{n}");
    let bounded = fixture.ok_json(REST);
    let told = fixture.run(&format!("{REST} --max-kv-size 9")).stderr;
    assert!(told.contains("--max-kv-size changes nothing"), "{told}");
    n_kept(&fixture, KEEP);
    assert_ne!(bounded["token_ids"], fixture.ok_json(REST)["token_ids"]);
}

#[test]
fn an_end_is_kept_with_the_prompt() {
    let fixture = Fixture::new();
    let whole = fixture.ok_json(WHOLE);
    let second = ids(&whole, "token_ids")[1];
    let tokenizer = Tokenizer::from_folder(&fixture.path("model")).unwrap();
    let token = tokenizer.id_to_token(second as u32).unwrap();
    let mut command = fixture.command(KEEP);
    command.args(["--eos-token", &token]);
    assert_eq!(ended(command.output().unwrap()).code, Some(0));
    let rest = fixture.ok_json(REST);
    assert_eq!(rest["finish_reason"], "stop");
    assert!(ids(&rest, "token_ids").len() < 2);
    let unknown = format!("{KEEP} --eos-token nothing");
    fixture.fails(&unknown, 2, &["--eos-token \"nothing\" is not in"]);
}

#[test]
fn files_of_another_model_or_adapter_are_refused() {
    let fixture = Fixture::new();
    fixture.ok(KEEP);
    fixture.ok(&format!("{REST} --model ./model"));
    fixture.fails(
        &format!("{REST} --model other"),
        2,
        &[
            "kept.safetensors: made with model model, not with model other",
            "cache-prompt",
        ],
    );
    fixture.train("");
    let refused = "made with no adapter, not with adapter adapters";
    fixture.fails(&format!("{REST} --adapter-path adapters"), 2, &[refused]);
    fixture.ok(&format!("{KEEP} --adapter-path adapters"));
    fixture.fails(
        REST,
        2,
        &["made with adapter adapters, not with no adapter"],
    );
    let rest = fixture.ok_json(&format!("{REST} --adapter-path adapters"));
    let whole = fixture.ok_json(&format!("{WHOLE} --adapter-path adapters"));
    assert_eq!(rest["token_ids"], whole["token_ids"]);
}

#[test]
fn files_of_another_kind_are_refused() {
    let fixture = Fixture::new();
    fixture.fails(REST, 2, &["kept.safetensors"]);
    fixture.write("kept.safetensors", "nothing of the kind");
    fixture.fails(
        REST,
        2,
        &["kept.safetensors: damaged or truncated safetensors file"],
    );
    std::fs::copy(
        fixture.path("model/model.safetensors"),
        fixture.path("kept.safetensors"),
    )
    .unwrap();
    fixture.fails(REST, 2, &["kept.safetensors: no file of keys and values"]);
    fixture.ok(KEEP);
    fixture.edit("model/config.json", |config| {
        config["num_hidden_layers"] = json!(1)
    });
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        tensors.retain(|name, _| !name.contains("layers.1."));
    });
    fixture.fails(REST, 2, &["caches of 2 blocks, and the model has 1"]);
    let words = |file: &str| KEEP.replace("kept.safetensors", file);
    fixture.ok(&words("new/folder/kept"));
    fixture.fails(
        &words("kept.safetensors/kept"),
        2,
        &["--prompt-cache-file kept.safetensors: cannot write"],
    );
}
