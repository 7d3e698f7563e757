//! A device, and plans run on it and by the interpreter.

use std::io::Write;
use std::sync::Arc;

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, MetalDevice, MetalStorage, Storage, Tensor};
use candle_metal_kernels::metal::Buffer;
use metal_candle_mps::apple::{self, Order};
use metal_candle_mps::interp::Host;
use metal_candle_mps::order::{Litmus, LitmusRounds, Strategy};
use metal_candle_mps::plan::{Plan, Slot, View, scalar};

/// At the end of a test no rule is broken, and nothing is left of what the test made.
pub struct Guard {
    #[cfg(soft_metal)]
    _guard: soft_metal::Guard,
}

impl Guard {
    pub fn new() -> Self {
        apple::release_unused();
        Self {
            #[cfg(soft_metal)]
            _guard: soft_metal::Guard::comparing(),
        }
    }
}

impl Drop for Guard {
    /// The devices of the test are gone by now.
    fn drop(&mut self) {
        apple::release_unused();
    }
}

pub fn metal() -> MetalDevice {
    if let Some(reason) = metal_candle_mps::apple::obstacle(0) {
        leave_out(&reason);
    }
    match Device::new_metal(0).expect("a device") {
        Device::Metal(device) if apple::caps(&device).is_ok_and(|caps| caps.mps) => device,
        Device::Metal(_) => leave_out("MPS does not support this GPU"),
        _ => unreachable!("it was asked for"),
    }
}

/// Ends the process: none of these tests can run here. Not by `eprintln`, which a test that passes keeps to itself.
fn leave_out(reason: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "crates/mps/tests/gpu is left out: {reason}"
    );
    std::process::exit(0)
}

/// A record as the litmus test writes it, so that tests need not run it each time.
pub fn proof(device: &MetalDevice) -> Litmus {
    let key = apple::key(device, Strategy::FenceBridge).expect("a context");
    let rounds = LitmusRounds::new(1, 0);
    Litmus { key, rounds }
}

/// The strategies of this build.
pub const STRATEGIES: &[Strategy] = if cfg!(metal_candle_same_buffer) {
    &[
        Strategy::Blocking,
        Strategy::FenceBridge,
        Strategy::SameBuffer,
    ]
} else {
    &[Strategy::Blocking, Strategy::FenceBridge]
};

pub fn orders(proof: &Litmus) -> Vec<Order> {
    let order = |&strategy| Order {
        strategy,
        litmus: Some(proof.clone()),
    };
    STRATEGIES.iter().map(order).collect()
}

/// A buffer with exactly these bytes.
pub fn upload(device: &MetalDevice, bytes: &[u8]) -> Arc<Buffer> {
    device
        .new_buffer_builder()
        .with_data(bytes)
        .build()
        .expect("a buffer")
}

/// Read through candle, by a copy and a wait of its own.
pub fn download(device: &MetalDevice, buffer: &Arc<Buffer>) -> Vec<u8> {
    let len = buffer.length();
    let storage = MetalStorage::new(buffer.clone(), device.clone(), len, DType::U8);
    let tensor = Tensor::from_storage(Storage::Metal(storage), len, BackpropOp::none(), false);
    tensor.to_vec1().expect("bytes")
}

/// The buffers of all operands that the host has, the result's last.
pub struct Uploaded {
    buffers: Vec<(Slot, Arc<Buffer>)>,
}

impl Uploaded {
    pub fn new(device: &MetalDevice, host: &Host) -> Self {
        let slots = [
            Slot::Left,
            Slot::Right,
            Slot::Source,
            Slot::Addend,
            Slot::Result,
        ];
        let present = slots
            .into_iter()
            .filter_map(|slot| Some((slot, host.bytes(slot)?)));
        let buffers = present.map(|(slot, bytes)| (slot, upload(device, bytes)));
        Self {
            buffers: buffers.collect(),
        }
    }

    pub fn buffers(&self) -> Vec<(Slot, &Buffer)> {
        let buffers = self.buffers.iter();
        buffers.map(|(slot, buffer)| (*slot, &**buffer)).collect()
    }

    pub fn result(&self) -> &Arc<Buffer> {
        &self.buffers.last().expect("the result is the last").1
    }
}

/// Runs the plan on the device; the whole buffer of the result.
pub fn run(device: &MetalDevice, plan: &Plan, host: &Host, order: &Order) -> Vec<u8> {
    let uploaded = Uploaded::new(device, host);
    apple::encode(device, plan, &uploaded.buffers(), order).expect("it can be encoded");
    download(device, uploaded.result())
}

/// By the interpreter; the whole buffer of the result.
pub fn interpret(plan: &Plan, mut host: Host) -> Vec<u8> {
    host.insert(Slot::Zero, vec![0; metal_candle_mps::plan::ZERO_BYTES]);
    host.run(plan).expect("it is in bounds");
    host.remove(Slot::Result).expect("it was inserted")
}

/// The device's answer is the interpreter's: exactly, or to the last place for candle's kernels,
/// which accumulate in float32. Bytes that are no elements of the result are untouched.
pub fn assert_same(plan: &Plan, result: &View, got: &[u8], expected: &[u8], what: &str) {
    let dtype = result.dtype();
    let size = dtype.size_in_bytes();
    for (i, (got, expected)) in got.chunks(size).zip(expected.chunks(size)).enumerate() {
        let [x, y] = [got, expected].map(|bytes| scalar::decode(dtype, bytes));
        let close = !plan.engine().is_mps() && (x - y).abs() <= unit(dtype) * (y.abs() + 1.0);
        assert!(
            // Zeros of both signs are equal.
            got == expected || x == y || close,
            "{what}: element {i}: {x} {y}: {plan:#?}"
        );
    }
}

/// A unit in the last place of 1.
fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        _ => 2f64.powi(-21),
    }
}
