//! Training: from batches to an adapter or a checkpoint.
//!
//! One step walks a batch forward through embedding, blocks and head, and backward again block by
//! block ([`step`](mod@step)); gradients are summed over micro-batches, clipped by their global norm and
//! applied by an [`Optimizer`]. Losses and gradients are sums over tokens until the very end, so that any
//! split of a batch into micro-batches gives the same step.

mod best;
mod checkpoint;
mod error;
mod eva;
mod evaluate;
mod event;
mod gradient_noise;
mod gradients;
mod head;
mod last_good;
pub mod memory;
mod metrics;
mod neftune;
mod network;
mod objective;
mod optimizer;
mod options;
mod output;
mod parameters;
mod preference;
mod reduce;
mod resume;
mod run;
mod run_folder;
mod saves;
mod schedule;
pub mod step;
mod trainer;

pub use best::{Best, EarlyStopping};
pub use error::{Error, Result};
pub use eva::{EvaProgress, eva};
pub use evaluate::{Evaluation, evaluate};
pub use event::{Event, Report, Validation};
pub use gradients::Gradients;
pub use head::rows_of_logits;
pub use metrics::MetricsFile;
pub use network::Network;
pub use objective::Objective;
pub use optimizer::{Adafactor, Adam, Adam8bit, Muon, Optimizer, Rule, Sgd};
pub use options::{Options, Weighting};
pub use output::{Output, OwnTokenizer};
pub use parameters::{Parameter, Parameters};
pub use preference::{
    Completion, Dpo, DpoLoss, Orpo, PairLoss, PairMetrics, Preference, ScoredPair,
};
pub use reduce::Reduce;
pub use resume::Resume;
pub use run_folder::{RunFolder, Start};
pub use saves::Saves;
pub use schedule::{Decay, Schedule, Warmup};
pub use trainer::{Ending, EvaluationBatches, Summary, Trainer};
