//! Small tokenizers for tests.

use std::path::Path;

use serde_json::{Value, json};

use super::bpe::{train_bpe, write_tokenizer};
use super::json::Json;
use super::template::Message;
use super::tokenizer::Tokenizer;

pub(super) const EOS: &str = "<|im_end|>";

/// Template in the style of Qwen2.5, without its default system prompt.
pub(super) const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const SPECIAL: [&str; 7] = [
    "<|im_start|>",
    EOS,
    "<|end|>",
    "<|return|>",
    "<|user|>",
    "<|assistant|>",
    "<s>",
];

/// Byte-level BPE with [`EOS`], written to a folder and read back.
pub(super) fn tokenizer(chat_template: Option<&str>) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    write_bpe(folder.path(), chat_template);
    Tokenizer::from_folder(folder.path()).unwrap()
}

pub(super) fn write_bpe(folder: &Path, chat_template: Option<&str>) {
    let texts = ["user assistant hello world the answer is 42\n".to_owned()];
    let trained = train_bpe(&texts, 300, &SPECIAL).unwrap();
    write_tokenizer(folder, &trained, EOS, chat_template).unwrap();
}

/// In the style of Llama 2: blanks are `▁`, bytes without a token are spelt `<0xE4>`, decoding
/// strips the first blank.
pub(super) fn byte_fallback_tokenizer() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let tokens = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let tokens = ["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()]
        .into_iter()
        .chain(tokens);
    let tokens = tokens.chain(["▁", "a", "b", "▁a", "中"].map(str::to_owned));
    let vocab: Value = tokens
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let special = |id: u32, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let file = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": [["▁", "a"]]},
    });
    write_json(folder.path(), "tokenizer.json", &file);
    write_json(
        folder.path(),
        "tokenizer_config.json",
        &json!({"bos_token": "<s>", "eos_token": "</s>"}),
    );
    Tokenizer::from_folder(folder.path()).unwrap()
}

pub(super) fn write_json(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).unwrap();
}

/// Messages from pairs of role and content.
pub(super) fn messages(turns: &[(&str, &str)]) -> Vec<Message> {
    let message = |&(role, content): &(&str, &str)| json!({"role": role, "content": content});
    objects(turns.iter().map(message).collect())
}

/// Messages from a list of objects.
pub(super) fn objects(list: Value) -> Vec<Message> {
    let Json::Array(items) = Json::from(list) else {
        panic!("no list")
    };
    let objects = items.iter().map(|item| item.as_object().cloned().unwrap());
    objects.collect()
}
