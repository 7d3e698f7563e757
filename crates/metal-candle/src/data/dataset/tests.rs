use super::*;
use crate::data::convention::Convention;
use crate::data::splits::{HeldOut, Split, Splits};
use crate::data::testing::{CHATML, tokenizer};
use tempfile::tempdir;

const OPTIONS: Options = Options {
    max_seq_length: 100,
    mask_prompt: false,
    convention: Convention::Standard,
    vocab_size: None,
};

fn load(text: &[u8], tokenizer: &Tokenizer, options: &Options) -> Result<Dataset> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    std::fs::write(&path, text).unwrap();
    Dataset::load(&path, tokenizer, options)
}

fn examples(dataset: &Dataset) -> impl Iterator<Item = Example> {
    dataset.examples.iter().map(Result::unwrap)
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
    let lines: Vec<usize> = examples(&dataset).map(|row| row.line).collect();
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
    let lengths: Vec<usize> = examples(&dataset).map(|row| row.tokens.len()).collect();
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
        convention: Convention::Standard,
        vocab_size: None,
    };
    let dataset = load(text.as_bytes(), &tokenizer(Some(CHATML)), &options).unwrap();
    let lines: Vec<usize> = examples(&dataset).map(|row| row.line).collect();
    assert_eq!(lines, [1]);
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
    let source = Source::at(folder.path()).unwrap();
    let wanted = [Split::Train, Split::Valid];
    let splits = Splits::load(&source, &wanted, None, &tokenizer, &OPTIONS).unwrap();
    assert_eq!(splits.require(Split::Train).unwrap().examples.len(), 1);
    assert!(splits.valid.is_none() && splits.test.is_none());
    match splits.require(Split::Valid) {
        Err(Error::MissingSplit {
            split: Split::Valid,
            path,
        }) => assert_eq!(path, folder.path().join("valid.jsonl")),
        other => panic!("{other:?}"),
    }
    assert!(Splits::load(&source, &Split::ALL, None, &tokenizer, &OPTIONS).is_err());
}

/// Texts of one letter, of which the third is that of the first.
fn letters() -> Vec<String> {
    let letters = ('a'..='t').map(|letter| format!("{{\"text\": \"{letter}\"}}\n"));
    let mut rows: Vec<String> = letters.collect();
    rows.insert(2, rows[0].clone());
    rows
}

fn held_out(text: &str, share: Option<f64>) -> Splits {
    let source = Source::of_reader("rows", text.as_bytes()).unwrap();
    let wanted = [Split::Train, Split::Valid];
    Splits::load(&source, &wanted, share, &tokenizer(None), &OPTIONS).unwrap()
}

fn tokens(dataset: &Dataset) -> Vec<u32> {
    let mut tokens: Vec<u32> = examples(dataset).map(|row| row.tokens[0]).collect();
    tokens.sort_unstable();
    tokens
}

#[test]
fn a_share_of_one_table_is_held_out() {
    let rows = letters();
    let splits = held_out(&rows.concat(), Some(0.43));
    let (train, valid) = (splits.train.unwrap(), splits.valid.unwrap());
    let n_valid = valid.examples.len();
    // Nine of 21, of which the last is there twice.
    assert_eq!(n_valid, 10);
    assert_eq!(train.examples.len() + n_valid, rows.len());
    assert_eq!(
        splits.held_out,
        Some(HeldOut {
            share: 0.43,
            rows: n_valid
        })
    );
    // What is there twice is on one side.
    assert_eq!(valid.shared_with(&train), 0);
    let lines: Vec<usize> = examples(&train).map(|row| row.line).collect();
    assert!(lines.is_sorted());
    // The same rows whatever their order.
    let reversed: String = rows.iter().rev().map(String::as_str).collect();
    let again = held_out(&reversed, Some(0.43));
    assert_eq!(tokens(&again.valid.unwrap()), tokens(&valid));
    assert_eq!(
        held_out(&rows.concat(), None).valid.unwrap().examples.len(),
        1
    );
    assert!(held_out(&rows.concat(), Some(0.0)).valid.is_none());
    for same in [rows[0].clone(), rows[0].repeat(5)] {
        let splits = held_out(&same, Some(0.5));
        assert!(splits.valid.is_none() && splits.held_out.is_none());
    }
}

