//! The program of these tests, started by one of them: in a child whose panics, stack or time are looked at. Under an
//! emulator (`cargo xtask aarch64`) the child runs there too.

use std::env;
use std::process::Command;

/// Words that start a program of the processor that these tests are compiled for, where it is another than the machine's.
const EMULATOR: &str = "METAL_CANDLE_EMULATOR";

/// How many times as long as on a processor what is limited may take.
pub fn slowness() -> u32 {
    if env::var_os(EMULATOR).is_some() {
        10
    } else {
        1
    }
}

/// A command that runs the tests with this in their names, and shows what they print.
pub fn running(test: &str) -> Command {
    let program = env::current_exe().unwrap();
    let emulator = env::var(EMULATOR).unwrap_or_default();
    let mut words = emulator.split_whitespace();
    let mut command = match words.next() {
        Some(first) => Command::new(first),
        None => Command::new(&program),
    };
    if !emulator.is_empty() {
        command.args(words).arg(&program);
    }
    command.args([test, "--nocapture"]);
    command
}
