use crate::fixture::{Fixture, rows};

fn train_file(text: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("data/train.jsonl", text);
    fixture
}

#[test]
fn malformed_row_is_named_by_file_and_line() {
    let fixture = train_file(&format!("{}{{\"prompt\": \"a\n", rows(3)));
    fixture.train_fails("", 2, &["data/train.jsonl:4: not valid JSON"]);
    fixture.fails(
        "perplexity --model model --data data/train.jsonl",
        2,
        &[
            "data/train.jsonl:4: not valid JSON",
            "mend or remove this line",
        ],
    );
}

#[test]
fn rows_of_an_unknown_or_another_kind() {
    let fixture = train_file("{\"instruction\": \"x\"}\n");
    fixture.train_fails(
        "",
        2,
        &["data/train.jsonl:1:", "\"instruction\"", "\"prompt\""],
    );
    let fixture = train_file(&format!("{}{{\"text\": \"x\"}}\n", rows(1)));
    fixture.train_fails("", 2, &["data/train.jsonl:2:", "\"text\""]);
}

#[test]
fn empty_data() {
    let fixture = train_file("\n\n");
    fixture.train_fails("", 2, &["data/train.jsonl: no rows"]);
}

#[test]
fn missing_data() {
    let fixture = Fixture::new();
    fixture.train_fails("--data nowhere", 2, &["--data nowhere", "does not exist"]);
    std::fs::remove_file(fixture.path("data/train.jsonl")).unwrap();
    fixture.train_fails("", 2, &["no train data", "data/train.jsonl"]);
    let words = "perplexity --model model --data nowhere.jsonl";
    fixture.fails(words, 2, &["nowhere.jsonl", "check the path"]);
}

#[test]
fn missing_test_data_is_told_before_training() {
    Fixture::new().train_fails("--test", 2, &["no test data", "data/test.jsonl"]);
}

#[test]
fn all_rows_masked() {
    let user = r#"{"messages": [{"role": "user", "content": "hello"}]}"#;
    let fixture = train_file(&format!("{user}\n{user}\n"));
    let expected = ["none of the 2 rows has a token to train", "inspect"];
    fixture.train_fails("--mask-prompt", 2, &expected);
}

#[test]
fn some_rows_masked_are_told_and_left_out() {
    let user = r#"{"messages": [{"role": "user", "content": "hello"}]}"#;
    let both = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let fixture = train_file(&format!("{both}\n{user}\n{both}\n"));
    let ended = fixture.train("--mask-prompt --iters 1");
    let expected = "data/train.jsonl: 1 rows have no token to train and are left out: line 2";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn text_rows_cannot_be_masked() {
    let fixture = train_file("{\"text\": \"hello\"}\n");
    fixture.train_fails(
        "--mask-prompt",
        2,
        &["data/train.jsonl:1:", "no prompt to mask"],
    );
}

#[test]
fn truncation_is_counted_and_told() {
    let fixture = train_file(&rows(8));
    let ended = fixture.train("--iters 1 --max-seq-length 12");
    let told = "rows are longer than 12 tokens and were cut";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}
