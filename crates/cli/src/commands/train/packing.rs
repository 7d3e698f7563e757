//! Arrangement of the rows of a batch, where nobody says.

use super::Args;
use crate::device::DeviceChoice;
use metal_candle::layout::Arrangement;

impl Args {
    /// Arrangement of the rows of a batch, and why it is that. Rows that are packed are in the same steps, with the same
    /// losses and gradients but for the order of sums; a run that goes on keeps what it has.
    pub fn arrangement(&self) -> (Arrangement, &'static str) {
        let dropout = self.adapter.dropout.unwrap_or(0.0);
        match (self.asked_packing(), self.resumed_setting("packing")) {
            (Some(true), _) => (Arrangement::Packed, "--packing"),
            (Some(false), _) => (Arrangement::Padded, "--no-packing"),
            (None, Some(packing)) if packing == true => (
                Arrangement::Packed,
                "as in the run that this one goes on with",
            ),
            (None, Some(_)) => (
                Arrangement::Padded,
                "as in the run that this one goes on with",
            ),
            _ if self.is_mlx() => (Arrangement::Padded, "mlx-lm's rules"),
            _ if dropout > 0.0 => (
                Arrangement::Padded,
                "packing would draw other dropout masks",
            ),
            _ if !is_cpu(self.device.device) => {
                (Arrangement::Padded, "packing was timed on CPUs only")
            }
            _ => (Arrangement::Packed, "what would be padding takes no time"),
        }
    }

    fn asked_packing(&self) -> Option<bool> {
        match self.rows.no_packing {
            true => Some(false),
            false => self.rows.packing,
        }
    }
}

fn is_cpu(device: DeviceChoice) -> bool {
    match device {
        DeviceChoice::Auto => cfg!(not(target_vendor = "apple")),
        DeviceChoice::Cpu => true,
        DeviceChoice::Metal(_) | DeviceChoice::Cuda(_) => false,
    }
}
