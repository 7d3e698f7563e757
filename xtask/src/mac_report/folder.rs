//! Where a report and its steps write.

use super::options::Options;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of one report, and the one in which all of them work.
pub struct Folder {
    /// Root of the checkout, where every step runs.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// What steps leave for one another: models, adapters, Python's packages.
    pub work: PathBuf,
    /// Commit of the checkout, with a word if files differ from it.
    pub commit: String,
    report: PathBuf,
}

impl Folder {
    /// A new one, named by the commit and the seconds of the clock.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(options: &Options) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().unwrap_or(root).to_owned();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let all = target.join("mac-report");
        let commit = commit(&root);
        let (kind, now) = (
            if options.dry_run {
                "dry-run"
            } else {
                "mac-report"
            },
            unix_secs(),
        );
        let folder = Self {
            report: all.join(format!("{kind}-{now}-{}", commit.replace(' ', "-"))),
            work: all.join("work").join(kind),
            root,
            target,
            commit,
        };
        std::fs::create_dir_all(&folder.report)?;
        std::fs::create_dir_all(&folder.work)?;
        Ok(folder)
    }

    /// A path in the report.
    pub fn report(&self, name: &str) -> PathBuf {
        self.report.join(name)
    }

    /// The interpreter of the environment that has MLX.
    pub fn mlx_python(&self) -> PathBuf {
        self.work.join("python/bin/python")
    }

    /// Packs the report into one file that an issue takes.
    ///
    /// # Errors
    /// When `tar` fails.
    pub fn pack(&self) -> io::Result<PathBuf> {
        let name = self.report.file_name().unwrap_or_default();
        let mut file = self.report.clone().into_os_string();
        file.push(".tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-czf")
            .arg(&file)
            .arg("-C")
            .arg(self.report.with_file_name(""))
            .arg(name);
        match tar.status()? {
            status if status.success() => Ok(file.into()),
            status => Err(io::Error::other(format!("tar: {status}"))),
        }
    }
}

fn unix_secs() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Short id of the commit; "unknown" without git.
fn commit(root: &Path) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(words)
            .current_dir(root)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(id) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".into();
    };
    match git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()) {
        true => format!("{id} changed"),
        false => id,
    }
}
