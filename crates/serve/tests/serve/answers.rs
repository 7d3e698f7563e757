use crate::fixture::{CHAT, COMPLETIONS, Fixture, asked, content};
use metal_candle::generate::Sampling;
use metal_candle::language_model::Generation;
use metal_candle_serve::Settings;
use serde_json::{Value, json};

fn generated(fixture: &Fixture, prompt: &str, max_tokens: usize) -> String {
    let how = Generation {
        max_tokens,
        ..Generation::default()
    };
    fixture.model.generate(None, prompt, &how, |_| {}).unwrap()
}

#[test]
fn greedy_answers_are_those_of_generate() {
    let fixture = Fixture::new();
    let expected = generated(&fixture, "hello", 12);
    let n_prompt = fixture.model.prompt("hello").unwrap().len();
    let served = fixture.start(Settings::default());
    let reply = served.chat("hello", json!({"user": "me", "store": false, "seed": null}));
    assert_eq!(content(&reply), expected);
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["model"], "tiny");
    assert_eq!(reply["choices"][0]["message"]["role"], "assistant");
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    let usage =
        json!({"prompt_tokens": n_prompt, "completion_tokens": 12, "total_tokens": n_prompt + 12});
    assert_eq!(reply["usage"], usage);
    // Parts, base URLs without /v1, and other names of the model and the limit.
    let parts = json!([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]);
    let body = json!({
        "messages": [{"role": "user", "content": parts}], "model": "default_model", "max_tokens": 3,
        "max_completion_tokens": 12,
    });
    assert_eq!(content(&served.ok("/chat/completions", &body)), expected);
}

/// Ids of the answer, from a completion that tells them.
#[test]
fn completions_take_texts_and_tokens() {
    let fixture = Fixture::new();
    let tokenizer = fixture.tokenizer();
    let [one, two] = ["one", "two three"].map(|text| tokenizer.encode(text).unwrap());
    let served = fixture.start(Settings::default());
    let texts = |prompt: Value| {
        let body = json!({"prompt": prompt, "max_tokens": 8});
        let reply = served.ok(COMPLETIONS, &body);
        assert_eq!(reply["object"], "text_completion");
        let choices = reply["choices"].as_array().unwrap().iter();
        let texts = choices.map(|choice| choice["text"].as_str().unwrap().to_string());
        (
            texts.collect::<Vec<_>>(),
            reply["usage"]["prompt_tokens"].clone(),
        )
    };
    let (first, n) = texts(json!("one"));
    assert_eq!(n, one.len());
    assert_eq!(texts(json!(one)).0, first);
    let (second, _) = texts(json!("two three"));
    assert_ne!(first, second);
    let both = ([first, second].concat(), json!(one.len() + two.len()));
    assert_eq!(texts(json!(["one", "two three"])), both);
    assert_eq!(texts(json!([one, two])), both);
}

#[test]
fn seeds_repeat_and_texts_of_one_request_differ() {
    let served = Fixture::new().start(Settings::default());
    let drawn = |fields: Value| {
        let reply = served.chat("hello", fields);
        let choices = reply["choices"].as_array().unwrap().clone();
        let texts = choices
            .iter()
            .map(|choice| choice["message"]["content"].clone());
        (texts.collect::<Vec<_>>(), reply)
    };
    let warm = |seed: i64, n: usize| drawn(json!({"temperature": 1.0, "seed": seed, "n": n})).0;
    let three = warm(5, 3);
    assert_eq!(three, warm(5, 3));
    assert_eq!(three[0], warm(5, 1)[0]);
    assert_eq!(three[1], warm(6, 1)[0], "seeds follow each other");
    assert_ne!(three[0], three[1]);
    assert_ne!(warm(-1, 1), warm(1, 1));
    let unseeded = || drawn(json!({"temperature": 1.0})).0;
    assert!((0..5).any(|_| unseeded() != unseeded()));
    let (_, reply) = drawn(json!({"temperature": 1.0, "n": 2, "seed": 5}));
    assert_eq!(reply["usage"]["completion_tokens"], 24);
}

/// What the engine's own settings give, by the fields' names.
#[test]
fn sampling_fields_are_the_engines() {
    let fixture = Fixture::new();
    let sampling = Sampling {
        temperature: 0.9,
        top_p: 0.8,
        top_k: 30,
        min_p: 0.2,
        xtc_probability: 0.5,
        xtc_threshold: 0.05,
        repetition_penalty: 1.2,
        repetition_context: 7,
        presence_penalty: 0.4,
        presence_context: 9,
        frequency_penalty: 0.3,
        frequency_context: 11,
        seed: 3,
        ..Sampling::default()
    };
    let how = Generation {
        max_tokens: 24,
        sampling,
        ..Generation::default()
    };
    let expected = fixture.model.generate(None, "hello", &how, |_| {}).unwrap();
    let greedy = generated(&fixture, "hello", 24);
    let served = fixture.start(Settings::default());
    let fields = json!({
        "temperature": 0.9, "top_p": 0.8, "top_k": 30, "min_p": 0.2, "xtc_probability": 0.5,
        "xtc_threshold": 0.05, "repetition_penalty": 1.2, "repetition_context_size": 7,
        "presence_penalty": 0.4, "presence_context_size": 9, "frequency_penalty": 0.3,
        "frequency_context_size": 11, "seed": 3, "max_tokens": 24,
    });
    assert_eq!(content(&served.chat("hello", fields.clone())), expected);
    assert_ne!(expected, greedy);
    // Each of them matters.
    for (name, _) in fields.as_object().unwrap() {
        if ["seed", "max_tokens"].contains(&name.as_str()) || name.ends_with("context_size") {
            continue;
        }
        let mut without = fields.clone();
        without.as_object_mut().unwrap().shift_remove(name);
        let other = (0..40).any(|seed| {
            without["seed"] = seed.into();
            let mut with = fields.clone();
            with["seed"] = seed.into();
            served.chat("hello", without.clone())["choices"]
                != served.chat("hello", with)["choices"]
        });
        assert!(other, "{name}");
    }
}

