//! Every rule, broken once: by a call that panics, or by work whose violation is recorded.

#[path = "../common/mod.rs"]
mod common;

/// Tests that break a rule each, and what they break.
macro_rules! rules {
    ($($name:ident breaks $rule:ident: $test:expr;)*) => {
        pub const BROKEN: &[Rule] = &[$(Rule::$rule),*];

        $(
            #[test]
            fn $name() {
                $crate::breaks(Rule::$rule, $test);
            }
        )*
    };
}

mod arguments;
mod encoding;
mod kernels;
mod mps;
mod objects;
mod order;

use common::*;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_metal::*;
use soft_metal::{Rule, drain, take_violations};

#[test]
fn every_rule_has_a_test_that_breaks_it() {
    let broken = [arguments::BROKEN, encoding::BROKEN, kernels::BROKEN, mps::BROKEN, objects::BROKEN, order::BROKEN];
    let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !broken.concat().contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// `test` gives the message of a broken rule: it must be that of `rule`.
fn breaks(rule: Rule, test: fn(&Gpu) -> String) {
    drain();
    take_violations();
    let message = autoreleasepool(|_| test(&Gpu::new()));
    assert!(message.contains(&format!("Metal rule broken ({})", rule.text())), "{}: {message}", rule.text());
}

/// What was recorded, once everything has run.
fn recorded() -> String {
    drain();
    take_violations().iter().map(|v| format!("{v}\n")).collect()
}

fn blit(commands: &Commands) -> Retained<ProtocolObject<dyn MTLBlitCommandEncoder>> {
    commands.blitCommandEncoder().expect("an encoder")
}

fn compute(commands: &ProtocolObject<dyn MTLCommandBuffer>) -> Retained<ProtocolObject<dyn MTLComputeCommandEncoder>> {
    commands.computeCommandEncoder().expect("an encoder")
}

const COPY: &str = "kernel void copy(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
    uint i [[thread_position_in_grid]]) { y[i] = x[i]; }";

fn run_kernel(gpu: &Gpu, source: &str, threads: usize) -> String {
    let pipeline = gpu.pipeline(source, "k");
    let (x, y) = (gpu.buffer(&[1f32; 4]), gpu.buffer(&[0f32; 4]));
    gpu.run(|cb| dispatch(cb, &pipeline, &[&x, &y], threads, threads));
    recorded()
}
