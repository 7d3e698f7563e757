//! Files of a checkpoint: one or several with an index, and what may happen to them.

use super::*;

#[test]
fn a_single_file_wins_over_any_index() {
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    let bytes = fs::read(checkpoint.file(SINGLE)).unwrap();
    checkpoint.shard("old.safetensors", "gone.safetensors");
    checkpoint.refuses(&["missing shards: gone.safetensors"]);
    checkpoint.write(SINGLE, &bytes);
    assert_eq!(checkpoint.logits(), logits, "shards are gone");
    checkpoint.edit_tensors(|tensors| {
        for tensor in tensors.values_mut() {
            *tensor = (&*tensor * 0.5).unwrap();
        }
    });
    fs::rename(checkpoint.file(SINGLE), checkpoint.file("gone.safetensors")).unwrap();
    checkpoint.write(SINGLE, &bytes);
    assert_eq!(
        checkpoint.logits(),
        logits,
        "shards of another model are there"
    );
    checkpoint.write(INDEX, "damaged");
    assert_eq!(checkpoint.logits(), logits, "an index of no use");
}

#[test]
fn an_index_stays_inside_its_folder() {
    let outside = TempDir::new().unwrap();
    for name in [
        "../x.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/../../x",
        "sub/..",
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.shard("x.safetensors", name);
        checkpoint.refuses(&["names a shard outside of its folder", name]);
    }
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    checkpoint.shard("x.safetensors", "linked.safetensors");
    let blob = outside.path().join("blob");
    fs::rename(checkpoint.file("x.safetensors"), &blob).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&blob, checkpoint.file("linked.safetensors")).unwrap();
    #[cfg(unix)]
    assert_eq!(
        checkpoint.logits(),
        logits,
        "links are how the hub's cache is made"
    );
    for map in [json!({}), json!([1]), json!({"a": 1}), json!(null)] {
        checkpoint.write(INDEX, json!({"weight_map": map}).to_string());
        checkpoint.refuses(&["weight_map must be"]);
    }
}

#[test]
fn a_tensor_in_two_shards_is_told() {
    let checkpoint = Checkpoint::new();
    checkpoint.shard("a.safetensors", "a.safetensors");
    fs::copy(
        checkpoint.file("a.safetensors"),
        checkpoint.file("b.safetensors"),
    )
    .unwrap();
    let map = json!({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}});
    checkpoint.write(INDEX, map.to_string());
    checkpoint.refuses(&["model.norm.weight is in two files"]);
}

#[test]
fn headers_that_lie_are_damaged_files() {
    let header = |text: &str, data: usize| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let one = |shape: &str, end: &str| {
        format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let checkpoint = Checkpoint::new();
    for bytes in [
        u64::MAX.to_le_bytes().to_vec(),
        99_000_000u64.to_le_bytes().to_vec(),
        header("not JSON", 0),
        header(&one("[4]", "4"), 4),
        header(&one("[4]", "16"), 15),
        header(&one("[4]", "16"), 17),
        header(&one("[4611686018427387904,4]", "16"), 16),
        header(
            r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
            6,
        ),
        header(
            r#"{"x":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#,
            4,
        ),
    ] {
        checkpoint.write(SINGLE, bytes);
        checkpoint.refuses(&["model.safetensors: damaged or truncated"]);
    }
    fs::remove_file(checkpoint.file(SINGLE)).unwrap();
    fs::create_dir(checkpoint.file(SINGLE)).unwrap();
    checkpoint.refuses(&["directory"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let checkpoint = Checkpoint::new();
    let open = crate::models::Checkpoint::open(checkpoint.path(), Default::default()).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(checkpoint.file(SINGLE))
        .unwrap();
    file.set_len(2000).unwrap();
    for error in [
        open.tensor("model.norm.weight", &Device::Cpu).map(|_| ()),
        open.check_unchanged(),
    ] {
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("was changed while it was read"),
            "{message}"
        );
    }
}
