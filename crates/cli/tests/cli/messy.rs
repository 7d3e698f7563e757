//! Rows as people send them: what can be read is read, and of the rest the error says what it is and what to do.

use crate::fixture::Fixture;
use serde_json::json;

const MESSAGES: &str =
    r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;

/// Number of rows to train on in a file.
fn n_rows(name: &str, contents: impl AsRef<[u8]>) -> u64 {
    let fixture = with(name, contents);
    let words = format!("inspect --model model --data {name} --valid-split 0 --json");
    let answer = fixture.ok_json(&words);
    answer["splits"][0]["rows"].as_u64().unwrap()
}

fn with(name: &str, contents: impl AsRef<[u8]>) -> Fixture {
    let fixture = Fixture::new();
    fixture.write(name, "");
    std::fs::write(fixture.path(name), contents).unwrap();
    fixture
}

#[test]
fn marks_line_ends_and_blank_lines_change_nothing() {
    let row = r#"{"text": "hello"}"#;
    for text in [
        format!("\u{feff}{row}\r\n\r\n  \r\n{row}\r\n"),
        format!("\n\n{row}\r{row}"),
        format!("{row}  \n\t{row}\n\n\n"),
    ] {
        assert_eq!(n_rows("rows.jsonl", &text), 2, "{text:?}");
    }
}

#[test]
fn conversations_in_a_column_of_a_table() {
    let messages = json!([{"role": "user", "content": "say, \"a\"\nor b"}, {"role": "assistant", "content": "a"}]);
    let quoted = messages.to_string().replace('"', "\"\"");
    let table = format!("id,messages\n1,\"{quoted}\"\n2,\"{quoted}\"\n");
    assert_eq!(n_rows("rows.csv", table), 2);
    let python = "id,messages\n1,\"[{'role': 'user', 'content': 'a'}]\"\n";
    let expected = [
        "rows.csv:2: messages: the text is not valid JSON",
        "json.dumps",
    ];
    with("rows.csv", python).fails("inspect --model model --data rows.csv", 2, &expected);
}

#[test]
fn calls_of_tools_have_no_content() {
    let call = json!([{"type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let row = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": call},
        {"role": "tool", "tool_call_id": "1", "content": "7"},
        {"role": "assistant", "content": "it is 7"},
    ]});
    let fixture = with("rows.jsonl", row.to_string());
    let ended = fixture.ok("inspect --model model --data rows.jsonl --row 1 --mask-prompt");
    let expected = "assistant\n⟦<|im_end|>⟧\n<|im_start|>tool\n7<|im_end|>";
    assert!(ended.stdout.contains(expected), "{}", ended.stdout);
}

#[test]
fn characters_that_are_seldom_and_lines_that_are_long() {
    let nul = "{\"text\": \"a\\u0000b\"}\n";
    assert_eq!(n_rows("rows.jsonl", nul), 1);
    let long = json!({"text": "ab ".repeat(300_000)});
    assert_eq!(n_rows("rows.jsonl", format!("{long}\n{nul}")), 2);
}

#[test]
fn rows_that_cannot_be_read_say_why() {
    let image = r#"{"messages": [{"role": "user", "content": "a"}], "images": ["a.png"]}"#;
    let url = r#"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}"#;
    let number =
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": 5}]}"#;
    let speaker = r#"{"conversations": [{"from": "Ann", "value": "a"}]}"#;
    for (row, expected) in [
        (
            format!("{MESSAGES},"),
            [
                "rows.jsonl:1: not valid JSON: a comma behind the value",
                "each row",
            ],
        ),
        (
            r#"{"text": "a",}"#.into(),
            ["a comma behind the last entry of the object", "each row"],
        ),
        (
            "[{\"text\": \"a\"},\n]".into(),
            ["a comma behind the last item of the list", "copy or export"],
        ),
        (
            "{'text': 'a'}".into(),
            ["expected a key in double quotes", "each row"],
        ),
        (
            "{\"text\": \"a\0\"}".into(),
            ["a control character inside of a string", "each row"],
        ),
        (
            image.into(),
            [
                "images: images, and the models that are built read text only",
                "remove these rows",
            ],
        ),
        (
            url.into(),
            ["messages[0].content[0]: an image", "remove these rows"],
        ),
        (
            number.into(),
            [
                "messages[1].content: expected a string, got a number",
                "mend or remove",
            ],
        ),
        (
            r#"{"prompt": "a", "completion": 5}"#.into(),
            ["completion: expected a string, got a number", "mend"],
        ),
        (
            speaker.into(),
            ["the role \"Ann\" is none of human", "rename the role"],
        ),
    ] {
        let fixture = with("rows.jsonl", row);
        fixture.fails("inspect --model model --data rows.jsonl", 2, &expected);
    }
}

