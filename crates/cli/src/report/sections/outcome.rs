//! State of a run, and the figures that are looked for first.

use crate::report::Outcome;
use crate::report::run::Run;
use crate::report::words::{duration, grouped, value};

/// State of the run and of its checks.
pub fn chips(run: &Run) -> String {
    let state = match &run.told.outcome {
        None => chip("warn", "No end: the run goes on, or was killed"),
        Some(outcome) => ending(outcome),
    };
    state + &checked(run)
}

fn ending(outcome: &Outcome) -> String {
    let (steps, planned) = (outcome.steps, outcome.planned_steps);
    match outcome.ending.as_str() {
        "finished" => chip("good", &format!("Finished: {} steps", grouped(steps))),
        "stopped_early" => {
            let what = "Stopped early: the validation loss went down no more";
            chip(
                "good",
                &format!("{what} (step {} of {})", grouped(steps), grouped(planned)),
            )
        }
        _ => chip(
            "warn",
            &format!(
                "Stopped after step {} of {}",
                grouped(steps),
                grouped(planned)
            ),
        ),
    }
}

fn checked(run: &Run) -> String {
    let checks = &run.told.checks;
    let n = |outcome: &str| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    match (checks.len(), n("failed")) {
        (0, _) => String::new(),
        (_, 0) => chip("good", &format!("{} checks passed", n("passed"))),
        (all, failed) => chip("bad", &format!("{failed} of {all} checks failed")),
    }
}

fn chip(class: &str, text: &str) -> String {
    format!("<span class=\"chip {class}\">{text}</span>")
}

/// The figures that are looked for first.
pub fn figures(run: &Run) -> String {
    let metrics = &run.metrics;
    let outcome = run.told.outcome.as_ref();
    let tokens = outcome.map(|outcome| outcome.trained_tokens as f64);
    let tokens = tokens.or_else(|| metrics.last("trained_tokens"));
    let figures = [
        validation(run),
        metrics
            .last("train_loss")
            .map(|loss| figure("Train loss", &value(loss), "at the last report")),
        metrics
            .last_step()
            .map(|step| figure("Steps", &grouped(step as usize), "")),
        tokens.map(|n| figure("Tokens trained", &grouped(n as usize), "")),
        outcome.map(|outcome| {
            figure(
                "Time",
                &duration(outcome.seconds),
                "training and evaluations",
            )
        }),
        metrics
            .last("peak_memory_bytes")
            .map(|n| figure("Peak memory", &format!("{:.2} GB", n / 1e9), "")),
    ];
    let figures: String = figures.into_iter().flatten().collect();
    format!("<dl class=\"figures\">{figures}</dl>")
}

/// Validation loss, and what it was before.
fn validation(run: &Run) -> Option<String> {
    let losses = run.metrics.series("val_loss");
    let outcome = run.told.outcome.as_ref();
    let kept =
        outcome.and_then(|outcome| outcome.best.filter(|best| best.step == outcome.kept_step));
    let (_, last) = losses.last()?;
    let after = kept.map_or(*last, |best| best.val_loss);
    let before = losses.first().filter(|_| losses.len() > 1);
    let earlier = kept.filter(|best| outcome.is_some_and(|outcome| best.step != outcome.steps));
    let small = match (before, earlier) {
        (None, _) => String::new(),
        (Some((_, before)), None) => format!("{} before", value(*before)),
        (Some((_, before)), Some(best)) => {
            let before = value(*before);
            format!("{before} before; after step {}", grouped(best.step))
        }
    };
    Some(figure("Validation loss", &value(after), &small))
}

fn figure(name: &str, value: &str, small: &str) -> String {
    let small = match small {
        "" => String::new(),
        text => format!("<small>{text}</small>"),
    };
    format!("<div class=\"card\"><dt>{name}</dt><dd>{value}{small}</dd></div>")
}
