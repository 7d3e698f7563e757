//! Names of the machine that the program runs on, as its system tells them.

use std::process::Command;

/// Operating system, with its version on a Mac, and architecture.
pub fn system() -> String {
    use std::env::consts::{ARCH, OS};
    match cfg!(target_os = "macos")
        .then(|| output("sw_vers", &["-productVersion"]))
        .flatten()
    {
        Some(version) => format!("{OS} {version} {ARCH}"),
        None => format!("{OS} {ARCH}"),
    }
}

/// Model of the processor; `None` where the system does not tell.
pub fn processor() -> Option<String> {
    if cfg!(target_vendor = "apple") {
        return output("sysctl", &["-n", "machdep.cpu.brand_string"]);
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ")
        .map(|(_, name)| name.trim().to_owned())
}

/// Memory that programs may have, in bytes; `None` where the system does not tell.
pub fn memory_bytes() -> Option<u64> {
    if cfg!(target_vendor = "apple") {
        return output("sysctl", &["-n", "hw.memsize"])?.parse().ok();
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes = line.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? << 10)
}

/// What a program says; `None` where there is none or it fails.
pub fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
