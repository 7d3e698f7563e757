//! Random damage, the same in every run.

use crate::input::{Input, set};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// JSON texts that are seldom what a field expects, and some that are no JSON at all.
pub const EXTREMES: &[&str] = &[
    "0",
    "-1",
    "-0.0",
    "1",
    "2",
    "0.1",
    "1e-320",
    "1e39",
    "1e308",
    "1e400",
    "NaN",
    "-Infinity",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1000000000000000000",
    "-9223372036854775808",
    "\"1\"",
    "\"\"",
    "null",
    "[]",
    "{}",
    "true",
    "false",
    "[[]]",
    "[null]",
    "{\"a\":{}}",
    "\"../x\"",
    "\"/etc/passwd\"",
    "\"a\\u0000b\"",
    "\"\\u001b[31m\"",
    "\"\\u202eabc\"",
    "\"\\ud800\"",
    "\"\\u0085\"",
    "HUGE",
    "DEEP",
    "LONG",
];

/// An extreme by its name, or as it is.
pub fn extreme(name: &str) -> String {
    match name {
        "HUGE" => format!("\"{}\"", "x".repeat(1 << 20)),
        "DEEP" => nested("[", "", "]", 100_000),
        "LONG" => format!("[{}0]", "0,".repeat(300_000)),
        text => text.to_owned(),
    }
}

/// `open`, `n` times, then `inner`, then `close`, `n` times.
pub fn nested(open: &str, inner: &str, close: &str, n: usize) -> String {
    [&open.repeat(n), inner, &close.repeat(n)].concat()
}

/// `n` inputs with damaged bytes in `file`, and `commands` in turns.
pub fn bytes_of(file: &'static str, commands: &[&str], n: u64) -> Vec<Input> {
    many(file, "bytes", commands, n, |generator, old| {
        damaged(generator, old)
    })
}

/// `n` inputs with damaged structure in the JSON of `file`, and `commands` in turns.
pub fn json_of(file: &'static str, commands: &[&str], n: u64) -> Vec<Input> {
    many(file, "fields", commands, n, |generator, old| {
        let value = serde_json::from_slice(&old).unwrap_or_default();
        damaged_json(generator, value).into_bytes()
    })
}

fn many(
    file: &'static str,
    what: &str,
    commands: &[&str],
    n: u64,
    damage: fn(&mut ChaCha8Rng, Vec<u8>) -> Vec<u8>,
) -> Vec<Input> {
    let input = |(seed, command): (u64, &&str)| {
        let input = Input::new(format!("{what} of {file} {seed}"), command);
        input.bytes(file, move |old| {
            damage(&mut ChaCha8Rng::seed_from_u64(seed), old)
        })
    };
    (0..n).zip(commands.iter().cycle()).map(input).collect()
}

/// Bytes flipped, cut, left out, doubled or put in.
pub fn damaged(generator: &mut ChaCha8Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..generator.random_range(1..4) {
        let n = bytes.len();
        if n < 2 {
            break;
        }
        let start = generator.random_range(0..n - 1);
        let end = (start + generator.random_range(1..64usize)).min(n);
        match generator.random_range(0..6) {
            0 => bytes[start] ^= 1 << generator.random_range(0..8),
            1 => bytes[start] = generator.random_range(0..=255),
            2 => bytes.truncate(start),
            3 => drop(bytes.drain(start..end)),
            4 => drop(bytes.splice(start..start, bytes[start..end].to_vec())),
            _ => {
                let odd: &[&[u8]] = &[
                    b"\0", b"\xff", b"\x1b[2J", b"\"", b"{", b"]", b",", b"1e999", b"\\ud800",
                    b"\r\n",
                ];
                let odd = odd[generator.random_range(0..odd.len())];
                bytes.splice(start..start, odd.iter().copied());
            }
        }
    }
    bytes
}

/// JSON with one field replaced, removed, doubled, renamed or made its own child.
pub fn damaged_json(generator: &mut ChaCha8Rng, mut value: Value) -> String {
    let mut pointers = vec![];
    collect(&value, String::new(), &mut pointers);
    if pointers.is_empty() {
        return "null".into();
    }
    let pointer = pointers[generator.random_range(0..pointers.len())].clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let raw = extreme(EXTREMES[generator.random_range(0..EXTREMES.len())]);
    let old = value.pointer(&pointer).cloned().unwrap_or_default();
    match (generator.random_range(0..8), value.pointer_mut(parent)) {
        (0, Some(Value::Object(fields))) => drop(fields.remove(key)),
        (1, Some(Value::Object(_))) => {
            return set(value, &pointer, &format!("{old},\"{key}\":{raw}"));
        }
        (2, Some(Value::Object(fields))) => {
            fields.remove(key);
            fields.insert(format!("{key}\u{1b}[31m"), old);
        }
        (3, _) => return set(value, &pointer, &nested("[", &old.to_string(), "]", 100)),
        _ => return set(value, &pointer, &raw),
    }
    value.to_string()
}

/// Where the values below `value` are; of long lists and objects the first few.
fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .take(40)
            .map(|(key, child)| (key.clone(), child))
            .collect(),
        Value::Array(items) => items
            .iter()
            .take(3)
            .enumerate()
            .map(|(i, child)| (i.to_string(), child))
            .collect(),
        _ => return,
    };
    for (key, child) in children {
        // A pointer spells these otherwise.
        if !key.contains(['/', '~']) {
            let pointer = format!("{at}/{key}");
            pointers.push(pointer.clone());
            collect(child, pointer, pointers);
        }
    }
}
