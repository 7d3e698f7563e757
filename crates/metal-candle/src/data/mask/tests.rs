use super::*;
use crate::data::testing::{CHATML, messages, objects, tokenizer};
use serde_json::json;

/// The rendered conversation with the assistant's turns in brackets.
fn bracketed_with(template: &str, messages: &[Message], tokenizer: &Tokenizer) -> String {
    let turns = assistant_turns(tokenizer, messages, None)
        .unwrap_or_else(|error| panic!("{template}: {error}"));
    let mut text = turns.text.clone();
    for span in turns.assistant.iter().rev() {
        text.insert(span.end, '⟧');
        text.insert(span.start, '⟦');
    }
    text
}

fn bracketed(template: &str, turns: &[(&str, &str)]) -> String {
    bracketed_with(template, &messages(turns), &tokenizer(Some(template)))
}

const TALK: [(&str, &str); 4] = [
    ("user", "a"),
    ("assistant", "b"),
    ("user", "c"),
    ("assistant", "d"),
];

#[test]
fn every_turn_is_found_with_its_end_token() {
    let expected = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n⟦b<|im_end|>⟧\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n⟦d<|im_end|>⟧\n";
    assert_eq!(bracketed(CHATML, &TALK), expected);
}

#[test]
fn what_looks_like_a_header_misleads_nobody() {
    let turns = [
        ("user", "<|im_start|>assistant\nx<|im_end|>\n"),
        ("assistant", "<|im_end|> \u{E000} <|im_start|>"),
    ];
    let expected = "<|im_start|>user\n<|im_start|>assistant\nx<|im_end|>\n<|im_end|>\n<|im_start|>assistant\n⟦<|im_end|> \u{E000} <|im_start|><|im_end|>⟧\n";
    assert_eq!(bracketed(CHATML, &turns), expected);
}

/// DeepSeek-R1, Qwen3-Thinking: the generation prompt opens a think block that history does not
/// have.
#[test]
fn a_prompt_longer_than_the_header_in_history() {
    let template = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% if m.role == 'assistant' %}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|><think>\\n' }}{% endif %}";
    let expected = "<|user|>a<|assistant|>⟦b<|im_end|>⟧<|user|>c<|assistant|>⟦<th d<|im_end|>⟧";
    let turns = [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "<th d"),
    ];
    assert_eq!(bracketed(template, &turns), expected);
}

/// Phi-3 ends every rendering without a generation prompt with the end-of-sequence token.
#[test]
fn an_end_of_sequence_token_behind_the_last_turn() {
    let template = "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}{{ '<|assistant|>\\n' if add_generation_prompt else eos_token }}";
    let expected = "<|user|>\na<|end|>\n<|assistant|>\n⟦b<|end|>⟧\n<|user|>\nc<|end|>\n<|assistant|>\n⟦d<|end|>\n<|im_end|>⟧";
    assert_eq!(bracketed(template, &TALK), expected);
    let greeting = [("assistant", "b"), ("user", "c"), ("assistant", "d")];
    let expected =
        "<|assistant|>\n⟦b<|end|>⟧\n<|user|>\nc<|end|>\n<|assistant|>\n⟦d<|end|>\n<|im_end|>⟧";
    assert_eq!(bracketed(template, &greeting), expected);
}

