//! Memory of a run: told before its first step, and chosen to stay within a limit.

use super::Args;
use crate::counted_memory::{self, Count};
use crate::error::{Error, Result};
use crate::numbers::gigabytes;
use crate::terminal::Terminal;
use metal_candle::fine_tune::{Division, MemoryPlan, Prepared};
use metal_candle::process::memory_bytes;
use std::num::NonZeroUsize;

/// Memory of the run, whose steps are divided where `--memory-limit` asks for it; `None` where it is not that of the host.
///
/// # Errors
/// When no way to take the steps fits into the limit.
pub fn plan(
    prepared: &mut Prepared,
    args: &mut Args,
    count: &Count,
    terminal: &Terminal,
) -> Result<Option<MemoryPlan>> {
    let asked = Division {
        parts: 1,
        grad_checkpoint: args.rows.grad_checkpoint,
    };
    let Some(limit) = args.memory_limit else {
        return Ok(prepared.memory(asked, count)?);
    };
    let other = other_bytes(prepared);
    let (division, plan) = fitting(prepared, limit.saturating_sub(other), count)
        .map_err(|error| error.told(limit, other))?;
    if division != asked {
        divide(prepared, args, division);
        tell(
            args,
            (other + with_kept(plan.total_bytes()), limit),
            terminal,
        );
    }
    Ok(Some(plan))
}

/// Reason why no way to take the steps fits.
enum Unfit {
    /// Bytes are not known.
    Unknown,
    /// The least that a way takes.
    TooMuch(MemoryPlan),
    Failed(Error),
}

/// Fastest way to take the steps that fits into `limit` bytes. Of those that differ in the size of micro-batches the smallest is
/// looked at first, so that looking takes no more than the limit either.
fn fitting(
    prepared: &Prepared,
    limit: usize,
    count: &Count,
) -> std::result::Result<(Division, MemoryPlan), Unfit> {
    let plan = |division: &Division| match prepared.memory(*division, count) {
        Ok(plan) => plan.ok_or(Unfit::Unknown),
        Err(error) => Err(Unfit::Failed(error.into())),
    };
    let divisions = prepared.divisions();
    let mut least = Err(Unfit::Unknown);
    for divisions in divisions.chunk_by(|a, b| a.grad_checkpoint == b.grad_checkpoint) {
        let mut fits = None::<(Division, MemoryPlan)>;
        for division in divisions.iter().rev() {
            if fits.is_some_and(|smaller| with_kept(expected(smaller, *division)) > limit) {
                break;
            }
            let plan = plan(division)?;
            if with_kept(plan.total_bytes()) > limit {
                least = Err(Unfit::TooMuch(plan));
                break;
            }
            fits = Some((*division, plan));
        }
        if let Some(fits) = fits {
            return Ok(fits);
        }
    }
    least
}

/// Bytes that the process takes for so many of tensors: the allocator keeps up to a quarter of them for reuse.
pub(super) fn with_kept(bytes: usize) -> usize {
    bytes + bytes / 4
}

/// Bytes that larger micro-batches are expected to take, a little below proportion: not all of it grows with them.
fn expected((smaller, plan): (Division, MemoryPlan), division: Division) -> usize {
    let grown = plan.activation_bytes * smaller.parts / division.parts - plan.activation_bytes;
    plan.total_bytes() + grown / 10 * 9
}

/// What the process holds beside the model and its moments: the program, the tokenizer, rows.
fn other_bytes(prepared: &Prepared) -> usize {
    // What loading left for reuse.
    counted_memory::release();
    let held = memory_bytes().unwrap_or(0) as usize;
    held.saturating_sub(prepared.model_bytes())
}

fn divide(prepared: &mut Prepared, args: &mut Args, division: Division) {
    prepared.divide(division);
    let rows = &mut args.rows;
    let parts = NonZeroUsize::new(division.parts).unwrap_or(NonZeroUsize::MIN);
    rows.batch_size = NonZeroUsize::new(rows.batch_size.get() / parts).unwrap_or(NonZeroUsize::MIN);
    rows.grad_accumulation_steps = rows.grad_accumulation_steps.saturating_mul(parts);
    rows.grad_checkpoint = division.grad_checkpoint;
}

fn tell(args: &Args, (needed, limit): (usize, usize), terminal: &Terminal) {
    let (size, times) = (args.rows.batch_size, args.rows.grad_accumulation_steps);
    let again = match args.rows.grad_checkpoint {
        true => " --grad-checkpoint",
        false => "",
    };
    let (needed, limit) = (gigabytes(needed), gigabytes(limit));
    terminal.say(format_args!(
        "To stay within {limit}: --batch-size {size} --grad-accumulation-steps {times}{again}, which gives the same steps \
         in {needed}"
    ));
}

impl Unfit {
    /// The error that a user sees.
    fn told(self, limit: usize, other: usize) -> Error {
        let plan = match self {
            Self::Failed(error) => return error,
            Self::Unknown => {
                return Error::input("--memory-limit: memory is known of the CPU only")
                    .with_advice("leave it out, or compute with --device cpu");
            }
            Self::TooMuch(plan) => plan,
        };
        let needed = gigabytes(other + with_kept(plan.total_bytes()));
        let places = plan.places;
        Error::input(format!(
            "--memory-limit {}: the run needs {needed}, with micro-batches of {places} tokens and blocks computed again",
            gigabytes(limit)
        ))
        .with_advice(
            "give it more, or take a smaller --max-seq-length, --rank or model, --load-in-4bit, or --optimizer adamw_8bit",
        )
    }
}
