use crate::client::read;
use crate::fixture::{CHAT, Fixture, asked, content};
use metal_candle::language_model::Generation;
use metal_candle_serve::Settings;
use serde_json::json;

const PROMPTS: [&str; 3] = ["hello", "what is it", "one two"];

/// All at once, from three models in one batch, each many times.
#[test]
fn models_in_one_batch_answer_as_each_alone() {
    let fixture = Fixture::new();
    let [a, b] = [1, 2].map(|seed| fixture.adapter(seed));
    let models = [
        ("tiny", None),
        ("a", Some(a.clone())),
        ("b", Some(b.clone())),
    ];
    let how = Generation {
        max_tokens: 40,
        ..Generation::default()
    };
    let mut expected = vec![];
    for (name, adapter) in &models {
        for prompt in PROMPTS {
            let text = fixture
                .model
                .generate(adapter.clone(), prompt, &how, |_| {});
            expected.push((*name, prompt, text.unwrap()));
        }
    }
    let answers: std::collections::BTreeSet<_> = expected.iter().map(|(.., text)| text).collect();
    assert_eq!(answers.len(), 9, "adapters show");
    let mut catalogue = fixture.catalogue();
    let tokenizer = fixture.tokenizer();
    catalogue
        .add(Some("a"), "runs/a", a, tokenizer.clone())
        .unwrap();
    catalogue.add(Some("b"), "runs/b", b, tokenizer).unwrap();
    let served = fixture.start_with(catalogue, Settings::default());
    let sent: Vec<_> = (0..2)
        .flat_map(|_| &expected)
        .map(|(name, prompt, text)| {
            let body = asked(prompt, json!({"model": name, "max_tokens": 40}));
            (served.send(CHAT, &body), name, text)
        })
        .collect();
    for (stream, name, text) in sent {
        let reply = read(stream).json();
        assert_eq!(content(&reply), text, "{name}");
        assert_eq!(reply["model"], **name);
    }
    // By the path of mlx-lm's field too, and no path that was not given.
    let by_path = served.chat("hello", json!({"adapters": "runs/b", "max_tokens": 40}));
    assert_eq!(content(&by_path), expected[6].2);
    for body in [json!({"adapters": "runs/c"}), json!({"model": "c"})] {
        let reply = served.post(CHAT, &asked("hello", body));
        assert_eq!(reply.status, 404);
        assert_eq!(reply.json()["error"]["code"], "model_not_found");
    }
    let reply = served.post(
        CHAT,
        &asked("hello", json!({"model": "a", "adapters": "runs/b"})),
    );
    assert_eq!(
        (reply.status, reply.json()["error"]["param"].as_str()),
        (400, Some("adapters"))
    );
}

#[test]
fn an_adapter_without_a_name_answers_unless_another_model_is_named() {
    let fixture = Fixture::new();
    let adapter = fixture.adapter(1);
    let how = Generation {
        max_tokens: 12,
        ..Generation::default()
    };
    let of = |adapter| {
        fixture
            .model
            .generate(adapter, "hello", &how, |_| {})
            .unwrap()
    };
    let (base, adapted) = (of(None), of(Some(adapter.clone())));
    assert_ne!(base, adapted);
    let mut catalogue = fixture.catalogue();
    let tokenizer = fixture.tokenizer();
    catalogue
        .add(None, "run", adapter.clone(), tokenizer.clone())
        .unwrap();
    for (name, path) in [
        (None, "x"),
        (Some("tiny"), "x"),
        (Some("default_model"), "x"),
    ] {
        let added = catalogue.add(name, path, adapter.clone(), tokenizer.clone());
        assert!(added.is_err(), "{name:?}");
    }
    let served = fixture.start_with(catalogue, Settings::default());
    assert_eq!(content(&served.chat("hello", json!({}))), adapted);
    assert_eq!(
        content(&served.chat("hello", json!({"model": "default_model"}))),
        adapted
    );
    assert_eq!(
        content(&served.chat("hello", json!({"model": "tiny"}))),
        base
    );
    let models = served.get("/v1/models").json();
    assert_eq!(models["object"], "list");
    let told = |i: usize| {
        let model = &models["data"][i];
        [
            model["id"].clone(),
            model["root"].clone(),
            model["parent"].clone(),
        ]
    };
    assert_eq!(
        told(0),
        [json!("default_model"), json!("run"), json!("tiny")]
    );
    assert_eq!(told(1), [json!("tiny"), json!("tiny"), json!(null)]);
    assert_eq!(served.get("/models/tiny").json(), models["data"][1]);
    assert_eq!(served.get("/v1/models/other").status, 404);
}
