//! Plans on an Apple GPU.

use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalStorage};

use super::Result;
use super::backend::{Backend, Rows};
use super::held::Prepared;
use super::view::view;
use crate::apple::{self, Buffers, measurements};
use crate::plan::{MatrixSoftMax, Plan, Slot, View};
use crate::policy::Policy;

impl Backend for MetalStorage {
    fn policy(&self) -> Result<Policy> {
        Ok(measurements::policy(self.device())?)
    }

    fn view(&self, layout: &Layout) -> Result<View> {
        view(self.dtype(), layout, self.buffer().length())
    }

    fn allocate(&self, count: usize, room: usize, dtype: DType) -> Result<Self> {
        let device = self.device();
        let builder = device
            .new_buffer_builder()
            .with_size_for(count + room, dtype);
        let buffer = builder.with_label("mps").build()?;
        Ok(Self::new(buffer, device.clone(), count, dtype))
    }

    fn run(plan: &Plan, prepared: Prepared<'_, Self>) -> Result<Self> {
        let mut buffers = Buffers {
            result: Some(prepared.result.buffer()),
            ..Buffers::default()
        };
        for (slot, storage) in prepared.read() {
            let place = match slot {
                Slot::Left => &mut buffers.left,
                Slot::Right => &mut buffers.right,
                _ => &mut buffers.addend,
            };
            *place = Some(storage.buffer());
        }
        let device = prepared.result.device();
        measurements::with_order(device, |order| apple::encode(device, plan, &buffers, order))?;
        Ok(prepared.result)
    }

    fn run_soft_max(plan: &MatrixSoftMax, rows: Rows<'_, Self>) -> Result<Self> {
        let buffers = Buffers::rows(rows.source.buffer(), rows.result.buffer());
        let device = rows.result.device();
        measurements::with_order(device, |order| {
            apple::encode_softmax(device, plan, &buffers, order)
        })?;
        Ok(rows.result)
    }
}
