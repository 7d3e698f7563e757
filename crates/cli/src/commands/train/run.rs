//! The run itself, and what is told of it.

use super::args::Args;
use super::test;
use super::trained::Trained;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::training::Reporter;
use metal_candle::data::{Batch, Split, Splits, Windows, sample};
use metal_candle::models::Model;
use metal_candle::train::{
    Ending, Event, MetricsFile, Optimizer, Output, RunFolder, Saves, Summary, Trainer,
};
use serde_json::Value;

/// Everything that a run needs.
pub struct Run<'a> {
    /// The options.
    pub args: &'a Args,
    /// The network.
    pub model: &'a Model,
    /// What is trained in it.
    pub trained: &'a Trained,
    /// The data.
    pub splits: &'a Splits,
    /// What is written beside every checkpoint.
    pub settings: &'a Value,
    /// Who asks it to stop.
    pub interrupt: &'a Interrupt,
    /// Where reports go.
    pub terminal: &'a Terminal,
}

impl Run<'_> {
    /// Trains into `folder`, and evaluates if that was asked for.
    ///
    /// # Errors
    /// When the run fails; what was saved before stays.
    pub fn go(&self, mut optimizer: Optimizer, mut folder: RunFolder) -> Result<Exit> {
        self.tell_size();
        folder.prepare()?;
        let done = optimizer.steps();
        let trained = || self.train(&mut optimizer, &folder);
        let summary = self.interrupt.awaited_by(trained)?;
        self.tell_end(done, &summary);
        match summary.ending {
            Ending::Stopped => Ok(Exit::Interrupted),
            Ending::Finished => self.test().map(|()| Exit::Done),
        }
    }

    fn train(&self, optimizer: &mut Optimizer, folder: &RunFolder) -> Result<Summary> {
        let (args, rows) = (self.args, &self.args.rows);
        let train = self.splits.require(Split::Train)?;
        let done = optimizer.steps();
        let options = args.options(done)?;
        let trainer = Trainer {
            network: &self.model.decoder,
            parameters: &self.trained.parameters,
            options: &options,
            saves: Some(Saves {
                output: &self.trained.output,
                folder,
                settings: self.settings,
            }),
            data: train.path.clone(),
            reduce: None,
        };
        let accumulation = rows.grad_accumulation_steps;
        let (size, arrangement) = (rows.batch_size, rows.arrangement());
        let mut steps = Windows::new(&train.examples, size, accumulation, arrangement, args.seed);
        steps.skip_steps(done)?;
        let limit = options.val_batches;
        let valid = self.splits.valid.as_ref();
        let batches = valid.map(|valid| move || sample(&valid.examples, size, arrangement, limit));
        let validation = batches.as_ref().map(|f| f as &dyn Fn() -> Vec<Batch>);
        let mut metrics = match args.resume_adapter_file {
            Some(_) => MetricsFile::go_on(&folder.metrics(), done)?,
            None => MetricsFile::create(&folder.metrics())?,
        };
        let reporter = Reporter::new(self.terminal, done.saturating_add(options.iters));
        let mut observe = |event: &Event| {
            reporter.tell(event);
            metrics.write(event)
        };
        let stop = || self.interrupt.is_asked();
        Ok(trainer.run(optimizer, &mut steps, validation, &mut observe, &stop)?)
    }

    fn tell_size(&self) {
        let trained = self.trained.parameters.n_values() as f64 / 1e6;
        let train = self.splits.train.as_ref();
        let (rows, steps) = (
            train.map_or(0, |train| train.examples.len()),
            self.args.optimizer.iters,
        );
        self.terminal.say(format_args!(
            "Training {trained:.3} M parameters on {rows} rows, {steps} steps"
        ));
    }

    fn tell_end(&self, done: usize, summary: &Summary) {
        let folder = self.args.adapter_path.display();
        let (tokens, loss) = (summary.trained_tokens, summary.last_loss);
        let steps = summary.steps - done;
        match steps {
            0 => self
                .terminal
                .report("Stopped before the first step: nothing to save"),
            _ => self.terminal.report(format_args!(
                "Trained {steps} steps, {tokens} tokens, last loss {loss:.3}; saved in {folder}"
            )),
        }
        let is_adapter = matches!(self.trained.output, Output::Adapter { .. });
        let left = summary.planned_steps - summary.steps;
        if steps > 0 && left > 0 && is_adapter {
            self.terminal.say(format_args!(
                "Go on with --resume-adapter-file {folder} --iters {left}"
            ));
        }
    }

    fn test(&self) -> Result<()> {
        match self.args.test {
            true => test::tell(
                &self.model.decoder,
                self.trained.parameters.adapters(),
                self.splits,
                self.args,
                self.terminal,
            ),
            false => Ok(()),
        }
    }
}
