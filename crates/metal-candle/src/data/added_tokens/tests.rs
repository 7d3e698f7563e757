use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::data::Tokenizer;
use crate::data::testing::{write_bpe, write_json};

/// A case of `scripts/golden/added_tokens.py`.
#[derive(Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, Value>,
    texts: Vec<Text>,
    special_tokens: BTreeMap<String, (String, u32)>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    decoded: String,
    decoded_all: String,
}

fn cases() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/golden/added_tokens/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read(case: &Case) -> crate::data::Result<Tokenizer> {
    let folder = tempdir().unwrap();
    for (name, value) in &case.files {
        write_json(folder.path(), name, value);
    }
    Tokenizer::from_folder(folder.path())
}

#[test]
fn tokens_are_added_as_transformers_adds_them() {
    let cases = cases();
    assert!(cases.len() > 20);
    for case in cases.iter().filter(|case| case.name != "hole") {
        let name = &case.name;
        let tokenizer = read(case).unwrap_or_else(|error| panic!("{name}: {error}"));
        for Text {
            text,
            ids,
            ids_no_special,
            decoded,
            decoded_all,
        } in &case.texts
        {
            let at = format!("{name}: {text:?}");
            assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{at}");
            assert_eq!(&tokenizer.encode_raw(text).unwrap(), ids_no_special, "{at}");
            assert_eq!(&tokenizer.decode(ids).unwrap(), decoded, "{at}");
            assert_eq!(&tokenizer.decode_all(ids).unwrap(), decoded_all, "{at}");
        }
        let roles = [
            ("bos_token", tokenizer.bos_token()),
            ("eos_token", tokenizer.eos_token()),
            ("pad_token", tokenizer.pad_token()),
        ];
        for (role, token) in roles {
            assert_eq!(
                token.as_ref(),
                case.special_tokens.get(role),
                "{name}: {role}"
            );
        }
    }
}

/// transformers gives the token the next id, whatever the file says.
#[test]
fn a_token_that_would_get_another_id_is_an_error_with_both() {
    let cases = cases();
    let hole = cases.iter().find(|case| case.name == "hole").unwrap();
    let error = read(hole).err().unwrap().to_string();
    for part in ["tokenizer_config.json", "\"<tool>\"", "id 40", "gets 35"] {
        assert!(error.contains(part), "{error}");
    }
}

fn with(files: &[(&str, Value)]) -> (TempDir, crate::data::Result<Tokenizer>) {
    let folder = tempdir().unwrap();
    write_bpe(folder.path(), None);
    for (name, value) in files {
        write_json(folder.path(), name, value);
    }
    let tokenizer = Tokenizer::from_folder(folder.path());
    (folder, tokenizer)
}

fn error_with(files: &[(&str, Value)]) -> String {
    with(files).1.err().unwrap().to_string()
}

#[test]
fn ids_of_every_file_are_checked() {
    let (folder, tokenizer) = with(&[]);
    let n = tokenizer.unwrap().n_ids();
    let decoder = |id: &str| json!({"added_tokens_decoder": {id: {"content": "<new>"}}});
    let config = |id: u64| [("tokenizer_config.json", decoder(&id.to_string()))];
    assert!(with(&config(n as u64)).1.is_ok());
    for id in [0, n as u64 + 1, u64::from(u32::MAX)] {
        let error = error_with(&config(id));
        assert!(
            error.contains(&format!("id {id}")) && error.contains(&n.to_string()),
            "{error}"
        );
    }
    let added = [("added_tokens.json", json!({"<new>": n + 7}))];
    assert!(error_with(&added).contains("added_tokens.json"));

    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["added_tokens"][0]["id"] = json!(4_294_967_295_u32);
    let error = error_with(&[("tokenizer.json", file.clone())]);
    assert!(
        error.contains("tokenizer.json: token") && error.contains("4294967295"),
        "{error}"
    );
    file["added_tokens"] = json!([]);
    file["model"]["vocab"]["a"] = json!(5);
    let error = error_with(&[
        ("tokenizer.json", file),
        ("tokenizer_config.json", json!({})),
    ]);
    assert!(error.contains("id 5 is given to two tokens"), "{error}");
}

#[test]
fn what_is_no_list_of_tokens_is_an_error() {
    for value in [
        json!([]),
        json!({"x": {"content": "a"}}),
        json!({"1": "a"}),
        json!({"1": {}}),
    ] {
        let error = error_with(&[(
            "tokenizer_config.json",
            json!({"added_tokens_decoder": value}),
        )]);
        assert!(
            error.contains("added_tokens_decoder: expected an object"),
            "{error}"
        );
    }
    for value in [
        json!({"a": "b"}),
        json!({"a": -1}),
        json!({"a": 4_294_967_296_u64}),
    ] {
        let error = error_with(&[("added_tokens.json", value)]);
        assert!(
            error.contains("added_tokens.json: expected an object"),
            "{error}"
        );
    }
}
