//! Expected texts of reasoning are those of transformers 5.24.

use super::*;
use crate::data::example::Example;
use crate::data::row::Row;
use crate::data::testing::{CHATML, objects, tokenizer};
use serde_json::{Value, json};

struct Read {
    text: String,
    trained: String,
    notes: Notes,
}

fn read(template: &str, messages: Value, mask_prompt: bool) -> Result<Read, RowError> {
    let tokenizer = tokenizer(Some(template));
    let row = Row::Messages {
        messages: objects(messages),
        tools: None,
    };
    let mut notes = Notes::default();
    let example = Example::noting(&row, &tokenizer, mask_prompt, (&mut notes, 1))?;
    let tokens = example.tokens.iter().zip(&example.trained);
    let trained: Vec<u32> = tokens.filter(|(_, on)| **on).map(|(id, _)| *id).collect();
    Ok(Read {
        text: tokenizer.decode_all(&example.tokens).unwrap(),
        trained: tokenizer.decode_all(&trained).unwrap(),
        notes,
    })
}

fn error(template: &str, messages: Value, mask_prompt: bool) -> String {
    match read(template, messages, mask_prompt) {
        Err(error) => error.to_string(),
        Ok(read) => panic!("{}", read.text),
    }
}

fn marked(first: Value, second: Value) -> Value {
    let mut messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "bad"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "good"},
    ]);
    for (i, marks) in [(1, first), (3, second)] {
        let Value::Object(marks) = marks else {
            panic!()
        };
        messages[i].as_object_mut().unwrap().extend(marks);
    }
    messages
}

#[test]
fn a_turn_of_weight_0_is_not_trained() {
    for (off, on) in [
        (json!({"weight": 0}), json!({"weight": 1})),
        (json!({"weight": 0.0}), json!({"weight": null})),
        (json!({"train": false}), json!({"training": true})),
        (json!({"training": false, "weight": 0}), json!({})),
    ] {
        let read = read(CHATML, marked(off, on), true).unwrap();
        assert_eq!(read.trained, "good<|im_end|>");
        assert!(read.text.contains("bad"));
    }
}

#[test]
fn no_template_sees_a_mark() {
    let dump = "{% for m in messages %}{{ m | tojson }}{% endfor %}";
    let read = read(
        dump,
        marked(json!({"weight": 1}), json!({"train": true})),
        false,
    )
    .unwrap();
    assert!(!read.text.contains("weight") && !read.text.contains("train"));
}

#[test]
fn marks_that_cannot_be_honoured_are_errors() {
    let none = || json!({});
    let cases = [
        (
            marked(json!({"weight": 0.5}), none()),
            "messages[1].weight: expected 0 or 1",
        ),
        (
            marked(json!({"train": "no"}), none()),
            "messages[1].train: expected true or false, got a string",
        ),
        (
            marked(none(), json!({"weight": 1, "training": false})),
            "messages[3].weight and messages[3].training differ",
        ),
        (
            json!([{"role": "user", "content": "x", "train": true}]),
            "messages[0].train asks for a turn to be trained that is not the assistant's",
        ),
    ];
    for (messages, expected) in cases {
        let error = error(CHATML, messages, true);
        assert!(error.contains(expected), "{error}");
    }
    let unmasked = error(CHATML, marked(json!({"weight": 0}), none()), false);
    assert!(
        unmasked.contains("messages[1].weight asks for a turn that is not trained"),
        "{unmasked}"
    );
    // Nobody trains a question, so that saying so changes nothing.
    let asked = json!([{"role": "user", "content": "x", "weight": 0}, {"role": "assistant", "content": "y"}]);
    assert_eq!(read(CHATML, asked, true).unwrap().trained, "y<|im_end|>");
}

#[test]
fn reasoning_reaches_the_template_under_its_own_name() {
    for template_key in ["reasoning_content", "thinking", "reasoning"] {
        let template = format!(
            "{{% for m in messages %}}{{{{ m.role }}}}{{% if m.{template_key} %}}<{{{{ m['{template_key}'] }}}}>{{% endif %}}{{{{ m.content }}}}{{% endfor %}}"
        );
        for key in ["reasoning_content", "thinking", "reasoning"] {
            let messages = json!([{"role": "assistant", "content": "c", key: "why"}]);
            let read = read(&template, messages, false).unwrap();
            assert_eq!(read.text, "assistant<why>c", "{key} for {template_key}");
            assert_eq!(read.notes.warnings(), [""; 0]);
        }
    }
}

