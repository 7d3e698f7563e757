#![cfg(unix)]

use crate::fixture::{Fixture, TRAIN};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([name, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Starts a run that would take for ever, and waits for its first report.
fn started(fixture: &Fixture) -> (Child, BufReader<std::process::ChildStdout>) {
    let words = format!("{TRAIN} --iters 10000000 --steps-per-report 1 --save-every 0");
    let mut command = fixture.command(&words);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Train loss") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ended early");
    }
    (child, lines)
}

#[test]
fn a_signal_saves_and_ends() {
    for name in ["-INT", "-TERM"] {
        let fixture = Fixture::new();
        let (mut child, mut lines) = started(&fixture);
        signal(&child, name);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
        assert!(
            stderr.contains("--resume-adapter-file adapters"),
            "{stderr}"
        );
        assert!(rest.contains("saved in adapters"), "{rest}");
        fixture.train("--resume-adapter-file adapters --iters 1");
    }
}
