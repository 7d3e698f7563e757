//! `cargo xtask msl-compile FOLDER`: Apple's compilers read the texts that software Metal's tests have left elsewhere.
//!
//! A Mac of CI has a virtual GPU, on which no test of a kernel runs, and so compiles none.

use super::{Text, coverage, from_here, our_texts, sources};
use crate::run_command;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The driver's compiler, which the texts are given to as a program gives them.
const DRIVER: &str =
    "run --quiet --package metal-candle-kernels --features testkit --example compile_msl --";

/// Xcode's, in the language and the math that the driver is asked for.
const XCODE: &str = "metal -std=metal3.1 -fno-fast-math -Wall -Werror -Wno-unused-variable -Wno-unused-const-variable \
                     -Wno-unused-function -c -o /dev/null";

/// Whether every text of `folder` is taken by both, of which Xcode's is left out where it is not installed, and every source is in
/// one of each dtype.
pub fn main(folder: &Path) -> bool {
    let texts = match texts(folder) {
        Ok(texts) => texts,
        Err(reason) => {
            eprintln!("xtask: msl-compile: {}: {reason}", folder.display());
            return false;
        }
    };
    eprintln!("xtask: msl-compile: {} texts", texts.len());
    by_driver(&texts) && by_xcode(&texts)
}

/// The texts of ours, complete.
fn texts(folder: &Path) -> Result<Vec<Text>, String> {
    let told = |error: io::Error| error.to_string();
    let texts = our_texts(folder).map_err(told)?;
    let read: Vec<String> = texts.iter().map(|text| text.text.clone()).collect();
    let missing = coverage::missing(&read, &sources(&from_here(super::SOURCES)).map_err(told)?);
    match missing.is_empty() {
        true => Ok(texts),
        false => Err(missing.join("\n")),
    }
}

fn by_driver(texts: &[Text]) -> bool {
    let mut command = Command::new("cargo");
    command.args(DRIVER.split(' '));
    let command = command.args(texts.iter().map(|text| &text.path));
    run_command("the driver's compiler", command)
}

fn by_xcode(texts: &[Text]) -> bool {
    if !has_xcode() {
        eprintln!("xtask: msl-compile: `xcrun metal` is left out: it is not installed");
        return true;
    }
    let is_taken = |text: &&Text| {
        let mut command = Command::new("xcrun");
        let command = command.args(XCODE.split_whitespace()).arg(&text.path);
        command.status().is_ok_and(|status| status.success())
    };
    let taken = texts.iter().filter(is_taken).count();
    eprintln!(
        "xtask: msl-compile: `xcrun metal` took {taken} of {}",
        texts.len()
    );
    taken == texts.len()
}

fn has_xcode() -> bool {
    let mut command = Command::new("xcrun");
    let command = command.args(["metal", "--version"]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_our_texts_is_refused() {
        let declarations = from_here("src/msl_check/include");
        let reason = texts(&declarations).err().unwrap();
        assert!(reason.contains("softmax.metal"), "{reason}");
        assert!(!main(&declarations.join("nowhere")));
    }
}
