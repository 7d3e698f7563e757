//! Benchmarks: what is computed, how fast, and how much of what the machine can do that is.

mod answer;
mod bars;
mod ceilings;
mod clock;
mod generate;
pub mod machine;
mod ops;
mod peer;
mod plot;
mod record;
mod report;
mod rows;
mod sitting;
mod table;
mod train;

use super::Context;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use candle_core::Device;
use metal_candle_kernels::simd::Level;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  metal-candle bench ops --filter \"softmax f32\" --vs candle
  metal-candle bench ops --table --vs pytorch --python .venv/bin/python --record
  metal-candle bench train --vs pytorch --python .venv/bin/python --record
  metal-candle bench ops --table --device metal --vs candle,engines,mlx --python .venv/bin/python --record
  metal-candle bench generate --json
  metal-candle bench report bench-records/MACHINE/DATE-COMMIT.json --readme README.md

RAYON_NUM_THREADS sets the number of threads; docs/benchmarks.md says what the figures mean.";

/// Measure operations, training and generation, and compare them with others
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to measure
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Ops(ops::Args),
    Train(train::Args),
    Generate(generate::Args),
    Report(report::Args),
}

/// What is common to all that is measured.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Only cases whose line has all of these words: an operation, sizes, a dtype, a model
    #[arg(long, value_name = "WORDS")]
    pub filter: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Measure others on the same cases, in turns [default of operations on an Apple GPU: candle,engines]
    #[arg(long, value_name = "RIVALS", value_enum, value_delimiter = ',')]
    pub vs: Vec<Rival>,
    /// Python that has scripts/bench/requirements.txt, for --vs pytorch and --vs mlx
    #[arg(long, value_name = "PATH", default_value = "python")]
    pub python: PathBuf,
    /// How often this program and another process take turns
    #[arg(long, value_name = "N", default_value = "3", value_parser = crate::numbers::at_least_one)]
    pub rounds: usize,
    /// Add the figures to the machine's record of the day and commit [default folder: bench-records]
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "bench-records")]
    pub record: Option<PathBuf>,
}

/// Whom to compare with.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// candle's own operations
    Candle,
    /// Each engine for products on an Apple GPU: candle's GEMM as this program plans it, and both kernels of MPS
    Engines,
    /// MLX, on the same device
    Mlx,
    /// PyTorch, its best of eager and torch.compile; for training with PEFT, for generation with transformers
    Pytorch,
}

impl Rival {
    /// As records have it; the engines have names of their own.
    fn name(self) -> &'static str {
        match self {
            Self::Candle => "candle",
            Self::Engines => "engines",
            Self::Mlx => "mlx",
            Self::Pytorch => bars::RIVAL,
        }
    }

    /// The columns of tables.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Candle => &["candle"],
            Self::Engines => &ENGINES,
            Self::Mlx => &["mlx"],
            Self::Pytorch => &[bars::RIVAL],
        }
    }
}

/// The engines for products on an Apple GPU, as records and tables have them.
const ENGINES: [&str; 3] = ["steel", "mps-ndarray", "mps-matrix"];

impl Options {
    /// Whether a case with this line is to be measured.
    fn takes(&self, line: &str) -> bool {
        let words = self.filter.as_deref().unwrap_or_default();
        let has = |word: &str| {
            line.split_whitespace()
                .any(|of_line| of_line.contains(word))
        };
        words.split_whitespace().all(has)
    }

    /// A rival's script in this machine's Python, with as many threads as the kernels use; MLX on
    /// the same kind of device.
    fn python(&self, rival: Rival, script: &str, device: &Device) -> Result<Command> {
        let mut command = Command::new(&self.python);
        command.arg(peer::script(script)?);
        match (rival, device.is_cpu()) {
            (Rival::Mlx, true) => command.args(["--device", "cpu"]),
            (Rival::Mlx, false) => command.args(["--device", "gpu"]),
            _ => command.args(["--threads", &rayon::current_num_threads().to_string()]),
        };
        Ok(command)
    }

    /// Whether all rivals can be compared with: each is possible by itself or not.
    ///
    /// # Errors
    /// When one of `impossible` is among them, or PyTorch beside a GPU.
    fn check_rivals(&self, device: &Device, impossible: &[(Rival, &str)]) -> Result<()> {
        let pytorch = (Rival::Pytorch, "PyTorch is measured on the CPU only");
        let on_gpu = (!device.is_cpu()).then_some(&pytorch);
        match impossible
            .iter()
            .chain(on_gpu)
            .find(|(rival, _)| self.has(*rival))
        {
            None => Ok(()),
            Some((rival, reason)) => Err(Error::input(format!("--vs {}: {reason}", rival.name()))
                .with_advice("leave it out, or choose another --device")),
        }
    }

    fn has(&self, rival: Rival) -> bool {
        self.vs.contains(&rival)
    }
}

/// Measures, or reports what was measured.
///
/// # Errors
/// When something that was given cannot be used, or a kernel is wrong.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    // Figures of another level than the one asked for would mislead.
    Level::chosen().map_err(Error::input)?;
    match args.what {
        What::Ops(args) => ops::run(&args, &context.terminal),
        What::Train(args) => train::run(&args, &context.terminal),
        What::Generate(args) => generate::run(&args, &context.terminal),
        What::Report(args) => report::run(&args, &context.terminal),
    }?;
    Ok(Exit::Done)
}

/// Seconds on the command line.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(secs).map_err(|error| error.to_string())
}
