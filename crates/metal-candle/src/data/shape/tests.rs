use super::*;
use crate::data::json::parse;
use crate::data::row::Content;
use crate::data::template::Message;

fn object(line: &str) -> Object {
    match parse(line.as_bytes()).unwrap() {
        (Json::Object(object), _) => object,
        _ => panic!("{line}"),
    }
}

fn shape(line: &str, keys: &Keys) -> Result<Shape, RowError> {
    Shape::of(&object(line), keys)
}

/// The shape of a row, as it is shown, and the row.
fn read(line: &str, is_chat: bool) -> (String, Row) {
    told(line, &Keys::default(), is_chat)
}

fn told(line: &str, keys: &Keys, is_chat: bool) -> (String, Row) {
    let mut row = object(line);
    let shape = Shape::of(&row, keys).unwrap();
    let read = shape.take(&mut row, is_chat).unwrap();
    (shape.to_string(), read)
}

fn error(line: &str) -> String {
    let mut row = object(line);
    let read = Shape::of(&row, &Keys::default()).and_then(|shape| shape.take(&mut row, true));
    read.unwrap_err().to_string()
}

/// Roles and contents.
fn said(messages: &[Message]) -> Vec<(&str, &str)> {
    let pairs = messages.iter().map(|message| {
        let get = |key: &str| message.get(key).and_then(Json::as_str).unwrap_or_default();
        (get("role"), get("content"))
    });
    pairs.collect()
}

