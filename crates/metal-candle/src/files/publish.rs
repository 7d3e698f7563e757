use super::{Error, neighbour, parent, sync};
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// Makes `to` hold what the finished file `from` holds. Tensor files, which nobody edits, share their
/// bytes on the disk where the file system can.
///
/// # Errors
/// When the system refuses; an older file of the name stays.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    let unfinished = neighbour(to, "");
    let attempt = || {
        remove(&unfinished)?;
        share(from, &unfinished)?;
        std::fs::rename(&unfinished, to)?;
        // Two names of one file: renaming one to the other leaves both.
        remove(&unfinished)?;
        sync(parent(to))
    };
    attempt().map_err(|source| {
        // What cannot take its place is litter; the first error is the one to tell.
        let _ = remove(&unfinished);
        Error::at("write", to)(source)
    })
}

fn share(from: &Path, to: &Path) -> std::io::Result<()> {
    let is_tensors = from.extension() == Some(OsStr::new("safetensors"));
    if is_tensors && std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(source),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.safetensors", "a.json"] {
            std::fs::write(path(name), "new").unwrap();
            let to = path(&format!("published-{name}"));
            std::fs::write(&to, "old").unwrap();
            for _ in 0..2 {
                publish(&path(name), &to).unwrap();
                assert_eq!(std::fs::read(&to).unwrap(), b"new");
            }
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 4);
    }
}
