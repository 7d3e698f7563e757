//! Reasons why an engine was chosen.

use std::fmt;

use crate::order::Strategy;
use crate::plan::{Engine, Reject};

/// Reason why an engine computes a product.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The caller said so.
    Requested,
    /// The result is one row or one column.
    Vector,
    /// The engine that would be better does not take this.
    Rejected {
        /// The engine.
        engine: Engine,
        /// What it does not take.
        reject: Reject,
    },
    /// MPS does not support the GPU.
    NoMps,
    /// Nothing was measured on this machine.
    Uncalibrated,
    /// The strategy failed its test.
    Litmus {
        /// What was tested.
        strategy: Strategy,
    },
    /// MPS computes bfloat16 slowly here, or not at all.
    SlowBf16,
    /// Fewer rows or columns than MPS has tiles for.
    FewRowsOrColumns,
    /// A weight that is too large to be cast for one product.
    Wide {
        /// Bytes that it would take.
        bytes: usize,
    },
    /// Nothing was measured for products like this one.
    NotMeasured,
    /// Too little work for MPS to pay.
    Short {
        /// Seconds that it takes without MPS.
        secs: f64,
    },
    /// MPS is not faster, or not by more than measurements vary.
    NoGain {
        /// The part of the time without it that it saves.
        gain: f64,
    },
    /// MPS is faster by less than its ordering costs.
    Overhead {
        /// Seconds that it saves.
        gained_secs: f64,
        /// Seconds that ordering costs.
        overhead_secs: f64,
    },
    /// MPS is faster.
    Faster {
        /// The part of the time without it that it saves.
        gain: f64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: &f64| part * 100.0;
        let micros = |secs: &f64| secs * 1e6;
        match self {
            Self::Requested => f.write_str("as requested"),
            Self::Vector => f.write_str("the result is a vector"),
            Self::Rejected { engine, reject } => write!(f, "not for {engine}: {reject}"),
            Self::NoMps => f.write_str("MPS does not support this GPU"),
            Self::Uncalibrated => f.write_str("MPS has not been measured on this machine"),
            Self::Litmus { strategy } => write!(f, "{strategy} has not passed its litmus test"),
            Self::SlowBf16 => f.write_str("MPS is slow at bfloat16 here, or does not know it"),
            Self::FewRowsOrColumns => f.write_str("too few rows or columns for MPS"),
            Self::Wide { bytes } => write!(f, "{bytes} B are too many to cast a weight to"),
            Self::NotMeasured => f.write_str("no measurement of such products"),
            Self::Short { secs } => write!(f, "{:.0} us of work are too few for MPS", micros(secs)),
            Self::NoGain { gain } => write!(f, "MPS saves {:.1} %", percent(gain)),
            Self::Overhead {
                gained_secs,
                overhead_secs,
            } => write!(
                f,
                "MPS saves {:.0} us and costs {:.0} us",
                micros(gained_secs),
                micros(overhead_secs)
            ),
            Self::Faster { gain } => write!(f, "MPS saves {:.1} %", percent(gain)),
        }
    }
}
