//! `doctor`: what this machine has, what of it is used, and why.

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

/// Show the devices of this machine, how engines are chosen on them, and why
#[derive(clap::Args, Debug)]
pub struct Args {
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
    calibration: CalibrationFile,
    choices: Vec<Choice>,
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

/// Looks and tells.
///
/// # Errors
/// When a GPU fails, or standard output does not take it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let report = Report {
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
    Ok(Exit::Done)
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
        return line("GPU", no_gpu());
    }
    report
        .gpus
        .iter()
        .flat_map(Gpu::lines)
        .try_for_each(|(name, text)| line(name, &text))
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
