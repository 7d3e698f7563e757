use std::error::Error;

/// Reason why an Apple GPU did not do what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuFailure {
    /// macOS ended it, because the screen waited.
    Interactivity,
    /// Work that took too long, or hung.
    Timeout,
    /// Another program's work failed, and took this with it.
    Victim,
    /// Earlier work of this program failed, and nothing more of it is taken.
    Ignored,
    /// Memory ran out.
    OutOfMemory,
    /// A kernel left its memory.
    PageFault,
    /// Anything else.
    Other,
}

/// What the texts of command buffers that failed begin with: candle's, and that of crates/mps.
const BEGINNINGS: [&str; 2] = [
    "Command buffer had following error",
    "a command buffer failed",
];

/// Names of the driver's codes (`kIOGPUCommandBufferCallbackError..`), which stand in its texts in
/// every language, and the texts without a code (`MTLCommandBufferError`).
const NAMES: [(&str, GpuFailure); 11] = [
    ("ImpactingInteractivity", GpuFailure::Interactivity),
    ("Impacting Interactivity", GpuFailure::Interactivity),
    ("ErrorTimeout", GpuFailure::Timeout),
    ("ErrorHang", GpuFailure::Timeout),
    ("Caused GPU Timeout", GpuFailure::Timeout),
    ("InnocentVictim", GpuFailure::Victim),
    ("SubmissionsIgnored", GpuFailure::Ignored),
    ("OutOfMemory", GpuFailure::OutOfMemory),
    ("Insufficient Memory", GpuFailure::OutOfMemory),
    ("PageFault", GpuFailure::PageFault),
    ("Address Fault", GpuFailure::PageFault),
];

impl GpuFailure {
    /// The failure that `error` tells of, or what caused it; `None` where that is another error.
    ///
    /// By its text: candle keeps nothing else of it.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(failure) = Self::in_text(&error.to_string()) {
                return Some(failure);
            }
            cause = error.source();
        }
        None
    }

    fn in_text(text: &str) -> Option<Self> {
        if !BEGINNINGS.iter().any(|beginning| text.contains(beginning)) {
            return None;
        }
        let named = NAMES.iter().find(|(name, _)| text.contains(name));
        Some(named.map_or(Self::Other, |(_, failure)| *failure))
    }
}

#[cfg(test)]
mod tests {
    use super::GpuFailure as F;
    use candle_core::Error;

    /// Texts of drivers, as they are quoted in public reports, in candle's words.
    #[test]
    fn failures_are_told_apart() {
        let code = "kIOGPUCommandBufferCallbackError";
        for (text, want) in [
            (
                format!("Impacting Interactivity (0000000e:{code}ImpactingInteractivity)"),
                F::Interactivity,
            ),
            (
                format!("Caused GPU Timeout Error (00000002:{code}Timeout)"),
                F::Timeout,
            ),
            (
                format!("Caused GPU Hang Error (00000003:{code}Hang)"),
                F::Timeout,
            ),
            (
                format!("Discarded (victim of GPU error/recovery) (00000005:{code}InnocentVictim)"),
                F::Victim,
            ),
            (
                format!(
                    "Ignored (for causing prior/excessive GPU errors) (00000004:{code}SubmissionsIgnored)"
                ),
                F::Ignored,
            ),
            (
                format!("Insufficient Memory (00000008:{code}OutOfMemory)"),
                F::OutOfMemory,
            ),
            (
                format!("Caused GPU Address Fault Error (0000000b:{code}PageFault)"),
                F::PageFault,
            ),
            ("unknown error".to_string(), F::Other),
        ] {
            let candle = format!("Command buffer had following error: {text}");
            assert_eq!(F::of(&Error::msg(&candle)), Some(want), "{text}");
            let ours = Error::msg(format!("a command buffer failed: {text}"));
            let wrapped = crate::train::Error::from(ours.bt().context("a step"));
            assert_eq!(F::of(&wrapped), Some(want), "{text}");
        }
        assert_eq!(F::of(&Error::msg("Insufficient Memory")), None);
    }
}
