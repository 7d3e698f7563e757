//! Damage to a safetensors file, of whatever: 8 bytes of header length, a JSON header, the values.

use crate::input::Input;
use crate::mutate;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A file in its parts.
struct Parts {
    header: Value,
    body: Vec<u8>,
}

/// What every reader of `file` must refuse; `tensor` is one of its tensors.
pub fn all(file: &'static str, command: &str, tensor: &'static str) -> Vec<Input> {
    let mut inputs = lengths(file, command);
    inputs.extend(headers(file, command, tensor));
    inputs.extend(tables(file, command, tensor));
    inputs.extend(values(file, command, tensor));
    inputs.into_iter().map(|input| input.refused(&[])).collect()
}

fn named(file: &str, name: &str, command: &str) -> Input {
    Input::new(format!("{file}: {name}"), command)
}

fn lengths(file: &'static str, command: &str) -> Vec<Input> {
    let of_length = |length: u64| {
        let input = named(file, &format!("header of {length} bytes"), command);
        input.bytes(file, move |old| [&length.to_le_bytes(), &old[8..]].concat())
    };
    let cut = |n: usize| {
        let input = named(file, &format!("first {n} bytes"), command);
        input.bytes(file, move |old| old[..n].to_vec())
    };
    let lengths = [
        0,
        1,
        2,
        100_000_001,
        u32::MAX.into(),
        i64::MAX as u64,
        u64::MAX - 7,
        u64::MAX,
    ];
    let mut inputs: Vec<Input> = lengths.into_iter().map(of_length).collect();
    inputs.extend([1, 7, 8, 9, 100].map(cut));
    inputs.push(
        named(file, "without its last byte", command)
            .bytes(file, |old| old[..old.len() - 1].to_vec()),
    );
    inputs.push(named(file, "one byte more", command).bytes(file, |old| [old, vec![0]].concat()));
    inputs.push(named(file, "twice", command).bytes(file, |old| [old.clone(), old].concat()));
    inputs
}

fn headers(file: &'static str, command: &str, tensor: &'static str) -> Vec<Input> {
    let text = |name: &str, text: String| {
        let input = named(file, name, command);
        input.bytes(file, move |old| joined(&text, &split(&old).body))
    };
    let entry = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";
    vec![
        text("header that is no JSON", "{".into()),
        text("header of nothing", "{}".into()),
        text("header that is a list", "[]".into()),
        text(
            "header 100,000 lists deep",
            mutate::nested("{\"a\":[", "", "]}", 100_000),
        ),
        text(
            "a tensor twice in the header",
            format!("{{\"{tensor}\":{entry},\"{tensor}\":{entry}}}"),
        ),
        text("100,000 tensors", {
            let one = |i: usize| {
                format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
            };
            format!(
                "{{{}}}",
                (0..100_000).map(one).collect::<Vec<_>>().join(",")
            )
        }),
    ]
}

fn tables(file: &'static str, command: &str, tensor: &'static str) -> Vec<Input> {
    let field = |field: &'static str, value: Value| {
        let input = named(file, &format!("{field} = {value}"), command);
        input.bytes(file, move |old| {
            let mut parts = split(&old);
            parts.header[tensor][field] = value.clone();
            joined(&parts.header.to_string(), &parts.body)
        })
    };
    let big = 1u64 << 32;
    let mut inputs: Vec<Input> = [
        json!([]),
        json!([0]),
        json!([1]),
        json!([-1]),
        json!([1.5]),
        json!("4"),
        json!(null),
    ]
    .into_iter()
    .chain([
        json!([big, big]),
        json!([big, big, big]),
        json!([u64::MAX]),
        json!([i64::MAX, 2]),
        json!([0, u64::MAX]),
    ])
    .map(|shape| field("shape", shape))
    .collect();
    let dtypes = [
        "F99",
        "",
        "I64",
        "I8",
        "U8",
        "BOOL",
        "F8_E4M3",
        "C64",
        "\u{1b}[31m",
    ];
    inputs.extend(dtypes.map(|dtype| field("dtype", dtype.into())));
    let offsets = [
        json!([0, 0]),
        json!([4, 0]),
        json!([0, u64::MAX]),
        json!([u64::MAX, u64::MAX]),
        json!([-4, 0]),
        json!([1, 5]),
        json!([0]),
        json!([0, 4, 8]),
        json!([i64::MAX, i64::MAX]),
    ];
    inputs.extend(offsets.map(|offsets| field("data_offsets", offsets)));
    inputs.push(change(file, "a tensor less", command, move |tensors| {
        drop(tensors.remove(tensor))
    }));
    let extra = |name: &'static str, key: String| {
        change(file, name, command, move |tensors| {
            tensors.insert(
                key.clone(),
                Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
            );
        })
    };
    inputs.push(extra("a tensor more", "model.extra.weight".into()));
    inputs.push(extra(
        "a tensor more, of a colour",
        "\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}".into(),
    ));
    inputs.push(extra(
        "a tensor more, with a long name",
        "x".repeat(1 << 20),
    ));
    inputs.push(change(file, "5,000 tensors more", command, |tensors| {
        let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        tensors.extend((0..5000).map(|i| (format!("model.extra.{i}.weight"), zero.clone())));
    }));
    inputs
}

fn values(file: &'static str, command: &str, tensor: &'static str) -> Vec<Input> {
    let first = |name: &str, value: f32, dtype: DType| {
        change(
            file,
            &format!("{name} in {dtype:?}"),
            command,
            move |tensors| {
                let old = tensors[tensor].to_dtype(DType::F32).unwrap();
                let mut values = old.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values[0] = value;
                let new = Tensor::from_vec(values, old.shape(), &Device::Cpu).unwrap();
                tensors.insert(tensor.into(), new.to_dtype(dtype).unwrap());
            },
        )
    };
    vec![
        first("NaN", f32::NAN, DType::F32),
        first("infinity", f32::INFINITY, DType::F32),
        first("-infinity", f32::NEG_INFINITY, DType::F32),
        first("NaN", f32::NAN, DType::F16),
        first("infinity", f32::INFINITY, DType::BF16),
    ]
}

/// `command` on a file whose tensors were changed.
pub fn change(
    file: &'static str,
    name: &str,
    command: &str,
    change: impl Fn(&mut HashMap<String, Tensor>) + 'static,
) -> Input {
    named(file, name, command).change(move |folder| {
        let path = folder.join(file);
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, path).unwrap();
    })
}

fn split(file: &[u8]) -> Parts {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    Parts {
        header: serde_json::from_slice(&file[8..8 + length]).unwrap(),
        body: file[8 + length..].to_vec(),
    }
}

fn joined(header: &str, body: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        body,
    ]
    .concat()
}
