use super::*;
use crate::data::json::parse;

fn first(line: &str) -> Result<Row, RowError> {
    Ok(read(line, &mut None)?.row)
}

fn read(line: &str, shape: &mut Option<Shape>) -> Result<Line, RowError> {
    let (value, _) = parse(line.as_bytes())?;
    Line::read(value, shape, &Keys::default(), true)
}

/// Reads a line behind another one of the same file.
fn behind(first: &str, line: &str) -> Result<Line, RowError> {
    let mut shape = None;
    read(first, &mut shape)?;
    read(line, &mut shape)
}

const TEXT: &str = r#"{"text": "t"}"#;
const MESSAGES: &str = r#"{"messages": [{"role": "user"}]}"#;

#[test]
fn the_kind_is_told_by_mlx_order() {
    let all = r#"{"text": "t", "messages": [{"role": "user"}], "prompt": "p", "completion": "c"}"#;
    assert_eq!(first(all).unwrap().kind(), RowKind::Completion);
    let two = r#"{"text": "t", "messages": [{"role": "user"}], "prompt": "p"}"#;
    assert_eq!(first(two).unwrap().kind(), RowKind::Messages);
    assert_eq!(first(r#"{"text": "t"}"#).unwrap(), Row::Text("t".into()));
}

#[test]
fn a_message_keeps_its_fields_in_order() {
    let row = first(r#"{"messages": [{"zeta": 1, "role": "user", "alpha": null}]}"#).unwrap();
    let Row::Messages { messages, tools } = row else {
        panic!("not messages")
    };
    assert_eq!(
        messages[0].keys().collect::<Vec<_>>(),
        ["zeta", "role", "alpha"]
    );
    assert_eq!(tools, None);
}

#[test]
fn a_row_of_another_kind_is_an_error() {
    let error = behind(MESSAGES, TEXT).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"messages\"") && text.contains("\"text\""),
        "{text}"
    );
    // The first row decides, even where a later one has more keys.
    let row = behind(TEXT, r#"{"text": "t", "prompt": "p", "completion": "c"}"#);
    assert_eq!(row.unwrap().row, Row::Text("t".into()));
}

#[test]
fn each_wrong_row_says_what_is_wrong() {
    let cases = [
        (r#"{"text": "t""#, "not valid JSON"),
        (r#"[1]"#, "expected a JSON object, got a list"),
        (r#"{"instruction": "i"}"#, "got \"instruction\""),
        (r#"{}"#, "got no keys"),
        (r#"{"text": 1}"#, "text: expected a string, got a number"),
        (
            r#"{"prompt": ["p"], "completion": "c"}"#,
            "prompt[0]: expected an object, got a string",
        ),
        (
            r#"{"messages": "m"}"#,
            "messages: expected a list, got a string",
        ),
        (r#"{"messages": []}"#, "at least one message"),
        (
            r#"{"messages": ["m"]}"#,
            "messages[0]: expected an object, got a string",
        ),
        (
            r#"{"messages": [{"role": "user"}, {"content": "c"}]}"#,
            "messages[1].role: expected a string, got nothing",
        ),
        (
            r#"{"messages": [{"role": "user"}], "tools": {}}"#,
            "tools: expected a list, got an object",
        ),
    ];
    for (line, expected) in cases {
        let text = first(line).unwrap_err().to_string();
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn tools_may_be_null() {
    let row = first(r#"{"messages": [{"role": "user"}], "tools": null}"#).unwrap();
    assert!(matches!(row, Row::Messages { tools: None, .. }));
}
#[test]
fn a_null_is_an_absent_key() {
    let row = first(r#"{"messages": null, "text": "t", "prompt": null, "completion": null}"#);
    assert_eq!(row.unwrap(), Row::Text("t".into()));
    let error = first(r#"{"text": null, "id": 1}"#).unwrap_err().to_string();
    assert!(error.contains(r#"got "text (null)", "id""#), "{error}");
}

#[test]
fn keys_that_nobody_reads_are_listed() {
    let line =
        r#"{"text": "t", "messages": [{"role": "user"}], "id": NaN, "tools": [], "x": null}"#;
    assert_eq!(read(line, &mut None).unwrap().unread, ["text", "id"]);
    assert_eq!(
        behind(TEXT, line).unwrap().unread,
        ["messages", "id", "tools"]
    );
    // Of columns for one purpose the first is read.
    let line = r#"{"system": "s", "system_prompt": "t", "instruction": "i", "input": "a", "context": "b", "output": "o"}"#;
    assert_eq!(
        read(line, &mut None).unwrap().unread,
        ["system_prompt", "context"]
    );
}

#[test]
fn rows_of_other_trainings_are_refused_by_name() {
    let cases = [
        (r#"{"text": "t", "rejected": [{"role": "user"}]}"#, "DPO"),
        (
            r#"{"prompt": "p", "completion": "c", "label": true}"#,
            "KTO",
        ),
        (r#"{"messages": [{"role": "user"}], "label": 0}"#, "KTO"),
        (
            r#"{"prompt": "p", "completions": ["c"], "labels": [true]}"#,
            "PRM",
        ),
        (
            r#"{"messages": [{"role": "user"}], "images": ["a.png"]}"#,
            "images: images",
        ),
    ];
    for (line, expected) in cases {
        let error = first(line).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    // A classifier's data, an export that fills every column, and a row without images.
    for line in [
        r#"{"text": "t", "label": 1, "rejected": false}"#,
        r#"{"text": "t", "chosen": null, "rejected": null}"#,
        r#"{"prompt": "p", "completion": "c", "label": "positive", "images": []}"#,
    ] {
        assert!(first(line).is_ok(), "{line}");
    }
}

#[test]
fn a_row_has_weight_0_or_1() {
    let left_out = |weight: &str| {
        let line = format!(r#"{{"text": "t", "weight": {weight}}}"#);
        read(&line, &mut None).map(|line| (line.is_left_out, line.unread.len()))
    };
    for (weight, expected) in [
        ("0", true),
        ("0.0", true),
        ("1", false),
        ("1.0", false),
        ("null", false),
    ] {
        assert_eq!(left_out(weight).unwrap(), (expected, 0), "{weight}");
    }
    for weight in [
        "0.5",
        "-1",
        "2",
        "true",
        "\"1\"",
        "NaN",
        "10000000000000000000000000000000000000000",
    ] {
        let error = left_out(weight).unwrap_err().to_string();
        assert!(error.starts_with("weight: expected 0 or 1"), "{error}");
    }
}

#[test]
fn tools_may_be_text() {
    let tools = |tools: &str| -> Result<_, RowError> {
        let line = format!(r#"{{"messages": [{{"role": "user"}}], {tools}}}"#);
        match first(&line)? {
            Row::Messages { tools, .. } => Ok(tools),
            other => panic!("{other:?}"),
        }
    };
    let list = tools(r#""tools": [{"n": 18446744073709551616}]"#).unwrap();
    assert!(list.is_some());
    for text in [
        r#""tools": "[{\"n\": 18446744073709551616}]""#,
        r#""tools": ["{\"n\": 18446744073709551616}"]"#,
    ] {
        assert_eq!(tools(text).unwrap(), list, "{text}");
    }
    assert_eq!(tools(r#""tools": "null""#).unwrap(), None);
    let wrapped = tools(r#""tools": [{"type": "function", "function": {"n": 1}}]"#).unwrap();
    assert_eq!(tools(r#""functions": [{"n": 1}]"#).unwrap(), wrapped);
    for (text, expected) in [
        (
            r#""tools": "[""#,
            "tools: the text is not valid JSON: the text ends",
        ),
        (r#""tools": """#, "tools: the text is not valid JSON"),
        (r#""tools": "{}""#, "tools: expected a list, got an object"),
        (
            r#""tools": [1]"#,
            "tools[0]: expected an object, got a number",
        ),
        (
            r#""functions": [[]]"#,
            "functions[0]: expected an object, got a list",
        ),
    ] {
        let error = tools(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_is_asked_is_what_a_person_wrote_before_the_last_answer() {
    let cases = [
        (r#"{"prompt": "p", "completion": "c"}"#, Some("p")),
        (
            r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"},
                {"role": "assistant", "content": "b"}, {"role": "user", "content": "w"}]}"#,
            Some("v"),
        ),
        (
            r#"{"messages": [{"role": "user", "content": "u"}, {"role": "user"}, {"role": "assistant"}]}"#,
            Some("u"),
        ),
        (
            r#"{"messages": [{"role": "assistant", "content": "a"}]}"#,
            None,
        ),
        (
            r#"{"prompt": [{"role": "user", "content": "u"}], "completion": [{"role": "assistant", "content": "a"}]}"#,
            Some("u"),
        ),
        (
            r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#,
            Some("p"),
        ),
        (r#"{"text": "t"}"#, None),
    ];
    for (line, expected) in cases {
        assert_eq!(first(line).unwrap().asked(), expected, "{line}");
    }
}
