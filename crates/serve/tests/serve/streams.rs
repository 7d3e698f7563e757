use crate::fixture::{CHAT, COMPLETIONS, Fixture, asked, content};
use metal_candle_serve::Settings;
use serde_json::{Value, json};

fn streamed(body: &Value) -> Value {
    let mut body = body.clone();
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    body
}

#[test]
fn a_stream_is_the_plain_answer_in_pieces() {
    let served = Fixture::new().start(Settings::default());
    let body = asked(
        "hello",
        json!({"n": 2, "temperature": 0.8, "seed": 4, "logprobs": true, "top_logprobs": 2}),
    );
    let plain = served.ok(CHAT, &body);
    let reply = served.post(CHAT, &streamed(&body));
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let mut pieces = reply.pieces();
    let last = pieces.pop().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], plain["usage"]);
    for piece in &pieces {
        assert_eq!(piece["object"], "chat.completion.chunk");
        assert_eq!(piece["id"], pieces[0]["id"]);
        assert!(piece["usage"].is_null() && piece.get("usage").is_some());
    }
    for index in 0..2 {
        let choices = pieces.iter().map(|piece| &piece["choices"][0]);
        let own: Vec<&Value> = choices.filter(|choice| choice["index"] == index).collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let text: String = own
            .iter()
            .filter_map(|one| one["delta"]["content"].as_str())
            .collect();
        let right = &plain["choices"][index];
        assert_eq!(right["message"]["content"], text);
        let logprobs = own
            .iter()
            .filter_map(|one| one["logprobs"]["content"].as_array());
        let logprobs: Vec<Value> = logprobs.flatten().cloned().collect();
        assert_eq!(right["logprobs"]["content"], json!(logprobs));
        let (end, before) = own.split_last().unwrap();
        assert_eq!(end["finish_reason"], right["finish_reason"]);
        assert!(before.iter().all(|one| one["finish_reason"].is_null()));
    }
}

#[test]
fn a_completion_streams_too() {
    let served = Fixture::new().start(Settings::default());
    let body = json!({"prompt": "one", "max_tokens": 9, "logprobs": 1});
    let plain = served.ok(COMPLETIONS, &body);
    let mut pieces = served.post(COMPLETIONS, &streamed(&body)).pieces();
    assert_eq!(pieces.pop().unwrap()["usage"], plain["usage"]);
    let choices = || pieces.iter().map(|piece| &piece["choices"][0]);
    let text: String = choices()
        .filter_map(|choice| choice["text"].as_str())
        .collect();
    assert_eq!(plain["choices"][0]["text"], text);
    let offsets = choices().filter_map(|choice| choice["logprobs"]["text_offset"].as_array());
    let offsets: Vec<Value> = offsets.flatten().cloned().collect();
    assert_eq!(
        plain["choices"][0]["logprobs"]["text_offset"],
        json!(offsets)
    );
    assert!(
        pieces
            .iter()
            .all(|piece| piece["object"] == "text_completion")
    );
}

#[test]
fn without_options_a_stream_has_no_usage() {
    let served = Fixture::new().start(Settings::default());
    let mut body = asked("hello", json!({}));
    let plain = served.ok(CHAT, &body);
    body["stream"] = true.into();
    let pieces = served.post(CHAT, &body).pieces();
    assert!(pieces.iter().all(|piece| piece.get("usage").is_none()));
    let text: String = pieces
        .iter()
        .filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, content(&plain));
}
