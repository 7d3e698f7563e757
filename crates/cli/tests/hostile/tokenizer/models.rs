//! Other kinds of models, BPE with odd settings, and tokens beside it.

use super::set;
use crate::input::Input;
use crate::mutate;

pub fn inputs() -> Vec<Input> {
    let fields = ["2.0", "-1", "NaN", "1.0", "0.5"].map(|raw| set("/model/dropout", raw));
    let mut inputs: Vec<Input> = fields.into();
    let bpe = [
        ("/model/unk_token", "\"nothing\""),
        ("/model/byte_fallback", "true"),
        ("/model/fuse_unk", "true"),
        ("/model/continuing_subword_prefix", "\"##\""),
        ("/model/end_of_word_suffix", "\"</w>\""),
        ("/model/vocab", "{}"),
        ("/model/merges", "[]"),
        ("/model/vocab", "{\"a\": 4294967295}"),
        ("/model/ignore_merges", "true"),
        ("/version", "\"2.0\""),
        ("/version", "5"),
        ("/model/vocab", "{\"\": 0}"),
    ];
    inputs.extend(bpe.map(|(pointer, raw)| set(pointer, raw)));
    let others = [
        "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[],\"byte_fallback\":false}",
        "{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",-1.0]],\"byte_fallback\":false}",
        "{\"type\":\"Unigram\",\"unk_id\":null,\"vocab\":[[\"a\",-1.0]],\"byte_fallback\":false}",
        "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"\",0.0],[\"a\",1e308]],\"byte_fallback\":true}",
        "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"a\",-1e308],[\"b\",1e308]]}",
        "{\"type\":\"WordLevel\",\"vocab\":{},\"unk_token\":\"x\"}",
        "{\"type\":\"WordLevel\",\"vocab\":{\"x\":4294967295},\"unk_token\":\"x\"}",
        "{\"type\":\"WordPiece\",\"unk_token\":\"x\",\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":0,\"vocab\":{\"a\":0}}",
        "{\"type\":\"WordPiece\",\"unk_token\":\"x\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":18446744073709551615,\"vocab\":{\"x\":0}}",
    ];
    inputs.extend(others.map(|raw| set("/model", raw)));
    inputs.extend(added_tokens());
    inputs
}

fn added_tokens() -> Vec<Input> {
    let token = |id: &str, content: &str| {
        format!(
            "[{{\"id\":{id},\"content\":{},\"single_word\":false,\"lstrip\":true,\"rstrip\":true,\"normalized\":true,\"special\":false}}]",
            mutate::extreme(content)
        )
    };
    let ids = [
        "0",
        "-1",
        "4294967295",
        "4294967296",
        "1000000000",
        "1.5",
        "\"1\"",
    ];
    let contents = [
        "\"\"",
        "\" \"",
        "\"\\u0000\"",
        "HUGE",
        "5",
        "\"(\"",
        "\"a\"",
        "\"\\u001b[31m\"",
        "\"\\ud800\"",
    ];
    let mut inputs: Vec<Input> = ids
        .map(|id| set("/added_tokens", &token(id, "\"zz\"")).named(&format!("a token of id {id}")))
        .into();
    inputs.extend(contents.map(|content| {
        set("/added_tokens", &token("319", content)).named(&format!("a token of content {content}"))
    }));
    inputs
}
