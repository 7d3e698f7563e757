use crate::terminal::Terminal;
use indicatif::ProgressBar;
use metal_candle::train::EvaProgress;

const BAR: &str = "{bar:24} {pos}/{len} layers [{elapsed}] {msg}";

/// Teller of the search for an adapter's beginning in the rows: a bar, which goes away with it.
pub struct Begun<'a> {
    terminal: &'a Terminal,
    bar: Option<ProgressBar>,
}

impl<'a> Begun<'a> {
    pub fn new(terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            bar: None,
        }
    }

    /// Tells a batch.
    pub fn tell(&mut self, progress: EvaProgress) {
        let EvaProgress {
            batches,
            settled,
            layers,
        } = progress;
        let bar = self.bar.get_or_insert_with(|| {
            self.terminal
                .say("Looking at what the inputs of the layers vary in (eva)");
            self.terminal.bar(layers, BAR)
        });
        bar.set_position(settled as u64);
        bar.set_message(format!("settled after {batches} batches"));
        tracing::debug!("eva: {settled} of {layers} layers settled after {batches} batches");
    }
}
