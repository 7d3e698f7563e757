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
            "mend or remove this one",
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
    let expected = "data/train.jsonl: 1 row has no token to train and is left out: line 2";
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

#[test]
fn rows_of_other_trainings_are_refused() {
    let fixture = train_file("{\"prompt\": \"p\", \"completion\": \"c\", \"label\": true}\n");
    fixture.train_fails(
        "",
        2,
        &[
            "data/train.jsonl:1:",
            "\"label\"",
            "KTO",
            "keep the answers",
        ],
    );
    let fixture = train_file("{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n");
    fixture.train_fails("", 2, &["data/train.jsonl:1:", "\"rejected\"", "DPO"]);
}

#[test]
fn files_that_hold_no_rows_are_named() {
    let fixture = train_file("{\n  \"text\": \"a\"\n}\n{\n  \"text\": \"b\"\n}\n");
    fixture.train_fails("", 2, &["data/train.jsonl", "over several lines", "jq -c"]);
    let words = "inspect --model model --data data/train.jsonl";
    fixture.fails(words, 2, &["over several lines", "jq -c"]);
    let utf16: String = "{\"text\": \"a\"}\n"
        .chars()
        .flat_map(|c| [c, '\0'])
        .collect();
    train_file(&utf16).train_fails("", 2, &["UTF-16", "iconv"]);
    train_file("PK\u{3}\u{4}rows").train_fails("", 2, &["a zip archive", "unpack it first"]);
}

#[test]
fn a_folder_in_place_of_a_file() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("data/train.jsonl")).unwrap();
    std::fs::create_dir(fixture.path("data/train.jsonl")).unwrap();
    fixture.train_fails("", 2, &["data/train.jsonl", "this is a folder"]);
}

#[test]
fn keys_that_nobody_reads_are_told_once() {
    let fixture = train_file(&rows(3).replace("{\"prompt\"", "{\"id\": 7, \"prompt\""));
    let ended = fixture.train("--iters 1");
    let told =
        "data/train.jsonl: these keys of rows are not read: \"id\" (3 rows, the first on line 1)";
    assert_eq!(ended.stderr.matches(told).count(), 1, "{}", ended.stderr);
}

#[test]
fn a_mark_without_masking_says_what_to_add() {
    let row = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]}"#;
    let fixture = train_file(&format!("{row}\n"));
    fixture.train_fails("", 2, &["messages[1].weight", "add --mask-prompt"]);
    fixture.train_fails("--mask-prompt", 2, &["its only row has no token to train"]);
}

#[test]
fn rows_of_weight_0_are_left_out() {
    let row =
        |weight| format!("{{\"prompt\": \"a\", \"completion\": \"b\", \"weight\": {weight}}}\n");
    let fixture = train_file(&(row(1) + &row(0)));
    let ended = fixture.train("--iters 1");
    let told = "data/train.jsonl: 1 row of weight 0 is left out: line 2";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let ended = fixture.run("inspect --model model --data data/train.jsonl --row 2");
    assert!(ended.stderr.contains("weight 0"), "{}", ended.stderr);
    assert!(ended.stdout.contains("0 of "), "{}", ended.stdout);
}

#[test]
fn validating_on_what_is_trained_is_told() {
    let fixture = train_file(&rows(4));
    fixture.write("data/valid.jsonl", &rows(4));
    let ended = fixture.train("--iters 1");
    let told = "data/valid.jsonl: every row is also in data/train.jsonl";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    fixture.write("data/valid.jsonl", &rows(6));
    let ended = fixture.train("--iters 1 --overwrite");
    let told = "data/valid.jsonl: 4 of 6 rows are also in data/train.jsonl";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn truncation_is_told_by_every_command() {
    let fixture = train_file(&rows(2));
    let told = "rows are longer than 12 tokens and were cut";
    let options = "--model model --data data/train.jsonl --max-seq-length 12";
    let ended = fixture.run(&format!("perplexity {options}"));
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let ended = fixture.run(&format!("inspect {options}"));
    assert!(
        ended.stdout.contains("more were cut off"),
        "{}",
        ended.stdout
    );
}
