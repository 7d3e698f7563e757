use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use metal_candle::data::{Batches, Dataset};
use metal_candle::layout::Arrangement;
use metal_candle::models::Model;
use metal_candle::train::{
    Decay, Event, MetricsFile, Optimizer, Options, Output, Parameters, RunFolder, Saves, Schedule,
    Start, Summary, Trainer, Warmup,
};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::Path;

const BATCH_SIZE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// One of the two trainings.
pub(super) struct Training<'a> {
    pub(super) title: &'static str,
    pub(super) iters: usize,
    pub(super) learning_rate: f64,
    pub(super) seed: u64,
    pub(super) output: Output,
    pub(super) folder: &'a Path,
}

pub(super) fn run_training(
    training: &Training<'_>,
    model: &Model,
    parameters: &Parameters,
    dataset: &Dataset,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<()> {
    let options = options(training);
    let mut folder = RunFolder::claim(training.folder)?.begin(Start::Overwrite)?;
    folder.prepare()?;
    let settings =
        json!({ "title": training.title, "iters": training.iters, "seed": training.seed });
    let trainer = Trainer {
        network: &model.decoder,
        parameters,
        options: &options,
        saves: Some(Saves {
            output: &training.output,
            folder: &folder,
            settings: &settings,
        }),
        data: dataset.path.clone(),
        reduce: None,
    };
    let mut optimizer = Optimizer::new(options.rule, parameters)?;
    let batches = Batches::shuffled(&dataset.examples, BATCH_SIZE, training.seed);
    let mut steps = batches
        .laid_out(Arrangement::Padded)
        .map(|batch| vec![batch]);
    let mut metrics = MetricsFile::create(&folder.metrics())?;
    let progress = Progress::new(training, terminal);
    let mut observe = |event: &Event| {
        progress.tell(event);
        metrics.write(event)
    };
    let stop = || interrupt.is_asked();
    let summary = interrupt
        .awaited_by(|| trainer.run(&mut optimizer, &mut steps, None, &mut observe, &stop))
        .map_err(Error::from)?;
    progress.tell_end(&summary, parameters.n_values());
    Ok(())
}

/// Words about one of the two trainings.
struct Progress<'a> {
    title: &'static str,
    terminal: &'a Terminal,
    bar: ProgressBar,
}

impl<'a> Progress<'a> {
    fn new(training: &Training<'_>, terminal: &'a Terminal) -> Self {
        let look = "     {bar:30} step {pos}/{len}  {msg}  eta {eta}";
        Self {
            title: training.title,
            terminal,
            bar: terminal.bar(training.iters, look),
        }
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Step { step, loss } => {
                self.bar.set_message(format!("loss {loss:.3}"));
                self.bar.set_position(*step as u64);
            }
            Event::Report(report) if !self.terminal.shows_bars() => {
                let (title, step, loss) = (self.title, report.step, report.train_loss);
                self.terminal
                    .say(format_args!("     {title}: step {step}, loss {loss:.3}"));
            }
            _ => {}
        }
    }

    fn tell_end(&self, summary: &Summary, n_values: usize) {
        self.bar.finish_and_clear();
        let (title, steps, loss) = (self.title, summary.steps, summary.last_loss);
        self.terminal.say(format_args!(
            "     {title}: {n_values} parameters, {steps} steps, loss {loss:.3}"
        ));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A tenth of the steps to warm up, a cosine down to a twentieth of the learning rate.
fn options(training: &Training<'_>) -> Options {
    let warmup = training.iters / 10;
    Options {
        iters: training.iters,
        batch_size: BATCH_SIZE.get(),
        schedule: Schedule {
            peak: training.learning_rate,
            warmup: Warmup::over(warmup, training.learning_rate),
            decay: Decay::Cosine {
                end: training.learning_rate / 20.0,
                steps: training.iters - warmup,
            },
        },
        steps_per_report: 25,
        save_every: 0,
        seed: training.seed,
        ..Options::default()
    }
}
