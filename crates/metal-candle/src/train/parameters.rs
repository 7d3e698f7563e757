use super::{Error, Result};
use crate::lora;
use crate::models::{Model, Segment};
use candle_core::{DType, Var};

/// A tensor that is trained, float32.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in an adapter without PEFT's prefix, or in a checkpoint.
    pub name: String,
    /// The values.
    pub var: Var,
    /// Where it acts.
    pub segment: Segment,
}

/// Everything that is trained, in the model's order.
#[derive(Clone, Debug)]
pub struct Parameters(Vec<Parameter>);

impl Parameters {
    /// The adapters that are attached to `model`.
    #[must_use]
    pub fn adapters(model: &Model) -> Self {
        let parts = model.decoder.parts().into_iter();
        let linears = parts.filter_map(|(segment, part)| Some((segment, part.linear()?)));
        let parameters = linears.flat_map(|(segment, layer)| {
            let named = lora::parameters([(layer.path().to_string(), layer)]).into_iter();
            named.map(move |(name, var)| Parameter { name, var, segment })
        });
        Self(parameters.collect())
    }

    /// All weights of `model`, which become float32 variables.
    ///
    /// # Errors
    /// When a weight is packed, or memory runs out.
    pub fn all_weights(model: &mut Model) -> Result<Self> {
        if let Some((path, _)) = model.decoder.packed().next() {
            let path = path.to_string();
            return Err(Error::Packed { path });
        }
        let mut parameters = vec![];
        for (segment, part) in model.decoder.parts_mut() {
            part.replace(&mut |name, weight| {
                let var = Var::from_tensor(&weight.to_dtype(DType::F32)?)?;
                let name = name.to_string();
                parameters.push(Parameter {
                    name,
                    var: var.clone(),
                    segment,
                });
                Ok::<_, Error>(var.into_inner())
            })?;
        }
        Ok(Self(parameters))
    }

    /// The parameters in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Parameter] {
        &self.0
    }

    /// Names and values, as files hold them.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, Var)> {
        self.0
            .iter()
            .map(|p| (p.name.clone(), p.var.clone()))
            .collect()
    }

    /// Number of values that are trained.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.0.iter().map(|p| p.var.elem_count()).sum()
    }

    /// The first segment with a parameter: below it nothing needs a gradient.
    #[must_use]
    pub fn first_segment(&self) -> Segment {
        self.0
            .iter()
            .map(|p| p.segment)
            .min()
            .unwrap_or(Segment::Head)
    }
}
