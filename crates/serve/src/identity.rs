//! Random names and the time, for replies.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// A number that no other is likely to be, from the standard library's random keys.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new name behind `prefix`.
pub fn name(prefix: &str) -> String {
    format!("{prefix}{:016x}{:016x}", random(), random())
}

/// Seconds since 1970.
pub fn now_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}
