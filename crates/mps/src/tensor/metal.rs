//! Plans on an Apple GPU.

use candle_core::backend::BackendStorage;
use candle_core::{DType, MetalStorage};

use super::Result;
use super::operand::Backend;
use crate::apple::{self, measurements};
use crate::plan::{MatrixSoftMax, Plan, Slot};
use crate::policy::Policy;

impl Backend for MetalStorage {
    fn policy(&self) -> Result<Policy> {
        Ok(measurements::policy(self.device())?)
    }

    fn buffer_len_bytes(&self) -> usize {
        self.buffer().length()
    }

    fn allocate(&self, count: usize, room: usize, dtype: DType) -> Result<Self> {
        let device = self.device();
        let bytes = (count + room) * dtype.size_in_bytes();
        let buffer = apple::memory::result(device, bytes)?;
        Ok(Self::new(buffer, device.clone(), count, dtype))
    }

    fn run(plan: &Plan, operands: &[(Slot, &Self)], result: Self) -> Result<Self> {
        let read = operands
            .iter()
            .map(|(slot, storage)| (*slot, storage.buffer()));
        let buffers: Vec<_> = read.chain([(Slot::Result, result.buffer())]).collect();
        let device = result.device();
        let order = match plan {
            Plan::NdArray(_) | Plan::Matrix(_) => measurements::order(device),
            Plan::Steel(_) | Plan::Gemv(_) => apple::Order::BLOCKING,
        };
        apple::encode(device, plan, &buffers, &order)?;
        Ok(result)
    }

    fn soft_max(plan: &MatrixSoftMax, source: &Self, result: Self) -> Result<Self> {
        let buffers = [
            (Slot::Source, source.buffer()),
            (Slot::Result, result.buffer()),
        ];
        let device = result.device();
        apple::encode_softmax(device, plan, &buffers, &measurements::order(device))?;
        Ok(result)
    }
}
