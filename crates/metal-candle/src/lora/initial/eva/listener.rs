use super::pca::Pca;
use crate::lora::{Adapter, Linear, Mode};
use candle_core::{DType, Device, Tensor, TensorId, Var};
use metal_candle_kernels::{Result, linear, upload};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Inputs of layers, by their paths.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Places of the tokens that count in the pass that goes on; `None` where inputs are only told apart.
    pub(super) places: Option<Vec<u32>>,
    /// Inputs of the last pass that told them apart.
    pub(super) inputs: BTreeMap<String, TensorId>,
    /// Components, of one layer for all that share its input.
    pub(super) fits: BTreeMap<String, Pca>,
}

impl Heard {
    /// Takes the input of a layer, `(.., K)`.
    pub(super) fn hear(&mut self, path: &str, x: &Tensor) -> Result<()> {
        let Some(places) = &self.places else {
            self.inputs.insert(path.into(), x.id());
            return Ok(());
        };
        let Some(fit) = self.fits.get_mut(path) else {
            return Ok(());
        };
        let places = upload(places, places.len(), x.device())?;
        let rows = x.detach().flatten_to(x.rank() - 2)?;
        let rows = rows.index_select(&places, 0)?.to_device(&Device::Cpu)?;
        fit.fit(&rows.to_dtype(DType::F64)?)
    }
}

/// A layer as it is, whose inputs are heard.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) path: String,
    pub(super) heard: Arc<Mutex<Heard>>,
}

impl Adapter for Listener {
    fn forward(&self, x: &Tensor, layer: &Linear, _: Mode) -> Result<Tensor> {
        let heard = self.heard.lock();
        heard
            .unwrap_or_else(PoisonError::into_inner)
            .hear(&self.path, x)?;
        linear(x, layer.weight(), layer.bias())
    }

    fn adapt(&self, _: &Tensor, product: &Tensor, _: &Linear) -> Result<Tensor> {
        Ok(product.clone())
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.to_dtype(DType::F32)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        vec![]
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.clone()))
    }
}
