//! candle-core's own Metal tests, from the registry's source.

/// A test of candle's that fails, and why that is not this project's.
pub struct KnownFailure {
    pub test: &'static str,
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

/// Whether a test of candle's is one of its Metal backend that passes.
pub fn is_run(test: &str) -> bool {
    test.contains("metal") && KNOWN_FAILURES.iter().all(|known| known.test != test)
}

/// The known failures whose names have `filter` in them.
pub fn known_failures(filter: &str) -> impl Iterator<Item = &'static KnownFailure> {
    KNOWN_FAILURES
        .iter()
        .filter(move |known| known.test.contains(filter))
}

impl KnownFailure {
    /// Says how the test ended.
    pub fn tell(&self, passed: bool) {
        let Self { test, reason } = self;
        match passed {
            true => eprintln!("xtask: {test} passes now: remove it from the known failures"),
            false => eprintln!("xtask: fails as known: {test} ({reason})"),
        }
    }
}