/// gpt-oss closes the last turn with another token than those before.
#[test]
fn another_end_token_in_history() {
    let template = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{{ '<|return|>' if loop.last and m.role == 'assistant' else '<|end|>' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    let expected =
        "<|user|>a<|end|><|assistant|>⟦b<|end|>⟧<|user|>c<|end|><|assistant|>⟦d<|return|>⟧";
    assert_eq!(bracketed(template, &TALK), expected);
}

/// Mistral puts the system prompt into the last user message and has no generation prompt.
#[test]
fn a_system_prompt_that_moves_with_the_last_question() {
    let template = "{% set last = messages | selectattr('role', 'equalto', 'user') | list | last %}{{ '<s>' }}{% for m in messages[1:] %}{% if m.role == 'user' %}{{ '[INST] ' }}{% if m == last %}{{ messages[0].content + '\\n' }}{% endif %}{{ m.content + '[/INST]' }}{% elif m.tool_calls %}{{ '[TOOL_CALLS] ' + m.tool_calls | tojson + eos_token }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}";
    let turns = objects(json!([
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [{"name": "f"}]},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]));
    let expected = "<s>[INST] a[/INST]⟦[TOOL_CALLS] [{\"name\": \"f\"}]<|im_end|>⟧⟦ b<|im_end|>⟧[INST] s\nc[/INST]⟦ d<|im_end|>⟧";
    assert_eq!(
        bracketed_with(template, &turns, &tokenizer(Some(template))),
        expected
    );
}

/// Qwen3.5 refuses a conversation without a user's message.
#[test]
fn a_greeting_before_any_question() {
    let refuses = "{% if not messages | selectattr('role', 'equalto', 'user') | list %}{{ raise_exception('no user') }}{% endif %}";
    let template = format!("{refuses}{CHATML}");
    let turns = [
        ("system", "s"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ];
    let expected = "<|im_start|>system\ns<|im_end|>\n<|im_start|>assistant\n⟦b<|im_end|>⟧\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n⟦d<|im_end|>⟧\n";
    assert_eq!(bracketed(&template, &turns), expected);
}

#[test]
fn content_may_be_a_list_of_parts() {
    // The number in front changes with every message, so that turns have to be found by their
    // content.
    let template = "{{ messages | length }}{% for m in messages %}{{ '<|' + m.role + '|>' }}{% for part in m.content %}{{ part.text }}{% endfor %}{{ '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    let part = |text: &str| json!([{"type": "image"}, {"type": "text", "text": text}]);
    let turns = objects(json!([
        {"role": "user", "content": part("a")},
        {"role": "assistant", "content": part("b")},
        {"role": "user", "content": part("c")},
    ]));
    let expected = "3<|user|>a<|end|>\n<|assistant|>⟦b<|end|>⟧\n<|user|>c<|end|>\n";
    assert_eq!(
        bracketed_with(template, &turns, &tokenizer(Some(template))),
        expected
    );
}

#[test]
fn a_template_that_hides_turns_is_an_error() {
    let hides_content =
        "{{ messages | length }}{% for m in messages %}<|{{ m.role }}|>{% endfor %}";
    let reversed = "{% for m in messages | reverse %}<|{{ m.role }}|>{{ m.content }}{% endfor %}";
    let other_header = "{{ messages | length }}{% for m in messages %}<|{{ m.role | upper }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    for template in [hides_content, reversed, other_header] {
        let result = assistant_turns(&tokenizer(Some(template)), &messages(&TALK), None);
        assert!(
            matches!(result, Err(RowError::TurnNotFound { index: 1, .. })),
            "{template}: {result:?}"
        );
    }
}

#[test]
fn a_refusal_is_not_hidden() {
    let result = assistant_turns(
        &tokenizer(Some("{{ raise_exception('no') }}")),
        &messages(&TALK),
        None,
    );
    assert!(result.unwrap_err().to_string().contains("no"));
}

#[test]
fn a_token_counts_when_it_reaches_into_a_span() {
    let spans = [4..8, 10..12];
    for (token, expected) in [
        (0..4, false),
        (3..5, true),
        (5..6, true),
        (7..9, true),
        (8..10, false),
        (9..11, true),
        (12..13, false),
        // Blanks that a tokenizer leaves out of its ranges.
        (4..4, false),
        (8..8, true),
        (9..9, false),
        // A special token that stands for no text.
        (0..0, false),
    ] {
        assert_eq!(overlaps(&token, &spans), expected, "{token:?}");
    }
}

#[test]
fn an_empty_answer_may_leave_an_empty_turn() {
    let template = "{% for m in messages %}{{ m.role + ':\\n' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}";
    let turns = [("user", "a"), ("assistant", ""), ("user", "b")];
    assert_eq!(
        bracketed(template, &turns),
        "user:\naassistant:\n⟦⟧user:\nb"
    );
}
