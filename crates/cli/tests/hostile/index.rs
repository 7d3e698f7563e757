//! `model.safetensors.index.json`: which file holds a tensor. The weights lie in two shards here.

use crate::input::{GENERATE, INSPECT, Input};
use crate::{mutate, odd_file};
use candle_core::{Device, Tensor, safetensors};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

const FILE: &str = "model/model.safetensors.index.json";
const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";
const NORM: &str = "/weight_map/model.norm.weight";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, GENERATE);
    inputs.extend(outside());
    inputs.extend(refused());
    inputs.extend(other());
    inputs.extend(mutate::json_of(FILE, &[GENERATE, INSPECT], 25));
    inputs.extend(mutate::bytes_of(FILE, &[GENERATE, INSPECT], 10));
    let mut inputs: Vec<Input> = inputs
        .into_iter()
        .map(|input| input.before(shard))
        .collect();
    inputs.push(
        Input::new("beside a single file, shards gone", GENERATE)
            .file(FILE, index(&[]))
            .accepted(),
    );
    inputs.push(Input::new("broken beside a single file", GENERATE).file(FILE, "{"));
    inputs
}

/// A file that lies elsewhere is none of the model's, even if it is there and fits.
fn outside() -> Vec<Input> {
    const OUTSIDE: [&str; 14] = [
        "../model/model-00001-of-00002.safetensors",
        "../data/x.safetensors",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "a/../../data/x.safetensors",
        "..",
        ".",
        "",
        "/",
        "./../../../../../../etc/passwd",
        "..\\x",
        "\\u0000",
        "\\u001b[2Jx.safetensors",
    ];
    let input = |path: &str| {
        let copied = |folder: &Path| {
            let shard = folder.join("model").join(FIRST);
            std::fs::copy(shard, folder.join("data/x.safetensors")).unwrap();
        };
        let input = Input::new(format!("a shard at {path:?}"), GENERATE).change(copied);
        input.set(FILE, NORM, format!("\"{path}\"")).refused(&[])
    };
    OUTSIDE.map(input).into()
}

fn refused() -> Vec<Input> {
    let norm = |raw: &str| {
        let input = Input::new(format!("a shard named {raw}"), GENERATE);
        input.set(FILE, NORM, mutate::extreme(raw)).refused(&[])
    };
    let file = |name: &str, text: String| Input::new(name, GENERATE).file(FILE, text).refused(&[]);
    let shard = |n: usize| format!("\"t{n}\":\"model-{n}.safetensors\",");
    let shards: String = (0..100_000).map(shard).collect();
    let mut inputs: Vec<Input> = [
        "1",
        "null",
        "[]",
        "{}",
        "HUGE",
        "DEEP",
        "\"gone.safetensors\"",
    ]
    .map(norm)
    .into();
    inputs.extend([
        file("no weight_map", "{}".into()).refused(&["weight_map"]),
        file("a weight_map of nothing", "{\"weight_map\": {}}".into()),
        file("a weight_map that is a list", "{\"weight_map\": []}".into()),
        file(
            "100,000 shards that are not there",
            format!("{{\"weight_map\":{{{shards}\"x\":\"y\"}}}}"),
        ),
        Input::new("the second shard is gone", GENERATE)
            .change(|folder| {
                std::fs::remove_file(folder.join("model").join(SECOND)).unwrap();
            })
            .refused(&[SECOND]),
        Input::new("the second shard is not named", GENERATE)
            .bytes(FILE, |old| {
                String::from_utf8(old)
                    .unwrap()
                    .replace(SECOND, FIRST)
                    .into()
            })
            .refused(&[]),
    ]);
    inputs
}

fn other() -> Vec<Input> {
    let set = |name: &str, pointer: &str, raw: &str| {
        Input::new(name, GENERATE).set(FILE, pointer, mutate::extreme(raw))
    };
    vec![
        Input::new("as written", GENERATE).and(INSPECT).accepted(),
        set("a total size of nothing", "/metadata/total_size", "0").accepted(),
        set("a total size above all", "/metadata/total_size", "1e308"),
        set("metadata of nothing", "/metadata", "null").accepted(),
        set("metadata deep", "/metadata", "DEEP"),
        set(
            "a tensor that no shard holds",
            "/weight_map/extra.weight",
            "\"model-00001-of-00002.safetensors\"",
        ),
        set(
            "a shard in a folder below",
            NORM,
            "\"below/model-00001-of-00002.safetensors\"",
        ),
        set(
            "./ before a shard",
            NORM,
            "\"./model-00001-of-00002.safetensors\"",
        ),
    ]
}

/// The weights in two files, and their index.
fn shard(folder: &Path) {
    let path = folder.join("model/model.safetensors");
    let mut tensors: Vec<(String, Tensor)> = safetensors::load(&path, &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    let second = tensors.split_off(tensors.len() / 2);
    for (name, tensors) in [(FIRST, tensors), (SECOND, second)] {
        let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
        safetensors::save(&tensors, folder.join("model").join(name)).unwrap();
    }
    std::fs::remove_file(path).unwrap();
    std::fs::write(folder.join(FILE), index(&names)).unwrap();
}

/// The first half of `names` is in the first shard.
fn index(names: &[String]) -> String {
    let shard = |i: usize| if i < names.len() / 2 { FIRST } else { SECOND };
    let mut map: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.clone(), shard(i).into()))
        .collect();
    map.entry("model.norm.weight")
        .or_insert_with(|| SECOND.into());
    json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()
}
