//! The crates that are changed: exact versions, and how many attributes are removed from each.

/// A crate that does not build for Linux as it is.
#[derive(Debug, PartialEq)]
pub struct Crate {
    pub name: &'static str,
    pub version: &'static str,
    /// `#[link]` lines, plain or under `cfg_attr`, that are removed. Another number means that the crate has changed.
    pub links: usize,
    /// Features that are switched on without being asked for in a manifest.
    pub features: &'static [&'static str],
}

/// `gnustep-1-7` selects `objc_msg_lookup`; `unstable-compiler-rt` drops `-lgnustep-base`.
pub const CRATES: &[Crate] = &[
    entry("objc2", "0.6.5", 3, &["gnustep-1-7", "unstable-compiler-rt"]),
    entry("block2", "0.6.2", 2, &["gnustep-1-7"]),
    entry("dispatch2", "0.3.1", 2, &[]),
    entry("objc2_foundation", "0.3.2", 2, &[]),
    entry("objc2_core_foundation", "0.3.2", 0, &[]),
    entry("objc2_metal", "0.3.2", 1, &[]),
    entry("objc2_metal_performance_shaders", "0.3.2", 1, &[]),
];

/// Of the same family, but they link nothing.
const HARMLESS: &[&str] = &["objc2_encode", "objc2_proc_macros"];

const fn entry(name: &'static str, version: &'static str, links: usize, features: &'static [&'static str]) -> Crate {
    Crate { name, version, links, features }
}

/// The entry of a crate; none for crates that are passed through; an error for those that must not be.
pub fn look_up(name: &str, version: &str) -> Result<Option<&'static Crate>, String> {
    if let Some(known) = CRATES.iter().find(|c| c.name == name) {
        return if known.version == version {
            Ok(Some(known))
        } else {
            Err(format!("{name} {version} is refused: {} is the version that was examined", known.version))
        };
    }
    if name.starts_with("objc2_") && !HARMLESS.contains(&name) {
        return Err(format!("{name} {version} is refused: it is not in the table of examined crates"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_and_unknown_relatives_are_refused_by_name() {
        assert_eq!(look_up("objc2_metal", "0.3.2").unwrap().unwrap().links, 1);
        assert!(look_up("objc2_metal", "0.3.3").unwrap_err().contains("objc2_metal 0.3.3"));
        assert!(look_up("objc2_app_kit", "0.3.2").unwrap_err().contains("objc2_app_kit"));
        assert_eq!(look_up("candle_core", "0.11.1"), Ok(None));
        assert_eq!(look_up("objc2_encode", "4.1.0"), Ok(None));
    }
}
