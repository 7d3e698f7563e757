//! `doctor --check`: does a device compute what it should?

use crate::checks::{self, Checked, run_apart};
use crate::device::DeviceChoice;
use crate::error::Result;
use crate::exit::Exit;
use crate::numbers::seconds;
use crate::terminal::Terminal;
use candle_core::Device;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use std::time::Duration;

/// Time of one check. The longest takes nine seconds on two cores; a GPU compiles its kernels in its.
const LIMIT: Duration = Duration::from_secs(600);

/// Options of the checks.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// Check that a device computes rightly: each operation, a training, and the order of work on a GPU
    #[arg(long)]
    pub check: bool,
    /// Device to check: auto, cpu or metal[:N] [default: auto, the GPU where there is one]
    #[arg(long, value_name = "DEVICE", requires = "check")]
    pub device: Option<DeviceChoice>,
    /// Make these checks only
    #[arg(
        long,
        value_name = "CHECK,..",
        value_delimiter = ',',
        requires = "check"
    )]
    #[arg(value_parser = PossibleValuesParser::new(checks::names()))]
    pub only: Vec<String>,
    /// Time of each check, after which it has failed [default: 600]
    #[arg(long, value_name = "SECONDS", requires = "check", value_parser = seconds)]
    pub limit: Option<Duration>,
    /// Make the checks here, not in processes of their own
    #[arg(long, requires = "check", hide = true)]
    pub in_this_process: bool,
}

/// Checks of a device that were made.
#[derive(Serialize)]
pub struct Report {
    device: String,
    passed: bool,
    checks: Vec<Checked>,
    /// The file that `--device auto` looks into; `None` for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// Makes the checks, each in a process of its own, and keeps how those of a GPU ended.
///
/// # Errors
/// When the device is not there, there can be no other process, or the outcome cannot be kept.
pub fn apart(args: &CheckArgs, terminal: &Terminal) -> Result<Report> {
    let (choice, device) = opened(args)?;
    let names = chosen(args, &device);
    let limit = args.limit.unwrap_or(LIMIT);
    let of = names.len();
    let made = names.into_iter().enumerate().map(|(i, name)| {
        terminal.say(format_args!("check {} of {of} on {choice}: {name}", i + 1));
        run_apart(name, &choice.to_string(), limit)
    });
    let checks = made.collect::<Result<Vec<_>>>()?;
    Ok(Report {
        device: choice.to_string(),
        passed: checks.iter().all(|check| check.end.is_passed()),
        kept: keep(&checks, &device)?,
        checks,
    })
}

/// Makes the checks in this process; the first that fails ends it.
///
/// # Errors
/// Those of the checks.
pub fn here(args: &CheckArgs) -> Result<Exit> {
    let (_, device) = opened(args)?;
    let names = chosen(args, &device);
    names
        .into_iter()
        .try_for_each(|name| checks::run(name, &device))?;
    Ok(Exit::Done)
}

fn opened(args: &CheckArgs) -> Result<(DeviceChoice, Device)> {
    let choice = args.device.unwrap_or(DeviceChoice::Auto).preferring_gpu();
    Ok((choice, choice.open()?))
}

/// Names of the checks to make, in their order. One of a GPU that a processor is asked for says so itself.
fn chosen(args: &CheckArgs, device: &Device) -> Vec<&'static str> {
    if args.only.is_empty() && device.is_cpu() {
        return checks::names_of_cpu();
    }
    let mut names = checks::names();
    names.retain(|name| args.only.is_empty() || args.only.iter().any(|only| only == name));
    names
}

#[cfg(any(target_vendor = "apple", soft_metal))]
fn keep(checks: &[Checked], device: &Device) -> Result<Option<String>> {
    let Device::Metal(gpu) = device else {
        return Ok(None);
    };
    let kept = crate::checks::Kept::of(gpu)?;
    let ends = checks.iter();
    kept.add(
        ends.map(|it| (it.name.to_owned(), it.end.clone()))
            .collect(),
    )?;
    Ok(Some(kept.path.display().to_string()))
}

#[cfg(not(any(target_vendor = "apple", soft_metal)))]
fn keep(_: &[Checked], _: &Device) -> Result<Option<String>> {
    Ok(None)
}

impl Report {
    /// Exit code of the command.
    pub fn exit(&self) -> Exit {
        match self.passed {
            true => Exit::Done,
            false => Exit::Failed,
        }
    }

    /// A line for each check, and one for all.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.checks.iter();
        let lines =
            lines.map(|Checked { name, end, secs }| format!("{name:<22}{secs:>7.1} s  {end}"));
        lines.chain([self.summary()]).collect()
    }

    fn summary(&self) -> String {
        let passed = self.checks.iter().filter(|check| check.end.is_passed());
        let (passed, of, device) = (passed.count(), self.checks.len(), &self.device);
        let kept = self.kept.as_ref();
        let kept = kept.map_or_else(String::new, |path| format!(", kept in {path}"));
        format!("{device}: {passed} of {of} checks passed{kept}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::End;

    #[test]
    fn checks_are_told_with_what_failed() {
        let failed = End::Failed {
            reason: "softmax: result: 0.5 instead of 0.25 at element 3".into(),
        };
        let check = |name, end| Checked {
            name,
            end,
            secs: 1.25,
        };
        let report = Report {
            device: "cpu".into(),
            passed: false,
            checks: vec![check("adamw", End::Passed), check("softmax", failed)],
            kept: None,
        };
        assert_eq!(report.exit(), Exit::Failed);
        assert_eq!(
            report.lines(),
            [
                "adamw                     1.2 s  passed",
                "softmax                   1.2 s  failed: softmax: result: 0.5 instead of 0.25 at element 3",
                "cpu: 1 of 2 checks passed",
            ]
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["checks"][0]["outcome"], "passed");
        assert!(
            json["checks"][1]["reason"]
                .as_str()
                .unwrap()
                .contains("0.25")
        );
    }
}
