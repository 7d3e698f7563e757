//! Every option of a command, as its help has them, with extremes.

use crate::input::Input;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::process::Command;

/// What most options do not expect. Nothing that names a place above the folder.
const EXTREMES: &[&str] = &[
    "",
    "-1",
    "0",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e39",
    "1e308",
    "1e-320",
    "1e400",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "x",
    "\u{e9}",
    "\u{1b}[31mx\u{7}",
    "\u{202e}x",
    "no/such",
    "--",
    "-h",
    "a,b",
    ",",
    "[1]",
    "{}",
    "0x10",
    "1_000",
    " 1",
    "0.9,0.999",
    "regex:.*",
];

/// With one of these a run that is right takes for ever.
const ENDLESS: [&str; 2] = ["iters", "grad-accumulation-steps"];

pub fn inputs(command: &'static str) -> Vec<Input> {
    const OF_EACH: usize = 6;
    let name = command.split(' ').next().unwrap();
    let names = options(name)
        .into_iter()
        .filter(|option| !ENDLESS.contains(&option.as_str()));
    let inputs = names.flat_map(|option| {
        let seed = option
            .bytes()
            .fold(7, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let start = generator.random_range(0..EXTREMES.len());
        (0..OF_EACH).map(move |i| {
            // Steps that have no divisor with the number of extremes: each is met once.
            let value = EXTREMES[(start + i * 7) % EXTREMES.len()];
            let input = Input::new(format!("every {name} --{option} {value:?} {i}"), command);
            match i % 2 {
                0 => input.arg(format!("--{option}={value}")),
                _ => input.arg(format!("--{option}")).arg(value),
            }
        })
    });
    inputs.collect()
}

/// Options that take a value, from the command's own help.
fn options(command: &str) -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_metal-candle"))
        .args([command, "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let of_line = |line: &str| {
        let (name, rest) = line.trim_start().split_once("--")?.1.split_once(' ')?;
        let is_option = line.trim_start().starts_with('-') && rest.starts_with('<');
        is_option.then(|| name.to_owned())
    };
    help.lines().filter_map(of_line).collect()
}
