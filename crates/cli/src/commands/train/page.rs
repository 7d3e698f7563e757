//! Account of a run, for `report.html`.

use super::{Args, header};
use crate::error::Result;
use crate::report::{self as page, Line, Memory, Outcome, Told};
use crate::shell;
use crate::terminal::Terminal;
use metal_candle::fine_tune::{MemoryPlan, Prepared};

/// What is known of a run before it ends.
pub fn begun(prepared: &Prepared, args: &Args, plan: Option<MemoryPlan>) -> Told {
    let line = |(name, text): (&str, String)| Line {
        name: name.into(),
        text,
    };
    Told {
        name: args.reports.project_name.clone(),
        header: header::lines(prepared, args, plan.as_ref())
            .into_iter()
            .map(line)
            .collect(),
        memory: plan.map(|plan| Memory {
            total_bytes: plan.total_bytes(),
            plan,
            measured_bytes: None,
        }),
        ..Told::default()
    }
}

/// Commands that come next after a run that was stopped.
pub fn to_go_on(prepared: &Prepared, outcome: &Outcome, args: &Args) -> Vec<String> {
    let left = outcome.planned_steps.saturating_sub(outcome.steps);
    if left == 0 || prepared.adapter().is_none() {
        return vec![];
    }
    let (folder, left) = (shell::path(&args.adapter_path), args.iters_of(left));
    vec![format!(
        "train ... --resume-adapter-file {folder} --iters {left}"
    )]
}

/// Keeps what was told, and writes the page of it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(mut told: Told, args: &Args, terminal: &Terminal) -> Result<()> {
    let folder = &args.adapter_path;
    told.warnings = terminal.warnings();
    page::keep(folder, &told)?;
    let path = page::write(folder)?;
    terminal.say(format_args!("Report: {}", path.display()));
    Ok(())
}
