use super::choose::choose;
use super::model::Work;
use super::{Args, show};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::terminal::Terminal;
use crate::{calibration, child, loading};
use candle_core::{Device, MetalDevice, Tensor};
use metal_candle_mps::apple;
use metal_candle_mps::metal::{self, Effort, Own, Progress};
use metal_candle_mps::order::Strategy;
use metal_candle_mps::policy::Tokens;
use std::ffi::OsString;

/// Tries every way of ordering in a process of its own, and keeps what the best one came to.
pub fn best(device: &MetalDevice, args: &Args, terminal: &Terminal) -> Result<Exit> {
    let strategies = Effort::default().strategies;
    let work = work(args, terminal)?.words()?;
    let chosen = choose(&strategies, |strategy| {
        apart(args, &work, strategy, terminal)
    })?;
    for (strategy, reason) in &chosen.left_out {
        tracing::warn!("{strategy} is left out: it {reason}");
    }
    let calibration = chosen
        .calibration
        .ok_or_else(|| nothing(&chosen.left_out))?;
    let path = calibration::store(device, &calibration)?;
    match args.json {
        true => terminal.print_json(&calibration)?,
        false => show::show(&calibration, terminal)?,
    }
    terminal.say(format_args!("Kept in {}", path.display()));
    Ok(Exit::Done)
}

/// Tries a way of ordering in this process, and prints what it came to.
pub fn one(
    device: &MetalDevice,
    args: &Args,
    strategy: Strategy,
    terminal: &Terminal,
) -> Result<Exit> {
    let mut tell = |progress: Progress| terminal.say(progress);
    let softmax = |x: &Tensor| Ok(metal_candle_kernels::softmax(x)?);
    let product = |x: &Tensor, weight: &Tensor| Ok(metal_candle_kernels::matmul(x, weight)?);
    let own = Own {
        softmax: &softmax,
        product: &product,
    };
    let effort = effort(args, work(args, terminal)?, strategy);
    let measured = metal::calibrate(device, &effort, own, &mut tell);
    terminal.print_json(&measured.map_err(Error::failed)?)?;
    Ok(Exit::Done)
}

/// This program with its own words, told to try a way of ordering itself. What it says of its work is passed on, an error is
/// told by whoever gets it.
fn apart(
    args: &Args,
    work: &[String],
    strategy: Strategy,
    terminal: &Terminal,
) -> Result<child::Ended> {
    let of_error = ["error: ", "help: "];
    let mut tell = |line: &str| {
        if !of_error.iter().any(|word| line.starts_with(word)) {
            terminal.say(line);
        }
    };
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = child::this_program().and_then(|mut command| {
        command
            .args(words)
            .args(work)
            .arg("--strategy")
            .arg(strategy.to_string());
        child::run(&mut command, args.limit, &mut tell)
    });
    ended.map_err(|error| {
        Error::failed(format!(
            "cannot try {strategy} in a process of its own: {error}"
        ))
    })
}

fn nothing(left_out: &[(Strategy, String)]) -> Error {
    let ways: Vec<String> = left_out
        .iter()
        .map(|(strategy, reason)| format!("{strategy} {reason}"))
        .collect();
    Error::failed(format!(
        "no way of ordering work came to an end: {}",
        ways.join("; ")
    ))
    .with_advice(
        "MPS is not used, as without measurements; `metal-candle doctor --check` checks the GPU",
    )
}

fn effort(args: &Args, work: Work, strategy: Strategy) -> Effort {
    let all = Effort::default();
    let mut softmax_sizes = work.softmax;
    softmax_sizes.extend(args.softmax_sizes.iter().map(|sizes| sizes.0));
    Effort {
        strategies: vec![strategy],
        products: work.products,
        sizes: args.sizes.iter().map(|sizes| sizes.0).collect(),
        softmax_sizes,
        litmus: apple::Effort {
            rounds: args.litmus_rounds,
            width: args.litmus_width,
            ..all.litmus
        },
        ..all
    }
}

/// Work of the model that is named, or what another process found that it is.
fn work(args: &Args, terminal: &Terminal) -> Result<Work> {
    if let Some(text) = &args.work {
        return serde_json::from_str(text)
            .map_err(|error| Error::input(format!("--work: {error}")));
    }
    let Some(name) = &args.model else {
        return Ok(Work::default());
    };
    let loaded = loading::load(name, LoadOptions::default(), &Device::Cpu, terminal)?;
    let [decoded, prompt, trained] = args.tokens.0;
    let tokens = Tokens {
        decoded,
        prompt,
        trained,
    };
    Work::of_model(&loaded.model, args.activations.dtype(), tokens)
}
