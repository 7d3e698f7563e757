//! Expected values are those of Python 3.11's `json.loads`, `repr` and `json.dumps`.

use super::*;
use std::io::{self, BufReader, Read};

use crate::data::template::{ChatTemplate, Conversation};

fn read(text: &str) -> Json {
    parse(text.as_bytes())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .0
}

/// What a template prints for `source`.
fn rendered(source: &str, messages: &[Object]) -> String {
    let template = ChatTemplate::compile(source).unwrap();
    let conversation = Conversation {
        messages,
        tools: None,
        add_generation_prompt: false,
    };
    template.render(conversation, &Default::default()).unwrap()
}

fn printed(text: &str) -> String {
    let message = Object::from_iter([("x".to_owned(), read(text))]);
    rendered("{{ messages[0].x }}", &[message])
}

#[test]
fn numbers_print_as_in_python() {
    let cases = [
        ("100000000000000000000", "100000000000000000000"),
        ("-9223372036854775809", "-9223372036854775809"),
        (
            "[1234567890123456789012345678901234567890123, -1]",
            "[1234567890123456789012345678901234567890123, -1]",
        ),
        (
            "-170141183460469231731687303715884105729",
            "-170141183460469231731687303715884105729",
        ),
        ("-0", "0"),
        ("[1e20, 1.0, 1E5, -0.0]", "[1e+20, 1.0, 100000.0, -0.0]"),
        (
            "[1e16, 9999999999999998.0, 0.0001, 0.00001, 1.5e-7, -2.5E+300]",
            "[1e+16, 9999999999999998.0, 0.0001, 1e-05, 1.5e-07, -2.5e+300]",
        ),
        (
            "{\"a\": 123456789012345678901234567890.0}",
            "{'a': 1.2345678901234568e+29}",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn strings_and_escapes() {
    assert_eq!(
        read(r#""a\"\\\/\b\f\n\r\tA\u00e9 \ud83d\ude00 é""#),
        Json::from("a\"\\/\u{8}\u{c}\n\r\tAé 😀 é")
    );
    for lone in [
        r#""\ud800""#,
        r#""a\udc00b""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800\udc00""#,
    ] {
        assert_eq!(read(lone), Json::LoneSurrogate, "{lone}");
    }
}

#[test]
fn words_of_python_are_numbers() {
    let Json::Array(items) = read("[NaN, Infinity, -Infinity, null, true]") else {
        panic!("no list")
    };
    assert!(matches!(items[0], Json::Float(x) if x.is_nan()));
    assert_eq!(
        items[1..],
        [
            Json::Float(f64::INFINITY),
            Json::Float(f64::NEG_INFINITY),
            Json::Null,
            Json::Bool(true)
        ]
    );
}

#[test]
fn the_last_of_two_keys_counts_at_the_place_of_the_first() {
    let (value, duplicates) = parse(br#"{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}"#).unwrap();
    assert_eq!(duplicates, ["c", "a"]);
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(value.get("a"), Some(&Json::Int(3)));
}

#[test]
fn what_is_no_json_is_told_by_column() {
    let cases = [
        ("", "the text ends where a value is expected at column 1"),
        ("{\"é\": }", "expected a value at column 7"),
        (
            "{\"a\": 1,}",
            "a comma behind the last entry of the object at column 9",
        ),
        (
            "[1, ]",
            "a comma behind the last item of the list at column 5",
        ),
        (
            "{\"a\": 1, 2}",
            "expected a key in double quotes at column 10",
        ),
        ("{},", "a comma behind the value at column 3"),
        ("{'a': 1}", "expected a key in double quotes at column 2"),
        (
            "[1 2]",
            "expected a comma or the end of the list at column 4",
        ),
        ("{\"a\" 1}", "expected a colon at column 6"),
        ("\"a\tb\"", "a control character inside of a string"),
        ("\"a", "the text ends inside of a string at column 3"),
        ("\"\\x\"", "an unknown escape at column 3"),
        ("\"\\u12é4\"", "four hexadecimal digits"),
        ("01", "a number begins with 0 at column 2"),
        ("-", "expected a digit at column 2"),
        ("1.", "expected a digit at column 3"),
        ("1e+", "expected a digit at column 4"),
        ("{} {}", "more text behind the value at column 4"),
        ("nul", "expected a value at column 1"),
    ];
    for (text, expected) in cases {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert_eq!(streamed(text.as_bytes(), 3).unwrap_err(), error, "{text}");
    }
    let latin = parse(b"{\"text\": \"caf\xE9\"}").unwrap_err().to_string();
    assert_eq!(latin, "the byte 0xE9 is no UTF-8 at column 14");
}

#[test]
fn deep_nesting_is_an_error() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(200).as_bytes()).is_ok());
    for depth in [201, 100_000] {
        let error = parse(nested(depth).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("nested more than 200 deep"), "{error}");
    }
    let error = parse("{\"a\":".repeat(100_000).as_bytes()).unwrap_err();
    assert!(error.reason.contains("nested"), "{error}");
}

#[test]
fn what_no_text_can_be_made_of_is_found_with_its_path() {
    let value = read(r#"{"a": [1, {"b\n": NaN}]}"#);
    assert_eq!(value.unreadable("x").unwrap().0, "x.a[1].b\\n");
    assert_eq!(read(r#"[1, "a", null]"#).unreadable("x"), None);
    assert_eq!(shortened(&"é".repeat(41)), "é".repeat(40) + "…");
}

/// Expected messages are those of `_normalize_chat_messages` and `_alias_reasoning_fields` of
/// transformers 5.24.
#[test]
fn messages_lose_nulls_and_gain_names_of_their_reasoning() {
    let cases = [
        (
            r#"{"role": "assistant", "content": null, "tool_calls": null}"#,
            "{'role': 'assistant'}",
        ),
        (
            r#"{"role": "a", "reasoning": "r", "content": "c"}"#,
            "{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'content': 'c', 'reasoning_content': 'r'}",
        ),
        (
            r#"{"role": "a", "thinking": "r", "reasoning_content": null}"#,
            "{'thinking': 'r', 'role': 'a', 'reasoning_content': 'r'}",
        ),
        (
            r#"{"reasoning_content": "x", "thinking": "y", "tool_calls": [{"a": null}]}"#,
            "{'thinking': 'y', 'reasoning_content': 'x', 'tool_calls': [{'a': None}]}",
        ),
    ];
    for (text, expected) in cases {
        let messages = [read(text).as_object().cloned().unwrap()];
        assert_eq!(
            rendered("{{ messages[0] }}", &without_nulls(&messages)),
            expected
        );
    }
}

/// A reader that gives up to `n` bytes at a time.
struct Slow<R>(R, usize);

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.1);
        self.0.read(&mut buffer[..n])
    }
}

/// The value of a text, its entries read one by one.
fn streamed(text: &[u8], n: usize) -> Result<Json, String> {
    let reader = Box::new(BufReader::new(Slow(io::Cursor::new(text.to_vec()), n)));
    let mut stream = Stream::new(reader).unwrap();
    let value = entries(&mut stream).and_then(|value| stream.end().map(|()| value));
    value.map_err(|error| error.to_string())
}

fn entries(stream: &mut Stream) -> Result<Json, StreamError> {
    let Some(brackets) = stream.brackets()? else {
        return Ok(stream.value()?.0);
    };
    let (mut items, mut object) = (vec![], Object::new());
    stream.enter()?;
    while stream.next_entry(brackets, items.is_empty() && object.is_empty())? {
        match brackets {
            Brackets::List => items.push(stream.value()?.0),
            Brackets::Object => {
                let key = stream.key()?;
                object.insert(key, stream.value()?.0);
            }
        }
    }
    Ok(match brackets {
        Brackets::List => Json::Array(items),
        Brackets::Object => Json::Object(object),
    })
}

#[test]
fn a_stream_gives_the_values_of_its_text() {
    let texts = [
        r#"[{"a\\\"]": "é\\", "b": [1, "]}"]}, -1.5e3,null ,"x" , [ ], [[]]]"#,
        r#" {"a": {"b": 1}, "c" :[{}, {"d": "\\"}], "e": 12}  "#,
        " [ ] ",
        "{}",
        "12",
        "\"a\"",
    ];
    for text in texts {
        for n in 1..=text.len() {
            assert_eq!(
                streamed(text.as_bytes(), n).unwrap(),
                read(text),
                "{text}, {n} bytes at a time"
            );
        }
        let marked = format!("\u{FEFF}{text}");
        assert_eq!(streamed(marked.as_bytes(), 1).unwrap(), read(text));
    }
}

#[test]
fn a_list_without_end_is_read_as_far_as_it_is_asked_for() {
    let endless = io::Cursor::new(b"[".to_vec()).chain(Endless(br#"{"a": [1, 2]}, "#, 0));
    let mut stream = Stream::new(Box::new(BufReader::new(endless))).unwrap();
    stream.enter().unwrap();
    for i in 0..10_000 {
        assert!(stream.next_entry(Brackets::List, i == 0).unwrap());
        assert_eq!(stream.value().unwrap().0, read(r#"{"a": [1, 2]}"#));
    }
}

/// A reader that gives the same bytes again and again.
struct Endless(&'static [u8], usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = Read::read(&mut &self.0[self.1..], buffer)?;
        self.1 = (self.1 + n) % self.0.len();
        Ok(n)
    }
}
