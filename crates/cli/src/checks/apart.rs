use crate::child::{self, End};
use crate::error::{Error, Result};
use serde::Serialize;
use std::process::Command;
use std::time::Duration;

/// A check that was made.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub end: End,
    /// Seconds that it took.
    pub secs: f64,
}

/// Makes the check of this name on the device that `--device` calls so, in another process that has so much time.
///
/// # Errors
/// When there can be no such process. That it fails, hangs or crashes is no error of this one.
pub fn run_apart(name: &'static str, device: &str, limit: Duration) -> Result<Checked> {
    let ended = command(name, device).and_then(|mut it| child::run(&mut it, limit, &mut |_| ()));
    let ended = ended.map_err(|error| {
        Error::failed(format!(
            "cannot make the check {name} in a process of its own: {error}"
        ))
    })?;
    Ok(Checked {
        name,
        end: ended.end,
        secs: ended.secs,
    })
}

/// This program, told to make a check itself.
fn command(name: &str, device: &str) -> std::io::Result<Command> {
    let mut command = child::this_program()?;
    command
        .args(["doctor", "--check", "--in-this-process"])
        .args(["--only", name, "--device", device]);
    Ok(command)
}
