//! Parts with settings that their authors did not expect.

use super::set;
use crate::input::Input;
use crate::mutate;

pub fn inputs() -> Vec<Input> {
    let nested = |part: &str, inner: &str, n: usize| {
        mutate::nested(
            &format!("{{\"type\":\"Sequence\",\"{part}\":["),
            inner,
            "]}",
            n,
        )
    };
    let template = |single: &str, special: &str| {
        format!(
            "{{\"type\":\"TemplateProcessing\",\"single\":{single},\"pair\":[],\"special_tokens\":{special}}}"
        )
    };
    let digits = "{\"type\":\"Digits\",\"individual_digits\":true}";
    let normalizers = [
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////wAAAAAAAAAA\"}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAP////8AAAAA\"}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"no base64!\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"xx\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\"},\"content\":\"xx\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a|a)*$\"},\"content\":\"xx\"}",
        "{\"type\":\"Prepend\",\"prepend\":\"\"}",
        "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}",
        "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true}",
        "{\"type\":\"Sequence\",\"normalizers\":[]}",
    ];
    let pre_tokenizers = [
        "{\"type\":\"Metaspace\",\"replacement\":\"\",\"prepend_scheme\":\"always\",\"split\":true}",
        "{\"type\":\"Metaspace\",\"replacement\":\"ab\",\"prepend_scheme\":\"always\",\"split\":true}",
        "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}",
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Removed\",\"invert\":true}",
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"MergedWithNext\",\"invert\":false}",
        "{\"type\":\"FixedLength\",\"length\":0}",
        "{\"type\":\"FixedLength\",\"length\":18446744073709551615}",
        "{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}",
        "{\"type\":\"UnicodeScripts\"}",
        "{\"type\":\"Sequence\",\"pretokenizers\":[]}",
    ];
    let decoders = [
        "{\"type\":\"Strip\",\"content\":\"a\",\"start\":18446744073709551615,\"stop\":0}",
        "{\"type\":\"Strip\",\"content\":\"a\",\"start\":0,\"stop\":1000000000000}",
        "{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":1}",
        "{\"type\":\"Strip\",\"content\":\"ab\",\"start\":1,\"stop\":1}",
        "{\"type\":\"CTC\",\"pad_token\":\"\",\"word_delimiter_token\":\"\",\"cleanup\":true}",
        "{\"type\":\"WordPiece\",\"prefix\":\"\",\"cleanup\":true}",
        "{\"type\":\"BPEDecoder\",\"suffix\":\"\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\"}",
        "{\"type\":\"ByteFallback\"}",
        "{\"type\":\"Fuse\"}",
    ];
    let post_processors = [
        template("[{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}]", "{}"),
        template("[]", "{}"),
        template("[{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}]", "{}"),
        template("[{\"Sequence\":{\"id\":\"A\",\"type_id\":4294967295}}]", "{}"),
        template(
            "[{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]",
            "{\"x\":{\"id\":\"x\",\"ids\":[4294967295,1,2],\"tokens\":[\"x\"]}}",
        ),
        "{\"type\":\"BertProcessing\",\"sep\":[\"x\",4294967295],\"cls\":[\"y\",4294967295]}".into(),
        "{\"type\":\"RobertaProcessing\",\"sep\":[\"x\",1],\"cls\":[\"y\",2],\"trim_offsets\":true,\"add_prefix_space\":true}".into(),
        "{\"type\":\"Sequence\",\"processors\":[]}".into(),
    ];
    let truncation = |length: &str, stride: &str| {
        format!(
            "{{\"direction\":\"Right\",\"max_length\":{length},\"strategy\":\"LongestFirst\",\"stride\":{stride}}}"
        )
    };
    let padding = |n: &str, multiple: &str| {
        format!(
            "{{\"strategy\":{{\"Fixed\":{n}}},\"direction\":\"Right\",\"pad_to_multiple_of\":{multiple},\"pad_id\":0,\
             \"pad_type_id\":0,\"pad_token\":\"x\"}}"
        )
    };
    let mut inputs: Vec<Input> = normalizers.map(|raw| set("/normalizer", raw)).into();
    inputs.extend(pre_tokenizers.map(|raw| set("/pre_tokenizer", raw)));
    inputs.extend(decoders.map(|raw| set("/decoder", raw)));
    inputs.extend(
        post_processors
            .iter()
            .map(|raw| set("/post_processor", raw)),
    );
    for n in [1000, 50_000] {
        inputs.push(
            set("/pre_tokenizer", &nested("pretokenizers", digits, n))
                .named(&format!("{n} pre-tokenizers deep")),
        );
        inputs.push(
            set(
                "/normalizer",
                &nested("normalizers", "{\"type\":\"NFC\"}", n),
            )
            .named(&format!("{n} normalizers deep")),
        );
        inputs.push(
            set("/decoder", &nested("decoders", "{\"type\":\"Fuse\"}", n))
                .named(&format!("{n} decoders deep")),
        );
        inputs.push(
            set(
                "/post_processor",
                &nested(
                    "processors",
                    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}",
                    n,
                ),
            )
            .named(&format!("{n} processors deep")),
        );
    }
    inputs.extend(
        [
            ("0", "0"),
            ("0", "10"),
            ("5", "18446744073709551615"),
            ("1", "1"),
        ]
        .map(|(length, stride)| {
            set("/truncation", &truncation(length, stride))
                .named(&format!("truncation {length} {stride}"))
        }),
    );
    inputs.extend(
        [
            ("1000000000000", "null"),
            ("8", "0"),
            ("0", "0"),
            ("8", "18446744073709551615"),
        ]
        .map(|(n, multiple)| {
            set("/padding", &padding(n, multiple)).named(&format!("padding {n} {multiple}"))
        }),
    );
    inputs
}
