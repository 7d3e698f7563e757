use crate::lora::Error;

/// Settings of a beginning by explained variance, PEFT's `EvaConfig`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eva {
    /// Highest rank of a layer as a multiple of its own, at least 1: ranks move to the layers in whose inputs they
    /// explain most; with 1 they stay.
    pub rho: f64,
    /// Cosine of the angle within which a batch must leave components for them to have settled, from 0 to 1.
    pub tau: f64,
    /// Most batches of rows that are looked at.
    pub max_batches: usize,
}

impl Default for Eva {
    fn default() -> Self {
        Self {
            rho: 2.0,
            tau: 0.99,
            max_batches: 128,
        }
    }
}

impl Eva {
    pub(in crate::lora) fn check(&self) -> std::result::Result<(), Error> {
        let setting = |what, expected, got: f64| Error::Setting {
            what,
            expected,
            got: got.to_string(),
        };
        match self {
            Self { rho, .. } if !(*rho >= 1.0 && rho.is_finite()) => {
                Err(setting("eva_rho", "a finite number, at least 1", *rho))
            }
            Self { tau, .. } if !(0.0..=1.0).contains(tau) => {
                Err(setting("eva_tau", "from 0 to 1", *tau))
            }
            Self { max_batches: 0, .. } => Err(setting("eva_max_batches", "at least 1", 0.0)),
            _ => Ok(()),
        }
    }
}
