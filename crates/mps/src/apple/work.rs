//! MPS work, from a plan to the objects that it is encoded with.

use candle_core::MetalDevice;
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLCommandBuffer, MTLComputeCommandEncoder};

use super::context::Context;
use super::{Buffers, Error, matrix, ndarray, softmax};
use crate::order::Call;
use crate::plan::{Engine, MatrixMultiplication, MatrixSoftMax, NdArrayMultiplication};

pub type Commands = ProtocolObject<dyn MTLCommandBuffer>;
pub type Encoder = ProtocolObject<dyn MTLComputeCommandEncoder>;

/// A plan for MPS.
#[derive(Debug, Clone, Copy)]
pub enum Mps<'a> {
    NdArray(&'a NdArrayMultiplication),
    Matrix(&'a MatrixMultiplication),
    SoftMax(&'a MatrixSoftMax),
}

/// A plan with all of its objects.
pub struct Work<'a> {
    pub call: Call,
    /// Number of calls.
    pub calls: usize,
    /// Encodes the call with this index.
    pub encode: Box<dyn Fn(usize, Target<'_>) + 'a>,
}

/// Target that MPS encodes to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub commands: &'a Commands,
    /// The open encoder of ours, for [`Call::InOurEncoder`].
    pub encoder: Option<&'a Encoder>,
}

impl<'a> Mps<'a> {
    /// Makes every object that the plan needs.
    pub fn prepare(
        self,
        device: &MetalDevice,
        context: &'a Context,
        buffers: &Buffers<'_>,
    ) -> Result<Work<'a>, Error> {
        let engine = match self {
            Self::NdArray(_) => Engine::NdArray,
            Self::Matrix(_) | Self::SoftMax(_) => Engine::Matrix,
        };
        if !context.caps.has(engine) {
            return Err(Error::Unsupported { engine });
        }
        match self {
            Self::NdArray(plan) => ndarray::prepare(device, context, plan, buffers),
            Self::Matrix(plan) => matrix::prepare(device, context, plan, buffers),
            Self::SoftMax(plan) => softmax::prepare(device, context, plan, buffers),
        }
    }
}
