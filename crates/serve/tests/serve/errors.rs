use crate::client::{read, send};
use crate::fixture::{CHAT, COMPLETIONS, Fixture, LIMIT, asked};
use metal_candle_serve::Settings;
use serde_json::{Value, json};

/// Fields, and the part of the body that the error names.
#[test]
fn wrong_fields_are_named() {
    let served = Fixture::new().start(Settings::default());
    let image = json!([{"type": "image_url", "image_url": {"url": "data:"}}]);
    let messages = |message: Value| json!({"messages": [message]});
    let cases = [
        (json!({"temperature": "warm"}), "temperature"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"top_k": -3}), "top_k"),
        (json!({"xtc_threshold": 0.7}), "xtc_threshold"),
        (json!({"repetition_penalty": -1}), "repetition_penalty"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (
            json!({"max_completion_tokens": 1.5}),
            "max_completion_tokens",
        ),
        (json!({"n": 0}), "n"),
        (json!({"n": 1000}), "n"),
        (json!({"seed": 1.5}), "seed"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
        ),
        (
            json!({"stream": true, "stream_options": {"x": 1}}),
            "stream_options.x",
        ),
        (json!({"logit_bias": {"320": 1}}), "logit_bias"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias"),
        (json!({"logit_bias": {"1": "a"}}), "logit_bias"),
        (json!({"top_logprobs": 21}), "top_logprobs"),
        (json!({"logprobs": 3}), "logprobs"),
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [{"type": "retrieval"}]}), "tools[0]"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"modalities": ["audio"]}), "modalities"),
        (json!({"audio": {}}), "audio"),
        (json!({"prediction": {}}), "prediction"),
        (json!({"functions": [{}]}), "functions"),
        (json!({"reasoning_effort": "low"}), "reasoning_effort"),
        (json!({"tempreature": 1}), "tempreature"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": null}), "messages"),
        (messages(json!("hello")), "messages[0]"),
        (
            messages(json!({"role": "critic", "content": ""})),
            "messages[0].role",
        ),
        (
            messages(json!({"role": "user", "content": 1})),
            "messages[0].content",
        ),
        (
            messages(json!({"role": "user", "content": image})),
            "messages[0].content[0]",
        ),
        (
            messages(
                json!({"role": "assistant", "tool_calls": [{"function": {"arguments": "{"}}]}),
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ];
    for (fields, param) in cases {
        let reply = served.post(CHAT, &asked("hello", fields.clone()));
        let error = &reply.json()["error"];
        assert_eq!(reply.status, 400, "{fields}");
        assert_eq!(error["param"], param, "{fields}\n{error}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(
            error["message"].as_str().unwrap().contains(param),
            "{error}"
        );
    }
    for prompt in [
        json!(null),
        json!(""),
        json!([]),
        json!([320]),
        json!([["a"]]),
        json!(["a", [1]]),
        json!(1),
    ] {
        let reply = served.post(COMPLETIONS, &json!({"prompt": prompt, "max_tokens": 1}));
        match prompt == json!(["a", [1]]) {
            true => assert_eq!(reply.status, 200),
            false => assert_eq!(reply.json()["error"]["param"], "prompt", "{prompt}"),
        }
    }
    for (name, value) in [
        ("echo", json!(true)),
        ("suffix", json!("x")),
        ("best_of", json!(2)),
    ] {
        let reply = served.post(COMPLETIONS, &json!({"prompt": "one", name: value}));
        assert_eq!(
            reply.json()["error"]["code"],
            "unsupported_parameter",
            "{name}"
        );
    }
}

/// Values of refused fields that ask for nothing are as good as none.
#[test]
fn fields_that_change_nothing_are_taken() {
    let served = Fixture::new().start(Settings::default());
    let plain = served.chat("hello", json!({}));
    let idle = json!({
        "response_format": {"type": "text"}, "parallel_tool_calls": true, "modalities": ["text"], "n": 1,
        "metadata": {"a": "b"}, "service_tier": "auto", "draft_model": "x", "num_draft_tokens": 3,
        "prompt_cache_key": "k", "safety_identifier": "s", "functions": [], "top_logprobs": -1, "audio": null,
    });
    assert_eq!(served.chat("hello", idle)["choices"], plain["choices"]);
}

#[test]
fn a_prompt_over_the_limit_is_told_with_numbers() {
    let served = Fixture::new().start(Settings::default());
    let prompt = vec![7; LIMIT + 1];
    let reply = served.post(COMPLETIONS, &json!({"prompt": prompt}));
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["code"]),
        (400, &json!("context_length_exceeded"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("16385") && message.contains("16384"),
        "{message}"
    );
}

#[test]
fn bodies_paths_and_methods_that_are_none_of_ours() {
    let served = Fixture::new().start(Settings::default());
    let raw =
        |method: &str, path: &str, body: &str| read(send(served.address, method, path, "", body));
    for body in ["", "{", "[]", "\"x\"", "\u{1}"] {
        let reply = raw("POST", CHAT, body);
        assert_eq!(reply.status, 400, "{body:?}");
        assert!(reply.json()["error"]["message"].is_string());
    }
    assert_eq!(raw("POST", "/v1/embeddings", "{}").status, 404);
    assert_eq!(raw("GET", CHAT, "").status, 405);
    assert!(raw("GET", "/nothing", "").json()["error"]["message"].is_string());
    let large = " ".repeat((32 << 20) + 1);
    assert_eq!(raw("POST", CHAT, &large).status, 413);
    assert_eq!(served.get("/health").json(), json!({"status": "ok"}));
}

#[test]
fn a_key_is_asked_for_where_there_is_one() {
    let settings = Settings {
        api_key: Some("secret".into()),
        ..Settings::default()
    };
    let served = Fixture::new().start(settings);
    let status =
        |headers: &str| read(send(served.address, "GET", "/v1/models", headers, "")).status;
    assert_eq!(status("Authorization: Bearer secret\r\n"), 200);
    for wrong in [
        "",
        "Authorization: Bearer secre\r\n",
        "Authorization: Bearer secret2\r\n",
        "Authorization: secret\r\n",
    ] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
    let error = served.post(CHAT, &asked("hello", json!({}))).json();
    assert_eq!(error["error"]["code"], "invalid_api_key");
    assert_eq!(served.get("/health").status, 200);
}

/// Headers as `mlx_lm.server` sends them (`_set_cors_headers`).
#[test]
fn pages_may_ask_that_are_allowed() {
    let allowed = |origins: &[&str], origin: &str| {
        let settings = Settings {
            allowed_origins: origins.iter().map(|origin| (*origin).into()).collect(),
            ..Settings::default()
        };
        let served = Fixture::new().start(settings);
        let headers = format!("Origin: {origin}\r\n");
        let reply = read(send(served.address, "OPTIONS", CHAT, &headers, ""));
        assert_eq!(reply.status, 204);
        assert_eq!(reply.header("access-control-allow-methods"), Some("*"));
        let header = reply
            .header("access-control-allow-origin")
            .map(String::from);
        let vary = reply.header("vary").map(String::from);
        (header, vary)
    };
    let some = |text: &str| Some(text.to_string());
    assert_eq!(allowed(&["*"], "http://a"), (some("*"), None));
    assert_eq!(
        allowed(&["http://a", "http://b"], "http://b"),
        (some("http://b"), some("Origin"))
    );
    assert_eq!(allowed(&["http://a"], "http://b"), (None, None));
}
