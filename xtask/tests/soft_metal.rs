//! Software Metal without a C++ compiler: nothing may pass unseen.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::process::Command;

#[test]
fn a_missing_compiler_is_named_and_fails() {
    for words in [&["test"][..], &["run", "--", "--version"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("soft-metal").args(words);
        let output = command.env("CXX", "no-such-compiler").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("no C++ compiler (no-such-compiler): install g++"),
            "{words:?}: {said}"
        );
    }
}
