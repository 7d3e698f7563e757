use crate::fixture::{Fixture, rows};
use serde_json::json;

#[test]
fn a_row_with_its_trained_tokens() {
    let fixture = Fixture::new();
    let words = "inspect --model model --data data/train.jsonl --row 3 --mask-prompt";
    let ended = fixture.ok(words);
    let expected = "<|im_start|>user\nsay 2 please please <|im_end|>\n<|im_start|>assistant\n⟦2 it is<|im_end|>⟧\n\n";
    let rest = ended.stdout.strip_prefix(expected).unwrap();
    assert!(rest.starts_with("data/train.jsonl:3: "), "{rest}");

    let answer = fixture.ok_json(&format!("{words} --json"));
    let trained = answer["trained"].as_array().unwrap();
    assert_eq!(answer["token_ids"].as_array().unwrap().len(), trained.len());
    let count = trained.iter().filter(|&trained| trained == true).count();
    assert_eq!(answer["trained_tokens"], count);
    assert_eq!(answer["runs"][1]["text"], "2 it is<|im_end|>");
    assert_eq!(answer["line"], 3);
}

#[test]
fn a_row_token_by_token() {
    let fixture = Fixture::new();
    let words = "inspect --model model --data data/train.jsonl --row 3 --mask-prompt --tokens";
    let answer = fixture.ok_json(&format!("{words} --json"));
    let ended = fixture.ok(words);
    let mut lines = ended.stdout.lines();
    assert_eq!(lines.next(), Some("place      id  loss  text"));
    let ids = answer["token_ids"].as_array().unwrap();
    let mut trained = String::new();
    for (place, id) in ids.iter().enumerate() {
        let line = lines.next().unwrap();
        let text = answer["token_texts"][place].as_str().unwrap();
        let loss = match answer["trained"][place].as_bool().unwrap() {
            true => "yes",
            false => "-",
        };
        let fields: Vec<&str> = line.split_whitespace().take(3).collect();
        assert_eq!(fields, [&place.to_string(), &id.to_string(), loss]);
        assert!(line.ends_with(&format!("{text:?}")), "{line}");
        trained += if loss == "yes" { text } else { "" };
    }
    assert_eq!(trained, answer["runs"][1]["text"].as_str().unwrap());
    assert!(lines.next().unwrap().starts_with("data/train.jsonl:3: "));
}

#[test]
fn an_empty_file_is_refused_as_train_refuses_it() {
    let fixture = Fixture::new();
    fixture.write("data/valid.jsonl", "\n");
    let expected = "data/valid.jsonl: no rows";
    fixture.train_fails("", 2, &[expected]);
    fixture.fails("inspect --model model --data data", 2, &[expected]);
}

#[test]
fn a_row_that_train_would_leave_out_can_be_seen() {
    let fixture = Fixture::new();
    let row = json!({"messages": [{"role": "user", "content": "hello"}]}).to_string();
    fixture.write("row.jsonl", &row);
    let ended = fixture.ok("inspect --model model --data row.jsonl --mask-prompt");
    assert!(!ended.stdout.contains('⟦'));
    assert!(
        ended.stdout.contains("row.jsonl:1: 0 of "),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_row_that_is_cut_says_so() {
    let fixture = Fixture::new();
    let words = "inspect --model model --data data/train.jsonl --max-seq-length 5";
    assert!(fixture.ok(words).stdout.contains("more were cut off"));
}

#[test]
fn rows_that_do_not_exist() {
    let fixture = Fixture::new();
    fixture.write("data/train.jsonl", &rows(2));
    let words = "inspect --model model --data data/train.jsonl --row";
    fixture.fails(
        &format!("{words} 3"),
        2,
        &["data/train.jsonl: no row on line 3"],
    );
    fixture.fails(&format!("{words} 0"), 2, &["must be at least 1"]);
    fixture.write("bad.jsonl", &format!("{}nonsense\n", rows(1)));
    let words = "inspect --model model --data bad.jsonl --row 2";
    fixture.fails(words, 2, &["bad.jsonl:2: not valid JSON"]);
}

#[test]
fn layers_and_what_an_adapter_reaches() {
    let fixture = Fixture::new();
    let words = "inspect --model model --targets q_proj,v_proj --rank 2 --num-layers 1";
    let answer = fixture.ok_json(&format!("{words} --json"));
    let layers = answer["layers"].as_array().unwrap();
    assert_eq!(
        layers.len(),
        16,
        "the embedding, 14 of the blocks, the head"
    );
    let targeted: Vec<&str> = layers
        .iter()
        .filter(|layer| layer["targeted"] == true)
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        targeted,
        [
            "model.layers.1.self_attn.q_proj",
            "model.layers.1.self_attn.v_proj"
        ]
    );
    // q: 32 -> 32, v: 32 -> 16, of rank 2.
    assert_eq!(answer["trainable_parameters"], 2 * 64 + 2 * 48);
    assert_eq!(layers[8]["rank"], 2);
    assert_eq!(layers[0]["rank"], serde_json::Value::Null);
    let stdout = fixture.ok(words).stdout;
    assert!(
        stdout.contains("adapters on 2 of 16 layers train 224 parameters"),
        "{stdout}"
    );
}

#[test]
fn an_adapters_own_reach() {
    let fixture = Fixture::new();
    fixture.train("--iters 1 --rank 3 --alpha 6 --targets down_proj");
    let answer = fixture.ok_json("inspect --model model --adapter-path adapters --json");
    assert_eq!(answer["trainable_parameters"], 2 * 3 * (48 + 32));
    assert_eq!(answer["layers"][7]["scale"], 2.0);
    let words = "inspect --model model --adapter-path adapters --rank 2";
    fixture.fails(words, 2, &["--rank", "--adapter-path"]);
}
