//! Adapters as llama.cpp reads them (`ggml-org/llama.cpp`, `convert_lora_to_gguf.py`,
//! `src/llama-adapter.cpp`): a GGUF file with a pair of tensors for each layer, named and laid out as the
//! model's own. The update of a layer is multiplied by `alpha` over the rank that its tensors have.

use super::common::Common;
use super::{Inexpressible, Portable};
use crate::gguf::{DataType, TensorSource, Writer};
use crate::lora::{Error, Kind, Method, Placement};
use candle_core::{Result, Tensor};
use std::path::Path;

/// Matrices of a model as llama.cpp has them.
pub trait Matrices {
    /// Name of the family; `None` where it has no such one.
    fn architecture(&self) -> Option<&str>;

    /// Name of the family as its configuration has it.
    fn model_type(&self) -> &str;

    /// Name in a file of the matrix of the layer at `path`.
    fn name(&self, path: &str) -> Option<String>;

    /// Rows `(N, R)` of the layer at `path` in the order of the file.
    ///
    /// # Errors
    /// When memory runs out.
    fn rows(&self, path: &str, rows: &Tensor) -> Result<Tensor>;
}

const TOOL: &str = "llama.cpp";

/// Writes a file that llama.cpp loads, whole or not at all. Strengths that differ by powers of two go into
/// `B`.
///
/// # Errors
/// When llama.cpp has no way to say what the adapter is: everything of it is listed. When the file cannot
/// be written.
pub fn write(
    path: &Path,
    adapter: &Portable,
    model: &dyn Matrices,
) -> std::result::Result<(), Error> {
    if model.architecture().is_none() {
        let model_type = model.model_type().into();
        let reasons = vec![Inexpressible::Architecture { model_type }];
        return Err(Error::Inexpressible {
            tool: TOOL,
            reasons,
        });
    }
    let places: Vec<&Placement> = adapter.plan.placements.iter().collect();
    let reasons = places
        .iter()
        .filter_map(|place| reason(place, adapter, model));
    let mut reasons: Vec<Inexpressible> = reasons.collect();
    let alpha = Common::new(&places, |place| place.scale * place.r as f64);
    let alpha = alpha.map_err(|more| reasons.extend(more));
    let (true, Ok(alpha)) = (reasons.is_empty(), alpha) else {
        return Err(Error::Inexpressible {
            tool: TOOL,
            reasons,
        });
    };
    let mut file = Writer::default();
    file.text(
        "general.architecture",
        model.architecture().unwrap_or_default(),
    );
    file.text("general.type", "adapter");
    file.text("adapter.type", "lora");
    file.f32("adapter.lora.alpha", alpha.factor as f32);
    for place in places {
        for (end, value) in pair(place, adapter, &alpha, model)? {
            let name = model.name(&place.path).unwrap_or_default();
            file.tensor(source(format!("{name}.{end}"), &value)?);
        }
    }
    Ok(file.write(path)?)
}

fn reason(place: &Placement, adapter: &Portable, model: &dyn Matrices) -> Option<Inexpressible> {
    let path = place.path.clone();
    let is_tied = adapter.base.is_none_or(|base| base.is_tied);
    match (place.method, place.kind) {
        (Method::Whole, _) => Some(Inexpressible::Whole { path }),
        (Method::Tokens, _) => Some(Inexpressible::Tokens { path }),
        (method, _) if method != Method::Lora => Some(Inexpressible::Method {
            path,
            method: method.name(),
        }),
        _ if is_end(place) && is_tied => Some(Inexpressible::TiedEnd { path }),
        _ if model.name(&path).is_none() => Some(Inexpressible::Nameless { path }),
        _ => None,
    }
}

fn is_end(place: &Placement) -> bool {
    super::layers::block(&place.path).is_none()
}

/// Both factors of a layer, `(R, K)` and `(N, R)`; `A` of an embedding lies across, `(V, R)`.
fn pair(
    place: &Placement,
    adapter: &Portable,
    alpha: &Common,
    model: &dyn Matrices,
) -> std::result::Result<[(&'static str, Tensor); 2], Error> {
    let value = |name: &str| {
        let name = format!("{}.{name}", place.path);
        let found = adapter.values.iter().find(|(known, _)| *known == name);
        let path = place.path.clone();
        found.map(|(_, value)| value).ok_or(Error::NoLayer { path })
    };
    let (a, b) = match place.kind {
        Kind::Linear => (value("lora_A.weight")?.clone(), value("lora_B.weight")?),
        Kind::Embedding => {
            let a = value("lora_embedding_A")?.t()?.contiguous()?;
            (a, value("lora_embedding_B")?)
        }
    };
    let b = model.rows(&place.path, &alpha.with_rest(b, place)?)?;
    Ok([("lora_a", a), ("lora_b", b)])
}

fn source(name: String, value: &Tensor) -> Result<TensorSource<'static>> {
    let shape = value.dims().to_vec();
    let values = value.flatten_all()?.to_vec1::<f32>()?;
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Ok(TensorSource {
        name,
        shape,
        data_type: DataType::F32,
        bytes: Box::new(move || Ok(bytes)),
    })
}