#[test]
fn keys_that_the_template_does_not_read_are_told() {
    let messages = json!([
        {"role": "user", "content": "a", "name": "Ann"},
        {"role": "assistant", "content": "c", "thinking": "why", "tool_calls": [1], "score": 1, "x": null},
        {"role": "tool", "content": "c", "tool_call_id": "1"},
    ]);
    let warnings = read(CHATML, messages.clone(), false)
        .unwrap()
        .notes
        .warnings();
    assert_eq!(warnings.len(), 1);
    for key in ["name", "thinking", "tool_calls", "score"] {
        assert!(warnings[0].contains(&format!("\"{key}\"")), "{warnings:?}");
    }
    assert!(!warnings[0].contains("tool_call_id") && !warnings[0].contains("\"x\""));
    let whole = "{% for message in messages %}{{ message | tojson }}{% endfor %}";
    assert_eq!(
        read(whole, messages, false).unwrap().notes.warnings(),
        [""; 0]
    );
}

#[test]
fn parts_are_joined_where_the_template_prints_a_list() {
    let parts = json!([
        {"role": "user", "content": [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": "y"},
    ]);
    let plain = "{% for m in messages %}{{ m.content }}|{% endfor %}";
    let adding = "{% for m in messages %}{{ m.content + '|' }}{% endfor %}";
    for template in [plain, adding] {
        let read = read(template, parts.clone(), false).unwrap();
        assert_eq!(read.text, "a bc|y|");
        assert!(read.notes.warnings()[0].contains("the texts are joined"));
    }
    let reading = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %}|{% endfor %}";
    let read = read(reading, parts, false).unwrap();
    assert_eq!(read.text, "<a b><c>|y|");
    assert_eq!(read.notes.warnings(), [""; 0]);
}

#[test]
fn messages_that_call_functions_need_no_content() {
    let messages = |last: Value| {
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f"}}]},
            {"role": "tool", "content": "7"},
            last,
        ])
    };
    let answer = json!({"role": "assistant", "content": "b"});
    let adding = "{% for m in messages %}{{ m.content + '|' }}{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}{% endfor %}";
    let telling = "{% for m in messages %}{{ m.content if m.content is defined else '-' }}|{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}{% endfor %}";
    let text = |template| {
        read(template, messages(answer.clone()), false)
            .unwrap()
            .text
    };
    assert_eq!(text(adding), "a||f7|b|");
    assert_eq!(text(telling), "a|-|f7|b|");
    let bare = messages(json!({"role": "assistant", "content": null}));
    assert_eq!(
        error(adding, bare.clone(), false),
        "messages[3].content: expected a string, got nothing"
    );
    assert_eq!(read(telling, bare, false).unwrap().text, "a|-|f7|-|");
}

#[test]
fn content_is_text() {
    let plain = "{% for m in messages %}{{ m.content }}{% endfor %}";
    for (content, got) in [(json!(5), "a number"), (json!(true), "a boolean")] {
        assert_eq!(
            error(plain, json!([{"role": "user", "content": content}]), false),
            format!("messages[0].content: expected a string, got {got}")
        );
    }
}

#[test]
fn media_and_other_parts_are_refused() {
    let plain = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let cases = [
        (
            json!([{"type": "image", "image": "x"}]),
            "messages[0].content[0]: an image",
        ),
        (
            json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]),
            "messages[0].content[1]: an image",
        ),
        (json!([{"type": "input_audio"}]), "audio"),
        (json!([{"image": "x", "text": null}]), "an image"),
        (json!([{"type": "video", "video": "x"}]), "a video"),
        (
            json!([{"type": "tool_use", "id": "1"}]),
            "messages[0].content[0]: a part of type \"tool_use\"",
        ),
        (json!([5]), "a part of type a number"),
        (
            json!({"answer": 1}),
            "messages[0].content: expected a string, got an object",
        ),
    ];
    for (content, expected) in cases {
        let error = error(plain, json!([{"role": "user", "content": content}]), false);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_no_text_can_be_made_of_is_an_error_where_it_is_read() {
    let tokenizer = tokenizer(Some(CHATML));
    let message = |key: &str, value: Json| {
        let mut message = objects(json!([{"role": "user", "content": "a"}])).remove(0);
        message.insert(key.to_owned(), value);
        Row::Messages {
            messages: vec![message],
            tools: None,
        }
    };
    let nan = || Json::Array(vec![Json::Float(f64::NAN)]);
    let read = |row| Example::from_row(&row, 1, &tokenizer, false);
    assert!(read(message("logprobs", nan())).is_ok());
    assert!(read(message("name", Json::LoneSurrogate)).is_ok());
    let error = read(message("content", Json::LoneSurrogate))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("messages[0].content: no text can be made of"),
        "{error}"
    );
    let error = read(message("content", nan())).unwrap_err().to_string();
    assert!(
        error.starts_with("messages[0].content[0]: no text can be made of NaN"),
        "{error}"
    );
}
