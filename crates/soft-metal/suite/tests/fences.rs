//! Fences between passes of different queues.

mod common;

use common::*;
use objc2_metal::*;
use soft_metal::Guard;

const SLOW: &str = "kernel void slow(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
    uint i [[thread_position_in_grid]]) { float sum = 0; for (int n = 0; n < 20000; n++) sum = sum * 0.5f + x[i]; \
    y[i] = sum > 1e9f ? 0 : x[i] + 1; }";

/// Copies with one more in every element, in a pass between two fences.
fn add_one(
    commands: &Commands,
    pipeline: &Pipeline,
    [x, y]: [&Buffer; 2],
    [wait, update]: [Option<&objc2::runtime::ProtocolObject<dyn MTLFence>>; 2],
) {
    let e = commands.computeCommandEncoder().expect("an encoder");
    wait.inspect(|fence| e.waitForFence(fence));
    dispatch_in(&e, pipeline, &[x, y], 64, 64);
    update.inspect(|fence| e.updateFence(fence));
    e.endEncoding();
}

/// There and back, many times: a wait takes effect although the queue of the waiting pass is idle.
#[test]
fn a_fence_orders_passes_of_two_queues() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let other = gpu.device.newCommandQueue().expect("a queue");
    let pipeline = gpu.pipeline(SLOW, "slow");
    for _ in 0..20 {
        let [a, b, c, d] = [1f32, 0.0, 0.0, 0.0].map(|x| gpu.untracked(&[x; 64]));
        let [there, back] = [0; 2].map(|_| gpu.device.newFence().expect("a fence"));
        let (first, second, third) = (gpu.commands(), other.commandBuffer().expect("commands"), gpu.commands());
        add_one(&first, &pipeline, [&a, &b], [None, Some(&there)]);
        add_one(&second, &pipeline, [&b, &c], [Some(&there), Some(&back)]);
        add_one(&third, &pipeline, [&c, &d], [Some(&back), None]);
        [&first, &second, &third].into_iter().for_each(|commands| commands.commit());
        third.waitUntilCompleted();
        assert_eq!(read::<f32>(&d, 64), [4.0; 64]);
    }
}

/// A wait is for what was committed before it, so a fence that is updated later orders nothing.
#[test]
fn a_fence_updated_later_orders_nothing() {
    let gpu = Gpu::new();
    let other = gpu.device.newCommandQueue().expect("a queue");
    let pipeline = gpu.pipeline(SLOW, "slow");
    let [a, b, c] = [1f32, 0.0, 0.0].map(|x| gpu.untracked(&[x; 64]));
    let fence = gpu.device.newFence().expect("a fence");
    let (first, second) = (gpu.commands(), other.commandBuffer().expect("commands"));
    add_one(&first, &pipeline, [&a, &b], [None, Some(&fence)]);
    add_one(&second, &pipeline, [&b, &c], [Some(&fence), None]);
    second.commit();
    first.commit();
    [&first, &second].into_iter().for_each(|commands| commands.waitUntilCompleted());
    let found = soft_metal::take_violations();
    assert!(!found.is_empty(), "the second pass may run before the first, or beside it");
}
