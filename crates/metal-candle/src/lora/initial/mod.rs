//! Initial values of the factors of LoRA, as PEFT's `init_lora_weights` names them: one file for each that begins at a
//! part of the weight, and a folder for the one that begins at the rows.

mod basis;
mod eigen;
mod eva;
mod olora;
mod pissa;
mod vectors;

use super::Placement;
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::{Result, Weight};

pub use eva::{Eva, EvaSearch, EvaStart};

/// Beginning of the factors of LoRA.
///
/// Where they begin as a part `scale * B0 A0` of the weight, that part is taken from what the layer computes: a fresh
/// adapter changes nothing, and the weight stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// `A` random and `B` zero.
    #[default]
    Lora,
    /// `A` the principal components of the layer's inputs over some training rows, and `B` zero (Paischer et al. 2024,
    /// <https://arxiv.org/abs/2410.07170>); [`EvaSearch`] finds them.
    Eva,
    /// The largest singular values of the weight and their vectors (Meng, Wang, Zhang 2024,
    /// <https://arxiv.org/abs/2404.02948>).
    Pissa,
    /// Vectors that so many rounds of subspace iteration find in place of them.
    PissaNiter(usize),
    /// The first columns of `Q` and rows of `R` of the weight's QR decomposition (Büyükakyüz 2024,
    /// <https://arxiv.org/abs/2406.01775>).
    Olora,
}

/// Factors that are a part of a weight, in float64 on the CPU.
pub(super) struct Factors {
    /// `(R, K)`.
    a: Tensor,
    /// `(N, R)`.
    b: Tensor,
    /// Whether their product is the one that the definition gives, whoever computes it.
    is_exact: bool,
}

impl Init {
    /// Initialisation of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "lora" => Some(Self::Lora),
            "eva" => Some(Self::Eva),
            "pissa" => Some(Self::Pissa),
            "olora" => Some(Self::Olora),
            _ => {
                let rounds = name.strip_prefix("pissa_niter_")?.parse().ok()?;
                Some(Self::PissaNiter(rounds))
            }
        }
    }

    /// Name, as PEFT has it; that of the plain one is ours.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Lora => "lora".into(),
            Self::Eva => "eva".into(),
            Self::Pissa => "pissa".into(),
            Self::PissaNiter(rounds) => format!("pissa_niter_{rounds}"),
            Self::Olora => "olora".into(),
        }
    }

    /// Whether factors begin as a part of the weight.
    #[must_use]
    pub fn is_of_weight(self) -> bool {
        !matches!(self, Self::Lora | Self::Eva)
    }

    /// Part of `weight` that the factors at `place` begin as; `None` where they begin without it. An approximation is
    /// fixed by `seed`, and goes further where it `must_be_exact`.
    pub(super) fn factors(
        self,
        weight: &Weight,
        place: &Placement,
        seed: u64,
        must_be_exact: bool,
    ) -> Result<Option<Factors>> {
        let dense = || -> Result<Tensor> {
            let dense = weight.dense()?.detach().to_device(&Device::Cpu)?;
            Ok(dense.to_dtype(DType::F64)?)
        };
        let rounds = match self {
            Self::Lora | Self::Eva => return Ok(None),
            Self::Olora => return olora::factors(&dense()?, place.r).map(Some),
            Self::Pissa if must_be_exact => pissa::EXACT.to_vec(),
            Self::Pissa => pissa::FRESH.to_vec(),
            Self::PissaNiter(rounds) => vec![rounds],
        };
        pissa::factors(&dense()?, place, &rounds, seed).map(Some)
    }
}

impl Factors {
    /// Both in float32, `(R, K)` and `(N, R)`.
    pub(super) fn on(&self, device: &Device) -> Result<[Tensor; 2]> {
        let on = |t: &Tensor| t.to_dtype(DType::F32)?.to_device(device);
        Ok([on(&self.a)?, on(&self.b)?])
    }

    /// Whether every program that computes them comes to the same product.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }
}

#[cfg(test)]
mod tests;
