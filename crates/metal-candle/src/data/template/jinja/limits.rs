//! Bounds on what a template from outside may use.
//!
//! Nothing in this engine recurses, multiplies or repeats without asking here first, so that every
//! template ends, in bounded time, memory and stack.

use std::cell::Cell;

use super::error::{Error, Result};

/// Bytes of a template's source. The largest published templates have about 0.1 MiB.
pub(super) const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Nesting of blocks and expressions in the source.
pub(super) const MAX_SOURCE_DEPTH: usize = 100;

/// Arguments of a call and parameters of a macro.
pub(super) const MAX_ARGUMENTS: usize = 1000;

/// Nesting of lists and dicts; JSON is read to a depth of 128.
pub(super) const MAX_VALUE_DEPTH: usize = 160;

/// Nesting of what is executed: blocks, expressions and calls of macros together. A level takes up
/// to 4.3 KiB of stack without optimisation, and a test renders at the limit with 1 MiB.
pub(super) const MAX_RENDER_DEPTH: usize = 200;

/// Items of a `range`: the limit of Jinja2's own sandbox.
pub(super) const MAX_RANGE: i128 = 100_000;

/// Steps every template has; a step is a node evaluated, 64 bytes copied, 16 searched
/// or one looked at. They take about a second.
const BASE_STEPS: u64 = 10_000_000;

/// Steps for each value of the input. Published templates take about 100 for a message.
const STEPS_PER_VALUE: u64 = 2_000;

/// Steps for each byte of the input, which a template may split, strip and join several times.
const STEPS_PER_BYTE: u64 = 64;

/// Bytes of one text every template may build; 16 times the input come on top. A rendered
/// conversation is little more than its input.
const BASE_TEXT_BYTES: usize = 16 << 20;

/// Bytes every template may allocate, freed ones included; the input comes on top, once for each
/// message (a text that grows by a message is copied each time) and 64 times.
const BASE_BYTES: u64 = 256 << 20;

/// Size of what a template is given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InputSize {
    /// Values, those inside of others included.
    pub(super) n_values: usize,
    /// Bytes of their texts, and 16 for each value.
    pub(super) n_bytes: usize,
    /// Messages of the conversation.
    pub(super) n_messages: usize,
}

/// Budget that is left to a rendering.
pub(super) struct Budget {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    max_text_bytes: usize,
}

impl Budget {
    pub(super) fn new(input: InputSize) -> Self {
        let (n_values, n_bytes) = (input.n_values as u64, input.n_bytes as u64);
        let steps = BASE_STEPS
            .saturating_add(n_values.saturating_mul(STEPS_PER_VALUE))
            .saturating_add(n_bytes.saturating_mul(STEPS_PER_BYTE));
        let copies = n_bytes.saturating_mul(64 + input.n_messages as u64);
        Self {
            steps: Cell::new(steps),
            bytes: Cell::new(BASE_BYTES.saturating_add(copies)),
            max_text_bytes: BASE_TEXT_BYTES.saturating_add(input.n_bytes.saturating_mul(16)),
        }
    }

    pub(super) fn unlimited() -> Self {
        Self {
            steps: Cell::new(u64::MAX),
            bytes: Cell::new(u64::MAX),
            max_text_bytes: usize::MAX,
        }
    }

    /// Takes `n` steps.
    pub(super) fn spend(&self, n: usize) -> Result<()> {
        match self.steps.get().checked_sub(n as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(Error::render("the template takes too many steps")),
        }
    }

    /// Takes what searching `n` bytes costs.
    pub(super) fn scan(&self, n: usize) -> Result<()> {
        self.spend(n / 16 + 1)
    }

    /// Takes what looking at each character of `n` bytes costs.
    pub(super) fn look(&self, n: usize) -> Result<()> {
        self.spend(n.saturating_add(1))
    }

    /// Takes the memory of a text of `n` bytes. To be asked before the text is built.
    pub(super) fn text(&self, n: usize) -> Result<()> {
        if n > self.max_text_bytes {
            let limit = self.max_text_bytes;
            let message = format!("the template builds a text of {n} bytes; the limit is {limit}");
            return Err(Error::render(message));
        }
        self.spend(n / 64 + 1)?;
        self.bytes(n)
    }

    /// Takes the memory of `n` copies of `unit` bytes as one text.
    pub(super) fn repeated(&self, unit: usize, n: usize) -> Result<()> {
        self.text(unit.saturating_mul(n))
    }

    /// Takes the memory of `n` items of a list.
    pub(super) fn items(&self, n: usize) -> Result<()> {
        self.spend(n)?;
        self.bytes(n.saturating_mul(size_of::<super::value::Value>()))
    }

    fn bytes(&self, n: usize) -> Result<()> {
        match self.bytes.get().checked_sub(n as u64) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => Err(Error::render("the template takes too much memory")),
        }
    }

    /// Whether a text may grow to `n` bytes; what is appended is taken by [`Self::text`].
    pub(super) fn grown(&self, n: usize) -> Result<()> {
        if n > self.max_text_bytes {
            return self.text(n);
        }
        Ok(())
    }
}
