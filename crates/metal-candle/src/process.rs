//! What the operating system tells about this process.

/// The most memory that the process has held at once, in bytes; `None` where the system does not
/// tell.
#[cfg(unix)]
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let peak = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
    // Apple's kernel counts bytes, others kibibytes.
    Some(if cfg!(target_vendor = "apple") {
        peak
    } else {
        peak * 1024
    })
}

/// The most memory that the process has held at once, in bytes; `None` where the system does not
/// tell.
#[cfg(not(unix))]
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    None
}
