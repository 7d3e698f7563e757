//! The binary with little memory and time.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Address space: 4 GB in KiB.
const MEMORY: &str = "4194304";
/// Largest file that it may write, 512 MB in KiB: a runaway must not fill the disk.
const FILE_SIZE: &str = "524288";
const TIME: Duration = Duration::from_secs(20);
const STDOUT: &str = ".stdout";
const STDERR: &str = ".stderr";

/// How it ended.
pub struct Ended {
    /// `None` when it was killed by a signal, or after [`TIME`].
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub timed_out: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs the binary in `folder`.
pub fn run(folder: &Path, words: &[OsString]) -> Ended {
    let mut child = command(folder, words).spawn().unwrap();
    let (status, timed_out) = wait(&mut child);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    Ended {
        code: status.code(),
        signal: status.signal(),
        timed_out,
        stdout: read(STDOUT),
        stderr: read(STDERR),
    }
}

/// The limits are those of a shell, which then becomes the binary: setting them here would be unsafe code.
fn command(folder: &Path, words: &[OsString]) -> Command {
    let limits = format!("ulimit -v {MEMORY} -f {FILE_SIZE} -c 0; exec \"$0\" \"$@\"");
    let create = |name: &str| File::create(folder.join(name)).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", &limits, env!("CARGO_BIN_EXE_metal-candle")])
        .args(words)
        .current_dir(folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_HUB_OFFLINE", "1")
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("RAYON_NUM_THREADS", "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(create(STDOUT))
        .stderr(create(STDERR));
    command
}

fn wait(child: &mut Child) -> (ExitStatus, bool) {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, false);
        }
        if began.elapsed() > TIME {
            // It may just have ended by itself.
            let _ = child.kill();
            return (child.wait().unwrap(), true);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