#[test]
fn a_folder_holds_out_what_is_asked_for() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("train.jsonl"), letters().concat()).unwrap();
    let load = |share: Option<f64>| {
        let source = Source::at(folder.path()).unwrap();
        let wanted = [Split::Train, Split::Valid];
        Splits::load(&source, &wanted, share, &tokenizer(None), &OPTIONS)
    };
    assert!(load(None).unwrap().valid.is_none());
    assert!(load(Some(0.1)).unwrap().valid.is_some());
    std::fs::write(folder.path().join("dev.csv"), "text\nz\n").unwrap();
    assert_eq!(load(None).unwrap().valid.unwrap().examples.len(), 1);
    let error = load(Some(0.1)).unwrap_err().to_string();
    assert!(error.contains("validation rows already"), "{error}");
}

#[test]
fn epochs_are_steps() {
    let splits = held_out(&letters().concat(), Some(0.0));
    // 21 rows: six steps of four.
    assert_eq!(
        [0.1, 1.0, 2.0, 2.5].map(|epochs| splits.steps(epochs, 4)),
        [1, 6, 12, 15]
    );
    assert_eq!(splits.steps(1.0, 100), 1);
}

#[test]
fn figures_count_what_is_there_twice_and_what_is_cut() {
    let splits = held_out(&letters().concat(), Some(0.0));
    let overview = splits.train.unwrap().overview();
    assert_eq!(
        (overview.rows, overview.duplicates, overview.tokens),
        (21, 1, 42)
    );
    let text = b"{\"text\": \"aaaaaa\"}\n{\"text\": \"b\"}\n{\"text\": \"c\", \"weight\": 0}\n";
    let options = Options {
        max_seq_length: 4,
        ..OPTIONS
    };
    let overview = load(text, &tokenizer(None), &options).unwrap().overview();
    let lengths = overview.lengths.unwrap();
    assert_eq!((lengths.min, lengths.max), (2, 7));
    assert_eq!(
        (
            overview.truncated_rows,
            overview.truncated_tokens,
            overview.left_out
        ),
        (1, 3, 1)
    );
}

#[test]
fn both_sequences_of_a_pair_count() {
    let options = Options {
        max_seq_length: 8,
        convention: Convention::Pairs,
        ..OPTIONS
    };
    let pair = |rejected: &str| {
        let row = format!(
            "{{\"prompt\": \"aaaa\", \"chosen\": \"bbbbbb\", \"rejected\": \"{rejected}\"}}\n"
        );
        load(row.as_bytes(), &tokenizer(None), &options).unwrap()
    };
    let (c, d) = (pair("ccccc"), pair("ddddd"));
    // 11 and 10 tokens, the longer of which is the row's length.
    let overview = c.overview();
    assert_eq!(overview.lengths.unwrap().max, 11);
    assert_eq!((overview.truncated_tokens, overview.tokens), (5, 16));
    assert_eq!((c.shared_with(&c), c.shared_with(&d)), (1, 0));
}

#[test]
fn rows_of_several_files_are_one_split() {
    let folder = tempdir().unwrap();
    for (n, text) in ["a", "b"].into_iter().enumerate() {
        let path = folder.path().join(format!("train-{n:05}-of-00002.jsonl"));
        std::fs::write(path, format!("{{\"text\": \"{text}\"}}\n")).unwrap();
    }
    let source = Source::at(folder.path()).unwrap();
    let load = || Dataset::load_split(&source, Split::Train, &tokenizer(None), &OPTIONS);
    assert_eq!(load().unwrap().examples.len(), 2);
    let second = folder.path().join("train-00001-of-00002.jsonl");
    std::fs::write(second, "{\"prompt\": \"a\", \"completion\": \"b\"}\n").unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains("train-00001-of-00002.jsonl:1: the rows of this file have \"text\""),
        "{error}"
    );
}
