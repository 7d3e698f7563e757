use super::order::at_least_one;
use super::{Result, Settings};
use crate::data::{Batches, Split, Splits, TrainedPlaces};
use crate::language_model::Adapted;
use crate::lora::LoraConfig;
use crate::models::Model;
use crate::train::EvaProgress;
use std::time::Instant;

/// Search for the beginning of an adapter that has ended ([`crate::lora::Init::Eva`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvaReport {
    /// Batches that were looked at, and layers whose components had settled.
    pub progress: EvaProgress,
    /// Layers that have an adapter.
    pub layers: usize,
    /// Lowest and highest rank of a layer.
    pub ranks: (usize, usize),
    /// Time that it took.
    pub secs: f64,
}

/// Fresh adapters of these settings, which begin with the first batches of the rows in an order that the run's seed gives, each
/// row in one of them.
pub(super) fn begin(
    settings: &Settings,
    model: &Model,
    config: LoraConfig,
    splits: &Splits,
    observe: &mut dyn FnMut(EvaProgress),
) -> Result<(Adapted, EvaReport)> {
    let start = Instant::now();
    let (options, arrangement) = (&settings.options, settings.rows.arrangement);
    let examples = &splits.require(Split::Train)?.examples;
    let batches = Batches::shuffled(examples, at_least_one(options.batch_size), options.seed);
    let epoch = batches.n_batches();
    let batches = batches.take(epoch);
    let batches = batches.map(|rows| TrainedPlaces::new(arrangement, &rows));
    let begun = Adapted::eva(model, config, batches, options.seed, observe);
    // The reason why rows ended early is told before what came of it.
    examples.check()?;
    let (adapted, progress) = begun?;
    tell_unsettled(progress);
    let placements = adapted.plan.placements.iter();
    let ranks = placements.filter(|place| place.method.has_rank());
    let ranks = ranks.map(|place| place.r);
    let report = EvaReport {
        progress,
        layers: ranks.clone().count(),
        ranks: (ranks.clone().min().unwrap_or(0), ranks.max().unwrap_or(0)),
        secs: start.elapsed().as_secs_f64(),
    };
    Ok((adapted, report))
}

fn tell_unsettled(progress: EvaProgress) {
    let EvaProgress {
        batches,
        settled,
        layers,
    } = progress;
    if settled < layers {
        tracing::info!(
            "eva: after {batches} batches the components of {} of {layers} layers still move",
            layers - settled
        );
    }
}
