//! Words about a run: what it goes on from, how large it is, and what it came to.

use super::preference::TrainMode;
use super::{Args, header};
use crate::error::{Error, Result};
use crate::report::duration;
use crate::shell;
use crate::terminal::Terminal;
use metal_candle::data::Split;
use metal_candle::fine_tune::Prepared;
use metal_candle::lora::LoraConfig;
use metal_candle::train::{Ending, Resume, Summary};
use metal_candle::verify::{Figures, Output, Report};
use std::path::Path;

/// Tells that mlx-lm's rules hold.
pub fn tell_compat(args: &Args, terminal: &Terminal) {
    if args.is_mlx() {
        terminal.say(
            "With mlx-lm's defaults and rules (--compat none for metal-candle's; docs/mlx-lm.md)",
        );
    }
}

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
        r, alpha, targets, ..
    } = config;
    let (shown, name) = (resume.adapter.display(), config.name());
    let targets = header::names(targets);
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

/// Tells what a run came to that began after `done` steps and took `seconds`.
pub fn tell_end(
    prepared: &Prepared,
    summary: &Summary,
    (done, seconds): (usize, f64),
    args: &Args,
    terminal: &Terminal,
) {
    let folder = args.adapter_path.display();
    let (tokens, loss) = (summary.trained_tokens, summary.last_loss);
    let steps = summary.steps - done;
    let (plural, took) = (if steps == 1 { "" } else { "s" }, duration(seconds));
    match steps {
        0 => terminal.report("Stopped before the first step: nothing to save"),
        _ => terminal.report(format_args!(
            "Trained {steps} step{plural}, {tokens} tokens in {took}, last loss {loss:.3}; saved in {folder}"
        )),
    }
    if let Some(scale) = summary.gradient_noise_scale {
        let (size, times) = (args.rows.batch_size, args.rows.grad_accumulation_steps);
        terminal.report(noise_line(scale, size.saturating_mul(times).get()));
    }
    tell_validation(summary, args, terminal);
    let left = summary.planned_steps - summary.steps;
    // More steps are of no use to a run that ended by its own rule.
    let is_stopped = summary.ending == Ending::Stopped;
    if steps > 0 && left > 0 && is_stopped && prepared.adapter().is_some() {
        let (left, folder) = (args.iters_of(left), shell::path(&args.adapter_path));
        terminal.say(format_args!(
            "Go on with --resume-adapter-file {folder} --iters {left}"
        ));
    }
}

/// What the noise scale says of steps of so many rows (McCandlish et al. 2018, arXiv 1812.06162, section 2.2).
fn noise_line(scale: f64, rows: usize) -> String {
    let percent = 100.0 / (1.0 + scale / rows as f64);
    let (plural, scale) = (if rows == 1 { "" } else { "s" }, scale.ceil());
    format!(
        "Gradient noise scale about {scale} rows: a step of {rows} row{plural} learns {percent:.0}% of what one without noise would"
    )
}

/// Tells the validation loss before and after, and which step is kept.
fn tell_validation(summary: &Summary, args: &Args, terminal: &Terminal) {
    let kept = summary.kept_step;
    let best = summary.best.filter(|best| best.step == kept);
    let after = best.map_or(summary.last_val_loss, |best| Some(best.val_loss));
    if let (Some(before), Some(after)) = (summary.first_val_loss, after) {
        terminal.report(format_args!(
            "Validation loss {before:.3} before, {after:.3} after"
        ));
    }
    if summary.ending == Ending::StoppedEarly {
        let patience = args.reports.early_stopping_patience.unwrap_or(0);
        let lower = match args.reports.early_stopping_threshold {
            0.0 => "lower validation loss".to_owned(),
            threshold => format!("validation loss lower by more than {threshold}"),
        };
        terminal.report(format_args!(
            "Stopped early: no {lower} in {patience} evaluations"
        ));
    }
    match summary.best {
        Some(best) if best.step == kept && kept != summary.steps => {
            let (folder, loss) = (args.adapter_path.display(), best.val_loss);
            terminal.report(format_args!(
                "{folder} holds what step {kept} led to, with the lowest validation loss, {loss:.3}"
            ));
        }
        Some(best) if best.step != summary.steps => terminal.report(format_args!(
            "The lowest validation loss was {:.3}, after step {}; --load-best-model-at-end keeps it",
            best.val_loss, best.step
        )),
        _ => {}
    }
}

/// Refuses what did not pass the checks. That nothing changed is what was asked for where the learning rate is 0, and
/// told.
///
/// # Errors
/// With the names of the checks.
pub fn check(report: &Report, args: &Args) -> Result<()> {
    let failed = report.failed().map(|check| check.name);
    let (unchanged, faults): (Vec<&str>, Vec<&str>) =
        failed.partition(|name| *name == Output::NAME);
    if !faults.is_empty() {
        let (names, folder) = (faults.join(", "), args.adapter_path.display());
        let error = Error::failed(format!("what was trained failed checks: {names}"));
        let advice = format!("it is saved in {folder}; --no-verify leaves the checks out");
        return Err(error.with_advice(advice));
    }
    if !unchanged.is_empty() {
        tracing::warn!(
            "the adapter changes nothing beyond rounding: more steps or a higher learning rate would"
        );
    }
    Ok(())
}

/// Tells what can be done with what was trained.
pub fn tell_next(prepared: &Prepared, args: &Args, terminal: &Terminal) {
    terminal.say("Next:");
    for command in next_commands(prepared, args) {
        terminal.say(format_args!("  metal-candle {command}"));
    }
}

/// Commands that use what was trained.
pub fn next_commands(prepared: &Prepared, args: &Args) -> Vec<String> {
    let Ok(model) = args.model() else {
        return vec![];
    };
    let (model, folder) = (shell::word(model), shell::path(&args.adapter_path));
    let data = args.data.as_deref().unwrap_or(Path::new("data"));
    let test = Split::Test.path(data);
    let (base, adapter) = match prepared.adapter() {
        Some(_) => {
            let packed = args.weights.words();
            (model, format!("{packed} --adapter-path {folder}"))
        }
        None => (folder.clone(), String::new()),
    };
    let mask = if args.rows.mask_prompt {
        " --mask-prompt"
    } else {
        ""
    };
    let mut commands = vec![format!("generate --model {base}{adapter} --prompt \"...\"")];
    // Of pairs --test tells the loss.
    if test.is_file() && args.preference.train_mode == TrainMode::Sft {
        let test = shell::path(&test);
        commands.push(format!(
            "perplexity --model {base}{adapter} --data {test}{mask}"
        ));
    }
    if prepared.adapter().is_some() {
        commands.push(format!(
            "fuse --model {base} --adapter-path {folder} --save-path fused_model"
        ));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of as many rows as the scale has learns half as much as one without noise.
    #[test]
    fn noise_takes_its_share_of_a_step() {
        let line = noise_line(7.2, 8);
        assert!(line.contains("about 8 rows: a step of 8 rows learns 53%"));
        assert!(noise_line(1.0, 1).contains("a step of 1 row learns 50%"));
    }
}
