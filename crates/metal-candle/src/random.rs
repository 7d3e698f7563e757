//! Seeded random numbers, one independent stream for each name: the order in which tensors are
//! made changes nothing, and neither does the platform.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stable 64-bit hash of a name (FNV-1a).
pub(crate) fn name_stream(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The generator of the stream `name` of `seed`.
pub(crate) fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(name_stream(name));
    generator
}

/// `n` numbers, uniform in `[-bound, bound)`.
pub(crate) fn uniform(seed: u64, name: &str, n: usize, bound: f64) -> Vec<f32> {
    let mut generator = generator(seed, name);
    (0..n)
        .map(|_| ((generator.random::<f64>() * 2.0 - 1.0) * bound) as f32)
        .collect()
}

/// `n` numbers, normal with mean 0 (Box, Muller 1958).
pub(crate) fn normal(seed: u64, name: &str, n: usize, std: f64) -> Vec<f32> {
    let mut generator = generator(seed, name);
    (0..n)
        .map(|_| {
            let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
            let angle = std::f64::consts::TAU * generator.random::<f64>();
            (radius * angle.cos() * std) as f32
        })
        .collect()
}
