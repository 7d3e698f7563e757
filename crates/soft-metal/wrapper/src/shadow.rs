//! Copies of the changed crates, under the target folder: nothing of them is ever committed.

use crate::table::Crate;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the copy of `entry`, whose own sources are in `folder`; made on first use.
pub fn of(entry: &Crate, folder: &str) -> Result<String, String> {
    let root = std::env::var("SOFT_METAL_SHADOW").map_err(|_| "SOFT_METAL_SHADOW is not set".to_string())?;
    let shadow = PathBuf::from(root).join(format!("{}-{}-{}", entry.name, entry.version, env!("CARGO_PKG_VERSION")));
    if !shadow.exists() {
        make(entry, Path::new(folder), &shadow)?;
    }
    Ok(shadow.display().to_string())
}

/// Copies aside and renames into place, so that two compilers may do it at the same time.
fn make(entry: &Crate, from: &Path, to: &Path) -> Result<(), String> {
    let part = to.with_extension(format!("{}.part", std::process::id()));
    let removed = copy(from, &part, false).map_err(|e| format!("{}: {e}", from.display()))?;
    if removed != entry.links {
        let _ = fs::remove_dir_all(&part);
        let Crate { name, version, links, .. } = entry;
        return Err(format!("{name} {version} is refused: {removed} link attributes, {links} were examined"));
    }
    if fs::rename(&part, to).is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    Ok(())
}

/// Copies a folder, its sources (`src`) without their link attributes, and counts these.
fn copy(from: &Path, to: &Path, source: bool) -> std::io::Result<usize> {
    fs::create_dir_all(to)?;
    let mut removed = 0;
    for item in fs::read_dir(from)? {
        let item = item?.path();
        let target = to.join(item.file_name().unwrap_or_default());
        if item.is_dir() {
            removed += copy(&item, &target, source || item.ends_with("src"))?;
        } else if source && item.extension().is_some_and(|e| e == "rs") {
            let (text, n) = without_links(&fs::read_to_string(&item)?);
            fs::write(target, text)?;
            removed += n;
        } else {
            fs::copy(&item, target)?;
        }
    }
    Ok(removed)
}

/// Only attributes that are a whole line: the `extern` blocks under them stay as they are.
fn without_links(text: &str) -> (String, usize) {
    let kept: Vec<&str> = text.lines().filter(|l| !is_link(l)).collect();
    let removed = text.lines().count() - kept.len();
    (kept.join("\n") + "\n", removed)
}

fn is_link(line: &str) -> bool {
    let plain = line.starts_with("#[link(name = ") && line.ends_with(")]");
    let conditional = line.starts_with("#[cfg_attr(") && line.contains(", link(name = ") && line.ends_with("))]");
    plain || conditional
}

#[cfg(test)]
mod tests {
    use super::without_links;

    #[test]
    fn whole_line_attributes_are_removed_and_counted() {
        let text = "#[link(name = \"Metal\", kind = \"framework\")]\n\
            #[cfg_attr(target_vendor = \"apple\", link(name = \"F\", kind = \"framework\"))]\n\
            extern \"C\" {}\n    #[cfg_attr(a, link(name = \"c\"))]\n#[link_section = \"x\"]\n";
        let (kept, removed) = without_links(text);
        assert_eq!(removed, 2);
        assert_eq!(kept, "extern \"C\" {}\n    #[cfg_attr(a, link(name = \"c\"))]\n#[link_section = \"x\"]\n");
    }
}
