use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use metal_candle::data::{Batches, Dataset};
use metal_candle::layout::Arrangement;
use metal_candle::models::Model;
use metal_candle::train::{
    Decay, Event, MetricsFile, Optimizer, Options, Output, Parameters, RunFolder, Saves, Schedule,
    Start, Trainer, Warmup,
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
    let mut folder = RunFolder::claim(training.folder, Start::Overwrite)?;
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
    let mut metrics = MetricsFile::create(&folder.metrics())?;
    let bar = terminal.bar(
        training.iters,
        "     {bar:30} step {pos}/{len}  {msg}  eta {eta}",
    );
    let mut observe = |event: &Event| {
        match event {
            Event::Step { step, loss } => {
                bar.set_message(format!("loss {loss:.3}"));
                bar.set_position(*step as u64);
            }
            Event::Report(report) if !terminal.shows_bars() => {
                let (step, loss) = (report.step, report.train_loss);
                terminal.say(format_args!(
                    "     {}: step {step}, loss {loss:.3}",
                    training.title
                ));
            }
            _ => {}
        }
        metrics.write(event)
    };
    let mut optimizer = Optimizer::new(options.rule, parameters)?;
    let batches = Batches::shuffled(&dataset.examples, BATCH_SIZE, training.seed);
    let mut steps = batches
        .laid_out(Arrangement::Padded)
        .map(|batch| vec![batch]);
    let stop = || interrupt.is_asked();
    let summary =
        interrupt.awaited_by(|| trainer.run(&mut optimizer, &mut steps, None, &mut observe, &stop));
    bar.finish_and_clear();
    let summary = summary.map_err(Error::from)?;
    let (title, steps, loss) = (training.title, summary.steps, summary.last_loss);
    let n = parameters.n_values();
    terminal.say(format_args!(
        "     {title}: {n} parameters, {steps} steps, loss {loss:.3}"
    ));
    Ok(())
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
