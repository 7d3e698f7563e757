//! Compiled kernels, kept for as long as the process lives.

use candle_core::{DType, MetalDevice, Result};
use candle_metal_kernels::metal::{ComputePipeline, Device, Library};
use objc2_metal::{MTLCompileOptions, MTLLanguageVersion};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The kernels of one operation, or what they read a matrix with.
#[derive(Debug)]
pub(crate) struct Source {
    /// Name of the operation, or of the matrix's format.
    pub(crate) name: &'static str,
    /// Metal Shading Language, without the prelude.
    pub(crate) text: &'static str,
}

/// Names of types that a source leaves open, and what they stand for.
pub(crate) type Types = [(&'static str, DType)];

/// Types and sources of a library at most.
pub(super) const MOST_TYPES: usize = 6;
const MOST_SOURCES: usize = 3;

/// Sources and types that a library is compiled of.
#[derive(Clone, Copy)]
pub(crate) struct Program<'a> {
    /// Sources in their order behind the prelude.
    pub(crate) sources: &'a [&'a Source],
    pub(crate) types: &'a Types,
    /// A whole number that the sources leave open, by its name.
    pub(crate) number: Option<(&'static str, u32)>,
}

const PRELUDE: &str = include_str!("prelude.metal");

/// A GPU, and what tells libraries apart. It is looked up for every launch and holds no memory of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    gpu: u64,
    sources: [&'static str; MOST_SOURCES],
    types: [Option<DType>; MOST_TYPES],
    number: u32,
}

#[derive(Default)]
struct Cache {
    libraries: HashMap<Key, Library>,
    pipelines: HashMap<(Key, &'static str), ComputePipeline>,
}

/// Launches read it, any number of them at a time.
static CACHE: RwLock<Option<Cache>> = RwLock::new(None);

/// Lets go of all compiled kernels, and of what crates/mps keeps for devices that are gone.
pub(crate) fn release() {
    metal_candle_mps::apple::release_unused();
    *CACHE.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The kernel of this name, compiled where that has not happened yet.
pub(super) fn pipeline(
    device: &MetalDevice,
    program: Program<'_>,
    kernel: &'static str,
) -> Result<ComputePipeline> {
    let entry = (program.key(device.registry_id())?, kernel);
    let known = CACHE.read().unwrap_or_else(PoisonError::into_inner);
    let pipeline = known.as_ref().and_then(|cache| cache.pipelines.get(&entry));
    if let Some(pipeline) = pipeline {
        return Ok(pipeline.clone());
    }
    drop(known);
    let mut cache = CACHE.write().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    let library = match cache.libraries.get(&entry.0) {
        Some(library) => library.clone(),
        None => compile(device.device(), &program.text()?)?,
    };
    let function = library.get_function(kernel, None);
    let pipeline = function.and_then(|f| device.new_compute_pipeline_state_with_function(&f));
    let pipeline = pipeline.map_err(candle_core::Error::wrap)?;
    cache.libraries.insert(entry.0, library);
    cache.pipelines.insert(entry, pipeline.clone());
    Ok(pipeline)
}

impl Program<'_> {
    /// A source always has the same names for its types, so that these need not be told apart.
    fn key(&self, gpu: u64) -> Result<Key> {
        let Self {
            sources,
            types,
            number,
        } = self;
        if sources.len() > MOST_SOURCES || types.len() > MOST_TYPES {
            candle_core::bail!(
                "a Metal library of {} sources and {} types, at most {MOST_SOURCES} and {MOST_TYPES}",
                sources.len(),
                types.len()
            );
        }
        Ok(Key {
            gpu,
            sources: std::array::from_fn(|i| sources.get(i).map_or("", |source| source.name)),
            types: std::array::from_fn(|i| types.get(i).map(|(_, dtype)| *dtype)),
            number: number.map_or(0, |(_, value)| value),
        })
    }

    fn text(&self) -> Result<String> {
        let types = self.types.iter().map(|(name, dtype)| {
            let metal = type_name(*dtype)?;
            Ok(format!("typedef {metal} {name};\n"))
        });
        // After the prelude: headers of the standard library use such names themselves.
        let mut text = PRELUDE.to_owned() + &types.collect::<Result<String>>()?;
        if let Some((name, value)) = self.number {
            text += &format!("constant constexpr uint {name} = {value};\n");
        }
        text.extend(self.sources.iter().map(|source| source.text));
        Ok(text)
    }
}

fn compile(device: &Device, text: &str) -> Result<Library> {
    let options = MTLCompileOptions::new();
    // Newer systems call it a math mode, and still take this.
    #[allow(deprecated)]
    options.setFastMathEnabled(false);
    // The first that has bfloat. Left open, it would be the newest that a system knows, which no test has seen.
    options.setLanguageVersion(MTLLanguageVersion::Version3_1);
    let library = device.new_library_with_source(text, Some(&options));
    library.map_err(candle_core::Error::wrap)
}

/// Compiles a text as those of kernels are, by the first GPU of the system.
///
/// # Errors
/// What the compiler says, or that there is no GPU.
#[cfg(feature = "testkit")]
pub fn compile_msl(text: &str) -> Result<()> {
    let Some(device) = Device::system_default() else {
        candle_core::bail!("no GPU, and so no compiler for it");
    };
    compile(&device, text).map(drop)
}

fn type_name(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F32 => Ok("float"),
        DType::F16 => Ok("half"),
        DType::BF16 => Ok("bfloat"),
        DType::U32 => Ok("uint"),
        DType::U8 => Ok("uchar"),
        other => candle_core::bail!("no Metal kernel computes with {other:?}"),
    }
}
