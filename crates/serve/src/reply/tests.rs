use super::choice::Choice;
use super::words::Words;
use crate::job::Piece;
use crate::request::{Endpoint, Marks};
use metal_candle::data::{Tokenizer, train_bpe, write_tokenizer};
use metal_candle::generate::{FinishReason, Limit};
use serde_json::{Value, json};

const CALLS: Marks = Marks {
    reasoning: true,
    begins_in_reasoning: true,
    calls: true,
};
/// An answer of a Qwen3 that thinks, says something and calls two tools, the second one without arguments.
const ANSWER: &str = "Hm.</think>\n\nI look.<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Kös\", \"days\": 2}}\n</tool_call>\
                      <tool_call>{\"name\": \"now\"}</tool_call>";

/// What is told of `text`, which comes character by character: the whole, or every piece.
fn told(marks: Marks, text: &str, finished: FinishReason, is_stream: bool) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = train_bpe(&["a b c".into()], 280, &["<e>"]).unwrap();
    write_tokenizer(folder.path(), &tokenizer, "<e>", None).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let words = Words::new(&tokenizer);
    let mut choice = Choice::new(marks);
    let mut told = vec![];
    let n_chars = text.chars().count();
    for (i, c) in text.chars().enumerate() {
        let piece = Piece {
            text: c.into(),
            token: None,
            finished: (i + 1 == n_chars).then_some(finished),
        };
        choice.push(&piece, &words);
        if is_stream && choice.has_news() {
            told.push(choice.tell(Endpoint::Chat, 0, true));
        }
    }
    if !is_stream {
        told.push(choice.tell(Endpoint::Chat, 0, false));
    }
    told
}

/// Calls as OpenAI's interface describes them, and reasoning as mlx-lm tells it.
#[test]
fn calls_and_reasoning_are_parts_of_the_message() {
    let mut choice = told(CALLS, ANSWER, FinishReason::Stop, false).remove(0);
    let message = &mut choice["message"];
    let ids: Vec<Value> = (0..2)
        .map(|i| message["tool_calls"][i]["id"].take())
        .collect();
    assert!(
        ids[0] != ids[1]
            && ids
                .iter()
                .all(|id| id.as_str().unwrap().starts_with("call_"))
    );
    let call = |name: &str, arguments: &str| json!({"id": null, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!({
        "role": "assistant",
        "content": "\n\nI look.",
        "reasoning": "Hm.",
        "reasoning_content": "Hm.",
        "tool_calls": [call("weather", "{\"city\":\"Kös\",\"days\":2}"), call("now", "{}")],
    });
    assert_eq!(*message, expected);
    assert_eq!(choice["finish_reason"], "tool_calls");
}

#[test]
fn pieces_tell_each_call_with_its_number() {
    let told = told(CALLS, ANSWER, FinishReason::Stop, true);
    let joined = |name: &str| -> String {
        let texts = told
            .iter()
            .filter_map(|piece| piece["delta"][name].as_str());
        texts.collect()
    };
    assert_eq!(joined("content"), "\n\nI look.");
    assert_eq!(joined("reasoning"), "Hm.");
    let calls = told
        .iter()
        .filter_map(|piece| piece["delta"]["tool_calls"].as_array());
    let calls: Vec<_> = calls
        .flatten()
        .map(|call| (&call["index"], &call["function"]["name"]))
        .collect();
    assert_eq!(
        calls,
        [(&json!(0), &json!("weather")), (&json!(1), &json!("now"))]
    );
    assert_eq!(told.last().unwrap()["finish_reason"], "tool_calls");
}

/// What is no call is told as it was written, and an answer that was cut off stays so.
#[test]
fn text_that_is_no_call_is_content() {
    let marks = Marks {
        begins_in_reasoning: false,
        ..CALLS
    };
    for text in [
        "a<tool_call><function=f></function>",
        "<tool_call>{\"name\": 1}",
        "<tool_call>",
    ] {
        let choice = told(marks, text, FinishReason::Stop, false).remove(0);
        assert_eq!(
            choice["message"],
            json!({"role": "assistant", "content": text})
        );
        assert_eq!(choice["finish_reason"], "stop");
    }
    let ended = "<tool_call>[]</tool_call>";
    let choice = told(marks, ended, FinishReason::Stop, false).remove(0);
    assert_eq!(choice["message"]["content"], ended);
    let limit = FinishReason::Length(Limit::MaxTokens);
    let choice = told(
        marks,
        "<tool_call>{\"name\": \"f\"}</tool_call>x",
        limit,
        false,
    )
    .remove(0);
    assert_eq!(choice["finish_reason"], "length");
    let plain = told(Marks::default(), ANSWER, FinishReason::Stop, false).remove(0);
    assert_eq!(plain["message"]["content"], ANSWER);
}
