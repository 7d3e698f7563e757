//! Child processes with a deadline.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time between two looks at a child.
const PAUSE: Duration = Duration::from_millis(50);

/// Time that a killed child has to go: one that waits for a driver may never do.
const GRACE: Duration = Duration::from_secs(10);

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Passed,
    /// Why it did not.
    Failed(String),
    /// It was killed at its deadline; whether it then went.
    TimedOut { has_gone: bool },
}

/// Runs `command` for at most `limit`; both of its outputs go into the file `output`.
///
/// # Errors
/// When the file cannot be written, or the system does not tell of the child.
pub fn run(command: &mut Command, limit: Duration, output: &Path) -> io::Result<End> {
    let file = File::create(output)?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let name = command.get_program().display();
            return Ok(End::Failed(format!("cannot run {name}: {error}")));
        }
    };
    if let Some(status) = wait(&mut child, limit)? {
        return Ok(end(status));
    }
    kill_all(&mut child);
    let has_gone = wait(&mut child, GRACE)?.is_some();
    Ok(End::TimedOut { has_gone })
}

fn end(status: ExitStatus) -> End {
    match status.success() {
        true => End::Passed,
        false => End::Failed(status.to_string()),
    }
}

/// The status of `child`; `None` where it is still there after `limit`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || began.elapsed() >= limit {
            return Ok(status);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills a child and what it started: cargo's own children outlive it otherwise. They are no process group, so that
/// an interrupt from the keyboard reaches them all.
fn kill_all(child: &mut Child) {
    let descendants = descendants(child.id());
    // It may have ended by itself.
    let _ = child.kill();
    if !descendants.is_empty() {
        let _ = Command::new("kill")
            .arg("-KILL")
            .args(descendants)
            .stderr(Stdio::null())
            .status();
    }
}

/// Process ids of all that `parent` started, and what these did.
fn descendants(parent: u32) -> Vec<String> {
    // One option for each column: of `-o pid=,ppid=` a Mac takes the rest as a heading.
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid="])
        .output();
    let text = listed.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    let pairs: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .collect();
    let mut found = vec![parent.to_string()];
    let mut next = 0;
    while next < found.len() {
        let children = pairs
            .iter()
            .filter(|(_, parent)| parent.trim() == found[next]);
        let children: Vec<String> = children.map(|(pid, _)| (*pid).to_owned()).collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}
