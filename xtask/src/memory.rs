//! The unsafe code of the kernels under tools that see what a test cannot: reads of memory that
//! was never written, accesses outside of an allocation. Both need the nightly toolchain.

use crate::Step;

/// Miri interprets, so it runs small tests only, at the scalar level: it knows few vector
/// instructions. The thread pool and the allocator's caches live until the end, which is no leak.
pub(crate) const MIRI: &[Step] = &[Step {
    line: "cargo +nightly miri test --package metal-candle-cpu --package metal-candle-kernels --tests \
           -- vector:: rows:: row_kernel:: tiny",
    env: &[
        (
            "MIRIFLAGS",
            "-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows",
        ),
        ("METAL_CANDLE_SIMD", "scalar"),
    ],
}];

/// A target folder of their own: the flag would build everything else again.
const ASAN_LINE: &str = "cargo +nightly test --package metal-candle-cpu --package metal-candle-kernels --tests \
                         --target x86_64-unknown-linux-gnu --target-dir target/asan";
const SANITIZER: (&str, &str) = ("RUSTFLAGS", "-Zsanitizer=address");

/// AddressSanitizer runs on the machine itself, so it takes all tests and every level.
pub(crate) const ASAN: &[Step] = &[
    Step {
        line: ASAN_LINE,
        env: &[SANITIZER],
    },
    Step {
        line: ASAN_LINE,
        env: &[SANITIZER, ("METAL_CANDLE_SIMD", "avx2")],
    },
    Step {
        line: ASAN_LINE,
        env: &[SANITIZER, ("METAL_CANDLE_SIMD", "scalar")],
    },
];
