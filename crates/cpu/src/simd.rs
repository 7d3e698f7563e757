//! Vector instructions of the kernels: the widest that the processor has, seen when the
//! program runs. `METAL_CANDLE_SIMD` forces a lower level, by its name in lower case.

use pulp::{Simd, WithSimd};
#[cfg(target_arch = "x86_64")]
use std::any::TypeId;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A set of vector instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// No vector instructions but what the compiler's target has.
    Scalar,
    /// 128 bits, on every 64-bit ARM processor.
    Neon,
    /// 256 bits with fused multiply-add.
    Avx2,
    /// 512 bits.
    Avx512,
    /// 512 bits, and products in tiles of bf16 (AMX), which Linux lets a program use.
    Amx,
}

/// A name that is no level of this processor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simd: {VARIABLE} must be {}, got {got}", names(available))]
pub struct UnknownLevel {
    /// The levels that there are.
    available: Vec<Level>,
    /// The name.
    got: String,
}

fn names(levels: &[Level]) -> String {
    let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
    names.join(" or ")
}

/// The variable that forces a level.
const VARIABLE: &str = "METAL_CANDLE_SIMD";

impl Level {
    const ALL: [Self; 5] = [
        Self::Amx,
        Self::Avx512,
        Self::Avx2,
        Self::Neon,
        Self::Scalar,
    ];

    /// The levels that this processor has, widest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }

    /// The level that kernels run at.
    ///
    /// # Errors
    /// When `METAL_CANDLE_SIMD` names no level, or one that this processor does not have.
    pub fn chosen() -> Result<Self, UnknownLevel> {
        match std::env::var(VARIABLE) {
            Ok(name) => name.parse(),
            Err(_) => Ok(Self::widest()),
        }
    }

    fn widest() -> Self {
        Self::available().next().unwrap_or(Self::Scalar)
    }

    fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
            Self::Amx => Self::Avx512.is_available() && crate::amx::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
            _ => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        match Self::available().find(|level| level.name() == name) {
            Some(level) => Ok(level),
            None => Err(UnknownLevel {
                available: Self::available().collect(),
                got: name.to_owned(),
            }),
        }
    }
}

/// The level of this process. A wrong `METAL_CANDLE_SIMD` is an error of [`Level::chosen`], which
/// programs ask first; here it counts as absent.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| Level::chosen().unwrap_or_else(|_| Level::widest()))
}

/// Runs `op`, compiled for the level of this process. Everything that it calls must be
/// `#[inline(always)]`, else it is compiled for the narrowest level.
pub fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    dispatch_at(level(), op)
}

/// Runs `op`, compiled for `level`, which tests choose.
pub fn dispatch_at<Op: WithSimd>(level: Level, op: Op) -> Op::Output {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Amx | Level::Avx512 => match pulp::x86::V4::try_new() {
            Some(simd) => vectorize(simd, op),
            None => vectorize(pulp::Scalar, op),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => match pulp::x86::V3::try_new() {
            Some(simd) => vectorize(simd, op),
            None => vectorize(pulp::Scalar, op),
        },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => match pulp::aarch64::Neon::try_new() {
            Some(simd) => vectorize(simd, op),
            None => vectorize(pulp::Scalar, op),
        },
        _ => vectorize(pulp::Scalar, op),
    }
}

/// Runs `op` in a function of its own, compiled for all that the level of `simd` has.
#[inline(always)]
pub fn vectorize<S: Simd, Op: WithSimd>(simd: S, op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>()
        && let Some(simd) = pulp::x86::V3::try_new()
        && is_x86_feature_detected!("f16c")
    {
        // SAFETY: the processor has what the function is compiled for.
        #[allow(unsafe_code)]
        return unsafe { with_halves(simd, op) };
    }
    simd.vectorize(op)
}

/// Runs `op`, compiled for what `V3` has and for the conversion of float16, which is not one of its features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt,popcnt,f16c")]
fn with_halves<Op: WithSimd>(simd: pulp::x86::V3, op: Op) -> Op::Output {
    op.with_simd(simd)
}

/// Cache that a line is brought to.
#[derive(Debug, Clone, Copy)]
pub enum Cache {
    /// To the first cache, for what is read at once.
    First,
    /// To the second cache.
    Second,
}

/// Asks for a line of memory that is about to be read; any address will do.
#[inline(always)]
pub fn prefetch<T>(address: *const T, into: Cache) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch has no effect but on the caches.
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        match into {
            Cache::First => _mm_prefetch::<_MM_HINT_T0>(address.cast()),
            Cache::Second => _mm_prefetch::<_MM_HINT_T1>(address.cast()),
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (address, into);
}
