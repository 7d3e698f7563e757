//! Tokenizers, chat templates and masks against what transformers gives (`tests/golden/chat`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use metal_candle::data::{Error, Example, Json, Message, Row, RowError, Tokenizer};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One conversation: refused with `error`, or rendered.
#[derive(Deserialize)]
struct Case {
    name: String,
    messages: Vec<Json>,
    tools: Option<Vec<Json>>,
    error: Option<String>,
    #[serde(flatten)]
    expected: Option<Expected>,
}

impl Case {
    fn messages(&self) -> Vec<Message> {
        let objects = self.messages.iter().map(|message| message.as_object());
        objects.map(|object| object.unwrap().clone()).collect()
    }
}

#[derive(Deserialize)]
struct Expected {
    rendered: String,
    rendered_with_generation_prompt: String,
    input_ids: Vec<u32>,
    assistant_mask: Vec<u8>,
}

#[derive(Deserialize)]
struct Tokenization {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    decoded: String,
}

fn folders() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat");
    let entries = std::fs::read_dir(&golden).expect("the golden files are in the repository");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(!folders.is_empty(), "{} is empty", golden.display());
    folders
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Vec<T> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let items: Vec<T> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!items.is_empty(), "{} is empty", path.display());
    items
}

/// Runs `check` on every item of every folder, collects what fails, and tells all of it at once.
fn for_each<T: DeserializeOwned>(file: &str, check: impl Fn(&Tokenizer, &T) -> Result<(), String>) {
    let mut failures = Vec::new();
    for folder in folders() {
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        for item in read::<T>(&folder, file) {
            if let Err(failure) = check(&tokenizer, &item) {
                let family = folder.file_name().unwrap_or_default().display().to_string();
                failures.push(format!("{family}: {failure}"));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "{what}\n  expected {expected:?}\n  got      {got:?}"
    ))
}

#[test]
fn conversations_render_as_in_transformers() {
    for_each("cases.json", |tokenizer, case: &Case| {
        let render =
            |prompt| tokenizer.apply_chat_template(&case.messages(), case.tools.as_deref(), prompt);
        if let Some(error) = &case.error {
            return match render(false) {
                Err(Error::TemplateRaised { message }) => same(&case.name, &message, error),
                other => Err(format!(
                    "{}: expected the error {error:?}, got {other:?}",
                    case.name
                )),
            };
        }
        let expected = case
            .expected
            .as_ref()
            .expect("a case has an error or a rendering");
        let text = |prompt| render(prompt).map_err(|error| format!("{}: {error}", case.name));
        same(&case.name, text(false)?, expected.rendered.clone())?;
        same(
            &case.name,
            text(true)?,
            expected.rendered_with_generation_prompt.clone(),
        )?;
        let ids = tokenizer.encode_raw(&expected.rendered).unwrap();
        same(&case.name, &ids, &expected.input_ids)
    });
}

#[test]
fn every_assistant_turn_is_trained_and_nothing_else() {
    for_each("cases.json", |tokenizer, case: &Case| {
        let Some(expected) = &case.expected else {
            return Ok(());
        };
        let row = Row::Messages {
            messages: case.messages(),
            tools: case.tools.clone(),
        };
        let example = Example::from_row(&row, 1, tokenizer, true)
            .map_err(|error: RowError| format!("{}: {error}", case.name))?;
        same(&case.name, &example.tokens, &expected.input_ids)?;
        let trained: Vec<u8> = example
            .trained
            .iter()
            .map(|&trained| u8::from(trained))
            .collect();
        same(&case.name, &trained, &expected.assistant_mask)
    });
}

#[test]
fn without_masking_all_but_the_first_token_is_trained() {
    for_each("cases.json", |tokenizer, case: &Case| {
        let Some(expected) = &case.expected else {
            return Ok(());
        };
        let row = Row::Messages {
            messages: case.messages(),
            tools: case.tools.clone(),
        };
        let example = Example::from_row(&row, 1, tokenizer, false).unwrap();
        same(&case.name, &example.tokens, &expected.input_ids)?;
        same(
            &case.name,
            example.trained_tokens(),
            expected.input_ids.len() - 1,
        )
    });
}

#[test]
fn texts_are_cut_into_the_same_tokens() {
    for_each("tokenization.json", |tokenizer, case: &Tokenization| {
        same(
            &case.text,
            &tokenizer.encode(&case.text).unwrap(),
            &case.ids,
        )?;
        same(
            &case.text,
            &tokenizer.encode_raw(&case.text).unwrap(),
            &case.ids_no_special,
        )?;
        let encoded = tokenizer.encode_with_offsets(&case.text, false).unwrap();
        same(&case.text, &encoded.ids, &case.ids_no_special)?;
        same(
            &case.text,
            &tokenizer.decode(&case.ids).unwrap(),
            &case.decoded,
        )
    });
}

/// With `enable_thinking=false` Qwen3's generation prompt holds an empty think block, which history lacks.
#[test]
fn a_think_block_in_the_generation_prompt_is_not_trained() {
    let folder = folders()
        .into_iter()
        .find(|path| path.ends_with("qwen3"))
        .expect("qwen3 is there");
    let variables = serde_json::from_str(r#"{"enable_thinking": false}"#).unwrap();
    let tokenizer = Tokenizer::from_folder(&folder)
        .unwrap()
        .with_template_config(variables);
    let cases = read::<Case>(&folder, "cases.json");
    let case = cases
        .iter()
        .find(|case| case.name == "multi_turn")
        .expect("multi_turn is there");
    let row = Row::Messages {
        messages: case.messages(),
        tools: None,
    };
    let example = Example::from_row(&row, 1, &tokenizer, true).unwrap();
    let trained = example
        .tokens
        .iter()
        .zip(&example.trained)
        .filter(|(_, trained)| **trained);
    let trained: Vec<u32> = trained.map(|(&id, _)| id).collect();
    let expected = "Blue.<|im_end|>Green, the colour of grass.<|im_end|>";
    assert_eq!(tokenizer.decode_all(&trained).unwrap(), expected);
}
