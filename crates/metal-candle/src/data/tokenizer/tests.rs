use super::*;
use crate::data::testing::{
    CHATML, EOS, byte_fallback_tokenizer, messages, tokenizer, write_bpe, write_json,
};
use serde_json::json;
use std::fs;
use tempfile::tempdir;

fn render(tokenizer: &Tokenizer, tools: Option<&[Json]>) -> Result<String> {
    tokenizer.apply_chat_template(&messages(&[("user", "hi")]), tools, false)
}

#[test]
fn a_tokenizer_can_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Tokenizer>();
}

#[test]
fn text_survives_a_round_trip() {
    let tokenizer = tokenizer(None);
    let text = "Hello, 世界! 🙂\n\tnaïve  1234";
    assert_eq!(
        tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(),
        text
    );
    let encoded = tokenizer.encode_with_offsets("é", false).unwrap();
    assert_eq!(encoded.ranges.last().unwrap().end, 2, "ranges count bytes");
}

#[test]
fn only_encode_adds_special_tokens() {
    let tokenizer = byte_fallback_tokenizer();
    let (_, bos) = tokenizer.bos_token().unwrap();
    let raw = tokenizer.encode_raw("a b").unwrap();
    assert_eq!(tokenizer.encode("a b").unwrap(), [vec![bos], raw].concat());
    assert_eq!(
        tokenizer.encode_with_offsets("a b", true).unwrap().ranges[0],
        0..0
    );
}

#[test]
fn truncation_and_padding_in_the_file_are_ignored() {
    let tokenizer = byte_fallback_tokenizer();
    assert_eq!(tokenizer.encode_raw("bbbbbbbb").unwrap().len(), 9);
}

#[test]
fn special_tokens_are_left_out_of_decoded_text() {
    let tokenizer = tokenizer(None);
    let (name, id) = tokenizer.eos_token().unwrap();
    assert_eq!(name, EOS);
    assert!(tokenizer.is_special(id) && !tokenizer.is_special(0));
    assert_eq!(tokenizer.token_to_id(EOS), Some(id));
    assert_eq!(tokenizer.id_to_token(id).as_deref(), Some(EOS));
    let ids = tokenizer.encode("a<|im_end|>").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "a");
    assert_eq!(tokenizer.decode_all(&ids).unwrap(), "a<|im_end|>");
    assert_eq!(tokenizer.bos_token(), None);
    assert!(
        tokenizer.vocab_size() > 256
            && tokenizer
                .id_to_token(tokenizer.vocab_size() as u32)
                .is_none()
    );
}

#[test]
fn the_template_file_wins_over_the_config() {
    let folder = tempdir().unwrap();
    write_bpe(folder.path(), Some("config"));
    assert_eq!(
        render(&Tokenizer::from_folder(folder.path()).unwrap(), None).unwrap(),
        "config"
    );
    fs::write(folder.path().join("chat_template.jinja"), "file").unwrap();
    assert_eq!(
        render(&Tokenizer::from_folder(folder.path()).unwrap(), None).unwrap(),
        "file"
    );
}

#[test]
fn named_templates_are_chosen_by_tools() {
    let folder = tempdir().unwrap();
    write_bpe(folder.path(), None);
    let templates =
        json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
    write_json(
        folder.path(),
        "tokenizer_config.json",
        &json!({"eos_token": EOS, "chat_template": templates}),
    );
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(render(&tokenizer, None).unwrap(), "d");
    assert_eq!(render(&tokenizer, Some(&[json!({}).into()])).unwrap(), "t");
}

