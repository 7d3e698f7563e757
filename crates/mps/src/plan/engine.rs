//! The engines, and a plan for any of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GemvPlan, MatrixMultiplication, NdArrayMultiplication, SteelPlan};

/// Engine that computes a product on an Apple GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Engine {
    /// The GEMM of candle-metal-kernels, in candle's own encoder.
    Steel,
    /// The matrix-vector products of candle-metal-kernels, in candle's own encoder.
    Gemv,
    /// `MPSNDArrayMatrixMultiplication`.
    #[serde(rename = "MPSNDArray")]
    NdArray,
    /// `MPSMatrixMultiplication`.
    #[serde(rename = "MPSMatrix")]
    Matrix,
}

impl Engine {
    /// `true` for the engines of Metal Performance Shaders, which candle's encoder does not order.
    pub const fn is_mps(self) -> bool {
        matches!(self, Self::NdArray | Self::Matrix)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steel => "Steel",
            Self::Gemv => "gemv",
            Self::NdArray => "MPSNDArray",
            Self::Matrix => "MPSMatrix",
        })
    }
}

/// A product for one engine, ready to be encoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// For [`Engine::Steel`].
    Steel(SteelPlan),
    /// For [`Engine::Gemv`].
    Gemv(GemvPlan),
    /// For [`Engine::NdArray`].
    NdArray(NdArrayMultiplication),
    /// For [`Engine::Matrix`].
    Matrix(MatrixMultiplication),
}

impl Plan {
    /// The engine that it is for.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Steel(_) => Engine::Steel,
            Self::Gemv(_) => Engine::Gemv,
            Self::NdArray(_) => Engine::NdArray,
            Self::Matrix(_) => Engine::Matrix,
        }
    }
}
