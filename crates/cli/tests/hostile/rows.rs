//! Rows of data.

use crate::input::{INSPECT, Input, TRAIN};
use crate::{mutate, odd_file};

const FILE: &str = "data/train.jsonl";
const READ: &str = "perplexity --model model --data data/train.jsonl --max-seq-length 48";
const MASKED: &str =
    "perplexity --model model --data data/train.jsonl --max-seq-length 48 --mask-prompt";
const CHAT: &str = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"ho\"}]}";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, READ);
    inputs.extend(odd_file::all_of_optional("data/valid.jsonl", TRAIN));
    inputs.extend(refused());
    inputs.extend(told());
    inputs.extend(accepted());
    inputs.extend(uncertain());
    inputs.extend(large());
    inputs.extend(generated());
    inputs.extend(mutate::bytes_of(FILE, &[READ, TRAIN, MASKED], 30));
    inputs
}

fn row(text: &str) -> Input {
    let shown: String = text.chars().take(140).collect();
    Input::new(format!("row {shown}"), READ).file(FILE, format!("{text}\n"))
}

/// A conversation whose last message has one field more, or another.
fn message(field: &str, raw: &str) -> String {
    let fields = [("role", "\"assistant\""), ("content", "\"ho\"")].into_iter();
    let fields = fields
        .filter(|(name, _)| *name != field)
        .chain([(field, raw)]);
    let fields: Vec<String> = fields
        .map(|(name, raw)| format!("\"{name}\":{raw}"))
        .collect();
    let last = fields.join(",");
    format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}},{{{last}}}]}}")
}

fn refused() -> Vec<Input> {
    let rows = [
        "{",
        "[1]",
        "5",
        "null",
        "\"text\"",
        "{}",
        "{\"instruction\":\"x\"}",
        "{\"text\":5}",
        "{\"text\":null}",
        "{\"text\":[\"a\"]}",
        "{\"prompt\":\"a\"}",
        "{\"prompt\":\"a\",\"completion\":5}",
        "{\"prompt\":[\"a\"],\"completion\":\"b\"}",
        "{\"messages\":[]}",
        "{\"messages\":\"x\"}",
        "{\"messages\":[1]}",
        "{\"messages\":[{}]}",
        "{\"messages\":[{\"role\":5,\"content\":\"x\"}]}",
        "{\"messages\":[{\"content\":\"x\"}]}",
        "{\"messages\":{\"role\":\"user\",\"content\":\"x\"}}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":5}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":\"no list\"}",
        "{\"text\":\"a\"}x",
        "{\"text\":\"a",
        "{\"text\":\"\\ud800\"}",
        "{\"text\":\"a\tb\"}",
        "{'text':'a'}",
        "{\"text\":\"a\",}",
    ];
    let mut inputs: Vec<Input> = rows
        .map(|text| row(text).refused(&["data/train.jsonl"]))
        .into();
    let lines = |name: &str, text: String| {
        Input::new(name, READ)
            .file(FILE, text)
            .refused(&["data/train.jsonl"])
    };
    inputs.extend([
        lines("an indented object", "{\n  \"text\": \"a\"\n}\n".into()),
        lines(
            "100,000 lists deep",
            format!("{{\"text\":\"a\",\"b\":{}}}\n", mutate::extreme("DEEP")),
        ),
        lines(
            "a second kind of row",
            "{\"text\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}\n".into(),
        ),
        lines("blank lines only", "\n \n\t\n".into()),
        lines("keys of a colour", "{\"\\u001b[31mred\\u0007\":1}\n".into()),
        lines(
            "1 MB of a key",
            format!("{{\"{}\":1}}\n", "x".repeat(1 << 20)),
        ),
        lines(
            "10,000 keys",
            format!(
                "{{{}\"z\":1}}\n",
                (0..10_000)
                    .map(|i| format!("\"k{i}\":1,"))
                    .collect::<String>()
            ),
        ),
        lines(
            "nothing to train",
            "{\"text\":\"\"}\n{\"text\":\"\"}\n".into(),
        )
        .and(TRAIN),
    ]);
    let image = message("content", "[{\"type\":\"image\",\"url\":\"x.png\"}]");
    inputs.push(row(&image).refused(&["image"]));
    inputs
}

/// What changes the meaning of a row is understood, or named.
fn told() -> Vec<Input> {
    let rows = [
        (
            "{\"prompt\":\"a\",\"completion\":\"b\",\"label\":false}",
            &["label"] as &[&str],
        ),
        (
            "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}",
            &["chosen"],
        ),
        ("{\"text\":\"a\",\"weight\":\"x\"}", &["weight"]),
        ("{\"text\":\"a\",\"weight\":-1}", &["weight"]),
    ];
    rows.map(|(text, mentions)| row(text).told(mentions)).into()
}

