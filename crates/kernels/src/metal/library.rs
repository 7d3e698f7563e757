//! Compiled kernels, kept for as long as the process lives.

use candle_core::{DType, MetalDevice, Result};
use candle_metal_kernels::metal::{ComputePipeline, Library};
use objc2_metal::MTLCompileOptions;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The kernels of one operation.
pub(crate) struct Source {
    /// Name of the operation.
    pub(crate) name: &'static str,
    /// Metal Shading Language, without the prelude.
    pub(crate) text: &'static str,
}

/// Names of types that a source leaves open, and what they stand for.
pub(crate) type Types = [(&'static str, DType)];

const PRELUDE: &str = include_str!("prelude.metal");

/// A GPU, an operation, its types.
type Key = (u64, &'static str, Vec<(&'static str, DType)>);

#[derive(Default)]
struct Cache {
    libraries: HashMap<Key, Library>,
    pipelines: HashMap<(Key, &'static str), ComputePipeline>,
}

static CACHE: Mutex<Option<Cache>> = Mutex::new(None);

/// Lets go of all compiled kernels, and of what crates/mps keeps for devices that are gone.
pub(crate) fn release() {
    metal_candle_mps::apple::release_unused();
    *CACHE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The kernel of this name, compiled where that has not happened yet.
pub(super) fn pipeline(
    device: &MetalDevice,
    source: &Source,
    types: &Types,
    kernel: &'static str,
) -> Result<ComputePipeline> {
    let key: Key = (device.registry_id(), source.name, types.to_vec());
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    let entry = (key, kernel);
    if let Some(pipeline) = cache.pipelines.get(&entry) {
        return Ok(pipeline.clone());
    }
    let library = match cache.libraries.get(&entry.0) {
        Some(library) => library.clone(),
        None => compile(device, source, types)?,
    };
    let function = library.get_function(kernel, None);
    let pipeline = function.and_then(|f| device.new_compute_pipeline_state_with_function(&f));
    let pipeline = pipeline.map_err(candle_core::Error::wrap)?;
    cache.libraries.insert(entry.0.clone(), library);
    cache.pipelines.insert(entry, pipeline.clone());
    Ok(pipeline)
}

fn compile(device: &MetalDevice, source: &Source, types: &Types) -> Result<Library> {
    let types = types.iter().map(|(name, dtype)| {
        let metal = type_name(*dtype)?;
        Ok(format!("typedef {metal} {name};\n"))
    });
    // After the prelude: headers of the standard library use such names themselves.
    let text = PRELUDE.to_owned() + &types.collect::<Result<String>>()? + source.text;
    let options = MTLCompileOptions::new();
    // Newer systems call it a math mode, and still take this.
    #[allow(deprecated)]
    options.setFastMathEnabled(false);
    let library = device.new_library_with_source(&text, Some(&options));
    library.map_err(candle_core::Error::wrap)
}

fn type_name(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F32 => Ok("float"),
        DType::F16 => Ok("half"),
        DType::BF16 => Ok("bfloat"),
        other => candle_core::bail!("no Metal kernel computes in {other:?}"),
    }
}
