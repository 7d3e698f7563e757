use super::{Network, Result};
use crate::data::TrainedPlaces;
use crate::device::{finish, round};
use crate::lora::{AdapterSet, Context, EvaSearch, HEAD};
use std::sync::Arc;

/// State of a search for the beginning of an adapter ([`EvaSearch`]), after a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaProgress {
    /// Batches so far.
    pub batches: usize,
    /// Layers whose components have settled.
    pub settled: usize,
    /// Layers.
    pub layers: usize,
}

/// Passes of `network` over `batches`, in which `search` hears the inputs of its layers at the tokens that are trained:
/// until all components have settled, the batches end, or there were as many as the search's settings allow. `observe` is
/// told every batch.
///
/// # Errors
/// When a token is out of range, a sequence is too long for the model, more components are wanted than an input is wide,
/// memory runs out, or the device failed.
pub fn eva(
    network: &impl Network,
    search: &mut EvaSearch,
    batches: impl IntoIterator<Item = TrainedPlaces>,
    observe: &mut dyn FnMut(EvaProgress),
) -> Result<EvaProgress> {
    let mut progress = EvaProgress::default();
    for batch in batches.into_iter().take(search.max_batches()) {
        if progress.batches == 0 {
            pass(
                network,
                search,
                &batch.first_token(),
                search.telling_apart(),
            )?;
            search.share()?;
        }
        let Some(listeners) = search.listening(&batch.places) else {
            break;
        };
        round(|| pass(network, search, &batch, listeners))?;
        search.settle()?;
        let (settled, layers) = search.n_settled();
        progress = EvaProgress {
            batches: progress.batches + 1,
            settled,
            layers,
        };
        observe(progress);
    }
    Ok(progress)
}

/// One pass, up to the input of the output head where that is heard.
fn pass(
    network: &impl Network,
    search: &EvaSearch,
    batch: &TrainedPlaces,
    listeners: Arc<AdapterSet>,
) -> Result<()> {
    let hears_head = listeners.get(HEAD).is_some();
    let context = Context::inference(Some(listeners));
    let pass = network.pass(&batch.layout, &context)?;
    let mut x = network.embed(&batch.tokens, &batch.layout, &context)?;
    for index in 0..network.n_blocks() {
        x = network.block(index, &x.detach(), &pass)?;
    }
    if hears_head {
        search.hear(HEAD, &network.final_norm(&x.detach())?)?;
    }
    Ok(finish(network.device())?)
}