#[test]
fn without_a_template_the_error_names_the_folder() {
    let tokenizer = tokenizer(None);
    assert!(!tokenizer.has_chat_template());
    match render(&tokenizer, None) {
        Err(Error::NoChatTemplate { folder }) => assert_eq!(folder, tokenizer.folder()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broken_template_is_an_error_for_those_who_use_it() {
    let tokenizer = tokenizer(Some("a\n{% if %}"));
    assert!(tokenizer.has_chat_template());
    assert!(tokenizer.encode("text").is_ok());
    let text = render(&tokenizer, None).unwrap_err().to_string();
    assert!(
        text.contains("tokenizer_config.json") && text.contains(":2)"),
        "{text}"
    );
}

#[test]
fn templates_read_special_tokens_and_variables() {
    let variables = |value: Value| value.as_object().cloned().unwrap();
    let template = "{{ eos_token }}|{{ bos_token }}|{{ x }}|{{ y }}";
    let tokenizer =
        tokenizer(Some(template)).with_template_config(variables(json!({"x": 1, "y": 2})));
    assert_eq!(render(&tokenizer, None).unwrap(), "<|im_end|>||1|2");
    let once = tokenizer.apply_chat_template_with(
        &messages(&[("user", "")]),
        None,
        false,
        &variables(json!({"y": 3})),
    );
    assert_eq!(once.unwrap(), "<|im_end|>||1|3");
    assert_eq!(render(&tokenizer, None).unwrap(), "<|im_end|>||1|2");
}

#[test]
fn the_generation_prompt_opens_the_assistants_turn() {
    let tokenizer = tokenizer(Some(CHATML));
    let text = tokenizer
        .apply_chat_template(&messages(&[("user", "hi")]), None, true)
        .unwrap();
    assert_eq!(
        text,
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn broken_files_are_named() {
    let folder = tempdir().unwrap();
    let error = |folder: &Path| Tokenizer::from_folder(folder).err().unwrap().to_string();
    assert!(error(folder.path()).contains("tokenizer.json"));
    write_bpe(folder.path(), None);
    write_json(
        folder.path(),
        "tokenizer_config.json",
        &json!({"chat_template": 1}),
    );
    assert!(error(folder.path()).contains("chat_template"));
    write_json(folder.path(), "tokenizer_config.json", &json!([]));
    assert!(error(folder.path()).contains("tokenizer_config.json: expected a JSON object"));
    write_json(folder.path(), "tokenizer_config.json", &json!({}));
    write_json(folder.path(), "tokenizer.json", &json!({"model": {}}));
    assert!(error(folder.path()).contains("tokenizer.json: not a tokenizer"));
}

#[test]
fn a_tokenizer_in_another_format_is_named() {
    let folder = tempdir().unwrap();
    let error = || Tokenizer::from_folder(folder.path()).err().unwrap();
    assert!(matches!(error(), Error::NoTokenizer { .. }));
    for name in [
        "merges.txt",
        "qwen.tiktoken",
        "vocab.json",
        "tekken.json",
        "tokenizer.model",
    ] {
        fs::write(folder.path().join(name), "x").unwrap();
        match error() {
            Error::OtherTokenizer { found, .. } if name == "qwen.tiktoken" => {
                assert_eq!(found, "merges.txt")
            }
            Error::OtherTokenizer { found, .. } => assert_eq!(found, name),
            other => panic!("{other}"),
        }
    }
}

/// Files as trainers save them: tokens that the model's tokenizer lacks, and another template.
#[test]
fn an_adapters_own_files_win_over_the_models() {
    let (model, adapter) = (tempdir().unwrap(), tempdir().unwrap());
    write_bpe(model.path(), None);
    fs::write(model.path().join("chat_template.jinja"), "model").unwrap();
    let read = || Tokenizer::from_adapter(adapter.path(), model.path()).unwrap();
    let template = |tokenizer: &Tokenizer| render(tokenizer, None).unwrap();
    assert!(!has_tokenizer_files(adapter.path()));
    assert_eq!(template(&read()), "model");
    let n_ids = read().n_ids();
    let decoder = json!({n_ids.to_string(): {"content": "<tool>", "special": true}});
    let config = json!({
        "added_tokens_decoder": decoder, "eos_token": "<tool>", "chat_template": "adapter's config",
    });
    write_json(adapter.path(), "tokenizer_config.json", &config);
    assert!(has_tokenizer_files(adapter.path()));
    assert_eq!(
        read().eos_token(),
        Some(("<tool>".to_owned(), n_ids as u32))
    );
    assert_eq!(template(&read()), "adapter's config");
    fs::write(adapter.path().join("chat_template.jinja"), "adapter").unwrap();
    assert_eq!(template(&read()), "adapter");
    assert_eq!(read().folder(), model.path());
    let file = adapter.path().join("tokenizer.json");
    fs::copy(model.path().join("tokenizer.json"), &file).unwrap();
    assert_eq!(read().folder(), adapter.path());
}

/// Some decoders count on a first token.
#[test]
fn nothing_decodes_to_nothing() {
    let tokenizer = byte_fallback_tokenizer();
    assert_eq!(tokenizer.decode(&[]).unwrap(), "");
    assert_eq!(tokenizer.decode_all(&[]).unwrap(), "");
}
