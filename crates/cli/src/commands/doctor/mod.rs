//! `doctor`: what this machine has, what of it is used, and why.

mod check;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod gpu;
mod processor;

use super::Context;
use crate::device::{HAS_METAL, n_gpus};
use crate::error::Result;
use crate::exit::Exit;
use crate::machine::system;
use crate::terminal::Terminal;
use processor::Processor;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  metal-candle doctor
  metal-candle doctor --check
  metal-candle doctor --check --device cpu
  METAL_CANDLE_SIMD=avx2 metal-candle doctor --check --device cpu --only matmul,attention

--check computes with each operation what a formula says, in every dtype and layout, and trains ten
steps of a small model to the losses of PyTorch. Each check is a process with a deadline: one that
hangs or crashes is told as one that fails. --device auto takes a GPU only after all of its checks
have passed on this system by this version. If one fails, please report it with this output.";

/// Show the devices of this machine, how engines are chosen on them, and why; check that they compute rightly
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub check: check::CheckArgs,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Report of what is found.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    system: String,
    /// The devices that `--device` can name in this build.
    backends: Vec<&'static str>,
    processor: Processor,
    gpus: Vec<Gpu>,
    /// With `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<check::Report>,
}

/// An Apple GPU.
#[derive(Serialize)]
struct Gpu {
    /// Name that `--device` takes.
    device: String,
    /// Why kernels do not run on it; `None` where they do.
    obstacle: Option<String>,
    /// `None` where there is an obstacle: such a GPU is not opened, because candle may panic there.
    #[serde(flatten)]
    usable: Option<Usable>,
}

/// A GPU on which kernels run.
#[derive(Serialize)]
struct Usable {
    name: String,
    architecture: String,
    macos: String,
    mps: bool,
    /// Engines that can be asked for.
    engines: Vec<String>,
    /// How MPS work is ordered with candle's, and whether that was shown here.
    strategy: String,
    check: CheckFile,
    calibration: CalibrationFile,
    choices: Vec<Choice>,
}

/// The file that `doctor --check` writes.
#[derive(Serialize)]
struct CheckFile {
    path: String,
    /// Whether `--device auto` takes the GPU.
    passed: bool,
    /// What is known of the GPU.
    state: String,
}

/// The file that `metal-candle calibrate` writes.
#[derive(Serialize)]
struct CalibrationFile {
    path: String,
    /// Products that were measured; `None` where it is not used.
    products: Option<usize>,
    /// Softmax that were measured.
    softmax: Option<usize>,
    /// Why it is not used.
    ignored: Option<String>,
}

/// Choice of an engine for a product, or a softmax.
#[derive(Serialize)]
struct Choice {
    product: String,
    engine: String,
    reason: String,
}

/// Looks and tells, after the checks that are asked for.
///
/// # Errors
/// When a GPU fails, or standard output does not take it. That a check does not pass is told.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.check.in_this_process {
        return check::here(&args.check);
    }
    let checked = args.check.check;
    let checked = checked.then(|| check::apart(&args.check, &context.terminal));
    let report = Report {
        check: checked.transpose()?,
        version: env!("CARGO_PKG_VERSION"),
        system: system(),
        backends: if HAS_METAL {
            vec!["cpu", "metal"]
        } else {
            vec!["cpu"]
        },
        processor: Processor::here(),
        gpus: gpus()?,
    };
    match args.json {
        true => context.terminal.print_json(&report)?,
        false => tell(&report, &context.terminal)?,
    }
    Ok(report.check.map_or(Exit::Done, |check| check.exit()))
}

#[cfg(any(target_vendor = "apple", soft_metal))]
fn gpus() -> Result<Vec<Gpu>> {
    (0..n_gpus()).map(gpu::look).collect()
}

#[cfg(not(any(target_vendor = "apple", soft_metal)))]
fn gpus() -> Result<Vec<Gpu>> {
    Ok(Vec::with_capacity(n_gpus()))
}

fn tell(report: &Report, terminal: &Terminal) -> Result<()> {
    let line = |name: &str, text: &str| terminal.print_line(format_args!("{name:<14}{text}"));
    line("metal-candle", report.version)?;
    line("system", &report.system)?;
    line("backends", &report.backends.join(", "))?;
    for (name, text) in report.processor.lines() {
        line(name, &text)?;
    }
    if report.gpus.is_empty() {
        line("GPU", no_gpu())?;
    }
    let mut gpus = report.gpus.iter().flat_map(Gpu::lines);
    gpus.try_for_each(|(name, text)| line(name, &text))?;
    let mut checks = report.check.iter().flat_map(check::Report::lines);
    checks.try_for_each(|line| terminal.print_line(line))
}

fn no_gpu() -> &'static str {
    match HAS_METAL {
        true => "none found",
        false => {
            "none for this build: Apple's come with a build for a Mac, NVIDIA's are not there yet"
        }
    }
}

impl Gpu {
    /// Names and what there is to say.
    fn lines(&self) -> Vec<(&'static str, String)> {
        if let Some(obstacle) = &self.obstacle {
            let text = format!("--device {} cannot be used: {obstacle}", self.device);
            return vec![("GPU", text)];
        }
        let usable = self.usable.iter();
        usable
            .flat_map(|usable| usable.lines(&self.device))
            .collect()
    }
}

impl Usable {
    fn lines(&self, device: &str) -> Vec<(&'static str, String)> {
        let file = &self.calibration;
        let state = match (&file.ignored, file.products) {
            (Some(reason), _) => format!("not used: {reason}"),
            (None, Some(n)) => format!("{n} products"),
            (None, None) => {
                "none: `metal-candle calibrate` measures which products MPS is faster at".into()
            }
        };
        let mut lines = vec![
            (
                "GPU",
                format!("{} ({}), --device {device}", self.name, self.architecture),
            ),
            ("macOS", self.macos.clone()),
            (
                "MPS",
                if self.mps {
                    "supported"
                } else {
                    "not supported"
                }
                .into(),
            ),
            ("engines", self.engines.join(", ")),
            ("order of MPS", self.strategy.clone()),
            ("checks", self.check.told()),
            ("calibration", format!("{state} ({})", file.path)),
        ];
        let choices = self.choices.iter();
        lines.extend(choices.map(
            |Choice {
                 product,
                 engine,
                 reason,
             }| { ("", format!("{product}: {engine}, because {reason}")) },
        ));
        lines
    }
}

impl CheckFile {
    fn told(&self) -> String {
        let Self { path, state, .. } = self;
        match self.passed {
            true => format!("{state}, --device auto takes it ({path})"),
            false => format!(
                "{state}: --device auto takes the CPU; `metal-candle doctor --check` checks it ({path})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_cannot_be_used_says_why() {
        let gpu = Gpu {
            device: "metal:0".into(),
            obstacle: Some("too old".into()),
            usable: None,
        };
        let json = serde_json::to_value(&gpu).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"device": "metal:0", "obstacle": "too old"})
        );
        let [(name, text)] = &gpu.lines()[..] else {
            panic!("one line");
        };
        assert_eq!(
            (*name, &text[..]),
            ("GPU", "--device metal:0 cannot be used: too old")
        );
    }
}
