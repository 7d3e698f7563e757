//! Words about a run: what it goes on from, how large it is, and what it came to.

use super::Args;
use crate::terminal::Terminal;
use metal_candle::fine_tune::Prepared;
use metal_candle::lora::LoraConfig;
use metal_candle::train::{Resume, Summary};

/// Tells what the run goes on from.
pub fn tell_resumed(prepared: &Prepared, args: &Args, terminal: &Terminal) {
    let Some(resume) = prepared.resumed() else {
        return;
    };
    if let Some(config) = prepared.adapter() {
        tell_adapter(config, resume, args, terminal);
    }
    match &resume.optimizer {
        Some(path) => terminal.say(format_args!(
            "Resuming the optimizer after {} steps: {}",
            resume.step,
            path.display()
        )),
        None => terminal.say("No optimizer state of this adapter: starting with a fresh one"),
    }
    let differences = prepared.differences();
    if !differences.is_empty() {
        terminal.say(format_args!(
            "warning: other settings than before: {}",
            differences.join(", ")
        ));
    }
}

fn tell_adapter(config: &LoraConfig, resume: &Resume, args: &Args, terminal: &Terminal) {
    let LoraConfig {
        method,
        r,
        alpha,
        targets,
        ..
    } = config;
    let (shown, name) = (resume.adapter.display(), method.name());
    terminal.say(format_args!(
        "Resuming {shown}: {name}, rank {r}, alpha {alpha}, targets {targets}"
    ));
    let mut unused = args.adapter.given();
    unused.retain(|option| *option != "--dropout");
    if !unused.is_empty() {
        terminal.say(format_args!(
            "Not used, the adapter has its own: {}",
            unused.join(", ")
        ));
    }
}

/// Tells how much is trained, and on what.
pub fn tell_size(prepared: &Prepared, args: &Args, terminal: &Terminal) {
    let (trained, rows) = (prepared.n_values() as f64 / 1e6, prepared.n_rows());
    terminal.say(format_args!(
        "Training {trained:.3} M parameters on {rows} rows, {} steps",
        args.optimizer.iters
    ));
}

/// Tells what a run came to that began after `done` steps.
pub fn tell_end(
    prepared: &Prepared,
    summary: &Summary,
    done: usize,
    args: &Args,
    terminal: &Terminal,
) {
    let folder = args.adapter_path.display();
    let (tokens, loss) = (summary.trained_tokens, summary.last_loss);
    let steps = summary.steps - done;
    match steps {
        0 => terminal.report("Stopped before the first step: nothing to save"),
        _ => terminal.report(format_args!(
            "Trained {steps} steps, {tokens} tokens, last loss {loss:.3}; saved in {folder}"
        )),
    }
    let left = summary.planned_steps - summary.steps;
    if steps > 0 && left > 0 && prepared.adapter().is_some() {
        terminal.say(format_args!(
            "Go on with --resume-adapter-file {folder} --iters {left}"
        ));
    }
}
