//! Test of whether a strategy orders candle's passes and MPS on this machine.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, MetalDevice, MetalStorage, Storage, Tensor};

use super::work::Mps;
use super::{Error, context, run};
use crate::order::{Litmus, LitmusRounds, Strategy};
use crate::plan::{Gemm, MatrixMultiplication, NdArrayMultiplication, Slot, View};

/// Effort of a litmus test: how long and how hard it tries.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds with one thread, and as many with four.
    pub rounds: usize,
    /// Rows and columns of the matrices: candle's product of two has to last some milliseconds.
    pub width: usize,
    /// A round that takes longer has failed: something waits for what does not come.
    pub timeout: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            rounds: 200,
            width: 2048,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Tries whether `strategy` orders candle's work and MPS.
///
/// In every round candle multiplies, MPS multiplies that, candle reads the result and overwrites
/// the memory that MPS has read. Values are other ones in every round, and exact in float32. A
/// strategy has passed if every round was right, from one thread and from four.
///
/// # Errors
///
/// Those of [`encode`](super::encode), but for a strategy that is not proven.
pub fn litmus(device: &MetalDevice, strategy: Strategy, effort: &Effort) -> Result<Litmus, Error> {
    // What is compiled at first use, for either class of MPS, is no part of a round.
    for value in [1, 2] {
        round(device, Strategy::Blocking, effort.width, value)?;
    }
    let (mut rounds, mut failures) = (0, 0);
    for threads in [1, 4] {
        rounds += effort.rounds;
        failures += failures_of(device, strategy, effort, threads)?;
    }
    Ok(Litmus {
        key: context::of(device)?.key(strategy),
        rounds: LitmusRounds { rounds, failures },
    })
}

/// How many of the rounds from so many threads were wrong.
fn failures_of(
    device: &MetalDevice,
    strategy: Strategy,
    effort: &Effort,
    threads: usize,
) -> Result<usize, Error> {
    let (sender, receiver) = channel();
    let mut handles = vec![];
    for thread in 0..threads {
        let (device, sender, effort) = (device.clone(), sender.clone(), *effort);
        let values = (thread + 1..=effort.rounds).step_by(threads);
        handles.push(thread::spawn(move || {
            for value in values {
                let outcome = round(&device, strategy, effort.width, value);
                let over = outcome.is_err();
                if sender.send(outcome).is_err() || over {
                    return;
                }
            }
        }));
    }
    drop(sender);
    let mut right = 0;
    for _ in 0..effort.rounds {
        // A thread that waits forever is left to itself.
        let Ok(outcome) = receiver.recv_timeout(effort.timeout) else {
            return Ok(effort.rounds - right);
        };
        right += usize::from(outcome?);
    }
    handles.into_iter().for_each(|handle| drop(handle.join()));
    Ok(effort.rounds - right)
}

/// Whether one round was right.
fn round(
    device: &MetalDevice,
    strategy: Strategy,
    width: usize,
    value: usize,
) -> Result<bool, Error> {
    let ones = Tensor::ones((width, width), DType::F32, &Device::Metal(device.clone()))?;
    let made = ones.affine(value as f64, 0.0)?.matmul(&ones)?;
    let multiplied = multiply(device, strategy, [&made, &ones], value)?;
    drop(made);
    // The pool gives it the memory that MPS has read, and nothing but the order keeps it waiting.
    let overwritten = ones.affine(-1.0, 0.0)?;
    let halved = multiplied.affine(0.5, 0.0)?;
    let values = halved.flatten_all()?.to_vec1::<f32>()?;
    drop(overwritten);
    let expected = (width * width * value) as f32 / 2.0;
    Ok(values.iter().all(|value| *value == expected))
}

/// The product by MPS, by either of its classes in turn.
fn multiply(
    device: &MetalDevice,
    strategy: Strategy,
    operands: [&Tensor; 2],
    value: usize,
) -> Result<Tensor, Error> {
    let width = operands[0].dims()[0];
    let result = device
        .new_buffer_builder()
        .with_size_for(width * width, DType::F32)
        .build()?;
    let [left, right] = operands.map(Tensor::storage_and_layout);
    let (Storage::Metal(left), Storage::Metal(right)) = (&*left.0, &*right.0) else {
        return Err(Error::Resource { what: "tensor" });
    };
    let buffers = [
        (Slot::Left, left.buffer()),
        (Slot::Right, right.buffer()),
        (Slot::Result, &*result),
    ];
    let context = context::of(device)?;
    let bytes = width * width * size_of::<f32>();
    let square = View::new(DType::F32, 0, &[width, width], &[width, 1], bytes)?;
    let gemm = Gemm::new(&square, &square, &square);
    if context.caps.ndarray && value.is_multiple_of(2) {
        let plan = NdArrayMultiplication::plan(&gemm)?;
        run(device, &context, Mps::NdArray(&plan), &buffers, strategy)?;
    } else {
        let plan = MatrixMultiplication::plan(&gemm)?;
        run(device, &context, Mps::Matrix(&plan), &buffers, strategy)?;
    }
    let storage = MetalStorage::new(result, device.clone(), width * width, DType::F32);
    Ok(Tensor::from_storage(
        Storage::Metal(storage),
        (width, width),
        BackpropOp::none(),
        false,
    ))
}
