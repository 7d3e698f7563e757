//! The engines, and a plan for any of them.

use std::fmt;

use super::{GemvPlan, MatrixMultiplication, NdArrayMatrixMultiplication, SteelPlan};

/// Engine that computes a product on an Apple GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The GEMM of candle-metal-kernels, in candle's own encoder.
    Steel,
    /// The matrix-vector products of candle-metal-kernels, in candle's own encoder.
    Gemv,
    /// `MPSNDArrayMatrixMultiplication`.
    NdArray,
    /// `MPSMatrixMultiplication`.
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
    NdArray(NdArrayMatrixMultiplication),
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
