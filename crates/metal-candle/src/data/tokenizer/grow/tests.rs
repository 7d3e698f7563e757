use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tempfile::tempdir;

use crate::data::Tokenizer;
use crate::data::testing::write_json;

/// A case of `grown.json` of `scripts/golden/added_tokens.py`.
#[derive(Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, Value>,
    added: Vec<String>,
    added_ids: Vec<u32>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

fn cases() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/golden/added_tokens/grown.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn write(case: &Case, folder: &Path) {
    for (name, value) in &case.files {
        write_json(folder, name, value);
    }
}

fn check(case: &Case, tokenizer: &Tokenizer, when: &str) {
    for Text { text, ids, decoded } in &case.texts {
        let at = format!("{} {when}: {text:?}", case.name);
        assert_eq!(&tokenizer.encode_raw(text).unwrap(), ids, "{at}");
        assert_eq!(&tokenizer.decode(ids).unwrap(), decoded, "{at}");
    }
}

#[test]
fn a_users_tokens_are_those_of_transformers_and_stay_so_in_files() {
    let cases = cases();
    assert!(cases.len() > 4);
    for case in &cases {
        let folder = tempdir().unwrap();
        write(case, folder.path());
        let mut tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        let ids = tokenizer.add_special_tokens(&case.added).unwrap();
        assert_eq!(ids, case.added_ids, "{}", case.name);
        check(case, &tokenizer, "in memory");
        for (name, text) in tokenizer.to_files().unwrap() {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let again = Tokenizer::from_folder(folder.path()).unwrap();
        check(case, &again, "from its files");
        assert_eq!(again.n_ids(), tokenizer.n_ids(), "{}", case.name);
    }
}

#[test]
fn a_token_that_is_special_already_keeps_its_id_and_flags() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == "config_alone");
    let folder = tempdir().unwrap();
    write(case.unwrap(), folder.path());
    let mut tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let n_ids = tokenizer.n_ids();
    let same = ["<tool>".to_string(), "<tool>".to_string()];
    assert_eq!(tokenizer.add_special_tokens(&same).unwrap(), [35, 35]);
    assert_eq!(tokenizer.n_ids(), n_ids);
    assert!(tokenizer.add_special_tokens(&[String::new()]).is_err());
}
