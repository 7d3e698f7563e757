use crate::fixture::Fixture;
use metal_candle::data::Tokenizer;
use metal_candle::lora::format;

/// The main job as a newcomer runs it.
#[test]
fn it_teaches_the_base_what_it_could_not_do() {
    let fixture = Fixture::new();
    let report = fixture.ok_json("quickstart --output demo --json");
    assert_eq!(report["exact_match_before"], 0.0);
    let after = report["exact_match_after"].as_f64().unwrap();
    assert!(after >= 0.95, "{after}");
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(report["adapter_path"], "demo/adapter");
    format::read(&fixture.path("demo/adapter")).unwrap();
    assert!(
        Tokenizer::from_folder(&fixture.path("demo/base"))
            .unwrap()
            .has_chat_template()
    );
    let words = "generate --model demo/base --adapter-path demo/adapter --json";
    let mut command = fixture.command(words);
    let output = command
        .args(["--prompt", "24 December 1999"])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["text"], "1999-12-24");
    assert_eq!(answer["finish_reason"], "stop");
}

#[test]
fn the_same_seed_leaves_the_same_files() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let words = "quickstart --output demo --base-iters 2 --iters 2 --seed";
    one.ok(&format!("{words} 7"));
    two.ok(&format!("{words} 7"));
    let bytes = |fixture: &Fixture, name: &str| std::fs::read(fixture.path(name)).unwrap();
    let files = [
        "demo/corpus/train.jsonl",
        "demo/data/test.jsonl",
        "demo/base/tokenizer.json",
        "demo/base/model.safetensors",
        "demo/adapter/adapter_model.safetensors",
    ];
    for name in files {
        assert_eq!(bytes(&one, name), bytes(&two, name), "{name}");
    }
    two.fails(
        &format!("{words} 8"),
        2,
        &["--output demo exists and is not empty", "--overwrite"],
    );
    two.ok(&format!("{words} 8 --overwrite"));
    for name in files {
        assert_ne!(bytes(&one, name), bytes(&two, name), "{name}");
    }
}