#[test]
fn a_bias_brings_a_token_and_keeps_one_away() {
    let fixture = Fixture::new();
    let tokenizer = fixture.tokenizer();
    let end = tokenizer.token_to_id("<|im_end|>").unwrap();
    let wanted = *tokenizer.encode("hello").unwrap().last().unwrap();
    let served = fixture.start(Settings::default());
    let reply = served.chat("hello", json!({"logit_bias": {wanted.to_string(): 100}}));
    let text = tokenizer.decode(&[wanted; 12]).unwrap();
    assert_eq!(content(&reply), text);
    let reply = served.chat("hello", json!({"logit_bias": {end.to_string(): 100.0}}));
    assert_eq!(content(&reply), "");
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply["usage"]["completion_tokens"], 1, "the end is a token");
}

#[test]
fn log_probabilities_are_told() {
    let fixture = Fixture::new();
    let tokenizer = fixture.tokenizer();
    let served = fixture.start(Settings::default());
    let reply = served.chat("hello", json!({"logprobs": true, "top_logprobs": 3}));
    let told = reply["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(told.len(), 12);
    let mut ids = vec![];
    for token in told {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        // Greedy: the first of the top is the token itself.
        for name in ["token", "logprob", "bytes", "id"] {
            assert_eq!(token[name], top[0][name]);
        }
        let logprobs: Vec<f64> = top
            .iter()
            .map(|top| top["logprob"].as_f64().unwrap())
            .collect();
        assert!(logprobs.is_sorted_by(|a, b| a >= b) && logprobs[0] <= 0.0);
        ids.push(token["id"].as_u64().unwrap() as u32);
    }
    assert_eq!(tokenizer.decode(&ids).unwrap(), content(&reply));
    let bare = served.chat("hello", json!({"logprobs": true}));
    let bare = &bare["choices"][0]["logprobs"]["content"][0];
    assert_eq!(bare["logprob"], told[0]["logprob"]);
    assert_eq!(bare["top_logprobs"], json!([]));
    assert!(served.chat("hello", json!({}))["choices"][0]["logprobs"].is_null());
    let body = json!({"prompt": "one", "max_tokens": 3, "logprobs": 2});
    let reply = served.ok(COMPLETIONS, &body);
    let logprobs = &reply["choices"][0]["logprobs"];
    let tokens = logprobs["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(logprobs["text_offset"][0], 0);
    let first = tokens[0].as_str().unwrap();
    assert_eq!(logprobs["text_offset"][1], first.chars().count());
    assert_eq!(
        logprobs["top_logprobs"][0][first],
        logprobs["token_logprobs"][0]
    );
}

/// Every place in a text where a stop string may begin and end.
#[test]
fn stop_strings_end_texts_across_tokens() {
    let fixture = Fixture::new();
    let whole = generated(&fixture, "hello", 12);
    let chars: Vec<char> = whole.chars().collect();
    let served = fixture.start(Settings::default());
    for begin in 1..chars.len() - 3 {
        let stop: String = chars[begin..begin + 3].iter().collect();
        let expected = &whole[..whole.find(&stop).unwrap()];
        let fields = json!({"stop": ["never there", stop]});
        let reply = served.chat("hello", fields.clone());
        assert_eq!(content(&reply), expected, "{stop:?}");
        assert_eq!(reply["choices"][0]["finish_reason"], "stop");
        let mut body = asked("hello", fields);
        body["stream"] = true.into();
        let pieces = served.post(CHAT, &body).pieces();
        let text: String = pieces
            .iter()
            .filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(text, expected, "{stop:?}");
    }
    let stop = chars[2].to_string();
    let reply = served.chat("hello", json!({"stop": stop}));
    assert!(!content(&reply).contains(&stop));
}

#[test]
fn templates_are_given_tools_and_variables() {
    let fixture = Fixture::new();
    let tokenizer = fixture.tokenizer();
    let count = |text: &str| tokenizer.encode_raw(text).unwrap().len();
    let plain = count("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
    let served = fixture.start(Settings::default());
    let n_prompt = |fields: Value| served.chat("hello", fields)["usage"]["prompt_tokens"].clone();
    assert_eq!(n_prompt(json!({"tools": []})), plain);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let with = count("<|im_start|>user\nhello<|im_end|>\n1<|im_start|>assistant\n");
    assert_ne!(with, plain);
    assert_eq!(
        n_prompt(json!({"tools": tools, "tool_choice": "auto"})),
        with
    );
    assert_eq!(
        n_prompt(json!({"tools": tools, "tool_choice": "none"})),
        plain
    );
    let with = count("<|im_start|>user\nhello<|im_end|>\nthere is<|im_start|>assistant\n");
    assert_eq!(
        n_prompt(json!({"chat_template_kwargs": {"word": "there is"}})),
        with
    );
}