#[test]
fn files_that_hold_something_else_say_what() {
    let utf16: Vec<u8> = "\u{feff}a\tb\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, contents, expected) in [
        ("rows.tsv", utf16, ["a text in UTF-16", "iconv"]),
        (
            "rows.jsonl.xz",
            b"\xFD7zXZ\x00".to_vec(),
            ["an xz file", "unpack it first"],
        ),
        (
            "rows.jsonl.zst",
            b"\x28\xB5\x2F\xFD\x04".to_vec(),
            ["the Zstandard file is damaged or cut", "rows.jsonl.zst"],
        ),
        (
            "rows.csv",
            b"PK\x03\x04".to_vec(),
            ["a zip archive", "as CSV"],
        ),
        (
            "rows.txt",
            b"Once, there was\na king.\n".to_vec(),
            ["plain text", "jq -cR"],
        ),
        (
            "rows.csv",
            b"text,n\ncaf\xE9,1\n".to_vec(),
            ["rows.csv:2: column 1 is no UTF-8", "in UTF-8"],
        ),
    ] {
        let words = format!("inspect --model model --data {name}");
        with(name, contents).fails(&words, 2, &expected);
    }
}

#[test]
fn a_folder_tells_what_it_does_not_read() {
    let fixture = with("set/train.json", "[]");
    fixture.write("set/train.jsonl", &format!("{MESSAGES}\n"));
    let ended = fixture.ok("inspect --model model --data set");
    let expected = "warning: set: train.jsonl is read, and not train.json";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let fixture = with("set/train-00001-of-00002.jsonl", format!("{MESSAGES}\n"));
    let ended = fixture.ok("inspect --model model --data set");
    let expected = "train-00001-of-00002.jsonl is one of 2 files, and 1 is not there";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let fixture = with("set/train.jsonl.xz", b"\xFD7zXZ\x00");
    fixture.fails(
        "inspect --model model --data set",
        2,
        &["train.jsonl.xz: this is an xz file"],
    );
    let fixture = with("set/train/data-00000-of-00001.arrow", b"ARROW1\0\0");
    fixture.write("set/train/state.json", "{}");
    fixture.write("set/dataset_dict.json", "{\"splits\": [\"train\"]}");
    fixture.fails(
        "inspect --model model --data set",
        2,
        &["this is an Arrow file", "from_file"],
    );
}

#[test]
fn what_is_told_of_rows_is_told_of_every_container() {
    let list = r#"[{"text": "a"}, {"text": "b", "text": "c"}]"#;
    let ended = with("rows.json", list).ok("perplexity --model model --data rows.json");
    let expected = "of which the last one counts: \"text\" (1 row, the first on row 2)";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let object = r#"{"train": [{"text": "a"}, {"text": "b", "text": "c"}], "test": []}"#;
    let ended = with("rows.json", object).ok("perplexity --model model --data rows.json");
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn a_second_system_message_and_empty_answers_are_told() {
    let row = r#"{"system": "be brief", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let ended = with("rows.jsonl", row).ok("perplexity --model model --data rows.jsonl");
    let expected = "so that these columns are not read: \"system\" (1 row, the first on line 1)";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let same = row.replace("be kind", "be brief");
    let ended = with("rows.jsonl", same).ok("perplexity --model model --data rows.jsonl");
    assert!(!ended.stderr.contains("not read"), "{}", ended.stderr);
    let rows =
        "{\"prompt\": \"a\", \"completion\": \"\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    let ended = with("rows.jsonl", rows).ok("perplexity --model model --data rows.jsonl");
    let expected = "1 row has an empty answer, of which only the end is trained: line 1";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}
