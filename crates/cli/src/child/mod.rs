//! Child processes with a deadline, for work that may crash its process or never end: what a GPU's driver does cannot be
//! caught, and a thread that waits for it cannot be stopped.

mod end;
mod output;
#[cfg(test)]
mod tests;

pub use end::End;
use output::Output;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time between two looks at a child.
const PAUSE: Duration = Duration::from_millis(20);

/// Time that a killed child has to go.
const GRACE: Duration = Duration::from_secs(10);

/// A child that is over.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// Text of its standard output.
    #[cfg_attr(
        not(any(test, target_vendor = "apple", soft_metal)),
        allow(dead_code, reason = "measurements come so, on Apple GPUs alone")
    )]
    pub stdout: String,
    /// Seconds that it ran.
    pub secs: f64,
}

/// This program, to be run with other words.
///
/// # Errors
/// When the system does not tell where it is.
pub fn this_program() -> io::Result<Command> {
    std::env::current_exe().map(Command::new)
}

/// Runs `command` for at most `limit`; `tell` is given each line of its standard error as it comes.
///
/// # Errors
/// When the child cannot be started, or the system does not tell of it.
pub fn run(
    command: &mut Command,
    limit: Duration,
    tell: &mut dyn FnMut(&str),
) -> io::Result<Ended> {
    let (stdout, mut stderr) = (Output::new()?, Output::new()?);
    command
        .stdin(Stdio::null())
        .stdout(stdout.writer()?)
        .stderr(stderr.writer()?);
    let began = Instant::now();
    let mut child = command.spawn()?;
    let status = wait(&mut child, limit, &mut || stderr.tell_lines(tell))?;
    let secs = began.elapsed().as_secs_f64();
    let end = match status {
        Some(status) => End::of(status, &stderr.text()?),
        None => End::timed_out(limit, has_gone_when_killed(&mut child)?),
    };
    Ok(Ended {
        end,
        stdout: stdout.text()?,
        secs,
    })
}

fn has_gone_when_killed(child: &mut Child) -> io::Result<bool> {
    // It may have ended by itself.
    let _ = child.kill();
    Ok(wait(child, GRACE, &mut || Ok(()))?.is_some())
}

/// The status of `child`; `None` where it is still there after `limit`. `look` is called now and then.
fn wait(
    child: &mut Child,
    limit: Duration,
    look: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        let status = child.try_wait()?;
        look()?;
        if status.is_some() || began.elapsed() >= limit {
            return Ok(status);
        }
        std::thread::sleep(PAUSE);
    }
}
