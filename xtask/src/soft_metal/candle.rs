//! candle-core's own Metal tests, from the registry's source.

use super::folders::Folders;
use crate::run_command;

/// A test of candle's that fails, and why that is not this project's.
struct KnownFailure {
    test: &'static str,
    reason: &'static str,
}

const KNOWN_FAILURES: &[KnownFailure] = &[
    KnownFailure {
        test: "conv2d_grad_noncontiguous_kernel_metal",
        reason: "candle multiplies with the kernel before it was made contiguous (metal_backend/mod.rs, conv2d)",
    },
    KnownFailure {
        test: "index_select_strided_ids_grad_metal",
        reason: "candle says that Metal's index_select requires contiguous ids",
    },
    KnownFailure {
        test: "qmm_b_metal",
        reason: "candle's kernel_mul_mm writes float4 to rows of 6 floats, which MSL's alignment of float4 forbids",
    },
];

const LINE: &str = "test --quiet --locked --package soft-metal-candle -- --test-threads=1";

/// Every test with `metal` in its name, without the known failures; then these, which must still fail.
pub fn test(folders: &Folders, filter: &str) -> bool {
    let filter = if filter.is_empty() { "metal" } else { filter };
    let mut command = folders.soft_cargo(LINE);
    command.arg(filter);
    for known in KNOWN_FAILURES {
        command.args(["--skip", known.test]);
    }
    if !run_command("soft-metal: candle-core's Metal tests", &mut command) {
        return false;
    }
    KNOWN_FAILURES
        .iter()
        .filter(|known| known.test.contains(filter))
        .all(|known| still_fails(folders, known))
}

fn still_fails(folders: &Folders, known: &KnownFailure) -> bool {
    let mut command = folders.soft_cargo(LINE);
    command.args(["--exact", known.test]);
    let passed = command.output().is_ok_and(|output| output.status.success());
    match passed {
        true => eprintln!(
            "xtask: {} passes now: remove it from the known failures",
            known.test
        ),
        false => eprintln!("xtask: fails as known: {} ({})", known.test, known.reason),
    }
    !passed
}
