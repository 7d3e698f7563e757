//! `cargo xtask mac-report`: everything that only a Mac can tell, in one folder to attach to an issue (docs/apple.md).
//!
//! Every step is a child process with a deadline; what fails or hangs is told, and the next step runs.

mod child;
mod folder;
mod losses;
mod options;
mod python;
mod report;
mod runner;
mod steps;
#[cfg(all(test, unix))]
mod tests;
mod tool;

use folder::Folder;
use options::Options;
use report::Report;
use runner::Runner;
use std::path::PathBuf;
use steps::STEPS;

/// Runs the command line after `mac-report`; `None` where it is not understood.
pub fn main(words: &[String]) -> Option<bool> {
    let options = Options::parse(words)?;
    if !options.dry_run && !cfg!(target_os = "macos") {
        eprintln!(
            "xtask: mac-report needs a Mac; `--dry-run` does elsewhere what software Metal can"
        );
        return Some(false);
    }
    if options.dry_run && !crate::soft_metal::prepare() {
        return Some(false);
    }
    Some(all_pass(&options))
}

/// The dry run as a part of the project's tests. Other machines have no software Metal.
pub fn dry_run_where_it_runs() -> bool {
    !crate::soft_metal::supported() || main(&["--dry-run".into()]) == Some(true)
}

/// Whether no step failed. The report is written anew after every step: an interrupted run leaves what it learnt.
fn all_pass(options: &Options) -> bool {
    match run(options) {
        Ok((report, path)) => {
            eprintln!("xtask: {}", report.count());
            eprintln!(
                "xtask: attach {} to an issue; read it before",
                path.display()
            );
            !report.has_failures()
        }
        Err(error) => {
            eprintln!("xtask: mac-report: {error}");
            false
        }
    }
}

fn run(options: &Options) -> std::io::Result<(Report, PathBuf)> {
    let folder = Folder::new(options)?;
    let mut runner = Runner::new(options, &folder);
    let mut report = Report::default();
    for (number, step) in STEPS.iter().enumerate() {
        eprintln!(
            "xtask: {}/{} {}: {}",
            number + 1,
            STEPS.len(),
            step.name,
            step.what
        );
        let result = runner.run(number + 1, step)?;
        eprintln!("xtask: {}", result.line());
        report.add(result);
        std::fs::write(folder.report("report.md"), report.text(&folder, options))?;
    }
    let packed = folder.pack()?;
    Ok((report, packed))
}
