use super::*;
use crate::data::render::mask_spans;
use crate::data::testing::{CHATML, byte_fallback_tokenizer, messages, tokenizer};
use serde_json::json;

fn text(text: &str) -> Row {
    Row::Text(text.to_owned())
}

fn completion(prompt: &str, completion: &str) -> Row {
    Row::Completion {
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
        tools: None,
    }
}

fn example(row: &Row, tokenizer: &Tokenizer, mask_prompt: bool) -> Example {
    Example::from_row(row, 1, tokenizer, mask_prompt).unwrap()
}

/// The text with its trained runs in brackets.
fn bracketed(example: &Example, tokenizer: &Tokenizer) -> String {
    let spans = mask_spans(example, tokenizer).unwrap();
    assert_eq!(
        spans.iter().map(|span| span.n_tokens).sum::<usize>(),
        example.tokens.len()
    );
    spans
        .iter()
        .map(|span| {
            if span.trained {
                format!("⟦{}⟧", span.text)
            } else {
                span.text.clone()
            }
        })
        .collect()
}

#[test]
fn a_text_ends_with_one_end_token() {
    let tokenizer = tokenizer(None);
    let (_, eos) = tokenizer.eos_token().unwrap();
    let expected = [tokenizer.encode("ab").unwrap(), vec![eos]].concat();
    for row in ["ab", "ab<|im_end|>"] {
        let example = example(&text(row), &tokenizer, false);
        assert_eq!(example.tokens, expected);
        assert_eq!(example.trained_tokens(), expected.len() - 1);
        assert!(!example.trained[0]);
    }
}

#[test]
fn a_text_gets_the_tokenizers_own_special_tokens() {
    let tokenizer = byte_fallback_tokenizer();
    let ids = [1, tokenizer.token_to_id("▁a").unwrap(), 2];
    assert_eq!(example(&text("a"), &tokenizer, false).tokens, ids);
}

#[test]
fn a_text_cannot_be_masked() {
    let result = Example::from_row(&text("ab"), 1, &tokenizer(None), true);
    assert!(matches!(result, Err(RowError::MaskedText)));
}

#[test]
fn a_completion_without_template_is_the_text_behind_the_prompt() {
    let tokenizer = tokenizer(None);
    let row = completion("hello world: ", "42 ö");
    let plain = example(&text("hello world: 42 ö"), &tokenizer, false);
    let masked = example(&row, &tokenizer, true);
    assert_eq!(masked.tokens, plain.tokens);
    assert_eq!(
        bracketed(&masked, &tokenizer),
        "hello world: ⟦42 ö<|im_end|>⟧"
    );
    assert_eq!(example(&row, &tokenizer, false), plain);
}

#[test]
fn a_token_across_the_border_belongs_to_the_completion() {
    let tokenizer = tokenizer(None);
    // " world" is one token.
    let masked = example(&completion("hello wor", "ld"), &tokenizer, true);
    assert_eq!(bracketed(&masked, &tokenizer), "hello⟦ world<|im_end|>⟧");
}

#[test]
fn special_tokens_in_front_are_masked_with_the_prompt() {
    let tokenizer = byte_fallback_tokenizer();
    let masked = example(&completion("a", "b"), &tokenizer, true);
    assert_eq!(masked.trained, [false, false, true, true]);
    // An empty prompt masks nothing but the first token, which nothing predicts.
    let masked = example(&completion("", "b"), &tokenizer, true);
    assert_eq!(masked.trained, [false, true, true, true]);
}

#[test]
fn a_completion_with_template_is_a_conversation() {
    let tokenizer = tokenizer(Some(CHATML));
    let row = completion("hi", "yo");
    let talk = Row::Messages {
        messages: messages(&[("user", "hi"), ("assistant", "yo")]),
        tools: None,
    };
    for mask in [false, true] {
        assert_eq!(
            example(&row, &tokenizer, mask),
            example(&talk, &tokenizer, mask)
        );
    }
    let expected = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n⟦yo<|im_end|>⟧\n";
    assert_eq!(
        bracketed(&example(&row, &tokenizer, true), &tokenizer),
        expected
    );
}

#[test]
fn tools_reach_the_template() {
    let tokenizer = tokenizer(Some(
        "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}",
    ));
    let tools = Some(vec![json!({"name": "f"}).into()]);
    let row = Row::Completion {
        prompt: "p".to_owned(),
        completion: "c".to_owned(),
        tools,
    };
    let tokens = example(&row, &tokenizer, false).tokens;
    assert_eq!(tokenizer.decode(&tokens).unwrap(), "[{\"name\": \"f\"}]pc");
}

#[test]
fn messages_without_a_template_say_what_to_do() {
    let row = Row::Messages {
        messages: messages(&[("user", "hi")]),
        tools: None,
    };
    let error = Example::from_row(&row, 1, &tokenizer(None), false).unwrap_err();
    assert!(
        error.to_string().contains("add chat_template.jinja"),
        "{error}"
    );
}

#[test]
fn a_text_needs_an_end_token() {
    let folder = tempfile::tempdir().unwrap();
    crate::data::testing::write_bpe(folder.path(), None);
    crate::data::testing::write_json(folder.path(), "tokenizer_config.json", &json!({}));
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let error = Example::from_row(&text("ab"), 1, &tokenizer, false).unwrap_err();
    assert!(
        matches!(error, RowError::Encode(Error::NoEosToken { .. })),
        "{error}"
    );
}

#[test]
fn truncation_says_how_much_it_dropped() {
    let mut example = Example {
        tokens: vec![1, 2, 3],
        trained: vec![false, true, true],
        line: 1,
        pair: None,
    };
    assert_eq!(example.truncate(5), 0);
    assert_eq!(example.truncate(2), 1);
    assert_eq!(
        (example.tokens, example.trained),
        (vec![1, 2], vec![false, true])
    );
}

#[test]
fn what_a_text_begins_with_already_is_kept_once_and_told() {
    let tokenizer = byte_fallback_tokenizer();
    let mut notes = Notes::default();
    let rows = [text("<s>a"), completion("<s>a", "b"), text("a")];
    let examples = (1..).zip(&rows).map(|(line, row)| {
        let example = Example::noting(row, &tokenizer, false, (&mut notes, line)).unwrap();
        example.tokens.iter().filter(|&&id| id == 1).count()
    });
    assert_eq!(examples.collect::<Vec<_>>(), [1, 1, 1]);
    let warnings = notes.warnings();
    assert!(
        warnings[0].starts_with("2 rows begin with the beginning-of-sequence token"),
        "{warnings:?}"
    );
}

#[test]
fn tools_without_a_place_are_told() {
    let tools = Some(vec![json!({"name": "f"}).into()]);
    let row = Row::Completion {
        prompt: "p".to_owned(),
        completion: "c".to_owned(),
        tools,
    };
    for template in [None, Some(CHATML)] {
        let mut notes = Notes::default();
        Example::noting(&row, &tokenizer(template), false, (&mut notes, 1)).unwrap();
        let warnings = notes.warnings();
        assert!(warnings[0].contains("function schemas"), "{warnings:?}");
    }
}
