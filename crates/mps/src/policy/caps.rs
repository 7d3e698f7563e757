//! Capabilities of a GPU and its system.

use crate::plan::Engine;
use crate::plan::steel::GpuSize;

/// Facts about one device, as the Apple side finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Name of the GPU's architecture, such as `applegpu_g13g`.
    pub architecture: String,
    /// Version of macOS: major and minor.
    pub macos: (u32, u32),
    /// `MPSSupportsMTLDevice`.
    pub mps: bool,
    /// `MPSNDArray` kernels can be put into an encoder of ours (macOS 15).
    pub ndarray: bool,
    /// MPS knows bfloat16 (macOS 14).
    pub bf16: bool,
}

/// Generation of M1.
const G_M1: u32 = 13;
/// Generation of M5, the first with matrix units that only MPS reaches.
const G_M5: u32 = 17;

impl Caps {
    /// Capabilities of the interpreter, which can do everything and resembles no GPU.
    pub fn interpreter() -> Self {
        Self {
            architecture: String::new(),
            macos: (15, 0),
            mps: true,
            ndarray: true,
            bf16: true,
        }
    }

    /// The number in the architecture's name: 13 for M1, 17 for M5.
    pub fn generation(&self) -> Option<u32> {
        let digits = self.architecture.strip_prefix("applegpu_g")?;
        let end = digits.find(|c: char| !c.is_ascii_digit());
        digits[..end.unwrap_or(digits.len())].parse().ok()
    }

    /// Whether there is such an engine.
    pub fn has(&self, engine: Engine) -> bool {
        match engine {
            Engine::Steel | Engine::Gemv => true,
            Engine::NdArray => self.mps && self.ndarray,
            Engine::Matrix => self.mps,
        }
    }

    /// The engine of MPS that policy asks for, but for products that add to their result.
    pub fn mps_engine(&self) -> Engine {
        match self.ndarray {
            true => Engine::NdArray,
            false => Engine::Matrix,
        }
    }

    /// How large the GPU is, for candle's tiles.
    pub fn gpu_size(&self) -> GpuSize {
        GpuSize::of_architecture(&self.architecture)
    }

    /// MPS computes bfloat16 at half the rate of the other types.
    pub(crate) fn emulates_bf16(&self) -> bool {
        self.generation()
            .is_none_or(|generation| generation <= G_M1)
    }

    /// MPS reaches matrix units that candle's kernels leave idle.
    pub(crate) fn has_matrix_units(&self) -> bool {
        self.generation()
            .is_some_and(|generation| generation >= G_M5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_in_the_name() {
        let generation = |name: &str| {
            let mut caps = Caps::interpreter();
            caps.architecture = name.into();
            caps.generation()
        };
        assert_eq!(generation("applegpu_g13g"), Some(13));
        assert_eq!(generation("applegpu_g17s"), Some(17));
        assert_eq!(generation("applegpu_g14"), Some(14));
        assert_eq!(["applegpu_x", "unknown", ""].map(generation), [None; 3]);
    }
}
