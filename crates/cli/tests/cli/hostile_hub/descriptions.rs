//! Descriptions of a repository.

use super::*;

/// What the hub describes instead.
fn described(answer: Reply) -> (Fixture, Ended) {
    let fixture = Fixture::new();
    let answer = std::sync::Mutex::new(Some(answer));
    let server = Server::lying(fixture.path("model"), move |request| {
        let is_description = request.path.starts_with("/api/");
        is_description
            .then(|| answer.lock().unwrap().take())
            .flatten()
    });
    let ended = fetch(&fixture, &server);
    (fixture, ended)
}

#[test]
fn descriptions_that_are_none() {
    let fails = |body: &[u8], code, expected: &[&str]| {
        let (fixture, ended) = described(reply(200, &[], body));
        ended.check("description", code, expected);
        assert!(!snapshot(&fixture, WEIGHTS).exists());
    };
    fails(
        b"<html>log in</html>",
        1,
        &["not the description of a model"],
    );
    fails(b"{\"sha\": 1}", 1, &["not the description of a model"]);
    fails(
        "[".repeat(100_000).as_bytes(),
        1,
        &["not the description of a model"],
    );
    for sha in ["", "..", "../../../x", "/etc", "a\0b", "nul", "a b"] {
        let body = serde_json::json!({"sha": sha, "siblings": []}).to_string();
        fails(body.as_bytes(), 1, &["not a commit"]);
    }
    let kinds: [(&[&str], &str, &str); 6] = [
        (
            &["adapter_config.json", "adapter_model.safetensors"],
            "is an adapter, not a model",
            "--adapter-path",
        ),
        (
            &["config.json", "tokenizer.json", "a.Q4_K_M.gguf"],
            "GGUF",
            "converted from",
        ),
        (
            &["config.json", "tokenizer.json", "pytorch_model.bin"],
            "PyTorch pickles",
            "safetensors",
        ),
        (
            &["config.json", "tokenizer.json", "weights.npz"],
            "MLX",
            "safetensors",
        ),
        (
            &["config.json", "tokenizer.json"],
            "no safetensors",
            "model.safetensors",
        ),
        (
            &["config.json", "tokenizer.model", WEIGHTS],
            "no tokenizer.json",
            "tokenizer.model only",
        ),
    ];
    for (names, what, advice) in kinds {
        fails(&description(names.iter().copied()), 2, &[what, advice]);
    }
}

#[test]
fn a_description_has_an_end() {
    let endless = vec![Piece::Bytes(
        b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n{\"sha\": \"".to_vec(),
    )];
    let endless = endless
        .into_iter()
        .chain((0..140).map(|_| Piece::Bytes(vec![b'a'; 1 << 20])));
    let (_, ended) = described(endless.collect());
    // The next attempt hears the truth.
    ended.check("endless", 0, &["attempt 2 of 3"]);
}

#[test]
fn names_of_other_folders_are_not_fetched() {
    let names = [
        "../x.json",
        "/etc/passwd",
        "a\0b",
        "CON",
        "..\\LICENSE",
        "additional_chat_templates/../../x.jinja",
    ];
    let all = names.into_iter().chain([
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        WEIGHTS,
    ]);
    let (fixture, ended) = described(reply(200, &[], &description(all)));
    ended.check("odd names", 0, &[]);
    let entries = snapshot(&fixture, "").read_dir().unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "config.json",
            WEIGHTS,
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    // The same of an index.
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("model").join(WEIGHTS)).unwrap();
    for name in [
        "../model.safetensors",
        "/etc/passwd",
        "x/model.safetensors",
        "model.bin",
    ] {
        let index = serde_json::json!({"weight_map": {"model.norm.weight": name}});
        fixture.write("model/model.safetensors.index.json", &index.to_string());
        let server = Server::start(fixture.path("model"));
        fetch(&fixture, &server).check(name, 2, &["names no safetensors file of its folder", name]);
        std::fs::remove_dir_all(fixture.path("hf")).unwrap();
    }
}

#[test]
fn a_single_file_is_taken_and_companions_come_along() {
    let fixture = Fixture::new();
    fixture.write(
        "model/model.safetensors.index.json",
        "{\"weight_map\": {\"a\": \"model-1.safetensors\"}}",
    );
    for name in [
        "LICENSE",
        "tokenizer.model",
        "added_tokens.json",
        "README.md",
    ] {
        fixture.write(&format!("model/{name}"), "{}");
    }
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("single", 0, &[]);
    for (name, is_there) in [
        ("LICENSE", true),
        ("tokenizer.model", true),
        ("added_tokens.json", true),
        (WEIGHTS, true),
        ("README.md", false),
        ("model.safetensors.index.json", false),
    ] {
        assert_eq!(snapshot(&fixture, name).exists(), is_there, "{name}");
    }
}
