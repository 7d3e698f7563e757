use super::*;
use crate::data::splits::{Split, Splits};
use crate::data::testing::{CHATML, tokenizer};
use tempfile::tempdir;

const OPTIONS: Options = Options {
    max_seq_length: 100,
    mask_prompt: false,
    vocab_size: None,
};

fn load(text: &[u8], tokenizer: &Tokenizer, options: &Options) -> Result<Dataset> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    std::fs::write(&path, text).unwrap();
    Dataset::load(&path, tokenizer, options)
}

fn error(text: &str, options: &Options) -> String {
    load(text.as_bytes(), &tokenizer(Some(CHATML)), options)
        .unwrap_err()
        .to_string()
}

#[test]
fn lines_are_numbered_and_blank_ones_skipped() {
    let text = "\u{FEFF}{\"text\": \"a\"}\r\n\r\n  \n{\"text\": \"b\"}";
    let dataset = load(text.as_bytes(), &tokenizer(None), &OPTIONS).unwrap();
    let lines: Vec<usize> = dataset
        .examples
        .iter()
        .map(|example| example.line)
        .collect();
    assert_eq!(lines, [1, 4]);
    assert_eq!((dataset.truncated, dataset.truncated_tokens), (0, 0));
    assert_eq!(dataset.trained_tokens(), 2);
}

#[test]
fn truncation_is_counted() {
    let text = b"{\"text\": \"aaaaaa\"}\n{\"text\": \"b\"}\n{\"text\": \"ccccccc\"}\n";
    let dataset = load(
        text,
        &tokenizer(None),
        &Options {
            max_seq_length: 4,
            ..OPTIONS
        },
    )
    .unwrap();
    // 6 and 7 letters and an end token each.
    assert_eq!((dataset.truncated, dataset.truncated_tokens), (2, 7));
    let lengths: Vec<usize> = dataset
        .examples
        .iter()
        .map(|example| example.tokens.len())
        .collect();
    assert_eq!(lengths, [4, 2, 4]);
}

#[test]
fn rows_with_nothing_to_train_are_left_out_by_line() {
    let text = [
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#,
        r#"{"messages": [{"role": "user", "content": "no answer"}]}"#,
        r#"{"messages": [{"role": "user", "content": "a question that is far too long for its answer to be seen at all"}, {"role": "assistant", "content": "b"}]}"#,
    ]
    .join("\n");
    let options = Options {
        mask_prompt: true,
        max_seq_length: 30,
        vocab_size: None,
    };
    let dataset = load(text.as_bytes(), &tokenizer(Some(CHATML)), &options).unwrap();
    assert_eq!((dataset.examples.len(), dataset.examples[0].line), (1, 1));
    assert_eq!(dataset.untrainable, [2, 3]);
    assert_eq!(dataset.truncated, 1);
    // A single token predicts nothing, masked or not.
    let dataset = load(
        b"{\"text\": \"\"}\n{\"text\": \"a\"}",
        &tokenizer(None),
        &OPTIONS,
    )
    .unwrap();
    assert_eq!(dataset.untrainable, [1]);
}

#[test]
fn errors_give_file_and_line() {
    let cases = [
        (
            "{\"text\": \"a\"}\n\n{\"text\": }",
            "train.jsonl:3: not valid JSON",
        ),
        (
            "{\"text\": \"a\"}\n{\"messages\": []}",
            "train.jsonl:2: the rows of this file have \"text\"",
        ),
        ("[1]\n{}", "train.jsonl:1: expected a JSON object"),
    ];
    for (text, expected) in cases {
        let error = error(text, &OPTIONS);
        assert!(error.contains(expected), "{error}");
    }
    let masked = error(
        "{\"text\": \"a\"}",
        &Options {
            mask_prompt: true,
            ..OPTIONS
        },
    );
    assert!(
        masked.contains("train.jsonl:1: a \"text\" row has no prompt to mask"),
        "{masked}"
    );
    let bytes = load(b"{\"text\": \"\xFF\"}", &tokenizer(None), &OPTIONS)
        .unwrap_err()
        .to_string();
    assert!(bytes.contains("train.jsonl:1: not valid JSON"), "{bytes}");
}

#[test]
fn a_token_beyond_the_model_is_an_error() {
    let options = Options {
        vocab_size: Some(256),
        ..OPTIONS
    };
    let error = error("{\"text\": \"a\"}", &options);
    let (_, eos) = tokenizer(None).eos_token().unwrap();
    let expected = format!(
        "train.jsonl:1: token id {eos} at position 1 is out of range: the model has 256 tokens"
    );
    assert!(error.contains(&expected), "{error}");
    let one_less = Options {
        vocab_size: Some(eos as usize),
        ..OPTIONS
    };
    assert!(load(b"{\"text\": \"a\"}", &tokenizer(None), &one_less).is_err());
    let enough = Options {
        vocab_size: Some(eos as usize + 1),
        ..OPTIONS
    };
    assert!(load(b"{\"text\": \"a\"}", &tokenizer(None), &enough).is_ok());
}

#[test]
fn an_empty_file_and_one_with_nothing_to_train_are_errors() {
    let tokenizer = tokenizer(None);
    assert!(matches!(
        load(b"\n\n", &tokenizer, &OPTIONS),
        Err(Error::EmptyFile { .. })
    ));
    let nothing = load(b"{\"text\": \"\"}", &tokenizer, &OPTIONS);
    assert!(matches!(
        nothing,
        Err(Error::NothingToTrain { n_rows: 1, .. })
    ));
    assert!(
        Dataset::load(Path::new("nowhere.jsonl"), &tokenizer, &OPTIONS)
            .unwrap_err()
            .to_string()
            .contains("nowhere.jsonl")
    );
}

#[test]
fn splits_are_optional_until_required() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("train.jsonl"), "{\"text\": \"a\"}").unwrap();
    std::fs::write(folder.path().join("test.jsonl"), "broken").unwrap();
    let tokenizer = tokenizer(None);
    let splits = Splits::load(
        folder.path(),
        &[Split::Train, Split::Valid],
        &tokenizer,
        &OPTIONS,
    )
    .unwrap();
    assert_eq!(splits.require(Split::Train).unwrap().examples.len(), 1);
    assert!(splits.valid.is_none() && splits.test.is_none());
    match splits.require(Split::Valid) {
        Err(Error::MissingSplit {
            split: Split::Valid,
            path,
        }) => assert_eq!(path, folder.path().join("valid.jsonl")),
        other => panic!("{other:?}"),
    }
    assert!(Splits::load(folder.path(), &Split::ALL, &tokenizer, &OPTIONS).is_err());
}
