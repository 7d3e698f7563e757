//! Facts that the operating system tells about this process.

/// The most memory that the process has held at once, in bytes; `None` where the system does not
/// tell.
///
/// Not by `getrusage`, which counts what the parent held when it started this process.
#[cfg(target_os = "linux")]
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// Memory that the process holds now, in bytes; `None` where the system does not tell.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return status_bytes("VmRSS:");
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// A size in what Linux says of this process.
#[cfg(target_os = "linux")]
fn status_bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The most memory that the process has held at once, in bytes; `None` where the system does not
/// tell.
#[cfg(all(unix, not(target_os = "linux")))]
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