fn messages(row: &Row) -> Vec<(&str, &str)> {
    match row {
        Row::Messages { messages, .. } => said(messages),
        Row::Exchange {
            prompt, completion, ..
        } => [said(prompt), said(completion)].concat(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pairs_of_columns_are_detected() {
    let cases = [
        (
            r#"{"prompt": "p", "completion": "c", "input": "i"}"#,
            "prompt/completion (prompt, completion)",
            "p",
        ),
        (
            r#"{"instruction": "p", "input": "", "output": "c"}"#,
            "alpaca (input, instruction, output)",
            "p",
        ),
        (
            r#"{"instruction": "p", "input": "i", "output": "c"}"#,
            "alpaca (input, instruction, output)",
            "p\n\ni",
        ),
        (
            r#"{"instruction": "p", "context": "i", "response": "c", "category": "x"}"#,
            "instruction/response (context, instruction, response)",
            "p\n\ni",
        ),
        (
            r#"{"question": "p", "answer": "c"}"#,
            "question/answer (question, answer)",
            "p",
        ),
        (
            r#"{"query": "p", "response": "c", "type": "x"}"#,
            "query/response (query, response)",
            "p",
        ),
        (
            r#"{"input": "p", "output": "c"}"#,
            "input/output (input, output)",
            "p",
        ),
        (
            r#"{"inputs": "p", "targets": "c"}"#,
            "inputs/targets (inputs, targets)",
            "p",
        ),
        (
            r#"{"problem": "p", "solution": "c", "level": 5}"#,
            "problem/solution (problem, solution)",
            "p",
        ),
    ];
    for (line, name, prompt) in cases {
        let (shown, row) = read(line, true);
        assert_eq!(shown, name);
        assert_eq!(row, Row::completion(prompt, "c"), "{line}");
    }
}

#[test]
fn a_system_prompt_becomes_a_message() {
    let line = r#"{"id": "1", "system_prompt": "s", "question": "p", "response": "c"}"#;
    let (shown, row) = read(line, true);
    assert_eq!(
        shown,
        "question/response (system_prompt, question, response)"
    );
    assert_eq!(
        messages(&row),
        [("system", "s"), ("user", "p"), ("assistant", "c")]
    );
    let (_, row) = read(line, false);
    let expected = Row::Continuation {
        prompt: "s\n\np\n\n".into(),
        completion: "c".into(),
    };
    assert_eq!(row, expected);
    let (_, row) = read(&line.replace("\"s\"", "\"\""), true);
    assert_eq!(row, Row::completion("p", "c"));
}

#[test]
fn conversations_are_read_in_every_spelling() {
    let expected = [("user", "a"), ("assistant", "b")];
    let columns = [
        (
            r#""messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#,
            "messages",
        ),
        (
            r#""conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]"#,
            "ShareGPT",
        ),
        (
            r#""messages": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]"#,
            "messages",
        ),
        (
            r#""conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#,
            "conversations",
        ),
        (
            r#""conversation": [{"input": "a", "output": "b"}], "source": "x""#,
            "conversations",
        ),
        (r#""conversations": ["a", "b"]"#, "conversations"),
        (
            r#""dialog": [{"role": "prompter", "text": "a"}, {"role": "assistant", "text": "b"}]"#,
            "conversations",
        ),
        (
            r#""conversations": "[{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]""#,
            "conversations",
        ),
    ];
    for (columns, name) in columns {
        let (shown, row) = read(&format!("{{{columns}}}"), true);
        assert!(shown.starts_with(name), "{shown}");
        assert_eq!(messages(&row), expected, "{columns}");
    }
    let line = r#"{"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#;
    assert_eq!(messages(&read(line, true).1)[0], ("system", "s"));
}

#[test]
fn calls_of_functions_are_messages() {
    let line = r#"{"conversations": [{"from": "human", "value": "a"},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
        {"from": "observation", "value": "2"}, {"from": "gpt", "value": "b", "weight": 1}]}"#;
    let (_, row) = read(line, true);
    let Row::Messages { messages, .. } = row else {
        panic!("{row:?}")
    };
    let roles: Vec<&str> = said(&messages).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
    let Some(Json::Array(calls)) = messages[1].get("tool_calls") else {
        panic!("{messages:?}")
    };
    let function = calls[0].get("function").unwrap();
    assert_eq!(function.get("name").and_then(Json::as_str), Some("f"));
    assert_eq!(messages[3].get("weight"), Some(&Json::Int(1)));
}

#[test]
fn prompts_and_completions_may_be_conversations() {
    let line = r#"{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}"#;
    let (shown, row) = read(line, true);
    assert_eq!(shown, "prompt/completion (prompt, completion)");
    let Row::Exchange {
        prompt, completion, ..
    } = &row
    else {
        panic!("{row:?}")
    };
    assert_eq!(
        (said(prompt), said(completion)),
        (vec![("user", "a")], vec![("assistant", "b")])
    );
}

#[test]
fn preferences_are_read_in_every_form() {
    let list = |text: &str| {
        format!(
            r#"[{{"role": "user", "content": "p"}}, {{"role": "assistant", "content": "{text}"}}]"#
        )
    };
    let answer = |text: &str| format!(r#"[{{"role": "assistant", "content": "{text}"}}]"#);
    let sides = |line: &str| match read(line, true) {
        (
            shown,
            Row::Preference {
                prompt,
                chosen,
                rejected,
                ..
            },
        ) => {
            assert!(shown.starts_with("preference ("), "{shown}");
            (prompt, chosen, rejected)
        }
        (_, other) => panic!("{other:?}"),
    };
    let text = |text: &str| Content::Text(text.into());
    let said = |content: &Content| match content {
        Content::Messages(messages) => said(messages)
            .into_iter()
            .map(|(role, text)| format!("{role}:{text}"))
            .collect(),
        Content::Text(text) => vec![text.clone()],
    };
    assert_eq!(
        sides(r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#),
        (Some(text("p")), text("c"), text("r"))
    );
    assert_eq!(
        sides(r#"{"chosen": "pc", "rejected": "pr"}"#),
        (None, text("pc"), text("pr"))
    );
    // Whole conversations beside a prompt: it is in them.
    let (c, r) = (list("c"), list("r"));
    let (prompt, chosen, rejected) = sides(&format!(
        r#"{{"prompt": "p", "chosen": {c}, "rejected": {r}, "messages": {c}}}"#
    ));
    assert_eq!(prompt, None);
    assert_eq!(
        (said(&chosen), said(&rejected)),
        (
            vec!["user:p".to_owned(), "assistant:c".into()],
            vec!["user:p".into(), "assistant:r".into()]
        )
    );
    let (c, r) = (answer("c"), answer("r"));
    let (prompt, chosen, _) = sides(&format!(
        r#"{{"prompt": [{{"role": "user", "content": "p"}}], "chosen": {c}, "rejected": {r}}}"#
    ));
    assert_eq!(
        (said(&prompt.unwrap()), said(&chosen)),
        (vec!["user:p".to_owned()], vec!["assistant:c".to_owned()])
    );
    let (prompt, chosen, _) =
        sides(r#"{"system": "s", "question": "p", "chosen": "c", "rejected": "r"}"#);
    assert_eq!(said(&prompt.unwrap()), ["system:s", "user:p"]);
    assert_eq!(said(&chosen), ["assistant:c"]);
    let (c, r) = (list("c"), list("r"));
    let line = format!(r#"{{"system": "s", "chosen": {c}, "rejected": {r}}}"#);
    let (prompt, chosen, rejected) = sides(&line);
    assert_eq!(prompt, None);
    assert_eq!(said(&chosen), ["system:s", "user:p", "assistant:c"]);
    assert_eq!(said(&rejected), ["system:s", "user:p", "assistant:r"]);
}

#[test]
fn columns_that_a_person_names_win() {
    let keys = |prompt: Option<&str>,
                completion: Option<&str>,
                chat: Option<&str>,
                text: Option<&str>| Keys {
        prompt: prompt.map(str::to_owned),
        completion: completion.map(str::to_owned),
        chat: chat.map(str::to_owned),
        text: text.map(str::to_owned),
    };
    let line = r#"{"article": {"body": "a"}, "highlights": ["h"], "text": "t", "turns": [{"role": "user", "content": "u"}]}"#;
    let (shown, row) = told(
        line,
        &keys(Some("article.body"), Some("highlights.0"), None, None),
        true,
    );
    assert_eq!(
        shown,
        "article.body/highlights.0 (article.body, highlights.0)"
    );
    assert_eq!(row, Row::completion("a", "h"));
    assert_eq!(
        told(line, &keys(None, None, None, Some("text")), true).1,
        Row::Text("t".into())
    );
    assert_eq!(
        messages(&told(line, &keys(None, None, Some("turns"), None), true).1),
        [("user", "u")]
    );
    // Half of a pair: the other half is looked for.
    let alpaca = r#"{"instruction": "i", "input": "", "output": "o", "text": "t"}"#;
    assert_eq!(
        told(alpaca, &keys(Some("instruction"), None, None, None), true).1,
        Row::completion("i", "o")
    );
    let chosen = r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#;
    assert_eq!(
        told(chosen, &keys(None, Some("chosen"), None, None), true).1,
        Row::completion("p", "c")
    );
    let asked = r#"{"asked": "p", "prompt": "q", "chosen": "c", "rejected": "r"}"#;
    assert_eq!(
        told(asked, &keys(Some("asked"), None, None, None), true),
        (
            "preference (asked, chosen, rejected)".to_owned(),
            Row::preference("p", "c", "r")
        )
    );
    let absent = shape(line, &keys(None, None, None, Some("body")))
        .unwrap_err()
        .to_string();
    assert!(
        absent.contains("no \"body\"") && absent.contains("\"article\""),
        "{absent}"
    );
}

#[test]
fn several_ways_to_read_columns_are_an_error_that_names_them() {
    let error = error(r#"{"instruction": "i", "output": "o", "text": "t"}"#);
    for part in [
        "--prompt-key instruction --completion-key output",
        "--text-key text",
        "\"output\"",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = self::error(r#"{"problem": "p", "solution": "s", "answer": "a"}"#);
    assert!(
        error.contains("--completion-key solution") && error.contains("--completion-key answer"),
        "{error}"
    );
    let error = self::error(
        r#"{"instruction": "i", "response": "r", "conversations": [{"from": "human", "value": "i"}]}"#,
    );
    assert!(error.contains("--chat-key conversations"), "{error}");
}

#[test]
fn wrong_turns_are_named() {
    let cases = [
        (
            r#"{"conversations": [{"from": "narrator", "value": "a"}]}"#,
            "conversations[0].from: the role \"narrator\"",
        ),
        (
            r#"{"conversations": [{"from": "gpt", "value": 5}]}"#,
            "conversations[0].value: expected a string, got a number",
        ),
        (
            r#"{"conversations": [{"from": 5, "value": "a"}]}"#,
            "conversations[0].from: expected a string, got a number",
        ),
        (
            r#"{"conversations": [{"value": "a"}]}"#,
            "conversations[0].role: expected a string, got nothing",
        ),
        (
            r#"{"conversations": []}"#,
            "conversations: expected at least one message",
        ),
        (
            r#"{"conversations": "[{]"}"#,
            "conversations: the text is not valid JSON",
        ),
        (
            r#"{"conversations": [{"from": "function_call", "value": "f(1)"}]}"#,
            "conversations[0].value: the text is not valid JSON",
        ),
        (
            r#"{"question": "q", "answer": 5}"#,
            "\"question\" and \"answer\"",
        ),
    ];
    for (line, expected) in cases {
        let error = error(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}
