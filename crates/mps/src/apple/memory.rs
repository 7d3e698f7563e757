//! Buffers of ours, which are used again ([`crate::memory`]), and what the host reads and writes in them.
//!
//! candle's own pool is emptied at every wait, and its sizes are powers of two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, MetalDevice, WithDType};
use candle_metal_kernels::metal::Buffer;
use objc2_metal::MTLResourceOptions;

use super::{Error, context};
use crate::memory::{Stock, buffer_bytes};

/// Buffers of a device.
#[derive(Debug, Default)]
pub struct Memory {
    /// Buffers of the GPU alone.
    private: Mutex<Stock<Buffer>>,
    /// Buffers that the host reads and writes.
    shared: Mutex<Stock<Buffer>>,
}

const SHARED: MTLResourceOptions = MTLResourceOptions(
    MTLResourceOptions::StorageModeShared.0 | MTLResourceOptions::HazardTrackingModeUntracked.0,
);

/// Memory of at least so many bytes for a result, not written yet. It serves again when nothing holds it any more.
///
/// # Errors
///
/// When memory runs out.
pub fn result(device: &MetalDevice, bytes: usize) -> Result<Arc<Buffer>, Error> {
    let context = context::of(device)?;
    let mut stock = lock(&context.memory.private);
    if let Some(buffer) = stock.take(bytes) {
        return Ok(buffer);
    }
    give_up(device, &stock.make_room(bytes));
    let buffer = device.new_private_buffer(buffer_bytes(bytes), DType::U8, "")?;
    stock.add(bytes, &buffer);
    Ok(buffer)
}

/// Memory for so many numbers that [`read`] reads, not written yet.
///
/// # Errors
///
/// When memory runs out.
pub fn readable<T: WithDType>(device: &MetalDevice, count: usize) -> Result<Arc<Buffer>, Error> {
    shared(device, count * size_of::<T>(), Stock::take)
}

/// Numbers in memory that both sides read.
///
/// # Errors
///
/// When memory runs out.
pub fn upload<T: WithDType>(device: &MetalDevice, numbers: &[T]) -> Result<Arc<Buffer>, Error> {
    let buffer = shared(device, size_of_val(numbers), Stock::take_settled)?;
    let to = buffer.contents().cast::<T>();
    // SAFETY: the buffer is in memory of the host, as long as asked for, and begins at a page. The GPU is done with it, and
    // nothing else refers to it: it is new, or settled.
    unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, numbers.len()) };
    Ok(buffer)
}

/// Waits for everything that was encoded before, and reads what it left in memory that [`readable`] gave.
///
/// # Errors
///
/// As [`sync`](super::sync); [`Error::Short`] for a buffer of fewer numbers.
pub fn read<T: WithDType>(
    device: &MetalDevice,
    buffer: &Buffer,
    count: usize,
) -> Result<Vec<T>, Error> {
    wait(device)?;
    let needed = count * size_of::<T>();
    if buffer.length() < needed {
        let slot = crate::plan::Slot::Result;
        let (needed, len) = (needed, buffer.length());
        return Err(Error::Short { slot, needed, len });
    }
    // SAFETY: the buffer is in memory of the host, long enough, and begins at a page; every bit pattern is a number. The GPU
    // has done all that it was given.
    let numbers = unsafe { std::slice::from_raw_parts(buffer.contents().cast::<T>(), count) };
    Ok(numbers.to_vec())
}

/// Waits for everything that was encoded before.
pub(super) fn wait(device: &MetalDevice) -> Result<(), Error> {
    let Some(context) = context::existing(device) else {
        return Ok(device.flush_and_wait_current()?);
    };
    let stocks = [&context.memory.private, &context.memory.shared];
    let numbers = stocks.map(|stock| lock(stock).waiting());
    device.flush_and_wait_current()?;
    for (stock, number) in stocks.into_iter().zip(numbers) {
        give_up(device, &lock(stock).waited(number));
    }
    Ok(())
}

type Take = fn(&mut Stock<Buffer>, usize) -> Option<Arc<Buffer>>;

fn shared(device: &MetalDevice, bytes: usize, take: Take) -> Result<Arc<Buffer>, Error> {
    let context = context::of(device)?;
    let mut stock = lock(&context.memory.shared);
    if let Some(buffer) = take(&mut stock, bytes) {
        return Ok(buffer);
    }
    give_up(device, &stock.make_room(bytes));
    let buffer = device.device().new_buffer(buffer_bytes(bytes), SHARED)?;
    device.register_buffers([&buffer]);
    let buffer = Arc::new(buffer);
    stock.add(bytes, &buffer);
    Ok(buffer)
}

/// The GPU is done with these.
fn give_up(device: &MetalDevice, buffers: &[Arc<Buffer>]) {
    device.unregister_buffers(buffers.iter().map(|buffer| &**buffer));
}

fn lock(stock: &Mutex<Stock<Buffer>>) -> MutexGuard<'_, Stock<Buffer>> {
    stock.lock().unwrap_or_else(PoisonError::into_inner)
}
