//! Other processes that measure: PyTorch's, and fresh ones of this program.

use crate::answer::Answer;
use metal_candle_cli::error::{Error, Result};
use serde::Serialize;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Folder of a checkout with the scripts that measure others.
const SCRIPTS: &str = "scripts/bench";

/// A script of the checkout.
///
/// # Errors
/// When the working folder is not a checkout.
pub fn script(name: &str) -> Result<PathBuf> {
    let path = Path::new(SCRIPTS).join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(Error::input(format!("no {}", path.display()))
            .with_advice("run it in a checkout of metal-candle")),
    }
}

/// Runs a process to its end and reads the answer in its last line.
///
/// # Errors
/// When it cannot be run, fails, or answers something else.
pub fn ask_process(command: &mut Command) -> Result<Answer> {
    let name = command.get_program().to_owned();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| cannot_run(&name, &source))?;
    if !output.status.success() {
        let status = output.status;
        return Err(Error::failed(format!("{}: {status}", name.display())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    parse(text.lines().last().unwrap_or_default())
}

/// A process that answers one line for each line that it is sent.
pub struct Server {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_owned();
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.spawn().map_err(|source| cannot_run(&name, &source))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => Ok(Self {
                child,
                requests,
                answers: BufReader::new(answers),
            }),
            _ => Err(Error::failed("a process was started without pipes")),
        }
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// When the process has ended, or answers something else.
    pub fn ask(&mut self, request: &impl Serialize) -> Result<Answer> {
        let request = serde_json::to_string(request).map_err(Error::failed)?;
        writeln!(self.requests, "{request}").map_err(broken)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(broken)?;
        parse(&line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Result<Answer> {
    let wrong = |source| Error::failed(format!("not an answer: {line:?}: {source}"));
    serde_json::from_str(line).map_err(wrong)
}

fn cannot_run(name: &OsStr, source: &std::io::Error) -> Error {
    Error::input(format!("cannot run {}: {source}", name.display())).with_advice(
        "--python names the Python that has the rival's packages: scripts/bench/requirements*.txt",
    )
}

fn broken(source: std::io::Error) -> Error {
    Error::failed(format!("the other process does not listen: {source}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::record::Pass;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_answers_line_by_line() {
        let answer = r#"while read -r line; do echo "{\"error\": $line}"; done"#;
        let mut server = Server::start(&mut shell(answer)).unwrap();
        for request in ["first", "second"] {
            assert_eq!(server.ask(&request).unwrap().error.unwrap(), request);
        }
    }

    #[test]
    fn a_process_answers_in_its_last_line() {
        let mut command = shell(r#"echo loading; echo '{"secs": {"step": {"": [2]}}}'"#);
        let answer = ask_process(&mut command).unwrap();
        assert_eq!(answer.secs[&Pass::Step][""], [2.0]);
    }

    #[test]
    fn what_ends_or_babbles_is_an_error() {
        assert!(ask_process(&mut shell("exit 3")).is_err());
        assert!(ask_process(&mut shell("echo hello")).is_err());
        assert!(ask_process(&mut Command::new("/no/such/program")).is_err());
        let mut gone = Server::start(&mut shell("exit 0")).unwrap();
        assert!(gone.ask(&1).is_err());
    }
}
