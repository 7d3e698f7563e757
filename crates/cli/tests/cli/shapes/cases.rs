//! The sets: names, forms, options and rows.

use serde_json::{Value, json};

/// Ways in which rows lie around.
#[derive(Clone, Copy)]
pub enum Form {
    Jsonl,
    JsonlGz,
    /// A list in one document.
    Json,
    /// An object with lists by split.
    JsonSplits,
    Csv,
    Tsv,
    Stdin,
    /// A folder with `train` and `validation`.
    Folder,
    /// A file that pyarrow wrote.
    Parquet(&'static str),
}

pub use Form::*;

/// Name of the set whose shape it is, form, options, what the header tells, and a row by its number.
pub type Case = (
    &'static str,
    Form,
    &'static str,
    &'static str,
    fn(usize) -> Value,
);

pub const CASES: [Case; 48] = [
    (
        "alpaca",
        Json,
        "",
        "alpaca (input, instruction, output)",
        |i| json!({"instruction": say(i), "input": if i % 2 == 0 { "" } else { "an input" }, "output": it_is(i)}),
    ),
    (
        "alpaca-with-text",
        Jsonl,
        "--prompt-key instruction",
        "alpaca (input, instruction, output)",
        |i| json!({"instruction": say(i), "input": "", "output": it_is(i), "text": "below"}),
    ),
    (
        "alpaca-tatsu-lab",
        Jsonl,
        "",
        "alpaca (input, instruction, output)",
        |i| {
            let text = format!(
                "Below is an instruction.\n\n### Instruction:\n{}\n\n### Response:\n{}",
                say(i),
                it_is(i)
            );
            json!({"instruction": say(i), "input": "", "output": it_is(i), "text": text})
        },
    ),
    (
        "sharegpt-with-text",
        Jsonl,
        "--mask-prompt",
        "ShareGPT (conversations)",
        |i| json!({"conversations": [{"from": "human", "value": say(i)}, {"from": "gpt", "value": it_is(i)}], "text": format!("<|user|>{}<|assistant|>{}", say(i), it_is(i))}),
    ),
    (
        "alpaca-parquet",
        Parquet("alpaca"),
        "",
        "alpaca (input, instruction, output)",
        none,
    ),
    (
        "code-alpaca",
        JsonlGz,
        "",
        "alpaca (input, instruction, output)",
        |i| json!({"instruction": say(i), "input": "", "output": it_is(i)}),
    ),
    (
        "evol-instruct",
        Jsonl,
        "",
        "alpaca (instruction, output)",
        |i| json!({"instruction": say(i), "output": it_is(i)}),
    ),
    (
        "dolly",
        Jsonl,
        "",
        "instruction/response (context, instruction, response)",
        |i| json!({"instruction": say(i), "context": "", "response": it_is(i), "category": "open_qa"}),
    ),
    (
        "oasst-guanaco",
        Jsonl,
        "",
        "text (text)",
        |i| json!({"text": format!("### Human: {}### Assistant: {}", say(i), it_is(i))}),
    ),
    (
        "oasst-messages",
        Jsonl,
        "",
        "messages (messages)",
        |i| json!({"message_tree_id": i, "messages": [{"role": "prompter", "text": say(i), "lang": "en"}, {"role": "assistant", "text": it_is(i), "lang": "en"}]}),
    ),
    (
        "sharegpt",
        Json,
        "--mask-prompt",
        "ShareGPT (conversations)",
        |i| json!({"id": i.to_string(), "conversations": [{"from": "human", "value": say(i)}, {"from": "gpt", "value": it_is(i)}]}),
    ),
    (
        "sharegpt-parquet",
        Parquet("sharegpt"),
        "--mask-prompt",
        "ShareGPT (conversations)",
        none,
    ),
    (
        "openhermes",
        Jsonl,
        "",
        "ShareGPT (system_prompt, conversations)",
        |i| json!({"system_prompt": null, "source": "x", "conversations": [{"from": "system", "value": "be brief"}, {"from": "human", "value": say(i)}, {"from": "gpt", "value": it_is(i)}]}),
    ),
    (
        "slimorca",
        Jsonl,
        "--mask-prompt",
        "ShareGPT (conversations)",
        |i| json!({"conversations": [{"from": "system", "value": "be brief", "weight": null}, {"from": "human", "value": say(i), "weight": 0.0}, {"from": "gpt", "value": it_is(i), "weight": 1.0}]}),
    ),
    (
        "ultrachat",
        Folder,
        "--mask-prompt",
        "messages (messages)",
        |i| json!({"prompt": say(i), "prompt_id": i.to_string(), "messages": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i)}]}),
    ),
    (
        "ultrachat-parquet",
        Parquet("messages"),
        "--mask-prompt",
        "messages (messages)",
        none,
    ),
    (
        "ultrachat-lists",
        Jsonl,
        "--chat-key data --mask-prompt",
        "conversations (data)",
        |i| json!({"id": i, "data": [say(i), it_is(i), "again", it_is(i)]}),
    ),
    (
        "openai-chat",
        Jsonl,
        "--mask-prompt",
        "messages (messages)",
        |i| json!({"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i), "weight": 1}]}),
    ),
    (
        "openai-stdin",
        Stdin,
        "",
        "messages (messages)",
        |i| json!({"messages": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i)}]}),
    ),
    (
        "gsm8k",
        Jsonl,
        "",
        "question/answer (question, answer)",
        |i| json!({"question": say(i), "answer": format!("{}\n#### {i}", it_is(i))}),
    ),
    (
        "gsm8k-parquet",
        Parquet("gsm8k"),
        "",
        "question/answer (question, answer)",
        none,
    ),
    (
        "math",
        Json,
        "",
        "problem/solution (problem, solution)",
        |i| json!({"problem": say(i), "level": "Level 1", "type": "Algebra", "solution": it_is(i)}),
    ),
    (
        "metamath",
        Json,
        "",
        "query/response (query, response)",
        |i| json!({"type": "MATH", "query": say(i), "original_question": say(i), "response": it_is(i)}),
    ),
    (
        "squad",
        JsonSplits,
        "--completion-key answers.text.0",
        "question/answers.text.0 (context, question, answers.text.0)",
        |i| json!({"id": i.to_string(), "title": "t", "context": "a text", "question": say(i), "answers": {"text": [it_is(i)], "answer_start": [2]}}),
    ),
    (
        "squad-text",
        Csv,
        "",
        "text (text)",
        |i| json!({"text": format!("{} {}", say(i), it_is(i))}),
    ),
    (
        "openorca",
        Jsonl,
        "",
        "question/response (system_prompt, question, response)",
        |i| json!({"id": i.to_string(), "system_prompt": if i % 2 == 0 { "" } else { "be brief" }, "question": say(i), "response": it_is(i)}),
    ),
    (
        "wikisql",
        Json,
        "--prompt-key question --completion-key sql.human_readable",
        "question/sql.human_readable (question, sql.human_readable)",
        |i| json!({"phase": 1, "question": say(i), "table": {"header": ["a"], "rows": [["1"]]}, "sql": {"human_readable": format!("SELECT a FROM t WHERE a = {i}"), "sel": 0}}),
    ),
    (
        "sql-create-context",
        Json,
        "",
        "question/answer (context, question, answer)",
        |i| json!({"question": say(i), "context": "CREATE TABLE t (a INT)", "answer": "SELECT a FROM t"}),
    ),
    (
        "wikisql-mlx",
        Jsonl,
        "",
        "text (text)",
        |i| json!({"text": format!("table: t\ncolumns: a\nQ: {}\nA: {}", say(i), it_is(i))}),
    ),
    (
        "glaive-functions",
        Json,
        "--text-key chat",
        "text (chat)",
        |i| json!({"system": "SYSTEM: you have functions", "chat": format!("USER: {}\n\n\nASSISTANT: {} <|endoftext|>", say(i), it_is(i))}),
    ),
    (
        "hermes-functions",
        Jsonl,
        "",
        "ShareGPT (conversations)",
        |i| json!({"id": i, "tools": "[{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]", "conversations": [{"from": "human", "value": say(i)}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}, {"from": "observation", "value": "1"}, {"from": "gpt", "value": it_is(i)}]}),
    ),
    (
        "ultrafeedback-chosen",
        Jsonl,
        "--chat-key chosen",
        "conversations (chosen)",
        |i| json!({"prompt": say(i), "chosen": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i)}], "rejected": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": "no"}], "score_chosen": 8.5}),
    ),
    (
        "hh-rlhf-chosen",
        JsonlGz,
        "--text-key chosen",
        "text (chosen)",
        |i| json!({"chosen": format!("\n\nHuman: {}\n\nAssistant: {}", say(i), it_is(i)), "rejected": format!("\n\nHuman: {}\n\nAssistant: no", say(i))}),
    ),
    (
        "orca-dpo-chosen",
        Jsonl,
        "--completion-key chosen",
        "question/chosen (system, question, chosen)",
        |i| json!({"system": "", "question": say(i), "chosen": it_is(i), "rejected": "no"}),
    ),
    (
        "trl-prompt-completion",
        Jsonl,
        "--mask-prompt",
        "prompt/completion (prompt, completion)",
        |i| json!({"prompt": [{"role": "user", "content": say(i)}], "completion": [{"role": "assistant", "content": it_is(i)}]}),
    ),
    (
        "mlx-completions",
        Folder,
        "--mask-prompt",
        "prompt/completion (prompt, completion)",
        |i| json!({"prompt": say(i), "completion": it_is(i)}),
    ),
    (
        "capybara",
        Jsonl,
        "",
        "conversations (conversation)",
        |i| json!({"source": "x", "conversation": [{"input": say(i), "output": it_is(i)}, {"input": "and?", "output": "so"}]}),
    ),
    (
        "lima",
        Jsonl,
        "",
        "conversations (conversations)",
        |i| json!({"conversations": [say(i), it_is(i)], "source": "x"}),
    ),
    (
        "flan",
        Tsv,
        "",
        "inputs/targets (inputs, targets)",
        |i| json!({"inputs": say(i), "targets": it_is(i), "task": "t"}),
    ),
    (
        "natural-instructions",
        JsonSplits,
        "",
        "input/output (input, output)",
        |i| json!({"input": say(i), "output": it_is(i)}),
    ),
    (
        "cnn-dailymail",
        Csv,
        "",
        "article/highlights (article, highlights)",
        |i| json!({"article": format!("{},\n\"quoted\"", say(i)), "highlights": it_is(i), "id": i.to_string()}),
    ),
    (
        "prompt-response",
        Csv,
        "",
        "prompt/response (prompt, response)",
        |i| json!({"prompt": say(i), "response": it_is(i)}),
    ),
    (
        "trl-preference",
        Folder,
        "--train-mode dpo",
        "preference (prompt, chosen, rejected)",
        |i| json!({"prompt": say(i), "chosen": it_is(i), "rejected": "no"}),
    ),
    (
        "trl-preference-conversational",
        Jsonl,
        "--train-mode orpo",
        "preference (prompt, chosen, rejected)",
        |i| json!({"prompt": [{"role": "user", "content": say(i)}], "chosen": [{"role": "assistant", "content": it_is(i)}], "rejected": [{"role": "assistant", "content": "no"}]}),
    ),
    (
        "ultrafeedback-binarized",
        Jsonl,
        "--train-mode dpo",
        "preference (prompt, chosen, rejected)",
        |i| json!({"prompt": say(i), "prompt_id": i.to_string(), "chosen": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i)}], "rejected": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": "no"}], "score_chosen": 8.5, "score_rejected": 2.0}),
    ),
    (
        "hh-rlhf",
        JsonlGz,
        "--train-mode dpo",
        "preference (chosen, rejected)",
        |i| json!({"chosen": format!("\n\nHuman: {}\n\nAssistant: {}", say(i), it_is(i)), "rejected": format!("\n\nHuman: {}\n\nAssistant: no", say(i))}),
    ),
    (
        "orca-dpo",
        Json,
        "--train-mode dpo",
        "preference (system, question, chosen, rejected)",
        |i| json!({"system": "be brief", "question": say(i), "chosen": it_is(i), "rejected": "no"}),
    ),
    (
        "capybara-dpo",
        Jsonl,
        "--train-mode orpo",
        "preference (chosen, rejected)",
        |i| json!({"source": "x", "chosen": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": it_is(i)}], "rejected": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": "no"}], "chosen_rating": 5}),
    ),
];

fn say(i: usize) -> String {
    format!("say {i}")
}

fn it_is(i: usize) -> String {
    format!("{i} it is")
}

/// No rows of our own: the file is there.
fn none(_: usize) -> Value {
    Value::Null
}
