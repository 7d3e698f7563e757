//! `calibrate`: which work Metal Performance Shaders (MPS) are faster at on this machine.

#[cfg(any(test, target_vendor = "apple", soft_metal))]
mod choose;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod measure;
#[cfg(any(test, target_vendor = "apple", soft_metal))]
mod model;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod show;

use super::Context;
use crate::device::{DeviceArgs, DeviceChoice};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::Activations;
use crate::numbers::{at_least_one, seconds};
use metal_candle_mps::order::Strategy;
use std::str::FromStr;
use std::time::Duration;

/// Measure on an Apple GPU which products MPS is faster at, and whether it is at softmax, and keep the answer
///
/// Tests first whether MPS work can be ordered with candle's without waiting, then what that costs,
/// then the products of a model, if one is named, some thirty others and six softmax. Takes about a minute, some more with a
/// model; leave the machine alone meanwhile. Every way of ordering is tried in a process of its own: one that hangs or crashes is left out.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the measurements as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Folder, GGUF file or Hugging Face id of a model whose layers are measured first: forward for a token, a short prompt and a batch
    /// of training, the gradient for a batch, and the softmax of its logits. What is kept of another model is replaced
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Numbers between its layers, as `train` and `generate` are told
    #[arg(long, value_name = "TYPE", default_value = "f32", requires = "model")]
    pub activations: Activations,
    /// Tokens that its layers see at once: of generation, of a prompt, of a batch
    #[arg(
        long,
        value_name = "N,N,N",
        default_value = "1,64,2048",
        requires = "model"
    )]
    pub tokens: TokenCounts,
    /// Products to measure, at most four: powers of two, each for sizes up to twice as large
    #[arg(long, value_name = "MxNxK,..", value_delimiter = ',', num_args = 1..=4)]
    #[arg(default_values = ["2048x2048x2048", "1024x1024x1024", "512x2048x2048", "4096x4096x4096"])]
    pub sizes: Vec<Sizes<3>>,
    /// Softmax to measure, at most four: rows and their length, powers of two as above
    #[arg(long, value_name = "RxD,..", value_delimiter = ',', num_args = 1..=4)]
    #[arg(default_values = ["2048x2048", "4096x4096", "512x131072"])]
    pub softmax_sizes: Vec<Sizes<2>>,
    /// Time that each way of ordering may take, after which it is left out
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub limit: Duration,
    /// Way of ordering to be tried in this process, which prints what it measures and keeps nothing
    #[arg(long, value_name = "STRATEGY", hide = true, value_parser = strategy)]
    pub strategy: Option<Strategy>,
    /// What of a model is measured, as JSON: for the process that tries a way of ordering
    #[arg(long, value_name = "JSON", hide = true)]
    pub work: Option<String>,
    /// Rounds of the litmus test
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one, hide = true)]
    pub litmus_rounds: usize,
    /// Rows and columns of its matrices
    #[arg(long, value_name = "N", default_value = "2048", value_parser = at_least_one, hide = true)]
    pub litmus_width: usize,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Numbers of tokens of generation, of a prompt and of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCounts([usize; 3]);

impl FromStr for TokenCounts {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let counts: std::result::Result<Vec<usize>, _> =
            text.split(',').map(at_least_one).collect();
        let counts = counts.ok().and_then(|counts| counts.try_into().ok());
        let counts = counts.ok_or("expected three numbers of tokens such as 1,64,2048")?;
        Ok(Self(counts))
    }
}

/// Binary logarithms of sizes: of M, N and K, or of rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes<const N: usize>([u32; N]);

impl<const N: usize> Sizes<N> {
    /// The largest: a matrix of it and a factor of the same are far below the memory of any GPU.
    const MOST: u32 = if N == 3 { 16_384 } else { 131_072 };
}

impl<const N: usize> FromStr for Sizes<N> {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || {
            let most = Self::MOST;
            format!("expected {N} sizes such as 16x32x64 has, powers of two from 16 to {most}")
        };
        let size = |text: &str| {
            text.parse()
                .ok()
                .filter(|size: &u32| size.is_power_of_two() && (16..=Self::MOST).contains(size))
        };
        let sizes: Option<Vec<u32>> = text.split('x').map(size).collect();
        let sizes: [u32; N] = sizes
            .and_then(|sizes| sizes.try_into().ok())
            .ok_or_else(wrong)?;
        Ok(Self(sizes.map(u32::ilog2)))
    }
}

fn strategy(text: &str) -> std::result::Result<Strategy, String> {
    let known = [
        Strategy::SameBuffer,
        Strategy::FenceBridge,
        Strategy::Blocking,
    ];
    let mut known = known.into_iter();
    known
        .find(|strategy| strategy.to_string() == text)
        .ok_or_else(|| "expected SameBuffer, FenceBridge or Blocking".into())
}

/// Measures.
///
/// # Errors
/// When there is no Apple GPU, no way of ordering came to an end, or the answer cannot be kept.
#[cfg(any(target_vendor = "apple", soft_metal))]
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let device = args.device.device.preferring_gpu().open()?;
    let candle_core::Device::Metal(device) = device else {
        return Err(no_gpu(&args));
    };
    match args.strategy {
        Some(strategy) => measure::one(&device, &args, strategy, &context.terminal),
        None => measure::best(&device, &args, &context.terminal),
    }
}

/// Refuses.
///
/// # Errors
/// Always: there is no Apple GPU.
#[cfg(not(any(target_vendor = "apple", soft_metal)))]
pub fn run(args: Args, _: &Context) -> Result<Exit> {
    args.device.open()?;
    Err(no_gpu(&args))
}

fn no_gpu(args: &Args) -> Error {
    let what = match args.device.device {
        DeviceChoice::Auto => "there is no Apple GPU here",
        _ => "only an Apple GPU is calibrated",
    };
    Error::input(format!("calibrate: {what}"))
        .with_advice("`metal-candle doctor` shows the devices of this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_have_names() {
        for name in ["SameBuffer", "FenceBridge", "Blocking"] {
            assert_eq!(strategy(name).map(|it| it.to_string()), Ok(name.into()));
        }
        assert!(strategy("blocking").is_err());
    }

    #[test]
    fn tokens_are_three_numbers() {
        assert_eq!("1,64,2048".parse(), Ok(TokenCounts([1, 64, 2048])));
        for wrong in ["1,64", "1,64,2048,1", "0,64,2048", "1,,2048", "a,b,c", ""] {
            assert!(wrong.parse::<TokenCounts>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!("512x4096x16".parse(), Ok(Sizes([9, 12, 4])));
        assert_eq!("512x131072".parse(), Ok(Sizes([9, 17])));
        assert!("512x131072x16".parse::<Sizes<3>>().is_err());
        for wrong in ["512x512", "512x512x500", "8x16x16", "16x16x32768", "x", ""] {
            assert!(wrong.parse::<Sizes<3>>().is_err(), "{wrong}");
        }
    }
}
