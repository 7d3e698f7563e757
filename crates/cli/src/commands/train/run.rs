//! The run itself, and what is told of it.

use super::args::Args;
use super::trained::Trained;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::training::{Reporter, Windows, sample};
use metal_candle::data::{Batch, Dataset, Split, Splits};
use metal_candle::files;
use metal_candle::models::Model;
use metal_candle::train::{
    Ending, Event, MetricsFile, Optimizer, Options, Output, Summary, Trainer, evaluate,
};

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
    /// Where reports go.
    pub terminal: &'a Terminal,
}

impl Run<'_> {
    /// Trains, and evaluates if that was asked for.
    ///
    /// # Errors
    /// When the run fails; what was saved before stays.
    pub fn go(&self, mut optimizer: Optimizer) -> Result<Exit> {
        self.tell_size();
        let interrupt = Interrupt::listen(self.terminal)?;
        let done = optimizer.steps();
        let summary = self.train(&mut optimizer, &interrupt)?;
        self.tell_end(done, &summary);
        match summary.ending {
            Ending::Stopped => Ok(Exit::Interrupted),
            Ending::Finished => self.test().map(|()| Exit::Done),
        }
    }

    fn train(&self, optimizer: &mut Optimizer, interrupt: &Interrupt) -> Result<Summary> {
        let (args, rows) = (self.args, &self.args.rows);
        let train = self.splits.require(Split::Train)?;
        let done = optimizer.steps();
        let options = args.options(done);
        let trainer = self.trainer(&options, train);
        let accumulation = rows.grad_accumulation_steps;
        let mut steps = Windows::new(train, rows.batch_size, accumulation, args.seed);
        steps.skip_steps(done)?;
        let limit = options.val_batches;
        let valid = self.splits.valid.as_ref();
        let batches = valid.map(|valid| move || sample(valid, rows.batch_size, limit));
        let validation = batches.as_ref().map(|f| f as &dyn Fn() -> Vec<Batch>);
        files::make_folder(&args.adapter_path)?;
        let path = args.adapter_path.join("metrics.jsonl");
        let mut metrics = match args.resume_adapter_file {
            Some(_) => MetricsFile::append(&path)?,
            None => MetricsFile::create(&path)?,
        };
        let reporter = Reporter::new(self.terminal, done + options.iters);
        let mut observe = |event: &Event| {
            reporter.tell(event);
            metrics.write(event)
        };
        let stop = || interrupt.is_asked();
        Ok(trainer.run(optimizer, &mut steps, validation, &mut observe, &stop)?)
    }

    fn trainer<'b>(&'b self, options: &'b Options, train: &Dataset) -> Trainer<'b> {
        Trainer {
            decoder: &self.model.decoder,
            parameters: &self.trained.parameters,
            options,
            output: &self.trained.output,
            folder: &self.args.adapter_path,
            data: train.path.clone(),
        }
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
        self.terminal.report(format_args!(
            "Trained {steps} steps, {tokens} tokens, last loss {loss:.3}; saved in {folder}"
        ));
        let is_adapter = matches!(self.trained.output, Output::Adapter { .. });
        if summary.ending == Ending::Stopped && is_adapter {
            let terminal = self.terminal;
            let left = summary.planned_steps - summary.steps;
            terminal.say(format_args!(
                "Go on with --resume-adapter-file {folder} --iters {left}"
            ));
        }
    }

    fn test(&self) -> Result<()> {
        let Some(test) = &self.splits.test else {
            return Ok(());
        };
        let limit = self.args.reports.test_batches.limit();
        let batches = sample(test, self.args.rows.batch_size, limit);
        let evaluation = evaluate(&self.model.decoder, batches)?;
        let (loss, ppl) = (evaluation.loss(), evaluation.perplexity());
        self.terminal
            .print_line(format_args!("Test loss {loss:.3}, Test ppl {ppl:.3}."))
    }
}