fn accepted() -> Vec<Input> {
    let rows = [
        "{\"text\":\"a\\u0000b\"}",
        "{\"text\":\"\\u001b[31mred\"}",
        "{\"text\":\"\\u202eabc\\u202c\"}",
        "{\"text\":\"<|im_end|><|im_end|>\"}",
        "{\"text\":\"\\ud83d\\ude00 and \\uffff\"}",
        "{\"text\":\"a\",\"unread\":NaN}",
        "  {\"text\":\"a\"}  ",
        CHAT,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],\"tools\":null}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],\"tools\":\"[]\"}",
    ];
    let mut inputs: Vec<Input> = rows.map(|text| row(text).accepted()).into();
    let lines = |name: &str, text: &str| Input::new(name, READ).file(FILE, text).accepted();
    inputs.extend([
        lines(
            "a list over several lines",
            "[\n{\"text\":\"a\"},\n{\"text\":\"b\"}\n]\n",
        ),
        lines(
            "a list on one line",
            "[{\"text\":\"a\"},{\"text\":\"b\"}]\n",
        ),
        lines("a table", "prompt,completion\na,b\n"),
        lines("CR LF", "{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r\n"),
        lines("a byte order mark", "\u{feff}{\"text\":\"a\"}\n"),
        lines("no end of the last line", "{\"text\":\"a\"}"),
        lines(
            "blank lines between",
            "\n\n{\"text\":\"a\"}\n\n\n{\"text\":\"b\"}\n\n",
        ),
    ]);
    inputs
}

fn uncertain() -> Vec<Input> {
    let extremes = [
        "null",
        "5",
        "[]",
        "{}",
        "true",
        "[[]]",
        "[null]",
        "1e400",
        "123456789012345678901234567890",
    ];
    let fields = [
        "content",
        "role",
        "weight",
        "reasoning_content",
        "tool_calls",
        "name",
    ];
    let pairs = fields
        .into_iter()
        .flat_map(|field| extremes.map(|raw| (field, raw)));
    let mut inputs: Vec<Input> = pairs
        .map(|(field, raw)| row(&message(field, raw)).and(MASKED))
        .collect();
    inputs.extend([
        row("{\"text\":\"a\",\"text\":\"b\"}"),
        row("{\"prompt\":\"\",\"completion\":\"\"}").and(MASKED),
        row("{\"prompt\":\"a\",\"completion\":\"\"}").and(MASKED),
        row("{\"messages\":[{\"role\":\"\",\"content\":\"\"}]}").and(MASKED),
        row("{\"messages\":[{\"role\":\"\\u001b[31m\",\"content\":\"x\"}]}")
            .and(INSPECT)
            .arg("--data")
            .arg(FILE),
    ]);
    inputs
}

/// Much of what is right by itself.
fn large() -> Vec<Input> {
    let turn =
        "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"ho\"},";
    let turns = |n: usize| {
        format!(
            "{{\"messages\":[{}]}}\n",
            turn.repeat(n).trim_end_matches(',')
        )
    };
    let calls = |n: usize| {
        "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},".repeat(n)
    };
    let many = message(
        "tool_calls",
        &format!("[{}]", calls(10_000).trim_end_matches(',')),
    );
    vec![
        Input::new("600 turns", READ)
            .and(MASKED)
            .file(FILE, turns(600)),
        Input::new("10,000 calls of tools", READ)
            .and(MASKED)
            .file(FILE, many + "\n"),
        Input::new("2,000 rows with the last one broken", READ)
            .file(FILE, format!("{}{{\n", format!("{CHAT}\n").repeat(2000)))
            .refused(&["2001"]),
        Input::new("a message of 120 lists", READ).file(
            FILE,
            message("content", &mutate::nested("[", "", "]", 120)) + "\n",
        ),
        Input::new("100,000 blank lines", READ)
            .file(
                FILE,
                format!("{}{{\"text\":\"a\"}}\n", "\n".repeat(100_000)),
            )
            .accepted(),
    ]
}

/// A conversation with tools, its fields replaced by extremes.
fn generated() -> Vec<Input> {
    const ROW: &str = "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"hi\"},\
        {\"role\":\"assistant\",\"content\":\"ho\",\"reasoning_content\":\"hm\",\"weight\":1,\"tool_calls\":[{\"type\":\"function\",\
        \"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,null]}}}]},{\"role\":\"tool\",\"content\":\"4\"},\
        {\"role\":\"assistant\",\"content\":\"four\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]}";
    let inputs = mutate::json_of(FILE, &[READ, MASKED, TRAIN], 45);
    inputs
        .into_iter()
        .map(|input| input.first(FILE, ROW))
        .collect()
}
